"""Owns asking in a notebook, or any Jupyter front end, whether a tool may be called."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from ..outputs import MimeBundle
from .approval_text import Question, framed
from .approving_terminal import TerminalAsker
from .attention import Asker, read_at
from .portal import Door

Ask = Callable[[str], Awaitable[str | None]]
"""Asks at the front end of the current cell (Jupyter's stdin); None: it does not allow that."""
STRIPES = "background:repeating-linear-gradient(45deg,#b45309 0 10px,#fde68a 10px 20px)"
FRAME = f"max-width:60em;margin:6px 0;padding:8px;{STRIPES}"
"""No HTML of the sandbox keeps such a style; a picture may look like it, but has not the mark."""
INNER = "padding:8px 12px;background:#fff;color:#111"
MARK = "float:right;font-family:monospace;background:#b45309;color:#fff;border-radius:4px;padding:0 6px"


class StdinAsker:
    """Shows each question as a framed box, and asks for the answer in one line.

    Args:
        ask: called on the portal.
        show: likewise; shows a MIME bundle of the host's own, before the line is asked for.
        ready: whether the front end of the current cell can be asked.
    """

    who = "a person in the notebook"

    def __init__(
        self, ask: Ask, show: Callable[[MimeBundle], None], ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._ask = ask
        self._show = show
        self.ready = ready

    async def line(self, question: Question, door: Door) -> str | None:
        self._show(shown(question))
        return await self._ask(prompt(question))


def shown(question: Question) -> MimeBundle:
    """The question as a notebook shows it."""
    rows = "".join(
        f"<tr style='vertical-align:top'><td style='text-align:left'><code>{escape(name)}</code></td>"
        f"<td style='text-align:left'><pre style='margin:0;white-space:pre-wrap'>{escape(value)}</pre>"
        "</td></tr>"
        for name, value in question.arguments
    )
    remark = f"<div style='color:#b45309'>{escape(question.remark)}</div>" if question.remark else ""
    page = (
        f"<div class='codeact-approval' style='{FRAME}'><div style='{INNER}'>"
        f"<span style='{MARK}'>{escape(question.mark)}</span>"
        f"{remark}{_asked(question)}<table>{rows}</table>"
        f"<small style='white-space:pre-wrap'>{escape(question.choices)}</small></div></div>"
    )
    return {"text/html": page, "text/plain": "\n".join(line for _, line in framed(question))}


def _asked(question: Question) -> str:
    if question.head:
        return f"<b>{escape(question.head)}</b>"
    call = f"Call <code>{escape(question.tool)}</code> in step {question.step}?"
    return f"<b>{call}</b> ({escape(question.effect)})"


class NotebookAsker:
    """Asks in the notebook that this process runs the cells of, where the agent was called."""

    who = StdinAsker.who

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def ready(self) -> bool:
        return bool(getattr(self._shell.kernel, "_allow_stdin", False))

    async def line(self, question: Question, door: Door) -> str | None:
        def held() -> str | None:
            self._shell.display_pub.publish(dict(shown(question)))
            try:
                return input(prompt(question))
            except (EOFError, NotImplementedError):  # The front end does not take questions after all.
                return None

        return await read_at(door, held)


def asker_here() -> Asker:
    """Where a person can be asked whose code made the agent: in its notebook, or at the terminal."""
    ipython: Any = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    return TerminalAsker() if getattr(shell, "kernel", None) is None else NotebookAsker(shell)


def prompt(question: Question) -> str:
    """What stands beside the line for the answer."""
    what = question.head or f"call {question.tool}?"
    return f"codeact asks [{question.mark}]: {what} {question.keys}: "
