"""A run as a notebook shows it while it happens."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from codeact_kernel.events import (
    ActionReady,
    CodeDelta,
    Event,
    Notice,
    OutputShown,
    SandboxReady,
    StepFinished,
    StepStarted,
    ThoughtDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codeact_kernel.frontends.highlighting import highlightable
from codeact_kernel.frontends.notebook_view import link
from codeact_kernel.frontends.publishing import BATCH, CONSOLE, LIVE, Style
from codeact_kernel.frontends.run_view import RunView
from codeact_kernel.outputs import Display, Error, Result, Stream
from codeact_kernel.trajectory import Action, Observation, Reply, Step, Stop, Usage
from codeact_kernel.wire.messages import Returned, ToolCall
from tests.frontends.screen import Clock, Screen

CODE = "orders = fetch()\nprint(len(orders))"
CALL = ToolCall(1, 1, "fetch", (), {}, Returned([1, 2]), 0.5)
REPLY = Reply("Count <i>them</i>", code=CODE, usage=Usage(1000, 20), cost_usd=0.01, duration_s=2.0)
STEP = Step(1, REPLY, Action(CODE), Observation("ok", tool_calls=(CALL,), duration_s=0.2))
RUN: tuple[Event, ...] = (
    SandboxReady({"tier": "A"}),
    TurnStarted("count the orders"),
    StepStarted(1),
    ThoughtDelta("Count "),
    ThoughtDelta("<i>them</i>"),
    CodeDelta("orders = fetch()\n"),
    CodeDelta("print(len(orders))"),
    ActionReady(1, Action(CODE)),
    ToolStarted("fetch", 1),
    ToolFinished(CALL),
    OutputShown(Stream("stdout", "2\n")),
    StepFinished(STEP),
    StepStarted(2),
    ThoughtDelta("There are 2."),
    TurnFinished(Stop("answer", answer="There are **2**.", reply=Reply(answer="There are **2**."))),
)


def shown(events: Iterable[Event], style: Style = LIVE, *, own: bool = False) -> Screen:
    screen = Screen()
    view = RunView(
        screen,
        lambda output: output,
        style=style,
        saved=lambda said: link("run.ipynb", "run.ipynb", "/w/run.ipynb", said),
        own=own,
    )
    view.begin()
    for event in events:
        view(event)
    view.close()
    return screen


def test_a_live_notebook_ends_as_a_story() -> None:
    screen = shown(RUN)
    head, calls, output, foot, answer = [content for *_, content in screen.outputs]
    assert "Step 1" in head["text/html"]
    assert "Count &lt;i&gt;them&lt;/i&gt;" in head["text/html"]
    assert "✓ 200 ms · 1 tool call · model 2.0 s · 1,000 tokens in, 20 out, $0.0100" in head["text/html"]
    assert "<summary" in head["text/html"]
    assert calls["text/plain"] == "→ fetch() = [1, 2]  500 ms"
    assert output == "2\n"
    assert "<a href='run.ipynb'" in foot["text/html"]
    assert "1 step in" in foot["text/plain"]
    assert "/w/run.ipynb" in foot["text/plain"]
    assert answer["text/html"] == "<p>There are <strong>2</strong>.</p>\n"


@pytest.mark.parametrize("style", [CONSOLE, BATCH])
def test_elsewhere_everything_is_shown_once_and_in_order(style: Style) -> None:
    screen = shown(RUN, style)
    text = "\n".join(screen.texts)
    assert screen.sent == len(screen.outputs), "nothing is updated"
    order = [
        "Step 1",
        "Count <i>them</i>",
        "    print(len(orders))",
        "2\n",
        "→ fetch()",
        "✓ 200 ms",
        "run.ipynb",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("Count <i>them</i>") == 1
    assert ("thinking" in text) is style.progress


def test_progress_is_seen_within_a_second_and_not_too_often() -> None:
    screen, clock = Screen(), Clock()
    view = RunView(screen, lambda output: output, clock=clock)
    view.begin()
    assert screen.texts == ["CodeAct: starting…"]
    view(StepStarted(1))
    seen = []
    for _ in range(200):
        clock.now += 0.05
        view.tick()
        seen.append(screen.texts[0])
    assert seen[20] == "Step 1: thinking… 1 s"
    assert seen[-1].endswith((" 9 s", " 10 s"))
    assert screen.sent < 14
    before = screen.sent
    for number in range(1000):
        view(CodeDelta(f"x = {number}\n"))
        clock.now += 0.005
    assert ">9" in screen.outputs[0][2]["text/html"], "as it streams in"
    assert screen.sent - before <= 11


def many(steps: int, outputs: int) -> list[Event]:
    """A run of so many steps that each show so many things."""
    events: list[Event] = []
    for index in range(1, steps + 1):
        step = Step(index, Reply(f"Thought {index}", code="x"), Action("x"), Observation("ok"))
        displays = (OutputShown(Display({"text/plain": f"{index}.{place}"})) for place in range(outputs))
        events += [StepStarted(index), ActionReady(index, Action("x")), *displays, StepFinished(step)]
    return [*events, StepStarted(steps + 1), TurnFinished(Stop("answer", answer="All done."))]


@pytest.mark.parametrize(("steps", "outputs"), [(60, 3), (3, 45), (1, 1000)])
def test_the_answer_of_a_long_run_is_among_what_jupyterlab_shows(steps: int, outputs: int) -> None:
    screen = shown(many(steps, outputs))
    assert len(screen.outputs) <= 50
    assert "All done." in screen.texts[-1]
    text = "\n".join(str(content) for *_, content in screen.outputs)
    assert f"Thought {steps}" in text
    if steps > 20:
        assert f"Thought {steps - 20}" in text, "folded"
    if steps == 1:
        assert "1.20" in text, "not folded"
    assert len(shown(many(steps, outputs), BATCH).outputs) > 50, "what executes notebooks has no such bound"


def test_a_run_that_is_cut_off_says_so() -> None:
    assert shown(RUN[:1]).texts == []
    (text, *_) = shown(RUN[:9]).texts
    assert text.startswith("Step 1 · stopped")


def test_own_cells_show_their_outputs_only() -> None:
    events = (
        TurnStarted("…"),
        StepStarted(1),
        ActionReady(1, Action("x")),
        OutputShown(Stream("stdout", "a")),
        OutputShown(Result({"text/plain": "5"}, 1)),
        StepFinished(Step(1, Reply(code="x"), Action("x"), Observation("ok"))),
        TurnFinished(Stop("own_cell")),
    )
    screen = shown(events, own=True)
    assert [kind for kind, *_ in screen.outputs] == ["stdout", "result"]
    failed = Error("ValueError", "no")
    view = RunView(screen, lambda output: output, own=True)
    view(OutputShown(failed))
    assert view.error == failed


def test_a_reply_that_cannot_be_used_is_seen() -> None:
    reply = Reply("I forgot", problem="the reply held neither code nor an answer")
    events = (StepStarted(1), StepFinished(Step(1, reply, None, Observation("error", reason=reply.problem))))
    for style in (LIVE, CONSOLE, BATCH):
        text = "\n".join(shown(events, style).texts)
        assert "I forgot" in text
        assert "neither code nor an answer" in text


HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>'\"\x1b[2J\u202e"


def test_no_text_of_a_model_or_a_tool_is_anything_but_text() -> None:
    call = ToolCall(1, 1, HOSTILE, (HOSTILE,), {HOSTILE: HOSTILE}, Returned(HOSTILE), 0.5)
    reply = Reply(HOSTILE, code=HOSTILE)
    events = (
        Notice(HOSTILE),
        StepStarted(1),
        ThoughtDelta(HOSTILE),
        CodeDelta(HOSTILE),
        ToolStarted(HOSTILE, 1),
        ActionReady(1, Action(HOSTILE)),
        ToolFinished(call),
        StepFinished(Step(1, reply, Action(HOSTILE), Observation("error", reason=HOSTILE), notes=(HOSTILE,))),
        TurnFinished(Stop("answer", answer=HOSTILE)),
    )
    for style in (LIVE, CONSOLE):
        for *_, content in shown(events, style).outputs:
            page, markdown = content.get("text/html", ""), content.get("text/markdown", "")
            assert "<script" not in page + markdown
            assert "<img" not in page + markdown
            assert "\x1b" not in str(content.values())
            assert "\u202e" not in page + markdown + content["text/plain"]


def test_much_of_anything_stays_small() -> None:
    events: list[Event] = [StepStarted(1), ActionReady(1, Action("x = 1\n" * 200_000))]
    events += [ToolFinished(CALL) for _ in range(10_000)]
    screen = shown([*events, StepFinished(STEP)])
    assert all(len(str(content)) < 400_000 for *_, content in screen.outputs)
    assert any("9,994 more calls" in text for text in screen.texts)


def test_displays_of_a_step_are_no_result() -> None:
    events = (
        StepStarted(1),
        OutputShown(Display({"text/plain": "plot"})),
        OutputShown(Result({"text/plain": "5"}, 1)),
    )
    assert [kind for kind, *_ in shown(events).outputs] == ["display", "display", "display"]


@pytest.mark.parametrize("code", ["\n " * 10_000, "match " + "\u00a0" * 20_000, "match" + " " * 20_000])
def test_code_that_keeps_a_lexer_busy_is_shown_plain(code: str) -> None:
    assert not highlightable(code)
    screen = shown([StepStarted(1), ActionReady(1, Action(f"first\n{code}last"))])
    assert "first" in screen.outputs[0][2]["text/html"]
