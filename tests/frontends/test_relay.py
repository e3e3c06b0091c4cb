"""Outputs on their way to a front end: put together, bounded, cleared where they are."""

from __future__ import annotations

from typing import Any

import pytest

from codeact_kernel.frontends.relay import TAIL, Bounds, Relay, own_name
from codeact_kernel.outputs import ClearOutput, Display, DisplayUpdate, Error, Output, Result, Stream
from tests.frontends.screen import Clock, Screen


def text(plain: str) -> dict[str, Any]:
    return {"text/plain": plain}


class Cell:
    """A relay, what it shows, and its time."""

    def __init__(self, **options: Any) -> None:
        self.screen, self.clock = Screen(), Clock(100.0)
        options = {"narrated": False, "keep": lambda output: output, **options}
        self.relay = Relay(self.screen, options.pop("keep"), clock=self.clock, **options)

    def feed(self, *outputs: Output) -> None:
        for output in outputs:
            self.relay.feed(output)
            self.relay.flush()

    def later(self, seconds: float = 1.0) -> None:
        self.clock.now += seconds
        self.relay.flush()


def test_a_thousand_outputs_at_once_are_a_few_messages() -> None:
    cell = Cell()
    for number in range(1000):
        cell.feed(Stream("stdout", f"{number}\n"))
        cell.clock.now += 0.001
    cell.relay.end_step()
    assert "".join(cell.screen.texts) == "".join(f"{number}\n" for number in range(1000))
    assert cell.screen.sent < 40


def test_the_first_output_is_shown_at_once_and_streams_stay_in_order() -> None:
    cell = Cell()
    cell.feed(Stream("stdout", "a"))
    assert cell.screen.texts == ["a"]
    cell.feed(Stream("stdout", "b"), Stream("stderr", "c"), Stream("stderr", "d"), Stream("stdout", "e"))
    assert cell.screen.texts == ["a"]
    cell.later()
    assert cell.screen.texts == ["a", "b", "cd", "e"]


def test_of_much_text_the_end_is_shown_and_how_much_is_missing() -> None:
    cell = Cell(bounds=Bounds(text=100))
    cell.feed(Stream("stdout", "x" * 90), *[Stream("stdout", "y" * 1000) for _ in range(1000)])
    cell.feed(Stream("stdout", "the end"))
    cell.relay.end_step()
    first, *_, missing, last = cell.screen.texts
    assert first == "x" * 90
    assert last.endswith("the end")
    assert len(last) == TAIL
    hidden = 90 + 1_000_000 + 7 - 100 - TAIL
    assert f"{hidden:,} characters not shown here" in missing


def test_of_many_displays_the_last_are_shown() -> None:
    cell = Cell(bounds=Bounds(displays=10))
    cell.feed(*[Display(text(str(number))) for number in range(100)])
    cell.relay.end_step()
    assert cell.screen.texts[:10] == [str(number) for number in range(10)]
    assert "87 outputs not shown" in cell.screen.texts[10]
    assert cell.screen.texts[11:] == ["97", "98", "99"]


def test_what_is_too_large_is_left_out_and_costs_nothing() -> None:
    looked_at: list[Output] = []

    def keep(output: Output) -> Output:
        looked_at.append(output)
        return output

    cell = Cell(keep=keep, bounds=Bounds(rich=1000))
    cell.feed(Display({"image/png": "x" * 50_000}), Display(text("small")))
    cell.relay.end_step()
    assert cell.screen.texts[0] == "small"
    assert len(looked_at) == 1


def test_updates_are_put_together_and_the_pace_is_kept() -> None:
    cell = Cell()
    cell.feed(Display(text("0"), display_id="bar"))
    for number in range(1, 1001):
        cell.feed(DisplayUpdate("bar", {"text/plain": f"{number}" * 50_000}))
        cell.clock.now += 0.01
    cell.relay.end_step()
    assert cell.screen.texts[0].startswith("1000")
    assert cell.screen.characters < 12 * 1_000_000, "10 seconds"


