"""A finished run is run again once from its notebook, which says what came of it, or why it was not."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import nbformat
import pytest

from codeact_kernel import Agent, SandboxProfile
from codeact_kernel.config import Settings
from codeact_kernel.exceptions import ScriptExhausted
from codeact_kernel.frontends import verification
from codeact_kernel.frontends.verification import LEAST_S, SHARE, Verification, bound, reason_not_to
from codeact_kernel.notebook.load import load
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory, Turn, Verdict

from .conftest import SCRIPT
from .test_resume import script

INFO = RunInfo("r1", "scripted", "2026-01-01T00:00:00", "")


def took(seconds: float, code: str | None = "x") -> Trajectory:
    step = Step(1, Reply(), None if code is None else Action(code), Observation("ok", duration_s=seconds))
    return Trajectory(INFO, (Turn("t", (step,)),))


def said(path: Path) -> str:
    """What the title cell says to a person."""
    title = nbformat.read(path, as_version=4).cells[0].source
    return next((line for line in title.splitlines() if line.startswith("* verified: ")), "")


# --- without a kernel --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "trajectory", "why"),
    [
        (SandboxProfile(), took(1), None),
        (SandboxProfile(sandbox="none"), took(1), "it ran without a sandbox"),
        (SandboxProfile(workspace=Path("/tmp")), took(1), "it worked in a folder of the user's"),
        (SandboxProfile(), took(1, None), "no code was run"),
    ],
)
def test_what_is_not_run_again_unasked(
    profile: SandboxProfile, trajectory: Trajectory, why: str | None
) -> None:
    found = reason_not_to(trajectory, Settings(profile=profile))
    assert (found is None) if why is None else (found is not None and found.startswith(why))


def test_how_long_a_replay_may_take() -> None:
    assert bound(took(1)) == LEAST_S
    assert bound(took(1000)) == SHARE * 1000


def test_a_replay_that_was_cancelled_before_it_began_has_a_verdict(tmp_path: Path) -> None:
    async def run() -> Verdict:
        found = Verification()
        found.begin(tmp_path / "run.ipynb", Settings(), lambda verdict: None)
        return await found.end("there was no time")

    assert asyncio.run(run()) == Verdict("unverified", reason="there was no time")


def test_a_notebook_that_is_gone_is_the_reason(tmp_path: Path) -> None:
    told: list[Verdict] = []

    async def run() -> Verdict:
        found = Verification()
        found.begin(tmp_path / "run.ipynb", Settings(), told.append)
        return await found.wait()

    verdict = asyncio.run(run())
    assert verdict.status == "unverified"
    assert verdict.reason.startswith("it could not be replayed: ")
    assert told == [verdict]


# --- with one ----------------------------------------------------------------------------------


@pytest.mark.kernel
def test_closing_waits_for_the_verdict_and_the_notebook_has_it(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"
    with Agent(model=script("x = 6\nx * 7", "print(x)", {"answer": "done"}), out=out) as agent:
        run = agent.run_sync("compute")
        # The answer is there at once, and the notebook says that nothing is known yet.
        assert run.trajectory.verdict == Verdict("unverified", reason="the replay has not finished")
    assert load(out).verdict == Verdict("identical")
    assert said(out) == "* verified: identical"
    assert run.verified_sync() == Verdict("identical")  # Also when the agent is closed.


@pytest.mark.kernel
def test_a_run_that_does_not_run_again_as_it_was_says_how(tmp_path: Path) -> None:
    out, seen = tmp_path / "run.ipynb", list[tuple[int, int]]()
    with Agent(model=script("import random\nrandom.random()", "1", {"answer": "done"}), out=out) as agent:
        run = agent.run_sync("roll the dice")
        verdict = run.verified_sync(lambda done, total: seen.append((done, total)))
    assert (verdict.status, verdict.classes) == ("drift", ("output",))
    assert load(out).verdict == verdict
    assert said(out) == "* verified: drift: output"
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.kernel
def test_a_later_task_ends_the_replay_of_the_one_before(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"
    with Agent(model=script("x = 1", {"answer": "a"}, "x + 1", {"answer": "b"}), out=out) as agent:
        first = agent.run_sync("one")
        second = agent.run_sync("two")
        assert first.verified_sync() == Verdict("unverified", reason="a later task went on from it")
        assert second.verified_sync() == Verdict("identical")
    assert load(out).verdict == Verdict("identical")


@pytest.mark.kernel
def test_what_is_not_asked_for_is_said(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"
    with Agent(model=script("x = 1", {"answer": "a"}), out=out, verify=False) as agent:
        run = agent.run_sync("one")
        assert run.verified_sync() == Verdict("unverified", reason="not asked for (--no-verify)")
    assert load(out).verdict == run.verified_sync()
    assert said(out) == "* verified: unverified: not asked for (--no-verify)"


@pytest.mark.kernel
def test_a_run_that_did_not_end_well_is_not_verified(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"
    with Agent(model=script("x = 1"), out=out) as agent, pytest.raises(ScriptExhausted):
        agent.run_sync("one")
    assert load(out).verdict == Verdict("unverified", reason="the run did not end well (model_error)")


@pytest.mark.kernel
def test_a_replay_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "LEAST_S", 0.01)
    out = tmp_path / "run.ipynb"
    with Agent(model=script("x = 1", {"answer": "a"}), out=out) as agent:
        verdict = agent.run_sync("one").verified_sync()
    assert verdict.reason == "the replay took longer than 0 s, after 0 of 1 steps"
    assert load(out).verdict == verdict


@pytest.mark.kernel
def test_who_does_not_wait_for_the_close_ends_the_replay(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"

    async def run() -> Verdict:
        agent = Agent(model=script("x = 1", {"answer": "a"}), out=out)
        done = await agent.run("one")
        closing = asyncio.ensure_future(agent.aclose())
        await asyncio.sleep(0)  # It has begun to wait.
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        return await done.verified()

    verdict = asyncio.run(run())
    assert verdict == Verdict("unverified", reason="the agent was closed before the replay had finished")
    assert load(out).verdict == verdict
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.kernel
def test_ctrl_c_while_verifying_ends_that_and_not_the_run(environment: dict[str, str], folder: Path) -> None:
    replies = [{"code": "import time\ntime.sleep(0.01)"}, {"answer": "all done"}]
    (folder / "script.jsonl").write_text("".join(f"{json.dumps(reply)}\n" for reply in replies))
    command = [str(SCRIPT), "run", "wait", "--model", "scripted:script.jsonl", "--out", "run.ipynb"]
    shown = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            shown += line
            if line.startswith("Saved in run.ipynb"):
                process.send_signal(signal.SIGINT)
        _, problems = process.communicate(timeout=100)
    assert (process.returncode, problems) == (0, "")
    assert shown.splitlines()[-1] == "Not verified: you did not wait for the replay (Ctrl-C)"
    verdict = load(folder / "run.ipynb").verdict
    assert verdict == Verdict("unverified", reason="you did not wait for the replay (Ctrl-C)")
