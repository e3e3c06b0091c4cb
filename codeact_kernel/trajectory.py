"""Owns the vocabulary: what happened in a run, as frozen dataclasses in closed unions. No I/O.

A `Trajectory` is a conversation with one kernel: `turns`, each a task, its steps and why it stopped.
Values that crossed the boundary to or from tools are kept in their encoded form (`wire.values`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from .outputs import Error, Shown, Status, Stream, WorkspaceFile
from .verdict import DriftKind as DriftKind
from .verdict import Verdict as Verdict
from .wire.messages import Arguments, Json, ToolCall

StopReason: TypeAlias = Literal[
    "answer",
    "max_steps",
    "max_seconds",
    "max_tokens",
    "max_cost",
    "repeated_failure",
    "refusal",
    "model_error",
    "sandbox_error",
    "interrupted",
    "own_cell",
]
"""own_cell: no task of the agent's at all, but one cell that a person ran in the same kernel."""
RefusalKind: TypeAlias = Literal[
    "import", "builtin", "magic", "attribute", "read", "write", "network", "process", "system"
]


@dataclass(frozen=True)
class Refusal:
    """Something the allow-lists (first four) or the operating system (the rest) refused, also when the
    action code caught the exception. `name`: a module, a builtin, a path, an address, a program, …"""

    kind: RefusalKind
    name: str


OWN_CELL = "(a cell that the user ran in this kernel)"
"""The task of a turn that holds no task, but one cell of a person's."""
DENIED = "ToolDenied"
"""What code gets for a call that somebody refused."""
CUT_OFF = "the run was cut off here"
"""Why a step was killed whose end was never recorded."""

# --- a step ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """Tokens of one or more model calls. `input_tokens` excludes both cache counts."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.output_tokens

    @property
    def prompt(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True)
class Action:
    """The Python cell to run."""

    code: str


@dataclass(frozen=True)
class Observation:
    """What came back from an action: typed and bounded (`config.OutputLimits`)."""

    status: Status
    shown: tuple[Shown, ...] = ()
    reason: str | None = None
    execution_count: int | None = None
    names: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    duration_s: float = 0.0
    truncated: bool = False
    files: tuple[WorkspaceFile, ...] = ()
    """What it made or changed in the workspace."""
    more_files: bool = False
    """There may be further ones: only so many are looked at and listed."""

    @property
    def error(self) -> Error | None:
        """The error that ended the cell, if one did."""
        return next((s for s in self.shown if isinstance(s, Error)), None)

    def text(self, name: Literal["stdout", "stderr"]) -> str:
        """All text of one stream."""
        return "".join(s.text for s in self.shown if isinstance(s, Stream) and s.name == name)


@dataclass(frozen=True)
class Reply:
    """One reply of a model. Exactly one of `code`, `answer`, `problem` is set.

    `problem`: the reply cannot be acted on (cut off in the middle of the code, malformed); a
    sentence that is given back to the model. `raw`: the assistant's content as JSON text, passed
    back byte for byte in later requests. `call_id`: what the observation must refer to, if anything.
    """

    thought: str = ""
    code: str | None = None
    answer: str | None = None
    problem: str | None = None
    raw: str = ""
    call_id: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    duration_s: float = 0.0


@dataclass(frozen=True)
class Step:
    """thought + action + observation. `action` is None when the reply had nothing to run.

    `notes`: what the loop told the model beside the observation (state lost and rebuilt, budget
    short), one sentence each. They are part of the conversation, so they are kept.
    `started`: when the action began to run: UTC, ISO 8601, microseconds; "" when nothing ran.
    """

    index: int
    reply: Reply
    action: Action | None
    observation: Observation
    notes: tuple[str, ...] = ()
    started: str = ""


@dataclass(frozen=True)
class Stop:
    """Why a turn ended. `answer` is encoded (`wire.values`), None unless reason is "answer".

    `reply` is the model's last reply when that was the plain-text answer, so that a conversation
    can go on from it.
    """

    reason: StopReason
    detail: str = ""
    answer: Json = None
    reply: Reply | None = None