def test_display_ids_of_the_sandbox_are_its_own() -> None:
    cell = Cell()
    cell.feed(Display(text("a"), display_id="codeact-1"))
    other = Cell()
    other.feed(DisplayUpdate("codeact-1", text("b")))
    ((_, known, _),) = cell.screen.outputs
    assert known == own_name("codeact-1")
    assert "codeact" not in known


def test_what_the_filter_takes_away_is_not_shown() -> None:
    cell = Cell(keep=lambda output: None if isinstance(output, Display) else output)
    cell.feed(Display(text("bad")), Stream("stdout", "good"))
    cell.relay.end_step()
    assert cell.screen.texts == ["good"]


# --- clear_output ------------------------------------------------------------------------------


def test_own_cells_are_cleared_as_in_any_notebook() -> None:
    cell = Cell()
    cell.feed(Stream("stdout", "old"), ClearOutput(wait=True))
    cell.later()
    assert cell.screen.texts == ["old"], "until something comes"
    for number in range(1000):
        cell.feed(Stream("stdout", str(number)), ClearOutput(wait=True))
        cell.clock.now += 0.001
    cell.relay.end_step()
    assert cell.screen.texts == ["999"]
    assert cell.screen.sent < 100
    cell.feed(ClearOutput())
    cell.relay.end_step()
    assert cell.screen.texts == []


def test_a_loop_that_clears_does_not_run_out_of_room() -> None:
    cell = Cell(bounds=Bounds(text=100))
    for number in range(50):
        cell.feed(ClearOutput(wait=True), Stream("stdout", f"round {number} ".ljust(90, ".")))
        cell.later()
    assert cell.screen.texts[0].startswith("round 49")


@pytest.mark.parametrize("live", [True, False])
def test_a_step_of_the_agent_clears_its_outputs_and_not_its_words(live: bool) -> None:
    cell = Cell(narrated=True, live=live)
    cell.screen.display(text("my thought"))
    cell.feed(Display(text("before")), ClearOutput(wait=True))
    for number in range(5):
        cell.feed(ClearOutput(wait=True), Stream("stdout", "round "), Stream("stdout", f"{number}\n"))
        cell.feed(
            Display(text(f"plot {number}")), Display(text("extra")) if number < 3 else Stream("stderr", "!")
        )
        cell.later()
    cell.relay.end_step()
    before = [] if live else ["before"]
    assert cell.screen.texts == ["my thought", *before, "round 4\n", "plot 4", "!"]


def test_in_a_frame_displays_are_updated() -> None:
    cell = Cell(narrated=True)
    cell.feed(ClearOutput(), Display(text("0 %"), display_id="bar"))
    for number in range(1, 101):
        cell.feed(DisplayUpdate("bar", text(f"{number} %")))
        cell.clock.now += 0.01
    cell.relay.end_step()
    assert cell.screen.texts == ["100 %"]
    assert cell.screen.sent < 30


def test_a_frame_is_bounded_and_says_so() -> None:
    cell = Cell(narrated=True)
    cell.feed(ClearOutput(), *[Display(text(str(number))) for number in range(1000)])
    cell.relay.end_step()
    assert len(cell.screen.texts) == 51
    assert "950 outputs not shown" in cell.screen.texts[-1]


def test_values_and_errors_of_a_step_are_no_result_and_no_error_of_the_cell() -> None:
    outputs = (Result(text("5"), 3), Error("ValueError", "no", ("Traceback", "ValueError: no")))
    agents, own = Cell(narrated=True), Cell()
    for cell in (agents, own):
        cell.feed(*outputs)
        cell.relay.end_step()
    assert [kind for kind, *_ in agents.screen.outputs] == ["display", "stderr"]
    assert [kind for kind, *_ in own.screen.outputs] == ["result", "error"]
