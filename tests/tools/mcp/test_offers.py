"""A list of tools, understood: what goes wrong with one of them costs neither the others nor the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as types
import pytest

from codeact_kernel.tools.mcp import offers
from codeact_kernel.tools.mcp.offers import MAX_SCHEMA, Offers
from codeact_kernel.tools.mcp.server import ServerConfig, Stdio
from codeact_kernel.wire.messages import Json, ToolSchema, ToolSpec
from codeact_kernel.wire.schemas import tool_spec
from codeact_kernel.wire.stubs import signature_text

X = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}


def tool(name: str, schema: Mapping[str, Any] = X) -> types.Tool:
    return types.Tool(name=name, input_schema=dict(schema), description=f"Does {name}.")


async def never(given: Mapping[str, Json]) -> object:
    raise AssertionError("nobody calls here")


def signatures(*listed: types.Tool) -> list[str]:
    made = Offers(ServerConfig("shop", "shop", Stdio("shop")), lambda spec: never)
    made.take(made.prepared(listed))
    return [signature_text(each.spec) for each in made.tools]


@pytest.mark.parametrize("union", ["anyOf", "allOf"])
def test_a_bad_list_of_required_ones_within_a_schema_costs_nothing(union: str) -> None:
    bad = {"type": "object", union: [{"properties": {"a": {}}, "required": [["a"], {"a": 1}]}]}
    assert signatures(tool("bad", bad), tool("good")) == [
        "shop.bad(*, a: Any = ...) -> Any",
        "shop.good(x: str) -> Any",
    ]


def test_a_schema_that_is_not_understood_costs_what_it_says_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(module: str, function: str, schema: ToolSchema, doc: str) -> ToolSpec:
        if function == "bad" and "properties" in schema.input:
            raise RecursionError("too deep")
        return tool_spec(module, function, schema, doc)

    monkeypatch.setattr(offers, "tool_spec", fails)
    assert signatures(tool("bad"), tool("good")) == [
        "shop.bad(**more: Any) -> Any",
        "shop.good(x: str) -> Any",
    ]


@pytest.mark.parametrize("part", ["tool_spec", "module_source"])
def test_a_mistake_of_ours_is_the_servers_problem_and_not_the_runs(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> ToolSpec:
        raise TypeError("unhashable")

    monkeypatch.setattr(offers, part, fails)
    with pytest.raises(ValueError, match=r"tool.*TypeError.*unhashable"):
        signatures(tool("bad"))


def told(*lists: list[types.Tool]) -> list[str]:
    """What the model is told of each."""
    made = Offers(ServerConfig("shop", "shop", Stdio("shop")), lambda spec: never)
    return [made.take(made.prepared(listed)).sentence("shop") for listed in lists]


def test_a_tool_that_takes_other_arguments_now_is_told_with_what_that_means() -> None:
    number = {**X, "properties": {"x": {"type": "integer"}}}
    wider = {**X, "properties": {"x": {}, "y": {}}, "required": ["x", "y"]}
    keeps = "In this run these keep the parameters that they had, so calls of them may fail"
    assert told([tool("a"), tool("b")], [tool("a", wider), tool("b", number)], [tool("a"), tool("b")])[
        1:
    ] == [
        f"shop has changed: a, b. {keeps}: a.",
        "shop has changed: a, b.",
    ]


def test_a_tool_that_comes_back_is_told() -> None:
    both = [tool("a"), tool("b")]
    assert told(both, [tool("a")], both, both)[1:] == [
        "shop does not offer any more: b.",
        "shop offers again: b.",
        "",
    ]


def test_a_tool_whose_schema_is_too_large_can_be_called() -> None:
    assert signatures(tool("large", {**X, "title": "x" * MAX_SCHEMA})) == ["shop.large(**more: Any) -> Any"]
