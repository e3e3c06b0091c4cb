"""Every way a stream can end has a defined outcome, and no code comes from an incomplete reply.

Exact bytes through the real SDK, by httpx2.MockTransport: one test for each row of the table.
"""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate

import pytest

from codeact_kernel.events import Notice
from codeact_kernel.exceptions import CredentialsError, ModelError, ModelRefusal
from codeact_kernel.trajectory import Reply, Usage

from .endpoint import Answer, raw_sse, sse, sse_code, sse_error, sse_text, status, truncated
from .support import KEY, run_of

OK = sse_code("print(1)", thought="Look.")
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "execute_python"}


def assert_is_ok(reply: Reply) -> None:
    assert (reply.thought, reply.code, reply.call_id) == ("Look.", "print(1)", "toolu_1")
    assert reply.answer is None
    assert reply.problem is None


def test_code_streams_and_is_read() -> None:
    code = "x = 'ü\\n'\nprint(x, \"</code>\")\n" + "y = 1\n" * 50
    run = run_of([sse_code(code, thought="Look.", pieces=40)])
    reply = run.ask()
    assert (reply.code, reply.thought) == (code, "Look.")
    assert run.shown_code == code
    assert run.shown_thought == "Look."


def test_thinking_and_text_are_the_thought() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "I look."},
        {**TOOL_USE, "input": {"code": "f()"}},
    ]
    run = run_of([sse(blocks, "tool_use")])
    reply = run.ask()
    assert reply.thought == run.shown_thought == "Hm.\n\nI look."
    assert json.loads(reply.raw) == blocks


def test_text_is_the_answer_and_thinking_its_thought() -> None:
    reply = run_of([sse_text("It is 4.", thought="2 + 2")]).ask()
    assert (reply.answer, reply.thought, reply.code, reply.call_id) == ("It is 4.", "2 + 2", None, None)


def test_usage_counts_the_cache_apart() -> None:
    usage = {"input_tokens": 100, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 300}
    reply = run_of([sse_text("4", usage=usage)]).ask()
    assert reply.usage == Usage(100, 5, 1000, 300)
    assert reply.cost_usd == pytest.approx((100 * 2 + 5 * 10 + 1000 * 0.1 + 300 * 2.5) / 1e6)


@pytest.mark.parametrize("cut", ['{"code": "import os\\nos.remo', '{"co', "", '{"code": "print(1)"}'])
def test_max_tokens_within_the_code_runs_nothing(cut: str) -> None:
    reply = run_of([sse([{**TOOL_USE, "json": cut}], "max_tokens")]).ask()
    assert reply.code is None
    assert reply.answer is None
    assert "cut off in the middle of the code" in (reply.problem or "")
    assert reply.call_id == "toolu_1"


def test_what_was_cut_off_stays_visible_to_the_model() -> None:
    reply = run_of([sse([{**TOOL_USE, "json": '{"code": "import os\\nos.remo'}], "max_tokens")]).ask()
    assert json.loads(reply.raw)[0]["input"] == {"code": "import os\nos.remo"}


def test_max_tokens_within_the_answer_is_no_answer() -> None:
    reply = run_of([sse_text("The answer is fo", stop_reason="max_tokens")]).ask()
    assert reply.answer is None
    assert "in the middle of your answer" in (reply.problem or "")


def test_max_tokens_within_the_thinking_leaves_nothing_the_api_would_refuse() -> None:
    reply = run_of([sse([{"type": "thinking", "thinking": "Hm", "signature": ""}], "max_tokens")]).ask()
    assert "in the middle of your thinking" in (reply.problem or "")
    assert json.loads(reply.raw) == [{"type": "text", "text": "(nothing)"}]


