"""Owns the gate that widgets of the sandbox pass: which may reach a browser, under which ids, with what in
them.

Every message is written anew from what is known of its model; what is not known is left out. Ids get the
prefix of this gate, so that no widget of the sandbox can name one of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from ..outputs import CommMessage, Output
from ..wire.lines import dump_line
from ..wire.messages import Json
from .safe_widget_models import MODELS
from .safe_widget_outputs import Captures
from .safe_widget_state import Known, Passed, States

TARGET = "jupyter.widget"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_UPDATES = ("update", "echo_update")
_ASKED = ("update", "request_state", "custom")
_EDGES = 500
"""Looking at so many places in which widgets stand takes as long as a message."""


@dataclass(frozen=True)
class WidgetLimits:
    """Of all the widgets of one sandbox."""

    models: int = 5_000
    """At one time."""
    ever: int = 100_000
    bytes: int = 64_000_000
    """Of their state as JSON, and of their buffers."""
    message_bytes: int = 10_000_000
    per_second: int = 500
    """Messages; those of more than 10 kB count for more."""
    burst: int = 5_000


class WidgetGate:
    """The widgets of one sandbox, from its start to its end.

    Args:
        limits: beyond them nothing passes.
        clock: seconds, for the rate.
    """

    def __init__(self, limits: WidgetLimits = WidgetLimits(), clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._left, self._at = float(limits.burst), clock()
        self._used: set[str] = set()
        """Ids are not used twice: what was looked at of a model would not hold for another."""
        self._captures = Captures()
        self._states = States(limits.bytes, self._captures.set)

    def view(self, model_id: str) -> str | None:
        """The id at the front end of a model of the sandbox, for `safe_output`; None: it is not there."""
        return self._states.view(model_id)

    def from_sandbox(self, message: CommMessage) -> CommMessage | None:
        """The message as the front end may have it; None: it may not."""
        if not _ID.fullmatch(message.comm_id) or not self._has_room(message):
            return None
        is_known = message.comm_id in self._states.known
        if message.kind == "open":
            return None if is_known else self._opened(message)
        if not is_known:
            return None
        if message.kind == "close":
            return self._closed(message.comm_id, self._states.prefix)
        if message.data.get("method") == "custom":
            return self._custom(message)
        return self._updated(message) if message.data.get("method") in _UPDATES else None

    def to_sandbox(self, message: CommMessage) -> CommMessage | None:
        """The front end's message as the sandbox may have it; None: it concerns no widget of the sandbox."""
        comm_id = message.comm_id.removeprefix(self._states.prefix)
        if self.view(comm_id) != message.comm_id or message.kind == "open":
            return None
        if message.kind == "close":
            return self._closed(comm_id, "")
        if _size(message) > self._limits.message_bytes or message.data.get("method") not in _ASKED:
            return None
        data = {key: self._states.returned(value) for key, value in message.data.items()}
        return CommMessage("msg", comm_id, data, buffers=message.buffers)

    def capture(self, output: Output) -> bool:
        """Whether an output of the sandbox is shown in an Output widget, and by `captured` only."""
        return self._captures.take(output, self.view)

    def captured(self) -> list[CommMessage]:
        """Messages for the front end that show what was captured since the last time."""
        found: list[CommMessage] = []
        for model_id, shown in self._captures.changes().items():
            value: list[Json] = (
                shown if self._states.counted(model_id, "outputs", len(dump_line(shown))) else []
            )
            found.append(self._message("msg", model_id, Passed({"outputs": value}), "update"))
        return found

    def _opened(self, message: CommMessage) -> CommMessage | None:
        state = message.data.get("state")
        name = state.get("_model_name") if isinstance(state, Mapping) else None
        model = MODELS.get(name) if isinstance(name, str) else None
        if message.target != TARGET or model is None or len(self._states.known) >= self._limits.models:
            return None
        if message.comm_id in self._used or len(self._used) >= self._limits.ever:
            return None
        self._used.add(message.comm_id)
        self._states.known[message.comm_id] = Known(model)
        passed = self._states.passed(message, whole=True)
        if passed is None:
            self._closed(message.comm_id, "")
            return None
        return self._message("open", message.comm_id, passed)

    def _updated(self, message: CommMessage) -> CommMessage | None:
        passed = self._states.passed(message)
        if passed is None or not (passed.state or passed.buffers):
            return None
        if "_model_name" in passed.state and (shown := self._captures.shown(message.comm_id)):
            # A browser that connects again asks for the whole state; the sandbox does not know this of it.
            passed = replace(passed, state={**passed.state, "outputs": shown})
        return self._message("msg", message.comm_id, passed, message.data["method"])

    def _custom(self, message: CommMessage) -> CommMessage | None:
        content = message.data.get("content")
        if not isinstance(content, Mapping) or content.get("do") not in ("focus", "blur"):
            return None
        data: dict[str, Json] = {"method": "custom", "content": {"do": content["do"]}}
        return CommMessage("msg", self._states.prefix + message.comm_id, data)

    def _closed(self, model_id: str, prefix: str) -> CommMessage:
        self._states.forget(model_id)
        self._captures.forget(model_id)
        return CommMessage("close", prefix + model_id)

    def _message(self, kind: str, model_id: str, passed: Passed, method: Json = None) -> CommMessage:
        comm_id = self._states.prefix + model_id
        paths: list[Json] = [["value"]] if passed.buffers else []
        data: dict[str, Json] = {"state": passed.state, "buffer_paths": paths}
        if kind == "open":
            version: dict[str, Json] = {"version": "2.1.0"}
            return CommMessage("open", comm_id, data, TARGET, version, passed.buffers)
        return CommMessage("msg", comm_id, {"method": method, **data}, buffers=passed.buffers)

    def _has_room(self, message: CommMessage) -> bool:
        """Within size and rate."""
        size = _size(message)
        if size > self._limits.message_bytes:
            return False
        now = self._clock()
        self._left = min(self._limits.burst, self._left + (now - self._at) * self._limits.per_second)
        self._at = now
        cost = 1 + size / 10_000 + self._states.tree.edges / _EDGES
        if message.kind != "close":  # What goes makes room.
            if self._left < cost:
                return False
            self._left -= cost
        return True


def _size(message: CommMessage) -> int:
    return len(dump_line(dict(message.data))) + sum(map(len, message.buffers))
