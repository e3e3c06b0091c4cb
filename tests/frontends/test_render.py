"""How a run looks: made-up events on a plain stream and on a terminal."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable

import pytest
from rich.console import Console

from codeact_kernel.events import (
    ActionReady,
    CodeDelta,
    Event,
    Notice,
    OutputShown,
    StepFinished,
    StepStarted,
    ThoughtDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codeact_kernel.frontends import brief
from codeact_kernel.frontends.progress import Progress
from codeact_kernel.frontends.render import Renderer
from codeact_kernel.frontends.show import events_of
from codeact_kernel.outputs import ClearOutput, Display, DisplayUpdate, Error, Result, Stream, WorkspaceFile
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
)
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall
from codeact_kernel.wire.tape import show_call, show_value

CODE = "for n in range(3):\n    print(n)"
CALL = ToolCall(1, 1, "refund", (7,), {"amount": 2.5}, Returned([1, 2]), 0.002)
FAILED = ToolCall(1, 2, "refund", (8,), {}, Raised("ValueError", "no such order"), 0.002)
OBSERVATION = Observation(
    "ok", (Stream("stdout", "0\n1\n2\n"),), tool_calls=(CALL, FAILED), duration_s=0.12, execution_count=2
)
REPLY = Reply(thought="I count.", code=CODE, usage=Usage(1000, 50, 3000), cost_usd=0.0125)
STEP = Step(1, REPLY, Action(CODE), OBSERVATION)
RUN: tuple[Event, ...] = (
    TurnStarted("count to three"),
    StepStarted(1),
    ThoughtDelta("I "),
    ThoughtDelta("count."),
    CodeDelta("for n in range(3):\n"),
    CodeDelta("    print(n)"),
    ActionReady(1, Action(CODE)),
    ToolStarted("refund", 1),
    ToolFinished(CALL),
    ToolFinished(FAILED),
    OutputShown(Stream("stdout", "0\n1")),
    OutputShown(Stream("stdout", "\n2\n")),
    StepFinished(STEP),
    TurnFinished(Stop("answer", answer="three")),
)
PLAIN = """\
Task: count to three

── Step 1 ──────────────────────────────────────────────────────────────────────
I count.
│ for n in range(3):
│     print(n)
  → refund(7, amount=2.5) = [1, 2]  2 ms
  → refund(8) raised ValueError: no such order  2 ms
  0
  1
  2
  ✓ 120 ms · 2 tool calls · 4,000 tokens in (75% cached), 50 out, $0.0125

Answer: three
"""


def console(tty: bool = False, **options: object) -> Console:
    return Console(
        file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True),
        force_terminal=tty,
        width=80,
        height=30,
        markup=False,
        emoji=False,
        highlight=False,
        **options,
    )


def text_of(shown: Console) -> str:
    file = shown.file
    assert isinstance(file, io.TextIOWrapper)
    assert isinstance(file.buffer, io.BytesIO)
    return file.buffer.getvalue().decode(file.encoding)


def play(events: Iterable[Event], tty: bool = False, **options: object) -> str:
    shown = console(tty)
    with Renderer(shown, **options) as show:
        for event in events:
            show(event)
    return text_of(shown)


def step(observation: Observation, *events: Event, reply: Reply = REPLY) -> tuple[Event, ...]:
    return (StepStarted(1), *events, StepFinished(Step(1, reply, Action(CODE), observation)))


def test_plain_lines() -> None:
    assert play(RUN) == PLAIN


def test_a_saved_run_looks_like_the_run() -> None:
    info = RunInfo("id", "scripted", "2025-01-01T00:00:00Z", "")
    turn = Turn("count to three", (STEP,), Stop("answer", answer="three"))
    assert play(events_of(Trajectory(info, (turn,))), live=False) == PLAIN


def test_a_terminal_shows_the_same_words_and_more() -> None:
    shown = play(RUN, tty=True)
    assert "\x1b[" in shown
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for line in PLAIN.splitlines():
        assert line.removeprefix("│ ") in words


HOSTILE_VALUES: dict[str, Json] = {
    "no code point": {"$": "ndarray", "dtype": "<U1", "shape": [2], "b64": "/////////wA="},
    "field over a method": {"$": "namedtuple", "type": "R", "fields": {"_asdict": 1}},
    "unhashable": {"$": "set", "items": [{"$": "record", "type": "R", "fields": {"a": 1}}]},
    "int of many digits": {"a": {"$": "int", "hex": "0x" + "f" * 5000}},
    "no kind": {"$": ["x"]},
}


@pytest.mark.parametrize("value", HOSTILE_VALUES.values(), ids=HOSTILE_VALUES)
def test_a_value_that_cannot_be_made_is_shown_all_the_same(value: Json) -> None:
    """The renderer's exception would cancel the run."""
    call = ToolCall(1, 1, "nosuch", (value,), {"k": value}, Returned(value))
    assert brief.call(call).startswith("nosuch(")
    assert show_call(call).startswith("nosuch(")


