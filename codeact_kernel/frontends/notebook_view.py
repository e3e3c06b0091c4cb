"""Owns how a run reads in a notebook: its thought, code, calls, remarks and answer as MIME bundles.

Each has HTML of our own making, in which what others wrote is nothing but text, and plain text for consoles.
Colours are JupyterLab's own, with fallbacks that can be read on light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pygments.lexers import PythonLexer
from pygments.token import Token

from ..inert.markdown import rendered
from ..notebook.markdown import harmless
from ..outputs import MimeBundle
from ..trajectory import Step, Stop
from ..wire.messages import Json
from ..wire.values import decode
from . import brief
from .highlighting import highlightable
from .render import ended, files_of, remarks_of
from .terminal import clean, clip

THOUGHT, CODE, LIVE = 8_000, 20_000, 2_000
"""Characters shown of a thought, of code, and of each as it streams in; the run's notebook has the rest."""
FOLDED = 40
"""Earlier steps that can be opened, at most."""
CALLS = 6
_FAINT = "color:var(--jp-ui-font-color2,#7a8087)"
_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)"
_RULE = "border-left:3px solid var(--jp-border-color2,#9aa1aa55);padding-left:.7em"
_COLOURS = (
    (Token.Keyword, "var(--jp-mirror-editor-keyword-color,#8250df)"),
    (Token.Operator.Word, "var(--jp-mirror-editor-keyword-color,#8250df)"),
    (Token.String, "var(--jp-mirror-editor-string-color,#b5482f)"),
    (Token.Number, "var(--jp-mirror-editor-number-color,#1a8a55)"),
    (Token.Comment, "var(--jp-mirror-editor-comment-color,#7a8087)"),
    (Token.Name.Function, "var(--jp-mirror-editor-def-color,#2f6fd6)"),
    (Token.Name.Class, "var(--jp-mirror-editor-def-color,#2f6fd6)"),
    (Token.Name.Builtin, "var(--jp-mirror-editor-builtin-color,#1a8a55)"),
)


def bundle(plain: str, markup: str) -> MimeBundle:
    """Both forms. `plain` is cleaned here; `markup` is escaped already."""
    return {"text/plain": clean(plain), "text/html": markup}


def progress(index: int, phase: str, seconds: float, thought: str = "", code: str = "") -> MimeBundle:
    """What goes on: `phase` for so many seconds, and the reply as far as it has streamed in. Step 0: no step
    yet."""
    label = f"Step {index}" if index else "CodeAct"
    waited = f" {seconds:.0f} s" if seconds >= 1 else ""
    parts = [_head(label, f"{phase}…{waited}")]
    if thought.strip():
        parts.append(_thought(_end(thought)))
    if code.strip():
        parts.append(_pre(_coloured(_end(code))))
    return bundle(f"{label}: {phase}…{waited}", "".join(parts))


def step(index: int, thought: str, code: str, state: str = "", *, heading: bool = True) -> MimeBundle:
    """A step's thought and code. `state`: how it goes; `heading`: whether its number is said here."""
    plain = [f"Step {index}" + (f" · {state}" if state else "")] if heading else []
    markup = [_head(f"Step {index}", state)] if heading else []
    if said := thought.strip():
        plain.append(clip(said, THOUGHT))
        markup.append(_thought(clip(said, THOUGHT)))
    if code.strip():
        shown = clip(code.strip("\n"), CODE)
        plain += [f"    {line}" for line in shown.split("\n")]
        lines = shown.count("\n") + 1
        summary = f"<summary style='cursor:pointer;{_FAINT}'>code, {brief.count(lines, 'line')}</summary>"
        markup.append(f"<details open>{summary}{_pre(_coloured(shown))}</details>")
    return bundle("\n".join(plain), "".join(markup))


def folded(steps: Sequence[Step]) -> MimeBundle:
    """Steps whose outputs have made room for those of later ones: their thoughts and code, to be opened."""
    said = f"{brief.count(len(steps), 'earlier step')}, whose outputs are in the notebook of the run"
    markup = [f"<details><summary style='cursor:pointer;{_FAINT}'>{said}</summary>"]
    for one in steps[-FOLDED:]:
        code = one.action.code if one.action is not None else ""
        markup.append(_html(step(one.index, clip(one.reply.thought, LIVE), clip(code, LIVE), ended(one))))
    return bundle(said, f"{''.join(markup)}</details>")


