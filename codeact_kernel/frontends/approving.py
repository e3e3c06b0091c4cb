"""Owns asking a person whether a tool may be called. Nothing of it is known in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..config import ToolLimits
from ..events import Event, OutputShown
from ..exceptions import ToolCallError, UsageError
from ..tools.registry import ToolRegistry, checked
from ..tools.tool import Tool
from ..trajectory import Approval
from ..waiting import Waiting
from ..wire.messages import ToolRequest
from .approval_modes import Approve, Modes
from .approval_text import arguments_of, changed, question
from .attention import NOBODY, SILENT, Attention
from .attention import Asker as Asker
from .attention import Stopped as Stopped
from .masking import without
from .portal import PortalRunner
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
        self._registry = registry
        self._tools = registry.tools
        self._runner = runner
        self.modes = Modes(approve, self._tools.values(), registry.modules())
        self.attention = attention = Attention(asker, limits.approval_timeout_s)
        self.mark, self.turn = attention.mark, attention.turn
        self.begin, self.end = attention.begin, attention.end
        self._always: dict[str, str] = {}
        self._told: set[str] = set()

    @property
    def approver(self) -> Desk | None:
        """This desk, if there is anything to decide, or may be about tools that come later."""
        return self if self._has_servers or self._matters else None

    @property
    def _has_servers(self) -> bool:
        """Which may have further tools later, and questions of their own."""
        return any(module.package == "mcp_servers" for module in self._registry.modules())

    @property
    def _matters(self) -> bool:
        return self.modes.may_matter or any(map(self.modes.matter, self._tools.values()))

    @property
    def note(self) -> str:
        """What the model is to know."""
        return NOTE if self._matters else ""

    @property
    def waiting(self) -> Waiting:
        return self.attention.waiting

    def open(self, waiting: Waiting, tell: Callable[[str], None]) -> None:
        """At the start of a session: which clock stands still meanwhile, and what the user is told."""
        self.attention.waiting, self.attention.tell = waiting, tell
        asker = self.attention.asker
        if asker is not None and any(map(self.modes.asks, self._tools.values())):
            tell(
                f"questions about tool calls carry the mark {self.mark}; what asks without it is not codeact"
            )
        elif asker is not None and self._has_servers and asker.ready():
            tell(f"questions of servers carry the mark {self.mark}; what asks without it is not codeact")

    def masked(self, event: Event) -> Event:
        """Outputs without the mark: the sandbox does not know it, and is not to show it by any way."""
        return OutputShown(without(self.mark, event.output)) if isinstance(event, OutputShown) else event

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        tool = self._tools.get(request.tool)
        if tool is None or not self.modes.matter(tool):
            return ALLOWED
        try:
            places, names = checked(tool, request)
        except ToolCallError as problem:  # As the tool would have refused it; nobody has to look at it.
            return Approval(False, reason=_stripped(problem, request.tool), error=problem.kind)
        mode, by, why = await self._judged(tool, tool.named(places, names))
        if mode == "ask":
            return await self._ask(tool, request, step)
        if mode == "deny":
            return Approval(False, by, why)
        return Approval(True, by)

    async def _judged(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[Any, str, str]:
        if not self.modes.has_rule(tool):
            return self.modes.of(tool, arguments)
        said: Any = await self._runner.door.at_caller(lambda: self.modes.of(tool, arguments))
        return said[0], said[1], said[2]

    # --- a person ---

    async def _ask(self, tool: Tool, request: ToolRequest, step: int) -> Approval:
        async def dialogue(asker: Asker) -> Approval:
            return self._settled(tool) or await self._answered(asker, tool, request, step)

        def unasked(why: str) -> Approval:
            return self._settled(tool) or self._unasked(tool, why)

        return await self.attention.ask(dialogue, unasked, step)

    def _settled(self, tool: Tool) -> Approval | None:
        """By an "always", perhaps of a question that this one has waited behind."""
        return Approval(True, self._always[tool.name]) if tool.name in self._always else None

    async def _answered(self, asker: Asker, tool: Tool, request: ToolRequest, step: int) -> Approval:
        """Asks until there is an answer that can be used."""
        now, remark = request, ""
        while True:
            asked = question(self.mark, tool, now, step, CHOICES)
            line = await asker.line(replace(asked, remark=clean(remark)), self._runner.door)
            if line is None:
                return self._unasked(tool, SILENT)
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
        why = f"as it asks for approval, and {why}" if why in (NOBODY, SILENT) else f"as {why}"
        if why not in self._told:
            self._told.add(why)
            self.attention.tell(f"{tool.name}() was denied by {DEFAULT}, {why}")
        return Approval(False, DEFAULT, why)


def _stripped(problem: ToolCallError, tool: str) -> str:
    """Without the name of the tool, which stands before the reason of a refusal anyway."""
    return clip(str(problem).removeprefix(f"{tool}(): ").removeprefix(f"{tool}() "), 2000)