def test_whatever_decoding_raises_a_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Json) -> object:
        raise RecursionError

    monkeypatch.setattr(brief, "decode", fail)
    monkeypatch.setattr("codeact_kernel.wire.tape.decode", fail)
    assert brief.value([1, 2]) == "[2 items]"
    assert show_value({"$": "x"}) == '{"$":"x"}'


def test_a_shown_call_is_one_short_line() -> None:
    long = "k\n" * 500_000
    many = {f"{long}{n}": n for n in range(5)}
    call = ToolCall(1, 1, long, tuple(range(200_000)), many, Raised(long, long))
    for shown in (brief.call(call), show_call(call)):
        assert len(shown) < 1000
    assert "\n" not in brief.call(call)
    assert "… 199,997 more" in brief.call(call)
    assert brief.call(ToolCall(1, 1, "f", (1, 2), {"a": 3}, None, 1)) == "f(1, 2, a=3) never came back  1.0 s"


@pytest.mark.parametrize("duration", [float("inf"), float("nan"), -1.0, 1e308])
def test_a_time_that_no_clock_shows(duration: float) -> None:
    assert brief.seconds(duration) == "? s"
    assert "✓ ? s" in play(step(Observation("ok", duration_s=duration)))


def test_numbers_of_tokens_that_nobody_used() -> None:
    for tokens in (Usage(-5, 1, 5), Usage(10**5000), Usage(-1)):
        assert brief.usage(tokens, None) == "? tokens"


def test_a_long_traceback_is_read_from_its_end() -> None:
    error = Error("E", "x", ("\x1b]" * 4_000_000, *(f"line {n}" for n in range(20)), "E: x"))
    shown = play(step(Observation("error"), OutputShown(error)))
    assert "line 19\n  E: x" in shown
    assert "line 1\n" not in shown


def test_a_text_of_megabytes_is_cut() -> None:
    shown = play([TurnFinished(Stop("answer", answer="y" * 3_000_000))])
    assert "… (+2,000,000 characters)" in shown


def test_the_live_region_is_gone_at_the_end() -> None:
    shown = console(tty=True)
    with Renderer(shown) as show:
        for event in RUN[:6]:
            show(event)
        # The region is drawn by its own thread; wait for what it must show, not for a time.
        deadline = time.monotonic() + 20
        while "thinking · step 1" not in text_of(shown):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for event in RUN[6:]:
            show(event)
    # The region's line is erased before each finished line, and at the end the cursor is back.
    last_screen = text_of(shown).rpartition("\x1b[2K")[2]
    assert last_screen.strip() == "\x1b[?25h"


def test_the_status_line_has_no_time_that_stands_still() -> None:
    shown = console(tty=False)
    progress = Progress(shown)
    progress.begin("step 2")
    shown.print(progress)
    assert text_of(shown).rstrip().endswith("thinking · step 2")
    progress._since -= 61
    shown.print(progress)
    assert text_of(shown).rstrip().endswith("thinking · step 2 · 1 min 01 s")


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = play(RUN, tty=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown)


HOSTILE = "[bold]x[/bold]\x1b]0;t\x07\x1b[2J\u202e:smile:"


@pytest.mark.parametrize("tty", [False, True])
def test_nothing_from_the_run_controls_the_terminal(tty: bool) -> None:
    call = ToolCall(1, 1, HOSTILE, (HOSTILE,), {HOSTILE: [HOSTILE]}, Raised(HOSTILE, HOSTILE))
    observation = Observation(
        "killed",
        reason=HOSTILE,
        tool_calls=(call,),
        refusals=(Refusal("import", HOSTILE),),
        files=(WorkspaceFile(HOSTILE, 1, HOSTILE),),
    )
    reply = Reply(thought=HOSTILE, code=HOSTILE, problem=HOSTILE)
    events: tuple[Event, ...] = (
        TurnStarted(HOSTILE),
        StepStarted(1),
        ThoughtDelta(HOSTILE),
        CodeDelta(HOSTILE),
        ActionReady(1, Action(HOSTILE)),
        ToolStarted(HOSTILE, 1),
        ToolFinished(call),
        OutputShown(Stream("stderr", HOSTILE)),
        OutputShown(Display({"text/plain": HOSTILE, HOSTILE: "", f"image/{HOSTILE}": "aGk="})),
        OutputShown(Display({HOSTILE: ""}, display_id=HOSTILE)),
        OutputShown(DisplayUpdate(HOSTILE, {"text/plain": HOSTILE})),
        OutputShown(ClearOutput()),
        OutputShown(Result({"text/plain": HOSTILE}, 1)),
        OutputShown(Error(HOSTILE, HOSTILE, (HOSTILE,))),
        StepFinished(Step(1, reply, None, observation, notes=(HOSTILE,))),
        Notice(HOSTILE),
        TurnFinished(Stop("model_error", HOSTILE)),
    )
    shown = play(events, tty=tty)
    assert "[bold]x[/bold]" in shown
    assert ":smile:" in shown
    for control in ("\x1b]", "\x07", "\x1b[2J", "\u202e"):
        assert control not in shown
    if not tty:
        assert "\x1b" not in shown


