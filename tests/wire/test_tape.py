"""The tape answers what was recorded, once each, in whatever order it is asked."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_kernel.wire.entries import call_digest, call_from_json, call_to_json
from codeact_kernel.wire.lines import canonical, dump_line, load_line
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall
from codeact_kernel.wire.tape import Tape, TapeMiss


def refund(step: int, index: int, order: int, amount: int, result: Json = None) -> ToolCall:
    return ToolCall(step, index, "refund", (order,), {"amount": amount}, Returned(result))


def test_calls_are_found_by_what_they_ask_not_by_their_order() -> None:
    calls = [refund(1, index, order=index, amount=10, result=f"r{index}") for index in range(1, 101)]
    tape = Tape(calls)
    tape.begin_step(1)
    shuffled = random.Random(7).sample(calls, len(calls))
    for call in shuffled:
        assert tape.answer(call.tool, call.args, call.kwargs) == call.outcome
    assert tape.unused(1) == ()


def test_identical_calls_are_answered_in_recorded_order_and_then_no_more() -> None:
    tape = Tape([refund(1, 1, 7, 10, "first"), refund(1, 2, 7, 10, "second")])
    tape.begin_step(1)
    answers = [tape.answer("refund", [7], {"amount": 10}) for _ in range(2)]
    assert answers == [Returned("first"), Returned("second")]
    with pytest.raises(TapeMiss, match="is on the tape of step 1 2 times and is now called once more"):
        tape.answer("refund", [7], {"amount": 10})


def test_keyword_order_does_not_count_and_types_do() -> None:
    tape = Tape([ToolCall(1, 1, "f", (1,), {"a": 1, "b": {"x": 1, "y": 2}}, Returned("yes"))])
    tape.begin_step(1)
    with pytest.raises(TapeMiss, match=r"argument 1: 1 → 1\.0"):
        tape.answer("f", (1.0,), {"a": 1, "b": {"x": 1, "y": 2}})
    assert tape.answer("f", (1,), {"b": {"y": 2, "x": 1}, "a": 1}) == Returned("yes")


def test_only_the_calls_of_the_step_count() -> None:
    tape = Tape([refund(1, 1, 7, 10, "one"), refund(2, 1, 7, 10, "two")])
    tape.begin_step(2)
    assert tape.answer("refund", [7], {"amount": 10}) == Returned("two")
    with pytest.raises(TapeMiss):
        tape.answer("refund", [7], {"amount": 10})
    assert [call.step for call in tape.unused(1)] == [1]
    assert [call.step for call in tape.unused(None)] == [1]
    tape.begin_step(2)  # A step that is rebuilt begins afresh.
    assert tape.answer("refund", [7], {"amount": 10}) == Returned("two")
    tape.begin_step(3)
    with pytest.raises(TapeMiss, match="no call of 'refund' is left there"):
        tape.answer("refund", [7], {"amount": 10})


def test_without_a_step_a_cell_can_be_run_again() -> None:
    tape = Tape([refund(1, 1, 7, 10, "one"), refund(2, 1, 7, 10, "two")])
    answers = [tape.answer("refund", [7], {"amount": 10}) for _ in range(4)]
    assert answers == [Returned("one"), Returned("two"), Returned("two"), Returned("two")]
    assert tape.unused(None) == ()


def test_a_miss_says_which_argument_changed() -> None:
    tape = Tape([refund(3, 1, 5, 50), refund(3, 2, 7, 40)])
    tape.begin_step(3)
    with pytest.raises(TapeMiss) as miss:
        tape.answer("refund", [7], {"amount": 50_000})
    assert "refund(7, amount=50000) is not on the tape of step 3" in str(miss.value)
    assert miss.value.recorded is not None
    with pytest.raises(TapeMiss, match=r"argument 'reason': \(absent\) → \"late\""):
        tape.answer("refund", [7], {"amount": 40, "reason": "late"})


def test_calls_in_doubt_are_never_answered() -> None:
    doubt = ToolCall(1, 2, "refund", (7,), {"amount": 10}, None)
    tape = Tape([refund(1, 1, 7, 10, "done"), doubt])
    tape.begin_step(1)
    assert tape.answer("refund", [7], {"amount": 10}) == Returned("done")
    with pytest.raises(TapeMiss, match="in doubt"):
        tape.answer("refund", [7], {"amount": 10})
    assert tape.unused(1) == (doubt,)


def test_raised_outcomes_are_answers() -> None:
    tape = Tape([ToolCall(1, 1, "f", (), {}, Raised("ValueError", "no"))])
    assert tape.answer("f", (), {}) == Raised("ValueError", "no")


def test_threads_get_every_answer_once() -> None:
    tape = Tape([refund(1, index, 7, 10, index) for index in range(400)])
    tape.begin_step(1)
    found: list[object] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(100):
            found.append(tape.answer("refund", [7], {"amount": 10}))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.value for answer in found if isinstance(answer, Returned)) == list(range(400))


def seconds(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


@pytest.mark.parametrize("same", [True, False])
def test_a_call_costs_the_same_on_a_long_tape(same: bool) -> None:
    def per_call(size: int) -> float:
        calls = [refund(1, index, 7 if same else index, 10) for index in range(size)]
        tape = Tape(calls)
        tape.begin_step(1)
        return seconds(lambda: [tape.answer(c.tool, c.args, c.kwargs) for c in calls]) / size

    short = min(per_call(1_000) for _ in range(5))
    assert min(per_call(20_000) for _ in range(2)) < 5 * short


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
outcomes = st.none() | st.builds(Returned, values) | st.builds(Raised, st.text(), st.text())
tool_calls = st.builds(
    ToolCall,
    st.integers(0),
    st.integers(0),
    st.text(),
    st.lists(values, max_size=3).map(tuple),
    st.dictionaries(st.text(), values, max_size=3),
    outcomes,
    st.floats(0, 1e9),
)


@given(tool_calls)
def test_calls_round_trip_as_lines(call: ToolCall) -> None:
    line = dump_line(call_to_json(call))
    assert line.isascii()
    assert "\n" not in line
    assert call_from_json(load_line(line)) == call


@settings(max_examples=40, deadline=None)
@given(st.lists(tool_calls, max_size=6), st.randoms(use_true_random=False))
def test_every_recorded_call_is_answered_with_an_equal_key(
    calls: list[ToolCall], order: random.Random
) -> None:
    tape = Tape(calls)
    asked = [call for call in calls if call.outcome is not None]
    order.shuffle(asked)
    given_back = [tape.answer(call.tool, call.args, dict(reversed(call.kwargs.items()))) for call in asked]
    expected = [call.outcome for call in asked]
    assert sorted(map(repr, given_back)) == sorted(map(repr, expected))
    assert all(call.outcome is None for call in tape.unused(None))


@given(values)
def test_malformed_entries_are_value_errors(value: Json) -> None:
    good: dict[str, Json] = {"step": 1, "call": 1, "name": "f", "args": [], "kwargs": {}, "returns": None}
    for key in good:
        with suppress(ValueError):
            assert call_to_json(call_from_json({**good, key: value}))["name"] in ("f", value)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": "f"},
        {"name": "f", "args": {}, "kwargs": {}},
        {"name": "f", "args": [], "kwargs": []},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": True, "returns": 1},
        {"name": "f", "args": [], "kwargs": {}, "step": -1, "call": 1, "returns": 1},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "in_doubt": True},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "raises": {"type": 1, "message": ""}},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "seconds": "1"},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "seconds": float("nan")},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "seconds": float("inf")},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "seconds": -1.0},
        {"name": "f", "args": [], "kwargs": {}, "step": 1, "call": 1, "returns": 1, "seconds": 10**400},
    ],
)
def test_what_is_no_tape_entry_is_refused(entry: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match=r"tape entry|'raises'"):
        call_from_json(entry)


def test_lines_take_what_json_has_no_word_for() -> None:
    deep: Json = []
    for _ in range(200_000):
        deep = [deep]
    assert load_line(dump_line({"x": [float("nan"), float("inf"), 1.5]})) == {"x": [None, None, 1.5]}
    assert "nested too deep" in load_line(dump_line({"x": deep}))["x"].__repr__()
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a": NaN}', '{"a": 1', "[" * 100_000, b"\xff"])
def test_a_line_is_one_json_object(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the messages are json's own
        load_line(text)


@pytest.mark.parametrize(("made", "read"), [("no", "no"), ("unknown", "unknown"), (None, "yes"), (7, "yes")])
def test_whether_a_call_was_made_stands_in_its_entry_and_in_no_digest(made: Json, read: str) -> None:
    plain = ToolCall(1, 1, "pay", (7,), {}, Raised("ToolError", "no"))
    entry = call_to_json(plain) | ({} if made is None else {"made": made})
    call = call_from_json(entry)
    assert isinstance(call.outcome, Raised)
    assert call.outcome.made == read
    assert call_digest(call) == call_digest(plain)
    assert call_to_json(call).get("made") == (made if made in ("no", "unknown") else None)
