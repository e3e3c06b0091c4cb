"""Owns the widgets of the sandbox at the front end: that they pass the gate, in order with its outputs.

What a cell shows comes as events, a few at a time; what its widgets say comes beside them. Which output is
shown in an Output widget hangs on the order in which both came. So a widget's message waits until as many
events have been looked at as there were before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..events import Event, OutputShown
from ..outputs import CommMessage, Output
from .assembly import Agent
from .kernel_comms import CommRelay
from .kernel_stdin import FrontEndStdin
from .relay import PAUSE_S
from .safe_outputs import safe_output
from .safe_widgets import WidgetGate

ASKS = "sandboxed code asks: "
"""Before every question of the sandbox, so that none can pass for one of ours."""
LOOKS, LOOK_S = 200, 0.01
"""How often, and after how many seconds each, it is looked whether events have been shown."""


class Widgets:
    """Those of one front-end kernel. On its main loop.

    Args:
        kernel: an ipykernel Kernel.
        stdin: where code asks.
    """

    def __init__(self, kernel: Any, stdin: FrontEndStdin) -> None:
        self._gate = _CurrentGate()
        self._stdin = stdin
        self._agent: Agent | None = None
        self._comms = CommRelay(kernel, self._gate, self._to_sandbox, self.keep)
        self._seen: int | None = None
        """Events of the running cell that were looked at; None: no cell runs."""
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._telling = False

    def attend(self, agent: Agent) -> None:
        """A new sandbox: the widgets of the one before are gone."""
        self._comms.close()
        self._gate.now = WidgetGate()
        self._agent = agent
        agent.attend(_AtPortal(self, agent, self._stdin), threadsafe=True)

    # --- around the cells ---

    def begin(self, cell: Mapping[str, Any]) -> None:
        """A cell begins; `cell`: its request."""
        self._comms.cell = cell
        self._seen = 0

    def end(self) -> None:
        self._seen = None
        self._pass_on()
        self._tell_captured()
        self._comms.cell = None

    def look(self, event: Event) -> bool:
        """The next event of the cell: whether it is shown in a widget, and nowhere else."""
        self._pass_on()
        if self._seen is not None:
            self._seen += 1
        return isinstance(event, OutputShown) and self._captured(event.output)

    async def caught_up(self) -> None:
        """Waits until the events that the cell has had so far were looked at: a question comes after them."""
        stamp = 0 if self._agent is None else self._agent.emitted
        for _ in range(LOOKS):
            if self._seen is None or self._seen >= stamp:
                return
            await asyncio.sleep(LOOK_S)

    def keep(self, output: Output) -> Output | None:
        """What of an output may reach the front end."""
        return safe_output(output, self._gate.now.view)

    # --- what comes ---

    def take(self, stamp: int, pass_on: Callable[[], None]) -> None:
        """Something that came after so many events of the cell."""
        self._waiting.append((stamp, pass_on))
        self._pass_on()

    def comm(self, message: CommMessage) -> None:
        """A widget's message from the sandbox."""
        self._comms.comm(message)
        self._soon()

    def late(self, output: Output, token: object) -> None:
        """As `Attendant.late`."""
        if not self._captured(output):
            self._comms.late(output, token)

    def _to_sandbox(self, message: CommMessage, token: object) -> None:
        if self._agent is not None:
            self._agent.send_comm(message, token)

    def _pass_on(self) -> None:
        while self._waiting and (self._seen is None or self._waiting[0][0] <= self._seen):
            self._waiting.popleft()[1]()

    def _captured(self, output: Output) -> bool:
        taken = self._gate.now.capture(output)
        if taken:
            self._soon()
        return taken

    def _soon(self) -> None:
        """Tells of captured outputs in a moment, together with those to come."""
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(PAUSE_S, self._tell_captured)

    def _tell_captured(self) -> None:
        self._telling = False
        for message in self._gate.now.captured():
            self._comms.tell(message)


class _CurrentGate:
    """A `kernel_comms.Gate`: the one of the sandbox that is there now."""

    def __init__(self) -> None:
        self.now = WidgetGate()

    def from_sandbox(self, message: CommMessage) -> CommMessage | None:
        return self.now.from_sandbox(message)

    def to_sandbox(self, message: CommMessage) -> CommMessage | None:
        return self.now.to_sandbox(message)


class _AtPortal:
    """An `Attendant`, called on the portal thread, in the order in which things came."""

    def __init__(self, widgets: Widgets, agent: Agent, stdin: FrontEndStdin) -> None:
        self._widgets = widgets
        self._agent = agent
        self._stdin = stdin
        self._home = asyncio.get_running_loop()

    async def input(self, prompt: str, password: bool) -> str | None:
        asking = self._stdin.ask(ASKS + " ".join(prompt.split()) + " ", password=password)
        try:
            answering = asyncio.run_coroutine_threadsafe(asking, self._home)
        except RuntimeError:  # The loop is closed: this process ends.
            asking.close()
            return None
        return await asyncio.wrap_future(answering)

    def comm(self, message: CommMessage) -> None:
        self._post(lambda: self._widgets.comm(message))

    def late(self, output: Output, token: object) -> None:
        self._post(lambda: self._widgets.late(output, token))

    def _post(self, pass_on: Callable[[], None]) -> None:
        stamp = self._agent.emitted
        try:
            self._home.call_soon_threadsafe(self._widgets.take, stamp, pass_on)
        except RuntimeError:
            pass  # As above.
