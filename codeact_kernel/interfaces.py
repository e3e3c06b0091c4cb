"""Owns the seams, on one screen. Each has a real and a fake implementation in the package."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeAlias

from .events import Event, ModelRequest
from .outputs import CommMessage, Output
from .trajectory import Action, Approval, Refusal, Reply, RunInfo, Step, Stop, Trajectory, Usage
from .wire.messages import Json, ToolCall, ToolModule, ToolOutcome, ToolRequest, ToolSpec

Emit: TypeAlias = Callable[[Event], None]
"""Called for every live event, on the loop's thread; must return at once."""
Later: TypeAlias = Coroutine[Any, Any, ToolOutcome]
OnTheSpot: TypeAlias = Callable[[ToolRequest], "ToolOutcome | Later"]
"""Validates, runs, encodes a call, here and now; of a function that turns out to give an awaitable, later."""


class Model(Protocol):
    """Turns messages into a reply. Called by the policy, once a step."""

    name: str
    context_window: int
    """Tokens."""
    instructions: str
    """How this model is to write an action; the policy puts it into the system prompt."""

    def cost(self, usage: Usage) -> float | None:
        """US dollars for `usage`; None when the price is not known. Never a guess."""
        ...

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        """One reply, streamed as ThoughtDelta and CodeDelta.

        Raises: CredentialsError, ModelRefusal, ScriptExhausted, ModelError (after retries).
        """
        ...

    async def aclose(self) -> None: ...


class Policy(Protocol):
    """Chooses the next action from the trajectory so far. Called by the loop, once a step."""

    async def act(self, trajectory: Trajectory, emit: Emit) -> Reply:
        """Raises: as `Model.respond`."""
        ...


class ToolSource(Protocol):
    """Offers tools. Called by `toolcalls`, which records around it."""

    def specs(self) -> tuple[ToolSpec, ...]: ...

    def has(self, tool: str) -> bool:
        """Whether it can be called: one that came a moment ago too, and one that is in no list."""
        return any(spec.name == tool for spec in self.specs())

    def modules(self) -> tuple[ToolModule, ...]:
        """Those that the tools with dotted names are in; none of them is empty for want of a tool alone."""
        return ()

    def news(self) -> tuple[str, ...]:
        """What the model is to be told of them, in sentences, since this was asked last."""
        return ()

    async def call(self, request: ToolRequest) -> ToolOutcome:
        """Validates, runs, encodes. What the tool raises is a `Raised`, never an exception here."""
        ...

    def at_once(self, tool: str) -> OnTheSpot | None:
        """What does for this tool as `call`, on the loop's thread; None: its calls have to be awaited."""
        return None


class CallHandler(Protocol):
    """What an executor does with what comes out of the running cell beside its outputs."""

    async def call(self, request: ToolRequest) -> ToolOutcome: ...

    def at_once(self, request: ToolRequest) -> ToolOutcome | Later | None:
        """As `call`, where nothing has to be waited for; None: nothing was done, `call` it."""
        return None

    def refused(self, refusal: Refusal) -> None: ...


class Executor(Protocol):
    """Runs actions in one persistent namespace. Called by the loop and by `rebuild`."""

    async def start(self, setup: str) -> Mapping[str, str]:
        """Starts the kernel and runs `setup` as In[1]; returns the versions inside.

        Raises: SandboxError when the kernel cannot be provided.
        """
        ...

    def execute(self, action: Action, handler: CallHandler) -> AsyncGenerator[Output, None]:
        """Yields outputs, `Finished` last. Program failure is data: this raises only SandboxError.

        After `Finished("killed")` the executor is down until `restart`.
        """
        ...

    async def interrupt(self) -> None:
        """Asks the running cell to stop; returns at once. No-op when idle."""
        ...

    async def restart(self) -> None:
        """A fresh namespace with the setup run; everything else is lost."""
        ...

    async def aclose(self) -> None:
        """Leaves no process and no file behind. May be called twice."""
        ...


class Attendant(Protocol):
    """A person's front end, beside a kernel. Called by an `InteractiveExecutor`, on its loop."""

    async def input(self, prompt: str, password: bool) -> str | None:
        """What the person answers to `input()` of the running cell; None: nobody can be asked."""
        ...

    def comm(self, message: CommMessage) -> None:
        """A widget's message from the kernel. Must return at once."""
        ...

    def late(self, output: Output, token: object) -> None:
        """What came of a comm message that was sent with `token` (a widget's callback printed), or, with
        None, what a cell went on to show after its end. Must return at once."""
        ...


class InteractiveExecutor(Executor, Protocol):
    """What only a front-end kernel needs; the agent loop never uses it. While a cell runs too."""

    def attend(self, attendant: Attendant | None) -> None:
        """From now on `input()`, widgets and late outputs go to `attendant`."""
        ...

    async def complete(self, code: str, cursor: int) -> Mapping[str, Json]:
        """The content of a `complete_reply`, checked; no matches when the kernel does not answer."""
        ...

    async def inspect(self, code: str, cursor: int, detail: int) -> Mapping[str, Json]:
        """The content of an `inspect_reply`, checked; not found when the kernel does not answer."""
        ...

    def send_comm(self, message: CommMessage, token: object) -> None:
        """A widget's message from the front end. Nothing happens when the kernel is down."""
        ...


class Recorder(Protocol):
    """Writes the journal. Each call returns when the record is on disk."""

    def begin(self, info: RunInfo) -> None: ...
    def begin_turn(self, task: str, notes: tuple[str, ...] = ()) -> None: ...
    def begin_step(self, index: int, reply: Reply) -> None: ...
    def tool_intent(self, call: ToolCall) -> None: ...
    def tool_outcome(self, call: ToolCall) -> None: ...
    def end_step(self, step: Step) -> None: ...
    def end_turn(self, stop: Stop) -> None: ...
    def close(self, *, saved: bool = False) -> None:
        """`saved`: a notebook holds it all, the journal may go. May be called twice."""
        ...


class Approver(Protocol):
    """Decides whether a tool call may run. Called by `toolcalls` before the intent is recorded."""

    async def decide(self, request: ToolRequest, step: int) -> Approval: ...
