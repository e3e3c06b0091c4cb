"""Owns what streams by: the conversation as a model sees it, and the live events of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .outputs import Output
from .trajectory import Action, Reply, Step, Stop
from .wire.messages import Json, ToolCall

# --- the conversation as a model sees it -------------------------------------------------------


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Image:
    """`media_type` such as image/png; `data` is base64."""

    media_type: str
    data: str


Part: TypeAlias = Text | Image


@dataclass(frozen=True)
class UserMessage:
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class AssistantMessage:
    """An earlier reply; the adapter that made `reply.raw` sends it back unchanged."""

    reply: Reply


@dataclass(frozen=True)
class ObservationMessage:
    """What an action showed; `call_id` from the reply that asked for it."""

    call_id: str | None
    parts: tuple[Part, ...]
    is_error: bool = False


Message: TypeAlias = UserMessage | AssistantMessage | ObservationMessage


@dataclass(frozen=True)
class ModelRequest:
    """One request. `max_output_tokens` is already capped to what the budgets leave."""

    system: str
    messages: tuple[Message, ...]
    max_output_tokens: int


# --- live events -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SandboxReady:
    """The kernel runs; `sandbox` as in `RunInfo.sandbox`. Before the first turn of a session."""

    sandbox: Mapping[str, Json]


@dataclass(frozen=True)
class TurnStarted:
    task: str


@dataclass(frozen=True)
class StepStarted:
    index: int


@dataclass(frozen=True)
class ThoughtDelta:
    text: str


@dataclass(frozen=True)
class CodeDelta:
    """Code as it streams in. Nothing runs before `ActionReady`."""

    text: str


@dataclass(frozen=True)
class ActionReady:
    index: int
    action: Action


@dataclass(frozen=True)
class OutputShown:
    """Live output of the running cell. Never `Finished`: that is `StepFinished`."""

    output: Output


@dataclass(frozen=True)
class ToolStarted:
    tool: str
    index: int


@dataclass(frozen=True)
class ToolProgress:
    """How far a call is, by its server's own account: `done` of `total`, where it says one. `message` is
    clean (`inert.text`) and short."""

    tool: str
    done: float
    total: float | None = None
    message: str = ""


@dataclass(frozen=True)
class ToolFinished:
    call: ToolCall


@dataclass(frozen=True)
class StepFinished:
    step: Step


@dataclass(frozen=True)
class Notice:
    """Something the user should know: a kernel was restarted, a request is retried."""

    text: str


@dataclass(frozen=True)
class TurnFinished:
    stop: Stop


Event: TypeAlias = (
    SandboxReady
    | TurnStarted
    | StepStarted
    | ThoughtDelta
    | CodeDelta
    | ActionReady
    | OutputShown
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | StepFinished
    | Notice
    | TurnFinished
)
