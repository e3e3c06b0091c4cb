"""Owns asking a person whether a tool may be called: one question at a time, with the mark of the session.

Nothing of it is known in the sandbox. The mark is a random word that only the host knows and shows: what a
program prints can look like a question of ours, but not carry it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from ..config import ToolLimits
from ..events import Event, OutputShown
from ..exceptions import ToolCallError, UsageError
from ..tools.registry import ToolRegistry, checked
from ..tools.tool import Tool
from ..trajectory import Approval
from ..waiting import Waiting
from ..wire.messages import ToolRequest
from .approval_modes import Approve, Modes
from .approval_text import Question, arguments_of, changed, question
from .masking import without
from .portal import Door, PortalRunner
from .terminal import clean, clip

DEFAULT = "default"
MAX_REASON = 1_000
CHOICES = "y: yes   n: no (n REASON says why)   a: always for this tool   e NAME=VALUE: change arguments"
NOTE = (
    "Some tool calls are shown to a person first, or judged by a rule: one that is not allowed raises "
    "ToolDenied, which is defined in the kernel, with the reason. Do not try the same in another way then; "
    "go on without, or say what is missing."
)
ALLOWED = Approval(True)


class Stopped(Exception):
    """The person wants the run to end. Whoever raises it has said so to the run."""


async def read_at(door: Door, read: Callable[[], str | None]) -> str | None:
    """What `read` gives on the thread of the caller, who may interrupt it. Raises: Stopped."""
    stopped: list[KeyboardInterrupt] = []

    def held() -> str | None:
        try:
            return read()
        except KeyboardInterrupt as problem:
            stopped.append(problem)
            raise

    try:
        line = await door.at_caller(held)
    except RuntimeError:
        if stopped:
            raise Stopped from None
        raise
    return None if line is None else str(line)


class Asker(Protocol):
    """A front end at which a person can be asked. Called by the desk, on the portal, once at a time."""

    who: str
    """Who answers there, for the record: "a person at the terminal"."""

    def ready(self) -> bool:
        """Whether somebody can be asked now."""
        ...

    async def line(self, question: Question, door: Door) -> str | None:
        """Shows the question and reads one line; None: nobody answers here. `door`: that the run came in by.
        Raises: Stopped."""
        ...


class Desk:
    """An Approver: knows what is said of each tool, asks a person, and remembers "always".

    Args:
        registry: the tools; approval rules run where those do.
        approve: see `approval_modes.Approve`.
        asker: None: nobody can be asked.

    Raises: UsageError for a mode or a tool that there is not.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        runner: PortalRunner,
        approve: Approve | None = None,
        asker: Asker | None = None,
        *,
        limits: ToolLimits = ToolLimits(),
    ) -> None:
        self._tools = registry.tools
        self._runner = runner
        self._modes = Modes(approve, self._tools.values())
        self._asker = asker
        self._timeout_s = limits.approval_timeout_s
        self._tell: Callable[[str], None] = lambda text: None
        self._always: dict[str, str] = {}
        self._told: set[str] = set()
        self._absent: int | None = None
        self._stopped = False
        self._flush: Callable[[], None] = lambda: None
        self.waiting = Waiting()
        self.turn = asyncio.Lock()
        """Held while a person is asked anything, also by `input()` of the sandbox."""
        self.mark = _mark()

    @property
    def approver(self) -> Desk | None:
        """This desk, if there is anything to decide."""
        return self if any(map(self._modes.matter, self._tools.values())) else None

    @property
    def note(self) -> str:
        """What the model is to know."""
        return "" if self.approver is None else NOTE

    def open(self, waiting: Waiting, tell: Callable[[str], None]) -> None:
        """At the start of a session: which clock stands still meanwhile, and what the user is told."""
        self.waiting, self._tell = waiting, tell
        if self._asker is not None and any(map(self._modes.asks, self._tools.values())):
            tell(
                f"questions about tool calls carry the mark {self.mark}; what asks without it is not codeact"
            )

    def begin(self, flush: Callable[[], None] = lambda: None) -> None:
        """A new task: who was away or stopped the last one may be asked again. `flush`: shows what has
        happened up to now, the code above all."""
        self._absent, self._stopped, self._flush = None, False, flush

    def masked(self, event: Event) -> Event:
        """Outputs without the mark: the sandbox does not know it, and is not to show it by any way."""
        return OutputShown(without(self.mark, event.output)) if isinstance(event, OutputShown) else event

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        tool = self._tools.get(request.tool)
        if tool is None or not self._modes.matter(tool):
            return ALLOWED
        try:
            places, names = checked(tool, request)
        except ToolCallError as problem:  # As the tool would have refused it; nobody has to look at it.
            return Approval(False, reason=_stripped(problem, request.tool), error=problem.kind)
        bound = tool.signature.bind(*places, **names)
        bound.apply_defaults()
        mode, by, why = await self._judged(tool, _by_name(tool, bound.arguments))
        if mode == "ask":
            return await self._ask(tool, request, step)
        if mode == "deny":
            return Approval(False, by, why)
        return Approval(True, by)

    async def _judged(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[Any, str, str]:
        if not self._modes.has_rule(tool):
            return self._modes.of(tool, arguments)
        said: Any = await self._runner.door.at_caller(lambda: self._modes.of(tool, arguments))
        return said[0], said[1], said[2]

    # --- a person ---

    async def _ask(self, tool: Tool, request: ToolRequest, step: int) -> Approval:
        with self.waiting.person():
            async with self.turn:
                if self._stopped:  # Who stops at one question is not to get those that wait behind it.
                    raise asyncio.CancelledError
                if tool.name in self._always:
                    return Approval(True, self._always[tool.name])
                asker = self._asker
                if asker is None or not asker.ready():
                    return self._unasked(
                        tool, "as it asks for approval, and there is nobody who can be asked"
                    )
                if self._absent == step:
                    return self._unasked(tool, "as nobody has answered the last question")
                try:
                    async with asyncio.timeout(self._timeout_s):
                        return await self._answered(asker, tool, request, step)
                except TimeoutError:
                    self._absent = step
                    return self._unasked(tool, f"as nobody answered within {self._timeout_s:g} s")
                except Stopped:
                    self._stopped = True
                    raise asyncio.CancelledError from None

    async def _answered(self, asker: Asker, tool: Tool, request: ToolRequest, step: int) -> Approval:
        """Asks until there is an answer that can be used."""
        self._flush()
        now, remark = request, ""
        while True:
            asked = question(self.mark, tool, now, step, CHOICES)
            line = await asker.line(replace(asked, remark=clean(remark)), self._runner.door)
            if line is None:
                return self._unasked(tool, "as it asks for approval, and nobody answers here")
            word, _, rest = line.strip().partition(" ")
            edited = arguments_of(now) if now is not request else None
            match word.lower():
                case "y" | "yes":
                    return Approval(True, asker.who, edited=edited)
                case "a" | "always":
                    by = self._always[tool.name] = f"{asker.who} (always)"
                    return Approval(True, by, edited=edited)
                case "" | "n" | "no":
                    reason = clip(clean(rest.replace(self.mark, "…")).strip(), MAX_REASON)
                    return Approval(False, asker.who, reason)
                case "e" | "edit" if rest.strip():
                    try:
                        now, remark = changed(tool, now, rest), "Changed as follows; call it like this?"
                    except UsageError as problem:
                        remark = str(problem)
                case "e" | "edit":
                    remark = "Say which arguments to change, as in: e amount=40, note='late'"
                case _:
                    remark = f"{clip(word, 40)!r} is no answer."

    def _unasked(self, tool: Tool, why: str) -> Approval:
        if why not in self._told:
            self._told.add(why)
            self._tell(f"{tool.name}() was denied by {DEFAULT}, {why}")
        return Approval(False, DEFAULT, why)


def _by_name(tool: Tool, bound: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as an approval rule gets them: what `**kwargs` takes by its own names."""
    found: dict[str, Any] = {}
    for name, value in bound.items():
        parameter = tool.signature.parameters[name]
        found |= value if parameter.kind is parameter.VAR_KEYWORD else {name: value}
    return found


def _stripped(problem: ToolCallError, tool: str) -> str:
    """Without the name of the tool, which stands before the reason of a refusal anyway."""
    return clip(str(problem).removeprefix(f"{tool}(): ").removeprefix(f"{tool}() "), 2000)


def _mark() -> str:
    """A word that can be compared at a glance, and not be guessed: 37 bits."""
    syllables = [first + second for first in "bdfghjklmnprstvwz" for second in "aeiou"]
    return "-".join(secrets.choice(syllables) + secrets.choice(syllables) for _ in range(3))
