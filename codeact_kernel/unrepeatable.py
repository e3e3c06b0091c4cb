"""Owns what a replay cannot show: steps that were not run again, and why outputs cannot be equal.

Which cells read a clock, draw random numbers or show the order of a set is told by a look at the code, no
more: it explains a drift that was found, finds none and hides none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from .replay import StepVerdict
from .trajectory import Step, Trajectory

MAX_CODE = 100_000
"""Characters of a cell that is looked at."""
MAX_SAID = 10
_STOPPED: dict[str, str] = {
    "timeout": "step {} timed out when it was recorded and was not run again: the state after it may differ",
    "killed": "step {} was killed when it was recorded and was not run again: what it had done is missing",
}
_CLOCKS = frozenset(
    {
        *(f"time.{name}" for name in ("time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic")),
        *(f"time.{name}" for name in ("process_time", "localtime", "gmtime", "ctime", "strftime")),
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        *(f"pandas.Timestamp.{name}" for name in ("now", "utcnow", "today")),
        *(f"timeit.{name}" for name in ("timeit", "repeat", "default_timer")),
        "datetime.date.today",
    }
)
_RANDOM = ("random.", "numpy.random.")
_ALWAYS_RANDOM = ("secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom", "random.SystemRandom")
_SEEDS = {"random.seed": "random.", "numpy.random.seed": "numpy.random."}
_GENERATORS = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.Generator"}
)
"""Seeded by an argument; without one, not at all."""


def remarks(
    trajectory: Trajectory, verdicts: Iterable[StepVerdict], to: int | None = None
) -> tuple[str, ...]:
    """One sentence each. `to`: where the replay was asked to stop."""
    verdicts = tuple(verdicts)
    drifted = frozenset(verdict.index for verdict in verdicts if "output" in verdict.kinds)
    run = frozenset(verdict.index for verdict in verdicts)
    found = [
        _STOPPED[step.observation.status].format(step.index)
        for step in trajectory.steps
        if step.index in run and step.observation.status in _STOPPED
    ]
    more = [f"… and {len(found) - MAX_SAID} more"] if len(found) > MAX_SAID else []
    left = sum(step.action is not None and step.index not in run for step in trajectory.steps)
    stopped = [f"stopped after step {to}, as asked; not run: {left}"] if to is not None and left else []
    return (*found[:MAX_SAID], *more, *explanations(trajectory.steps, drifted), *stopped)


def explanations(steps: Iterable[Step], drifted: frozenset[int]) -> tuple[str, ...]:
    """A sentence for each reason in the steps up to the last one of `drifted`."""
    steps = [step for step in steps if step.action is not None]
    last = max((place for place, step in enumerate(steps) if step.index in drifted), default=-1)
    names, seeded = dict[str, str](), set[str]()
    found: list[str] = []
    for step in steps[: last + 1]:
        assert step.action is not None
        tree = _tree(step.action.code)
        names |= dict(_imports(tree))
        shown = "its output" if step.index in drifted else "what depends on it"
        reasons = dict.fromkeys(
            [*_calls(tree, names, seeded), *(_sets(tree) if step.index in drifted else ())]
        )
        if any(name.partition(".")[0] == "ipywidgets" for _, name in _imports(tree)):
            reasons["has widgets (ipywidgets), which somebody may have used"] = None
        found += [f"step {step.index} {reason}: {shown} cannot be the same" for reason in reasons]
    return tuple(found[:MAX_SAID])


def imported_modules(code: str) -> frozenset[str]:
    """The top-level names of modules that a cell imports, inside of functions too."""
    return frozenset(target.partition(".")[0] for _, target in _imports(_tree(code)))


def _tree(code: str) -> ast.AST:
    try:
        return ast.parse(code if len(code) <= MAX_CODE else "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])  # With a magic, for instance.


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What each imported name stands for: `np` is `numpy`, `now` is `datetime.datetime.now`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _calls(tree: ast.AST, names: dict[str, str], seeded: set[str]) -> Iterator[str]:
    calls = [(node, _dotted(node.func, names)) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    seeded |= {_SEEDS[called] for node, called in calls if called in _SEEDS and node.args + node.keywords}
    for node, called in calls:
        if called in _CLOCKS:
            yield f"reads the clock ({called})"
        elif called.startswith(_ALWAYS_RANDOM) or _unseeded(node, called, seeded):
            yield f"draws random numbers without a seed ({called})"


def _unseeded(node: ast.Call, called: str, seeded: set[str]) -> bool:
    if called in _GENERATORS:
        return not (node.args or node.keywords)
    family = next((prefix for prefix in reversed(_RANDOM) if called.startswith(prefix)), "")
    return bool(family) and family not in seeded and called not in _SEEDS


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`numpy.random.rand` for `np.random.rand`; "" for what is no name that was imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def _sets(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        named = isinstance(node, ast.Name) and node.id in ("set", "frozenset")
        if named or isinstance(node, ast.Set | ast.SetComp):
            yield "uses a set, whose order is another in each kernel"
            return
