"""The system prompt: stubs that are Python, bytes that never change for the same run."""

from __future__ import annotations

import ast
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.prompt import system_prompt, tool_stub
from codeact_kernel.wire.messages import ToolParameter, ToolSpec

FETCH = ToolSpec(
    "fetch_orders", (ToolParameter("status", annotation="str"),), "list[Order]", "Orders by status."
)
REFUND = ToolSpec("refund", (ToolParameter("order_id", annotation="int"),), is_async=True)


def prompt(tools: tuple[ToolSpec, ...] = (FETCH, REFUND), schema: str | None = None) -> str:
    return system_prompt(
        tools, "Call execute_python.", ("math", "json", "json"), "Files: data/a.csv.", schema
    )


def test_stub_of_a_tool_is_what_its_source_would_say() -> None:
    assert tool_stub(FETCH) == 'def fetch_orders(status: str) -> list[Order]:\n    """Orders by status."""'
    assert tool_stub(REFUND) == "async def refund(order_id: int): ..."


def everything(a, /, b, *c, d, e=1, **f):
    """All kinds."""


def keywords_only(*, a=None, b):
    """Second line

    "quoted"
    """


def positions_only(a, b=2, /):
    pass


@pytest.mark.parametrize("function", [everything, keywords_only, positions_only])
def test_stub_has_the_signature_and_docstring_of_the_function(function: object) -> None:
    signature = inspect.signature(function)
    parameters = tuple(
        ToolParameter(p.name, p.kind.name.lower(), default=None if p.default is p.empty else repr(p.default))
        for p in signature.parameters.values()
    )
    spec = ToolSpec(function.__name__, parameters, doc=inspect.getdoc(function) or "")
    space: dict[str, object] = {}
    exec(compile(tool_stub(spec), "<stub>", "exec"), space)
    made = space[spec.name]
    assert inspect.signature(made) == signature
    assert (inspect.getdoc(made) or "") == spec.doc


@given(st.text(st.sampled_from("\"' \n\\ab")))
def test_any_docstring_leaves_the_stub_one_function(doc: str) -> None:
    (node,) = ast.parse(tool_stub(ToolSpec("f", doc=doc.replace("\\", "")))).body
    assert isinstance(node, ast.FunctionDef)


def test_same_arguments_same_bytes() -> None:
    assert prompt() == prompt()
    assert system_prompt((FETCH,), "i", ("b", "a"), "", None) == system_prompt(
        (FETCH,), "i", ["a", "b", "a"], "", None
    )


def test_prompt_holds_what_it_was_given() -> None:
    text = prompt()
    for piece in (
        tool_stub(FETCH),
        tool_stub(REFUND),
        "Call execute_python.",
        "json, math.",
        "Files: data/a.csv.",
    ):
        assert piece in text
    assert "reply in plain text" in text


def test_a_typed_answer_has_one_way_out() -> None:
    text = prompt(schema='{"type": "integer"}')
    assert '{"type": "integer"}' in text
    assert "reply in plain text" not in text


def test_without_tools_nothing_is_said_of_tools() -> None:
    text = prompt(())
    assert "```" not in text
    assert "\n\n\n" not in text
