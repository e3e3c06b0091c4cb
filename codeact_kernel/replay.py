"""Owns the verdict of a replay: each step's new observation against the recorded one, and the drift.

A step agrees when it ends the same way, makes the same tool calls and shows the same. What a re-run
cannot make equal is normalised, and only this: memory addresses, the session's temporary folder, and
the figures of `%time` and `%timeit`.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .interfaces import Executor
from .outputs import Display, Error, Result, Shown, Stream
from .rebuild import RECORDED_NAMES, Rebuilt, rebuild
from .trajectory import DriftKind, Observation, Trajectory, Verdict
from .wire.tape import show_call

EXIT_CODES: Mapping[DriftKind, int] = {"code": 10, "tool": 11, "output": 12, "profile": 13}
"""The gravest first."""
COUNTED: frozenset[DriftKind] = frozenset({"code", "tool", "output"})
"""What makes a replay differ unless it is asked for otherwise."""
MAX_DIFF_LINES = 20
MAX_COMPARED_LINES = 200
"""From the first difference on: a diff of more takes time that grows with the square of them, and no one
reads it."""
MAX_LINES = 200_000
"""Compared one by one; what a step shows beyond them is compared as a whole."""
_CHUNK = 1 << 16

# Each takes a time that grows with the length of the text and with nothing else: what a pattern has taken
# (`++`, `(?>…)`) is not tried again in other ways.
_NORMALISED = (
    (re.compile(r"\b0x[0-9a-fA-F]{6,}+\b"), "0x…"),
    (re.compile(r"^(CPU times|Wall time): .*$", re.MULTILINE), r"\1: …"),
    (re.compile(r"^(?>.+? ± ).+? per loop \(mean ± std\. dev\. .*$", re.MULTILINE), "… per loop"),
)
_SESSION = "/codeact-"
# The last two take whole what is no path of ours, so that no second search begins inside it.
_PATH = re.compile(
    r"""(/[^\s'"]*?/codeact-\d++-\d++-[^/\s'"]++)|(?:/(?![^\s'"]*?/codeact-)[^\s'"]*+[^/]*+)++|/[^\s'"]*+"""
)


@dataclass(frozen=True)
class Drift:
    """One difference, for a person to read."""

    kind: DriftKind
    detail: str