BROKEN = {
    "no message_stop": truncated(OK, b"event: message_stop"),
    "no message_delta": truncated(OK, b"event: message_delta"),
    "ends in the code": truncated(OK, b'"}}\n\nevent: content_block_stop'),
    "ends at once": replace(OK, cut=0),
    "socket dropped in the code": truncated(OK, b"event: message_delta", "drop"),
    "socket dropped at once": replace(OK, cut=0, ending="drop"),
    "overloaded in the stream": sse_error("overloaded_error", after=OK),
    "api_error in the stream": sse_error("api_error"),
    "unknown error in the stream": sse_error("new_error"),
    "error event that is no JSON": Answer(b"event: error\ndata: oops\n\n", headers=OK.headers),
    "corrupt JSON": replace(OK, body=OK.body.replace(b'"partial_json"', b'"partial_json', 1)),
    "not UTF-8": replace(OK, body=OK.body.replace(b"Lo", b"\xff\xfe", 1)),
    "an event that is a number": replace(OK, body=b"event: message_start\ndata: 5\n\n" + OK.body),
    "a block out of nowhere": replace(OK, body=OK.body.replace(b'"index": 1', b'"index": 7')),
    "a delta that is no text": replace(OK, body=OK.body.replace(b'"text": "Lo"', b'"text": 5')),
    "no start": replace(OK, body=OK.body[OK.body.index(b"event: content_block_start") :]),
    "a stop reason of null": sse([{**TOOL_USE, "input": {"code": "f()"}}], None),
    "a tool call without an id": sse(
        [{"type": "tool_use", "name": "execute_python", "input": {}}], "tool_use"
    ),
    "a web page": Answer(b"<html>hello</html>", headers={"content-type": "text/html"}),
    "rate limit": status(429),
    "overloaded": status(529, kind="overloaded_error"),
    "server error": status(500),
    "bad gateway, not JSON": Answer(b"<html>bad gateway</html>", 502),
    "invalid tool JSON": sse([{**TOOL_USE, "json": '{"code": nope}'}], "tool_use"),
    "tool JSON that never closes": sse([{**TOOL_USE, "json": '{"code": "print(1)'}], "tool_use"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_reply_is_asked_for_again(broken: Answer) -> None:
    run = run_of([broken, OK])
    assert_is_ok(run.ask())
    assert len(run.seen) == 2
    assert run.seen[0].raw == run.seen[1].raw
    [notice] = run.notices
    assert "attempt 2 of 5" in notice


def test_the_notice_says_when_shown_text_does_not_count() -> None:
    run = run_of([truncated(OK, b"event: message_stop"), OK])
    run.ask()
    assert "What it had written so far does not count." in run.notices[0]
    shown = [type(event) is Notice for event in run.events]
    assert 0 < shown.index(True) < len(shown) - 1


@pytest.mark.parametrize("name", [n for n in BROKEN if "tool JSON" not in n])
def test_what_stays_broken_is_a_model_error(name: str) -> None:
    run = run_of([BROKEN[name]] * 3, max_retries=2)
    with pytest.raises(ModelError, match=r"'claude-sonnet-5-5' gave no reply after 3 attempts: .*\. \w"):
        run.ask()
    assert len(run.seen) == 3


def test_invalid_tool_json_twice_is_told_to_the_model() -> None:
    reply = run_of([BROKEN["invalid tool JSON"]] * 2).ask()
    assert reply.code is None
    assert "not valid JSON" in (reply.problem or "")
    assert reply.call_id == "toolu_1"


def test_failed_attempts_count_in_usage_and_cost() -> None:
    spent = sse_code("f()", usage={"input_tokens": 100})
    reply = run_of([truncated(spent, b"event: message_delta"), spent]).ask()
    assert reply.usage == Usage(input_tokens=200, output_tokens=1 + 5)
    assert reply.cost_usd == pytest.approx((200 * 2 + 6 * 10) / 1e6)


def test_waits_double_and_are_bounded() -> None:
    run = run_of([status(529)] * 8 + [OK], max_retries=8)
    run.ask()
    assert len(run.waits) == 8
    for wait, full in zip(run.waits, [0.5, 1, 2, 4, 8, 8, 8, 8], strict=True):
        assert 0.75 * full <= wait <= full


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": "0"}, 0, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25, 0.25),
        ({"retry-after": formatdate(4_000_000_000, usegmt=True)}, None, None),
        ({"retry-after": "soon"}, 0.375, 0.5),
        ({"retry-after": "-3"}, 0.375, 0.5),
    ],
)
def test_retry_after_is_honoured(headers: dict[str, str], low: float | None, high: float | None) -> None:
    run = run_of([status(429, headers), OK])
    if low is None or high is None:
        with pytest.raises(ModelError, match=r"asks to wait \d+ s"):
            run.ask()
        assert run.waits == []
        return
    run.ask()
    assert low <= run.waits[0] <= high


