"""The scripted model: a file of replies, streamed like a real one's, and clear about its limits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from codeact_kernel.events import AssistantMessage, CodeDelta, Event, ModelRequest, ThoughtDelta
from codeact_kernel.exceptions import ScriptExhausted, UsageError
from codeact_kernel.models import ScriptedModel
from codeact_kernel.trajectory import Reply, Usage

from .support import request, user


def ask(model: ScriptedModel, times: int = 1, events: list[Event] | None = None) -> list[Reply]:
    async def talk() -> list[Reply]:
        emit = ([] if events is None else events).append
        return [await model.respond(request(), emit) for _ in range(times)]

    return asyncio.run(talk())


def test_replies_in_order_and_streamed(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(
        '{"thought": "Look.", "code": "a = 1\\nprint(a)"}\n\n{"answer": "ü\u2028"}\n', encoding="utf-8"
    )
    events: list[Event] = []
    first, last = ask(ScriptedModel.from_file(script), 2, events)
    assert (first.thought, first.code, first.answer, first.call_id) == (
        "Look.",
        "a = 1\nprint(a)",
        None,
        "call_1",
    )
    assert (last.thought, last.code, last.answer, last.call_id) == ("", None, "ü\u2028", None)
    assert first.usage == last.usage == Usage()
    assert first.raw != last.raw != ""
    assert events[:3] == [ThoughtDelta("Look."), CodeDelta("a = 1\n"), CodeDelta("print(a)")]


def test_past_the_end_says_how_many_replies_there_were(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"code": "1"}\n{"code": "2"}\n')
    with pytest.raises(ScriptExhausted, match=r"asked for reply 3, but the script '.*script\.jsonl' has 2\."):
        ask(ScriptedModel.from_file(script), 3)
    with pytest.raises(ScriptExhausted, match="has 0"):
        ask(ScriptedModel([]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{nope}", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["a"]', "not an object"),
        ('{"thought": "hm"}', "neither of 'code' and 'answer'"),
        ('{"code": "1", "answer": "2"}', "both of 'code' and 'answer'"),
        ('{"code": "1", "thoughts": "x"}', "unknown key 'thoughts'"),
        ('{"code": ["1"]}', "must be a string"),
        ('{"code": "1", "thought": null}', "must be a string"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text(f'{{"code": "1"}}\n\n{line}\n')
    with pytest.raises(UsageError, match=words) as caught:
        ScriptedModel.from_file(script)
    assert f"{script}, line 3" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.jsonl"):
        ScriptedModel.from_file(tmp_path / "missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"code": "\xfc"}')
    with pytest.raises(UsageError, match="UTF-8"):
        ScriptedModel.from_file(tmp_path / "latin.jsonl")


def test_a_reply_may_be_computed_from_the_request() -> None:
    def count(request: ModelRequest) -> dict[str, str]:
        return {"answer": str(len(request.messages))}

    model = ScriptedModel([Reply(problem="cut off"), count])
    first, second = ask(model, 2)
    assert first.problem == "cut off"
    assert second.answer == "1"
    assert [len(seen.messages) for seen in model.requests] == [1, 1]


def test_a_bad_reply_is_named() -> None:
    with pytest.raises(UsageError, match="reply 2 of the script has neither"):
        ScriptedModel([{"code": "1"}, {}])
    with pytest.raises(UsageError, match="reply 1 of the script has neither"):
        ask(ScriptedModel([lambda request: {}]))


def test_its_replies_can_go_back_to_it() -> None:
    model = ScriptedModel([{"code": "1"}, {"answer": "2"}])
    [reply] = ask(model)
    asyncio.run(model.respond(request(user("a"), AssistantMessage(reply)), lambda event: None))
    assert isinstance(model.requests[1].messages[1], AssistantMessage)


def test_it_costs_nothing_and_loads_no_sdk() -> None:
    assert ScriptedModel([]).cost(Usage(1_000_000)) == 0.0
    code = "import codeact_kernel.models, sys; print('anthropic' in sys.modules or 'httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
