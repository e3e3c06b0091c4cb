"""Owns the page of a saved run: one HTML file with all it needs, and nothing in it that is active.

There is no script, and the Content-Security-Policy forbids every load and every script, whatever stands
in the page; text of the run is escaped (`html_text`), what cells showed is made inert (`html_outputs`).
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from codeact_kernel import __version__

from ..outputs import Status
from ..trajectory import Step, Stop, Trajectory, Turn
from ..wire.messages import Json
from . import brief
from .facts import facts_of, totals
from .highlighting import code_html
from .html_outputs import CSP, outputs
from .html_style import STYLE
from .html_tape import call_lines, tape
from .html_text import MAX_TEXT, Room, esc, json_text, line, note, passage
from .html_timeline import row_of, rows_of, timeline
from .render import remarks_of
from .terminal import clip

FILES_SHOWN = NOTES_SHOWN = 50
MAX_NOTE = 2000
MAX_TURNS = 1000
STATUS: dict[Status, tuple[str, str]] = {
    "ok": ("good", "✓ ok"),
    "error": ("bad", "✗ failed"),
    "timeout": ("bad", "✗ stopped"),
    "killed": ("bad", "✗ killed"),
}


def page(trajectory: Trajectory, name: str, redacted: tuple[str, ...] = ()) -> Iterator[str]:
    """The page in parts, so that a large one is never in memory as a whole.

    Args:
        name: of the notebook.
        redacted: as in `facts.facts_of`.
    """
    room = Room()
    task = trajectory.turns[0].task if trajectory.turns else "A run without a task"
    yield _head(f"{line(task, 80)} · codeact")
    yield f"<main><header><h1>{line(task, 160)}</h1>{_facts(trajectory, redacted)}</header>"
    yield timeline(trajectory)
    for number, turn in enumerate(trajectory.turns[:MAX_TURNS], 1):
        yield from _turn(turn, number, room)
    if len(trajectory.turns) > MAX_TURNS:
        yield note(f"{len(trajectory.turns) - MAX_TURNS:,} more tasks are left out; the notebook has them")
    yield from tape([call for step in trajectory.steps for call in step.observation.tool_calls], room)
    yield f'<footer class="faint">Made from {line(name)} by codeact_kernel {__version__}. '
    yield "Nothing in this page runs or loads anything.</footer></main></body></html>\n"


def _head(title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}; frame-src \'none\'">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
    )


def _facts(trajectory: Trajectory, redacted: tuple[str, ...]) -> str:
    took = sum(row.total for row in rows_of(trajectory))
    items = [
        f'<dt>{html.escape(fact.label)}</dt><dd class="{fact.tone}">{html.escape(fact.text)}</dd>'
        for fact in facts_of(trajectory, redacted)
    ]
    items.append(f"<dt>Total</dt><dd>{html.escape(totals(trajectory))} · {brief.seconds(took)}</dd>")
    return f'<dl class="facts">{"".join(items)}</dl>'


def _turn(turn: Turn, number: int, room: Room) -> Iterator[str]:
    yield f'\n<section><h2>Task</h2><div class="said task">{_said(turn.task, room)}</div>'
    yield from _notes([f"note: {text}" for text in turn.notes])
    count = min(len(turn.steps), room.steps)
    room.steps -= count
    for step in turn.steps[:count]:
        yield from _step(step, room)
    if count < len(turn.steps):
        yield note(f"{len(turn.steps) - count:,} more steps are left out; the notebook has them")
    if turn.stop is not None:
        yield _stop(turn.stop, number, room)
    else:
        yield note("The run was cut off here, or still goes on.")
    yield "</section>"


def _step(step: Step, room: Room) -> Iterator[str]:
    seen = step.observation
    style, sign = STATUS[seen.status]
    yield f'\n<article class="step" id="step-{step.index}"><h3>Step {step.index} '
    yield f'<span class="{style}">{sign}</span><span class="times">{_figures(step)}</span></h3>'
    if step.reply.thought.strip():
        yield f'<div class="said">{_said(step.reply.thought.strip(), room)}</div>'
    if step.action is not None:
        yield _code(step.action.code, room)
    yield call_lines(seen.tool_calls)
    yield from outputs(seen.shown, room)
    if seen.files:
        yield _files(step)
    yield from _notes(remarks_of(step))
    yield "</article>"


def _notes(texts: Sequence[str]) -> Iterator[str]:
    yield from (note(clip(text, MAX_NOTE)) for text in texts[:NOTES_SHOWN])
    if len(texts) > NOTES_SHOWN:
        yield note(f"and {len(texts) - NOTES_SHOWN:,} more")


def _figures(step: Step) -> str:
    parts = [row_of(step).said]
    if step.reply.usage.total:
        parts.append(brief.usage(step.reply.usage, step.reply.cost_usd))
    return html.escape(" · ".join(filter(None, parts)))


def _code(code: str, room: Room) -> str:
    if len(code) > min(MAX_TEXT, room.text, room.code):
        return passage(code, room, "code")
    room.text -= len(code)
    room.code -= len(code)
    return f'<pre class="code">{code_html(code)}</pre>'


def _files(step: Step) -> str:
    seen = step.observation
    items = [f"<li>{esc(brief.file(file))}</li>" for file in seen.files[:FILES_SHOWN]]
    if seen.more_files or len(seen.files) > FILES_SHOWN:
        items.append("<li>and more</li>")
    return f'<ul class="files">{"".join(items)}</ul>'


def _stop(stop: Stop, number: int, room: Room) -> str:
    if stop.reason == "own_cell":
        return ""
    if stop.reason == "answer":
        title, style, text = "Answer", "answer", _answer(stop.answer)
    else:
        title, style, text = f"Stopped: {stop.reason.replace('_', ' ')}", "answer bad", stop.detail
    said = f'<h3>{title}</h3><div class="said">{_said(text, room)}</div>'
    return f'<div class="{style}" id="end-{number}">{said}</div>'


def _answer(answer: Json) -> str:
    return answer if isinstance(answer, str) else json_text(answer)


def _said(text: str, room: Room) -> str:
    """Sentences of the user or of the model, cut where they are no sentences any more."""
    shown = room.text_for(len(text))
    left = "" if shown == len(text) else note(f"… {len(text) - shown:,} characters left out")
    return esc(text[:shown]) + left