def calls(lines: Sequence[str], hidden: int = 0) -> MimeBundle:
    """Tool calls, one a line, as `brief.call` says them; `hidden`: how many more there were."""
    shown = [f"→ {line}" for line in lines]
    if hidden > 0:
        shown.append(f"→ … {brief.count(hidden, 'more call')}")
    text = "\n".join(shown)
    return bundle(text, _lines(text, _MONO))


def footing(one: Step, *, own: bool = False) -> MimeBundle | None:
    """What else a user should know of a step: files, remarks, and, unless it is the user's `own` cell, how it
    ended; None: nothing."""
    said = [f"wrote {files_of(one.observation)}"] if one.observation.files else []
    said += remarks_of(one)
    if not own:
        said.append(ended(one))
    if not said:
        return None
    text = clean("\n".join(said))
    return bundle(text, _lines(text, _FAINT))


def notice(text: str) -> MimeBundle:
    """Something the user should know."""
    return bundle(f"note: {text}", _lines(f"note: {clean(text)}", "color:var(--jp-warn-color0,#b08800)"))


def answer(value: Json) -> MimeBundle:
    """The answer, encoded. Text is the model's markdown without HTML, images and mathematics; a table is
    shown as one."""
    if isinstance(value, str):
        # Not as markdown: front ends trust what a kernel says, links that are script included.
        page = rendered(harmless(clean(value)))
        return {"text/plain": clean(value)} | ({"text/html": page} if page else {})
    plain = brief.value(value, 4000)
    table = _table(value)
    return {"text/plain": plain} if table is None else {"text/plain": table[0], "text/html": table[1]}


def stopped(stop: Stop) -> str:
    """Why a task ended without an answer, in a sentence."""
    return clean(f"stopped: {stop.reason.replace('_', ' ')}" + (f": {stop.detail}" if stop.detail else ""))


def link(name: str, href: str, path: str, said: str) -> MimeBundle:
    """Where the run is: HTML with a link (`href` "": with the path), the path for consoles."""
    target = html.escape(clean(path))
    if href:
        target = f"<a href='{html.escape(href, quote=True)}' target='_blank'>{html.escape(clean(name))}</a>"
    markup = f"<div style='{_FAINT}'>{html.escape(clean(said))} · {target}</div>"
    return bundle(f"{said} · {path}", markup)


def _table(value: Json) -> tuple[str, str] | None:
    """A frame as pandas shows it, which escapes what is in it; None: it is none."""
    try:
        decoded: Any = decode(value) if isinstance(value, dict) else None
        if decoded is None or type(decoded).__module__.partition(".")[0] != "pandas":
            return None
        frame = decoded.to_frame() if hasattr(decoded, "to_frame") else decoded
        if len(frame.columns) > 1000:
            return None
        markup = frame.to_html(max_rows=20, max_cols=20, border=0, escape=True)
        return clean(frame.to_string(max_rows=20, max_cols=20, max_colwidth=60)), clean(markup)
    except Exception:  # data that the sandbox chose, in the hands of another library
        return None


def _end(text: str) -> str:
    return text if len(text) <= LIVE else "…" + text[-LIVE:]


def _html(shown: MimeBundle) -> str:
    return str(shown["text/html"])


def _head(label: str, state: str) -> str:
    said = f" <span style='{_FAINT}'>· {html.escape(clean(state))}</span>" if state else ""
    return f"<div><b>{html.escape(label)}</b>{said}</div>"


def _thought(text: str) -> str:
    return f"<div style='white-space:pre-wrap;{_RULE}'>{html.escape(clean(text).strip())}</div>"


def _lines(text: str, style: str) -> str:
    return f"<div style='white-space:pre-wrap;overflow-wrap:anywhere;{style}'>{html.escape(text)}</div>"


def _pre(markup: str) -> str:
    return f"<pre style='{_MONO};{_RULE};margin:.3em 0;white-space:pre;overflow-x:auto'>{markup}</pre>"


@lru_cache(maxsize=4)
def _coloured(code: str) -> str:
    """Escaped code in spans that carry their colour: a notebook has no style sheet of ours."""
    code = clean(code).strip("\n")
    if not highlightable(code):
        return html.escape(code)
    return "".join(_span(kind, text) for kind, text in PythonLexer().get_tokens(code)).rstrip("\n")


def _span(kind: object, text: str) -> str:
    shown = html.escape(text)
    colour = next((colour for token, colour in _COLOURS if kind in token), None)
    return f"<span style='color:{colour}'>{shown}</span>" if colour else shown
