"""What an MCP client answers to a question, as a line at a terminal would be."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mcp")
from mcp.types import ElicitResult

from codeact_kernel.frontends.approval_text import Question
from codeact_kernel.frontends.attention import Attention
from codeact_kernel.frontends.eliciting import Eliciting
from codeact_kernel.frontends.mcp_server_asking import ClientAsker
from codeact_kernel.frontends.portal import Door, PortalRunner
from codeact_kernel.tools.mcp.questions import Answer, Form, fields_of

FORM = Form(
    "shop", "Who?", fields_of({"properties": {"name": {"type": "string"}, "age": {"type": "integer"}}})
)


class _Client:
    """Answers with the given results, then with the last one for ever."""

    can_send_request = True
    client_capabilities = SimpleNamespace(elicitation={})

    def __init__(self, *results: ElicitResult) -> None:
        self._results = list(results)
        self.asked = 0

    async def elicit_form(self, *of: object) -> ElicitResult:
        self.asked += 1
        return self._results.pop(0) if len(self._results) > 1 else self._results[0]


def accept(**content: Any) -> ElicitResult:
    return ElicitResult(action="accept", content=content)


def elicited(*results: ElicitResult) -> tuple[Answer, int]:
    client = _Client(*results)

    async def scene() -> Answer:
        asker = ClientAsker()
        call: Any = SimpleNamespace(session=client, request_id=1)
        asker.call = call
        return await Eliciting(Attention(asker, 60.0), PortalRunner())(FORM)

    return asyncio.run(scene()), client.asked


@pytest.mark.parametrize("nothing", [accept(), accept(answer=None), accept(more="x")])
def test_accepting_without_an_answer_is_declining(nothing: ElicitResult) -> None:
    assert elicited(nothing) == (Answer("decline"), 1)
    assert elicited(accept(answer="y"), nothing) == (Answer("decline"), 2)


def test_declining_a_field_is_no_text_of_the_field() -> None:
    assert elicited(accept(answer="y"), ElicitResult(action="decline")) == (Answer("decline"), 2)


def test_an_empty_answer_leaves_a_field_out() -> None:
    lines = [accept(answer=line) for line in ("y", "", "7", "y")]
    assert elicited(*lines) == (Answer("accept", {"age": 7}), 4)


def test_a_client_whose_answers_cannot_be_read_is_not_asked_for_ever() -> None:
    answer, asked = elicited(accept(answer=""))
    assert (answer.action, asked) == ("decline", 11)


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (accept(decision="always"), "a"),
        (accept(decision="no", reason="late"), "n late"),
        (accept(), "n "),
        (ElicitResult(action="cancel"), "n"),
    ],
)
def test_a_decision_about_a_call(result: ElicitResult, line: str) -> None:
    async def scene() -> str | None:
        asker = ClientAsker()
        call: Any = SimpleNamespace(session=_Client(result), request_id=1)
        asker.call = call
        door: Any = Door
        return await asker.line(Question("ba-ba", "f", 1, (), ""), door)

    assert asyncio.run(scene()) == line