def test_the_endpoint_can_forbid_or_ask_for_a_retry() -> None:
    with pytest.raises(ModelError):
        run_of([status(529, {"x-should-retry": "false"}), OK]).ask()
    assert_is_ok(run_of([status(400, {"x-should-retry": "true"}), OK]).ask())


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            status(401, kind="authentication_error", message=f"bad {KEY}"),
            CredentialsError,
            "ANTHROPIC_API_KEY",
        ),
        (status(403, kind="permission_error"), CredentialsError, "ANTHROPIC_API_KEY"),
        (sse_error("authentication_error"), CredentialsError, "ANTHROPIC_API_KEY"),
        (status(404, kind="not_found_error"), ModelError, "has no model 'claude-sonnet-5-5'"),
        (status(400, message="prompt is too long"), ModelError, "prompt is too long"),
        (status(413), ModelError, "HTTP 413"),
        (sse_error("invalid_request_error", "no"), ModelError, "invalid_request_error: no"),
        (sse_text("So", stop_reason="model_context_window_exceeded"), ModelError, "context window"),
    ],
)
def test_what_cannot_succeed_is_not_tried_again(answer: Answer, error: type[ModelError], words: str) -> None:
    run = run_of([answer, OK])
    with pytest.raises(error, match=words) as caught:
        run.ask()
    assert type(caught.value) is error
    assert len(run.seen) == 1
    assert KEY not in str(caught.value)


def test_a_refusal_carries_its_category() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    run = run_of([sse_code("f()", stop_reason="refusal", stop_details=details)])
    with pytest.raises(ModelRefusal, match=r"'cyber'.*Not this\.") as caught:
        run.ask()
    assert caught.value.category == "cyber"
    with pytest.raises(ModelRefusal, match="no reason given") as caught:
        run_of([sse_text("No.", stop_reason="refusal")]).ask()
    assert caught.value.category is None


@pytest.mark.parametrize("reason", ["pause_turn", "compaction"])
def test_other_stop_reasons_run_nothing_and_go_on(reason: str) -> None:
    for answer in (sse_code("f()", stop_reason=reason), sse_text("I look", stop_reason=reason)):
        reply = run_of([answer]).ask()
        assert (reply.code, reply.answer) == (None, None)
        assert reason in (reply.problem or "")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({**TOOL_USE, "name": "fetch_orders", "input": {"code": "f()"}}, "no tool 'fetch_orders'"),
        ({**TOOL_USE, "input": {}}, "has no code"),
        ({**TOOL_USE, "input": {"code": " \n"}}, "has no code"),
        ({**TOOL_USE, "input": {"code": ["f()"]}}, "has no code"),
    ],
)
def test_a_wrong_call_is_told_to_the_model(block: dict[str, object], words: str) -> None:
    reply = run_of([sse([block], "tool_use")]).ask()
    assert words in (reply.problem or "")
    assert (reply.code, reply.call_id) == (None, "toolu_1")


def test_an_empty_reply_is_no_answer() -> None:
    for answer in (sse([]), sse_text(" \n")):
        reply = run_of([answer]).ask()
        assert reply.answer is None
        assert "empty" in (reply.problem or "")


def test_only_the_first_of_several_calls_is_taken() -> None:
    calls = [{**TOOL_USE, "input": {"code": "a()"}}, {**TOOL_USE, "id": "toolu_2", "input": {"code": "b()"}}]
    reply = run_of([sse(calls, "tool_use")]).ask()
    assert (reply.code, reply.call_id) == ("a()", "toolu_1")
    assert [block["id"] for block in json.loads(reply.raw)] == ["toolu_1"]


def test_unknown_blocks_and_events_are_passed_over_and_echoed() -> None:
    odd = {"type": "oddity", "payload": [1, {"a": None, "b": 1.5}]}
    answer = sse(
        [odd, {"type": "redacted_thinking", "data": "xyz"}, {**TOOL_USE, "input": {"code": "f()"}}],
        "tool_use",
    )
    extra = raw_sse([{"type": "news", "x": 1}]).body
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "odd_delta", "y": 2}}
    begin = answer.body.index(b"event: content_block_stop")
    body = extra + answer.body[:begin] + raw_sse([delta]).body + answer.body[begin:]
    reply = run_of([replace(answer, body=body)]).ask()
    assert reply.code == "f()"
    assert json.loads(reply.raw)[:2] == [odd, {"type": "redacted_thinking", "data": "xyz"}]


def test_a_lone_surrogate_can_be_sent_back() -> None:
    answer = sse([{**TOOL_USE, "json": '{"code": "x = \'\\ud800\'"}'}], "tool_use")
    reply = run_of([answer]).ask()
    reply.raw.encode("utf-8")
