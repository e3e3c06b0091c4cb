"""What stays of a cell's outputs: streams joined, updates and clears applied, memory bounded."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.collect import Collector
from codeact_kernel.config import OutputLimits
from codeact_kernel.outputs import (
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Finished,
    Output,
    Result,
    Shown,
    Stream,
)
from codeact_kernel.wire.messages import Json

WIDE = OutputLimits(kept_bytes=1 << 20)


def collected(*outputs: Output, limits: OutputLimits = WIDE) -> Collector:
    collector = Collector(limits)
    for output in outputs:
        collector.add(output)
    return collector


def size(shown: tuple[Shown, ...]) -> int:
    return sum(
        len(s.text) if isinstance(s, Stream) else sum(len(str(v)) for v in getattr(s, "data", {}).values())
        for s in shown
    )


def test_streams_are_joined_in_order() -> None:
    a, b = Stream("stdout", "a"), Stream("stderr", "b")
    assert collected(a, a, b, a).shown() == (Stream("stdout", "aa"), b, a)


def test_update_replaces_every_display_of_its_id() -> None:
    one, other = Display({"text/plain": "1"}, {}, "d"), Display({"text/plain": "x"}, {}, "e")
    collector = collected(one, other, one, DisplayUpdate("d", {"text/plain": "2"}, {"m": 1}))
    new = Display({"text/plain": "2"}, {"m": 1}, "d")
    assert collector.shown() == (new, other, new)


def test_update_of_an_unknown_display_shows_nothing() -> None:
    assert collected(DisplayUpdate("d", {"text/plain": "2"})).shown() == ()


def test_clear_now_and_with_the_next_output() -> None:
    a, b = Stream("stdout", "a"), Stream("stdout", "b")
    assert collected(a, ClearOutput()).shown() == ()
    assert collected(a, ClearOutput(wait=True)).shown() == (a,)
    assert collected(a, ClearOutput(inside=True), b).shown() == (Stream("stdout", "ab"),)
    assert collected(a, ClearOutput(wait=True), b, b).shown() == (Stream("stdout", "bb"),)


def test_finished_is_not_shown_and_carries_the_cut() -> None:
    collector = collected(Finished("ok", truncated=True))
    assert (collector.shown(), collector.truncated) == ((), True)


def test_head_and_tail_are_kept_and_the_cut_is_stated() -> None:
    limits = OutputLimits(kept_bytes=400)
    collector = collected(*(Stream("stdout", f"{i:09}\n") for i in range(1000)), limits=limits)
    (stream,) = collector.shown()
    assert isinstance(stream, Stream)
    assert stream.text.startswith("000000000\n000000001\n")
    assert stream.text.endswith("000000998\n000000999\n")
    assert "[… 9,600 characters not kept …]" in stream.text
    assert collector.truncated


def test_bundle_that_does_not_fit_is_named() -> None:
    big = Display({"image/png": "x" * 5000, "text/plain": "figure"})
    collector = collected(Stream("stdout", "a"), big, limits=OutputLimits(kept_bytes=1000))
    assert collector.shown()[1] == Display(
        {"text/plain": "[… an output of 5,025 characters not kept: image/png, text/plain …]"}
    )
    assert collector.truncated


def test_room_comes_back_when_output_is_cleared_or_replaced() -> None:
    limits = OutputLimits(kept_bytes=1000)
    frame = Display({"text/plain": "x" * 900}, {}, "d")
    again = [DisplayUpdate("d", {"text/plain": str(i) * 900}) for i in range(10)]
    collector = collected(frame, *again, limits=limits)
    assert collector.shown() == (Display({"text/plain": "9" * 900}, {}, "d"),)
    collector = collected(*[frame, ClearOutput()] * 20, frame, limits=limits)
    assert (collector.shown(), collector.truncated) == ((frame,), False)


def test_streams_that_alternate_for_ever_are_bounded() -> None:
    collector = Collector(WIDE)
    for i in range(50_000):
        collector.add(Stream("stderr" if i % 2 else "stdout", "."))
    assert len(collector.shown()) <= 10_001
    assert collector.truncated


def test_displays_for_ever_are_bounded() -> None:
    collector = Collector(OutputLimits(kept_bytes=1000))
    for _ in range(50_000):
        collector.add(Display({"text/plain": "x" * 100}))
    assert len(collector.shown()) <= 10_001
    assert collector.truncated


def test_huge_error_is_bounded() -> None:
    lines = tuple("line" * 25 for _ in range(1000))
    collector = collected(Error("ValueError", "v" * 5000, lines), limits=OutputLimits(kept_bytes=1000))
    (error,) = collector.shown()
    assert isinstance(error, Error)
    assert error.ename == "ValueError"
    assert len(error.evalue) + sum(map(len, error.traceback)) < 1500
    assert error.traceback[-1] == lines[-1]
    assert collector.truncated


texts = st.text(max_size=60)
outputs = st.one_of(
    st.builds(Stream, st.sampled_from(["stdout", "stderr"]), texts),
    st.builds(Display, st.dictionaries(st.sampled_from(["text/plain", "text/html"]), texts), st.just({})),
    st.builds(
        Display, st.fixed_dictionaries({"text/plain": texts}), st.just({}), st.sampled_from(["a", "b"])
    ),
    st.builds(DisplayUpdate, st.sampled_from(["a", "b"]), st.fixed_dictionaries({"text/plain": texts})),
    st.builds(Result, st.fixed_dictionaries({"text/plain": texts}), st.integers(1, 9)),
    st.builds(ClearOutput, st.booleans()),
)


@given(st.lists(outputs, max_size=60), st.integers(0, 200))
def test_memory_is_bounded_whatever_comes(shown: list[Output], kept: int) -> None:
    collector = collected(*shown, limits=OutputLimits(kept_bytes=kept))
    notes = 120 * len(collector.shown())
    assert size(collector.shown()) <= kept + notes


@given(st.lists(st.builds(Stream, st.sampled_from(["stdout", "stderr"]), texts), max_size=40))
def test_nothing_is_lost_within_the_bounds(streams: list[Stream]) -> None:
    collector = collected(*streams)
    for name in ("stdout", "stderr"):
        kept = "".join(s.text for s in collector.shown() if isinstance(s, Stream) and s.name == name)
        assert kept == "".join(s.text for s in streams if s.name == name)
    assert not collector.truncated


# --- hostile cells ---

Q = 0.5
"""Seconds; what is measured takes a tenth of it, and took many times that before it was bounded."""


def took(doing: Callable[[], object]) -> float:
    began = time.process_time()
    doing()
    return time.process_time() - began


def many(count: int, display_id: str = "d") -> Collector:
    return collected(*[Display({"text/plain": "x"}, {}, display_id)] * count, limits=OutputLimits())


def test_an_update_costs_its_size_and_not_that_times_the_displays() -> None:
    collector = many(1000)
    value: Json = [[[]]] * 10_000
    assert took(lambda: collector.add(DisplayUpdate("d", {"application/json": value}))) < Q


def test_many_small_updates_cost_little() -> None:
    collector = many(10_000)

    def updates() -> None:
        for index in range(5000):
            collector.add(DisplayUpdate("d", {"text/plain": str(index)}))

    assert took(updates) < Q
    assert collector.shown() == (Display({"text/plain": "4999"}, {}, "d"),) * 10_000


def test_what_is_shown_many_times_counts_as_often() -> None:
    """It is kept once, but a notebook has it once for each display."""
    collector = collected(
        *[Display({"text/plain": "x"}, {}, "d")] * 100, limits=OutputLimits(kept_bytes=10_000)
    )
    collector.add(DisplayUpdate("d", {"text/plain": "y" * 1000}))
    assert collector.truncated
    assert size(collector.shown()) < 10_000
    collector.add(DisplayUpdate("d", {"text/plain": "short"}))
    assert collector.shown() == (Display({"text/plain": "short"}, {}, "d"),) * 100


def test_a_display_after_an_update_has_its_own_content() -> None:
    one, update = Display({"text/plain": "1"}, {}, "d"), DisplayUpdate("d", {"text/plain": "2"})
    two = Display({"text/plain": "2"}, {}, "d")
    collector = collected(one, update, one)
    assert collector.shown() == (two, one)
    collector.add(update)
    assert collector.shown() == (two, two)
    assert collected(one, ClearOutput(), one, update).shown() == (two,)


BIG = "y" * 100_000


@pytest.mark.parametrize(
    "output",
    [
        Display({"text/plain": "x"}, {"m": BIG}),
        Display({BIG: "x"}),
        Display({"text/plain": "x"}, {}, BIG),
        Result({"text/plain": "x"}, 1, {"m": BIG}),
        Error("E" * 100_000, ""),
        Error("", "", (BIG,)),
        DisplayUpdate("d", {"text/plain": "x"}, {"m": BIG}),
    ],
    ids=["metadata", "type", "id", "result", "name of an error", "traceback", "update"],
)
def test_all_of_an_output_counts(output: Output) -> None:
    outputs: list[Output] = [*[Display({"text/plain": "x"}, {}, "d")] * 20, *[output] * 20]
    collector = collected(*outputs, limits=OutputLimits(kept_bytes=400_000))
    assert sum(len(str(one)) for one in collector.shown()) < 600_000


def test_empty_lists_count_as_what_they_take() -> None:
    collector = collected(Display({"application/json": [[]] * 1000}), limits=OutputLimits(kept_bytes=20_000))
    assert collector.truncated


def test_errors_for_ever_are_bounded_and_the_last_is_shown() -> None:
    errors = [Error("E", str(index), ("line",)) for index in range(11_000)]
    shown = collected(*errors, limits=OutputLimits()).shown()
    assert len(shown) == 10_001
    assert shown[-1] == errors[-1]


def test_the_error_that_ended_a_cell_is_shown_after_any_number_of_displays() -> None:
    collector = many(10_000)
    collector.add(Error("E", "the end"))
    assert collector.shown()[-1] == Error("E", "the end")
    assert not collector.truncated


def test_a_number_of_thousands_of_digits_is_no_execution_count() -> None:
    assert collected(Result({}, 10**4000)).shown() == (Result({}, 0),)