@dataclass(frozen=True)
class StepVerdict:
    """One step, run again."""

    index: int
    drifts: tuple[Drift, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.drifts


@dataclass(frozen=True)
class ReplayReport:
    """All steps that were run again, in order.

    `profile`: what the whole replay ran on that was otherwise when it was recorded. `remarks`: what a
    replay cannot show, one sentence each. `counted`: which kinds of drift make it differ; the others
    are told all the same.
    """

    steps: tuple[StepVerdict, ...]
    profile: tuple[Drift, ...] = ()
    remarks: tuple[str, ...] = ()
    counted: frozenset[DriftKind] = COUNTED

    @property
    def kinds(self) -> tuple[DriftKind, ...]:
        """The kinds of drift that were found and count, the gravest first."""
        drifts = (*self.profile, *(drift for step in self.steps for drift in step.drifts))
        found = {drift.kind for drift in drifts} & self.counted
        return tuple(kind for kind in EXIT_CODES if kind in found)

    @property
    def agrees(self) -> bool:
        return not self.kinds

    @property
    def exit_code(self) -> int:
        """0, or the code of the gravest kind of drift (`EXIT_CODES`)."""
        return EXIT_CODES[self.kinds[0]] if self.kinds else 0

    def verdict(self) -> Verdict:
        """What is kept of this report in the notebook."""
        return Verdict("drift" if self.kinds else "identical", self.kinds, remarks=self.remarks)


def counted(*, strict: bool = False, excepted: Iterable[str] = ()) -> frozenset[DriftKind]:
    """The kinds of drift that count: `strict` adds the profile, `excepted` takes some out."""
    return frozenset(kind for kind in (EXIT_CODES if strict else COUNTED) if kind not in set(excepted))


async def replay(
    executor: Executor, trajectory: Trajectory, *, to: int | None = None
) -> AsyncGenerator[StepVerdict, None]:
    """Runs `trajectory` again on a started executor, tools answered from its tape; a verdict a step.

    `to`: the last step that is run. Raises: SandboxError.
    """
    trajectory = trajectory if to is None else up_to(trajectory, to)
    done = 0
    async for rebuilt in rebuild(executor, trajectory):
        done = rebuilt.step.index
        yield verdict(rebuilt)
    for step in trajectory.steps:
        if step.index > done and step.action is not None:
            yield StepVerdict(step.index, (Drift("code", "not run: the kernel was killed before it"),))


def up_to(trajectory: Trajectory, step: int) -> Trajectory:
    """The trajectory without the steps after that one."""
    turns = (
        replace(turn, steps=tuple(each for each in turn.steps if each.index <= step))
        for turn in trajectory.turns
    )
    return replace(trajectory, turns=tuple(turns))


def verdict(rebuilt: Rebuilt) -> StepVerdict:
    """What differs between a step and its re-run."""
    old, new = rebuilt.step.observation, rebuilt.observation
    missed = new.error is not None and new.error.evalue in rebuilt.misses
    drifts = [] if missed else [*_code_drift(old, new)]  # That it ends with the miss is no second drift.
    if old.status in RECORDED_NAMES:  # Its error is raised again and nothing of it is run.
        return StepVerdict(rebuilt.step.index, tuple(drifts))
    drifts += [
        *(Drift("tool", miss) for miss in rebuilt.misses),
        *(Drift("tool", f"recorded, but not called again: {show_call(call)}") for call in rebuilt.unused),
        *_output_drift(old.shown, new.shown),
    ]
    return StepVerdict(rebuilt.step.index, tuple(drifts))


def _code_drift(old: Observation, new: Observation) -> Iterable[Drift]:
    if old.status in RECORDED_NAMES:
        name = RECORDED_NAMES[old.status]
        if new.error is None or new.error.ename != name:
            yield Drift("code", f"recorded as {name}, now {ending(new)}")
    elif ending(old) != ending(new):
        yield Drift("code", f"recorded: {ending(old)}; now: {ending(new)}")


def ending(observation: Observation) -> str:
    """How a cell ended: its error, or its status."""
    error = observation.error
    if error is None:
        return observation.status if not observation.reason else f"{observation.status}, {observation.reason}"
    return normalise(f"{error.ename}: {error.evalue}")


def _output_drift(old: tuple[Shown, ...], new: tuple[Shown, ...]) -> Iterable[Drift]:
    before, after = list(shown_lines(old)), list(shown_lines(new))
    if before != after:
        yield Drift("output", "\n".join(bounded_diff(before, after)))


def bounded_diff(
    before: Sequence[str], after: Sequence[str], names: tuple[str, str] = ("recorded", "now")
) -> list[str]:
    """A unified diff from the first difference on, with a line of context, and how much more there is."""
    pairs = zip(before, after, strict=False)
    head = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = next((i for i, (a, b) in enumerate(rest) if a != b), min(len(before), len(after)) - head)
    start = max(head - 1, 0)
    left = 0
    windows: list[Sequence[str]] = []
    for lines in (before, after):
        end = min(len(lines) - tail, head + MAX_COMPARED_LINES)
        left = max(left, len(lines) - tail - end)
        windows.append(lines[start : end + 1 if end == len(lines) - tail else end])
    old, new = windows
    diff = list(difflib.unified_diff(old, new, *names, lineterm="", n=1))
    diff = [_moved(line, start) if line.startswith("@@") else line for line in diff]
    more = max(len(diff) - MAX_DIFF_LINES, 0) + left
    return [*diff[:MAX_DIFF_LINES], *([f"… {more} more lines"] if more else [])]


def _moved(header: str, lines: int) -> str:
    """The head of a hunk with the numbers that its lines have in the whole."""
    return re.sub(r"([-+])(\d+)", lambda found: f"{found[1]}{int(found[2]) + lines}", header)


def shown_lines(shown: tuple[Shown, ...]) -> Iterable[str]:
    """What is compared: text line by line, everything else by its digest. Errors are `_code_drift`'s."""
    room = MAX_LINES
    for item in shown:
        match item:
            case Stream(name, text):
                lines = _lines(normalise(text), room)
                yield from (f"{name}: {line}" for line in lines)
            case Display(data=data) | Result(data=data):
                lines = _bundle(data, room)
                yield from lines
            case Error():
                continue
        room = max(room - len(lines), 0)


def _bundle(data: Mapping[str, object], room: int) -> list[str]:
    found: list[str] = []
    for kind, value in sorted(data.items()):
        if kind == "text/plain":
            found += _lines(normalise(str(value)), room)
        elif kind.startswith("image/") and kind != "image/svg+xml":
            found.append(f"{kind}: {hash_text(str(value))}")
        elif "text/plain" not in data:
            found.append(f"{kind}: {hash_text(normalise(str(value)))}")
    return found


def _lines(text: str, room: int) -> list[str]:
    """The lines of `text`; one for all of those that there is no room for."""
    found: list[str] = []
    start = 0
    while start < len(text):
        if len(found) >= room:
            rest = text[start:]
            return [*found, f"… {len(rest):,} more characters: {hash_text(rest)}"]
        end = text.find("\n", start + _CHUNK) + 1 or len(text)  # Lines are whole in each chunk.
        found += text[start:end].splitlines()
        start = end
    return found


def normalise(text: str) -> str:
    """`text` with what differs between any two runs made equal."""
    for pattern, instead in _NORMALISED:
        text = pattern.sub(instead, text)
    return _PATH.sub(_path, text) if _SESSION in text else text


def _path(found: re.Match[str]) -> str:
    return "<session>" if found[1] else found[0]


def hash_text(text: str) -> str:
    """A short digest, for display. Spaces and line ends do not count."""
    digest = hashlib.sha256()
    for start in range(0, len(text), _CHUNK):
        digest.update("".join(text[start : start + _CHUNK].split()).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
