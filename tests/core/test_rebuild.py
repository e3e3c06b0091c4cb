"""State restored from the tape in a real kernel: no tool twice, counts agree, what is lost is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from codeact_kernel.rebuild import Rebuilt, assigned_names, rebuild, restore, source_of
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory, Turn
from codeact_kernel.wire.messages import Raised, ToolCall, ToolOutcome, ToolRequest

from ..sandbox.support import Calls, Cell, Lab, impatient, setup_with, value_of

RUN = RunInfo("run", "model", "2026-01-01T00:00:00Z", "")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(impatient(step_timeout_s=2.0), setup_with("fetch", "boom", allow=("os", "ctypes"))).start()
    yield lab
    lab.close()


class Recorded(Calls):
    """Live tools that keep their calls as a step's tape."""

    def __init__(self, step: int) -> None:
        super().__init__({"fetch": lambda n: n * 10, "boom": lambda: Raised("ValueError", "broken")})
        self.step = step
        self.tape: list[ToolCall] = []

    async def call(self, request: ToolRequest) -> ToolOutcome:
        outcome = await super().call(request)
        index = len(self.tape) + 1
        self.tape.append(ToolCall(self.step, index, request.tool, request.args, request.kwargs, outcome))
        return outcome


class NoTools(Calls):
    async def call(self, request: ToolRequest) -> ToolOutcome:
        raise AssertionError(f"{request.tool} was called again")


def step(index: int, code: str, cell: Cell, tape: list[ToolCall]) -> Step:
    finished = cell.finished
    observation = Observation(
        finished.status, cell.shown, finished.reason, finished.execution_count, finished.names, tuple(tape)
    )
    return Step(index, Reply(code=code), Action(code), observation)


def live(lab: Lab, *codes: str) -> Trajectory:
    """Runs cells for real and keeps them as a trajectory."""
    lab.restart()
    steps = []
    for index, code in enumerate(codes, 1):
        calls = Recorded(index)
        steps.append(step(index, code, lab.run(code, calls), calls.tape))
    return Trajectory(RUN, (Turn("task", tuple(steps)),))


def again(lab: Lab, trajectory: Trajectory) -> list[Rebuilt]:
    async def scene() -> list[Rebuilt]:
        await lab.session.restart()
        return [rebuilt async for rebuilt in rebuild(lab.session, trajectory)]

    return lab.wait(scene())


def test_state_comes_back_without_a_tool_call(lab: Lab) -> None:
    trajectory = live(
        lab,
        "orders = [fetch(i) for i in range(5)]",
        "try: boom()\nexcept ValueError as e: said = str(e)",
        "total = sum(orders)\n1 / 0",
    )
    rebuilt = again(lab, trajectory)
    assert [r.observation.status for r in rebuilt] == ["ok", "ok", "error"]
    assert [(r.misses, r.unused) for r in rebuilt] == [((), ())] * 3
    assert [r.observation.tool_calls for r in rebuilt] == [s.observation.tool_calls for s in trajectory.steps]
    assert value_of(lab, "orders, said, total", NoTools()) == "([0, 10, 20, 30, 40], 'broken', 100)"


def test_counts_agree_across_a_step_that_is_not_run_again(lab: Lab) -> None:
    trajectory = live(lab, "'first'", "x = 1\nwhile True: pass", "'third'")
    assert [s.observation.status for s in trajectory.steps] == ["ok", "timeout", "ok"]
    rebuilt = again(lab, trajectory)
    counts = [s.observation.execution_count for s in trajectory.steps]
    assert [r.observation.execution_count for r in rebuilt] == counts == [2, 3, 4]
    assert rebuilt[1].observation.error is not None
    assert rebuilt[1].observation.error.ename == "StepTimeout"
    assert "ran longer than 2 s" in rebuilt[1].observation.error.evalue
    assert value_of(lab, "Out[2], Out[4], 'x' in globals()") == "('first', 'third', False)"


def test_a_call_that_is_not_on_the_tape_misses(lab: Lab) -> None:
    trajectory = live(lab, "a = fetch(1)\nb = fetch(2)")
    (only,) = trajectory.steps
    changed = Step(1, only.reply, Action("a = fetch(1)\nb = fetch(99)"), only.observation)
    (rebuilt,) = again(lab, Trajectory(RUN, (Turn("task", (changed,)),)))
    assert rebuilt.observation.status == "error"
    assert len(rebuilt.misses) == 1
    assert "fetch" in rebuilt.misses[0].message
    assert [call.args for call in rebuilt.unused] == [(2,)]


def test_restore_names_what_is_lost(lab: Lab) -> None:
    trajectory = live(
        lab,
        "good = fetch(1)\nrebound = 'first'",
        "partly = 1\nrebound = 'later'\nwhile True: pass",
        "import os\nkept = 2",
    )
    lost = Action("import json\nnew = 1\ngood = 3\n_hidden = 1\nos._exit(1)")
    missing = lab.wait(restore(lab.session, trajectory, lost))
    assert missing == ("json", "new", "partly", "rebound")
    assert value_of(lab, "good, kept", NoTools()) == "(10, 2)"


def test_step_that_now_kills_the_kernel_is_left_out(lab: Lab) -> None:
    trajectory = live(lab, "a = 1", "b = 2", "c = 3")
    first, second, third = trajectory.steps
    deadly = Step(2, second.reply, Action("import ctypes\nctypes.string_at(0)"), second.observation)
    missing = lab.wait(restore(lab.session, Trajectory(RUN, (Turn("task", (first, deadly, third)),))))
    assert missing == ("b",)
    assert value_of(lab, "a, c, 'b' in globals()") == "(1, 3, False)"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("x = 1\ny: int = 2\n(a, *b), c = z", {"x", "y", "a", "b", "c"}),
        ("import os.path, json as j\nfrom math import pi, e as euler", {"os", "j", "pi", "euler"}),
        ("def f(): pass\nasync def g(): pass\nclass K: pass", {"f", "g", "K"}),
        ("for i in r: pass\nwith o as h: pass\nif (w := 1): pass", {"i", "h", "w"}),
        ("not python at all", set()),
        ("%%time\nx = 1", set()),
        ("\0", set()),
    ],
)
def test_assigned_names(code: str, names: set[str]) -> None:
    assert assigned_names(code) == names


def test_source_of_steps() -> None:
    def one(**kept: Any) -> Step:
        return Step(1, Reply(), Action("x"), Observation(**kept))

    assert source_of(one(status="ok")) == source_of(one(status="error")) == "x"
    assert source_of(one(status="killed", reason="it died")).startswith('%%recorded {"status": "killed"')
    assert source_of(Step(1, Reply(), None, Observation("error"))) == ""