@dataclass(frozen=True)
class Turn:
    """A task, its steps, and why it stopped (None: still running, or cut off).

    `notes`: what the loop told the model beside the task (what could not be restored, what a person has
    edited), one sentence each.
    """

    task: str
    steps: tuple[Step, ...] = ()
    stop: Stop | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parent:
    """The run that this one was forked from, after `step` of it. `digest`: the last hash of its chain that
    this one shares; `name`: of its notebook."""

    run_id: str
    step: int
    digest: str = ""
    name: str = ""


@dataclass(frozen=True)
class Approval:
    """What an `Approver` says of a call. `by`: who decided; `reason`: why not, in the person's words.

    `edited`: the arguments to call it with in place of those asked for, encoded as these are. `error`: the
    exception that the code gets for a call that is not allowed.
    """

    allowed: bool
    by: str = ""
    reason: str = ""
    edited: Arguments | None = None
    error: str = DENIED


@dataclass(frozen=True)
class RunInfo:
    """What a run started with. `setup` is the source of the setup cell without its tape."""

    run_id: str
    model: str
    created: str
    """UTC, ISO 8601, seconds."""
    setup: str
    versions: Mapping[str, str] = field(default_factory=dict)
    """Python and key packages of the sandbox kernel."""
    limits: Mapping[str, Json] = field(default_factory=dict)
    profile: Mapping[str, Json] = field(default_factory=dict)
    sandbox: Mapping[str, Json] = field(default_factory=dict)
    """The report of the session's cage: tier, self-test, how limits are enforced. {}: not known."""
    parent: Parent | None = None
    """Where it was forked from, if it was."""
    masks: tuple[str, ...] = ()
    """Names of the user's patterns: what matched them is masked in the record as `[NAME N]`."""


@dataclass(frozen=True)
class Trajectory:
    """A conversation with one kernel. Steps are numbered through all turns, from 1."""

    info: RunInfo
    turns: tuple[Turn, ...] = ()
    verdict: Verdict | None = None
    """None: nothing is known."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for turn in self.turns for step in turn.steps)

    @property
    def next_index(self) -> int:
        """The number of the step to come: after a person's edits the steps need not be counted in order."""
        return max((step.index for step in self.steps), default=0) + 1

    @property
    def stop(self) -> Stop | None:
        return self.turns[-1].stop if self.turns else None

    @property
    def usage(self) -> Usage:
        return sum((reply.usage for reply in self.replies), Usage())

    @property
    def replies(self) -> tuple[Reply, ...]:
        """Every reply in order, the final ones included."""
        found: list[Reply] = []
        for turn in self.turns:
            found.extend(step.reply for step in turn.steps)
            if turn.stop is not None and turn.stop.reply is not None:
                found.append(turn.stop.reply)
        return tuple(found)

    @property
    def cost_usd(self) -> float | None:
        """None as soon as one reply's price is unknown."""
        costs = [reply.cost_usd for reply in self.replies]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def with_task(self, task: str, notes: tuple[str, ...] = ()) -> Trajectory:
        return replace(self, turns=(*self.turns, Turn(task, notes=notes)))

    def with_step(self, step: Step) -> Trajectory:
        """With `step` as the last one; it takes the place of one that was cut off under its number."""
        last = self.turns[-1]
        steps = last.steps[:-1] if last.steps and last.steps[-1].index == step.index else last.steps
        return self._with_last(replace(last, steps=(*steps, step)))

    def with_notes(self, notes: tuple[str, ...]) -> Trajectory:
        """With more notes to the task of the last turn."""
        return self._with_last(replace(self.turns[-1], notes=(*self.turns[-1].notes, *notes)))

    def with_stop(self, stop: Stop) -> Trajectory:
        return self._with_last(replace(self.turns[-1], stop=stop))

    def _with_last(self, turn: Turn) -> Trajectory:
        return replace(self, turns=(*self.turns[:-1], turn))
