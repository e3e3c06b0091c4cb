"""`codeact diff`: where two runs differ, and that the same run does not."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.frontends.app import launch
from codeact_kernel.frontends.rundiff import MAX_ALIGNED, MAX_CALLS, MAX_LINES, compare
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Error, Shown, Stream
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
)
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolOutcome

NO_SECRETS = Redactor({})
DONE = Returned(None)


def call(tool: str, *args: int, outcome: ToolOutcome | None = DONE, **kwargs: int) -> ToolCall:
    return ToolCall(1, 1, tool, args, kwargs, outcome, 0.5)


def step(index: int, code: str, *shown: Shown, calls: tuple[ToolCall, ...] = (), thought: str = "") -> Step:
    made = tuple(replace(call, step=index, index=n) for n, call in enumerate(calls, 1))
    status = "error" if any(isinstance(one, Error) for one in shown) else "ok"
    seen = Observation(status, shown, tool_calls=made, duration_s=1.0)
    return Step(index, Reply(thought, code, usage=Usage(10, 5), cost_usd=0.25), Action(code), seen)


def run(
    *steps: Step, answer: str = "42", task: str = "a task", run_id: str = "a", parent: Parent | None = None
) -> Trajectory:
    info = RunInfo(run_id, "scripted", "2026-11-22", "", parent=parent)
    return Trajectory(info, (Turn(task, steps, Stop("answer", answer=answer)),))


def test_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thoughts, times and costs do not count, nor what differs between any two runs."""
    first = run(step(1, "x = 1", Stream("stdout", "<A at 0x7f00aa11bb22>\n"), thought="so"), step(2, "x"))
    second = run(step(1, "x = 1", Stream("stdout", "<A at 0x7f9988776655>\n"), thought="or so"), step(2, "x"))
    second = replace(second, info=replace(second.info, run_id="b"))
    write(first, tmp_path / "a.ipynb", NO_SECRETS)
    write(second, tmp_path / "b.ipynb", NO_SECRETS)
    assert launch(["diff", str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb")]) == 0
    assert capsys.readouterr().out == (
        "A  a.ipynb · scripted · 2 steps · 20 tokens in, 10 out, $0.5000 · 2.0 s\n"
        "B  b.ipynb · scripted · 2 steps · 20 tokens in, 10 out, $0.5000 · 2.0 s\n"
        "\nsteps 1-2 are the same\nthe same end\n\nThe runs are the same.\n"
    )


def test_everything_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run(
        step(1, "load()"),
        step(
            2,
            "x = 40\nrefund(7, amount=x)",
            calls=(call("refund", 7, amount=40), call("get", 1), call("ask", 1)),
        ),
        step(3, "show()", Stream("stdout", "one\ntwo\n")),
        step(4, "1/1"),
        step(5, "gone()"),
    )
    b = run(
        step(1, "load()"),
        step(
            2,
            "x = 50\nrefund(7, amount=x)",
            calls=(call("refund", 7, amount=50), call("get", 1, outcome=Returned(5)), call("log", 2)),
            thought="more",
        ),
        step(3, "show()", Stream("stdout", "one\n2\x1b[31m\n")),
        step(4, "1/1", Error("ZeroDivisionError", "division")),
        answer="43",
        run_id="b",
        parent=Parent("a", 1, "", "a.ipynb"),
    )
    write(a, tmp_path / "a.ipynb", NO_SECRETS)
    write(b, tmp_path / "b.ipynb", NO_SECRETS)
    assert launch(["diff", str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb")]) == 1
    assert (
        capsys.readouterr().out.split("\n", 2)[2]
        == """\
B was forked from A after step 1.

step 1 is the same
step 2:
  code
    --- A
    +++ B
    @@ -1,2 +1,2 @@
    -x = 40
    +x = 50
     refund(7, amount=x)
  calls
    get(1): null → 5
    refund(7, amount=40): argument 'amount': 40 → 50
    only in B: log(2)
    only in A: ask(1)
  the thought differs
step 3:
  outputs
    --- A
    +++ B
    @@ -1,2 +1,2 @@
     stdout: one
    -stdout: two
    +stdout: 2
step 4:
  ended  ok → ZeroDivisionError: division
step 5 of A: only there
  code
    --- A
    +++ B
    @@ -1 +0,0 @@
    -gone()
  how it ends
    --- A
    +++ B
    @@ -1 +1 @@
    -42
    +43

The runs differ.
"""
    )


def test_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(run(step(1, "a"), step(2, "b")), tmp_path / "a.ipynb", NO_SECRETS)
    write(
        run(step(1, "a"), step(2, "c"), run_id="b", parent=Parent("a", 1)), tmp_path / "b.ipynb", NO_SECRETS
    )
    assert launch(["diff", "--json", str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb")]) == 1
    document = json.loads(capfd.readouterr().out)
    assert (document["schema_version"], document["same"]) == (1, False)
    assert (document["a"]["run_id"], document["b"]["parent"]) == ("a", {"run_id": "a", "step": 1})
    (turn,) = document["turns"]
    assert (turn["task"], turn["end"]) == ([], [])
    assert [each["same"] for each in turn["steps"]] == [True, False]
    assert turn["steps"][1]["code"] == ["--- A", "+++ B", "@@ -1 +1 @@", "-b", "+c"]


def pairs(a: tuple[Step, ...], b: tuple[Step, ...]) -> list[tuple[int | None, int | None, bool]]:
    (turn,) = compare(run(*a), run(*b))
    return [(each.a, each.b, each.same) for each in turn.steps]


def test_a_step_more_moves_the_others() -> None:
    a = (step(1, "a"), step(2, "b"), step(3, "c"))
    b = (step(1, "a"), step(2, "new"), step(3, "b"), step(4, "c"))
    assert pairs(a, b) == [(1, 1, True), (None, 2, False), (2, 3, True), (3, 4, True)]
    assert pairs(b, a) == [(1, 1, True), (2, None, False), (3, 2, True), (4, 3, True)]


def test_changed_steps_are_compared_by_position() -> None:
    a = (step(1, "a"), step(2, "b"), step(3, "c"))
    b = (step(1, "x"), step(2, "y"), step(3, "c"), step(4, "d"))
    assert pairs(a, b) == [(1, 1, False), (2, 2, False), (3, 3, True), (None, 4, False)]


def test_turns_and_tasks() -> None:
    a, b = run(step(1, "a")), run(step(1, "a"), task="another task")
    b = replace(b, turns=(*b.turns, Turn("and more", (step(2, "b"),))))
    first, second = compare(a, b)
    assert first.task == ("--- A", "+++ B", "@@ -1 +1 @@", "-a task", "+another task")
    assert (second.task, second.steps[0].a) == (("--- A", "+++ B", "@@ -0,0 +1 @@", "+and more"), None)
    assert second.end == ()
    assert not second.same


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (Returned(1), Raised("ValueError", "no"), 'f(): 1 → raised "ValueError: no"'),
        (None, Returned(1), "f(): in doubt → 1"),
    ],
)
def test_outcomes(old: ToolOutcome | None, new: ToolOutcome | None, said: str) -> None:
    first, second = (run(step(1, "f()", calls=(call("f", outcome=outcome),))) for outcome in (old, new))
    (turn,) = compare(first, second)
    assert turn.steps[0].calls == (said,)


def test_concurrent_calls_may_come_in_any_order() -> None:
    calls = tuple(call("f", n, outcome=Returned(n)) for n in range(50))
    (turn,) = compare(run(step(1, "f", calls=calls)), run(step(1, "f", calls=calls[::-1])))
    assert turn.same


def test_work_is_bounded() -> None:
    start = time.thread_time()
    many = tuple(step(n, "ab"[n % 2]) for n in range(MAX_ALIGNED))
    pairs(many, many[1:])
    pairs(many * 3, many)
    calls = tuple(call("f", n) for n in range(5_000))
    others = tuple(call("f", -n - 1) for n in range(5_000))
    (turn,) = compare(run(step(1, "f", calls=calls)), run(step(1, "f", calls=others)))
    assert len(turn.steps[0].calls) == MAX_CALLS + 1
    assert turn.steps[0].calls[-1] == "… and 9,960 more"
    text = "\n".join(map(str, range(300_000)))
    (turn,) = compare(
        run(step(1, text, Display({"text/plain": text}))),
        run(step(1, text[::-1], Stream("stdout", text[::-1]))),
    )
    assert len(turn.steps[0].code) == MAX_LINES + 1
    assert {line[:1] for line in turn.steps[0].outputs} >= {"-", "+"}
    assert time.thread_time() - start < 5