def test_outputs_are_bounded_on_the_screen() -> None:
    flood = [OutputShown(Stream("stdout", f"{n}\n")) for n in range(1000)]
    lines = play(step(Observation("ok"), *flood)).splitlines()
    assert len(lines) < 45
    assert "  … 965 lines not shown …" in lines
    assert "  999" in lines


def test_without_a_bound_every_line_is_shown_quickly() -> None:
    flood = OutputShown(Stream("stdout", "".join(f"{n}\n" for n in range(100_000))))
    shown = play(step(Observation("ok"), flood), head=None)
    assert shown.count("\n") > 100_000


def test_many_calls_become_one_line() -> None:
    calls = [ToolFinished(ToolCall(1, n, "get", (n,), {}, Returned(None))) for n in range(1000)]
    lines = play(step(Observation("ok"), *calls)).splitlines()
    assert sum("get(" in line for line in lines) == 6
    assert any("994 more calls" in line and "get ×1,000" in line for line in lines)


def test_an_error_is_shown_with_its_traceback() -> None:
    error = Error("ValueError", "bad", ("\x1b[31mCell 1 line 1", "ValueError: bad\x1b[0m"))
    shown = play(step(Observation("error", (error,)), OutputShown(error), reply=Reply()))
    assert "  Cell 1 line 1\n  ValueError: bad\n  ✗ failed 0 ms\n" in shown


def test_files_that_a_step_wrote() -> None:
    files = tuple(WorkspaceFile(f"{n}.csv", 1200 * n, "text/csv") for n in range(1, 9))
    line = "  wrote 1.csv (1 kB, text/csv), 2.csv (2 kB, text/csv)\n"
    assert line in play(step(Observation("ok", files=files[:2])))
    many = play(step(Observation("ok", files=files)))
    assert "6.csv (7 kB, text/csv) and 2 more\n" in many
    assert "7.csv" not in many
    assert "1.csv (1 kB, text/csv) and more\n" in play(
        step(Observation("ok", files=files[:1], more_files=True))
    )
    assert "wrote" not in play(step(Observation("ok")))
    odd = play(step(Observation("ok", files=(WorkspaceFile("two\nlines\x1b[2J.txt", 1),))))
    assert "  wrote two lines.txt (1 B)\n" in odd


def test_a_stopped_run_says_which_budget_and_which_step() -> None:
    shown = play([*step(Observation("ok")), TurnFinished(Stop("max_steps", "the limit is 1 step"))])
    assert "Stopped after step 1: max steps: the limit is 1 step" in shown


def test_an_answer_in_plain_text_leaves_no_empty_step() -> None:
    shown = play(
        [*step(Observation("ok")), StepStarted(2), TurnFinished(Stop("answer", answer={"total": 3}))]
    )
    assert "Step 2" not in shown
    assert "Answer: {'total': 3}" in shown


def test_progress_displays_are_shown_as_they_end() -> None:
    updates = [OutputShown(DisplayUpdate("bar", {"text/plain": f"{n} %"})) for n in range(0, 101, 10)]
    shown = play(step(Observation("ok"), OutputShown(Display({"text/plain": "0 %"}, {}, "bar")), *updates))
    assert "  100 %\n" in shown
    assert "50 %" not in shown


def test_pictures_are_named() -> None:
    picture = Display({"image/png": "A" * 16_000, "text/plain": "<Figure size 640x480>"})
    assert "  <Figure size 640x480>\n  [image/png, 12 kB]" in play(
        step(Observation("ok"), OutputShown(picture))
    )


def test_a_terminal_without_unicode_gets_ascii() -> None:
    shown = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii", "backslashreplace"), width=80)
    with Renderer(shown) as show:
        for event in RUN:
            show(event)
    text = text_of(shown)
    assert "-- Step 1 ---" in text
    assert "  ok 120 ms - 2 tool calls" in text
