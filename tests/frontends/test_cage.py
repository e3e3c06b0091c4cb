"""How a run is asked for a cage, and that the lack of one is loud: command line, Python API, notebook."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import nbformat
import pytest

from codeact_kernel import Agent, SandboxProfile, ScriptedModel
from codeact_kernel.config import Settings
from codeact_kernel.events import Event, SandboxReady
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.cage import UnsandboxedWarning
from codeact_kernel.frontends.cellrun import exec_cells
from codeact_kernel.frontends.replaying import replay_notebook
from codeact_kernel.notebook.load import load

from .conftest import Command

pytestmark = pytest.mark.kernel
OPEN = Settings(profile=SandboxProfile(sandbox="none"))
DONE = {"answer": "done"}


def the_tier(command: Command, *options: str) -> str:
    """Of a run with these options, and that it is the one shown to people."""
    shown = command("exec", "-", "--json", *options, stdin="1")
    assert shown.returncode == 0, shown.stderr
    sandbox = json.loads(shown.stdout)["sandbox"]
    word = "UNSANDBOXED" if sandbox["tier"] == "none" else f"tier {sandbox['tier']}"
    assert f"sandbox: {word}" in shown.stderr
    assert ("has every right that you have" in shown.stderr) == (sandbox["tier"] == "none")
    assert set(sandbox["selftest"].values()) <= {"held", "allowed"}
    assert sandbox["python"]
    return str(sandbox["tier"])


def test_the_tier_of_a_run(command: Command) -> None:
    assert the_tier(command) in ("A", "B", "C")
    assert the_tier(command, "--unsandboxed") == "none"


def test_a_tier_that_is_not_to_be_had_is_no_start(command: Command) -> None:
    shown = command("exec", "-", "--sandbox", "A", "--SandboxProfile.without=namespaces", stdin="1")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "tier A is demanded" in shown.stderr
    assert "codeact doctor" in shown.stderr


def test_no_cage_is_loud_and_gives_what_it_says(command: Command, folder: Path) -> None:
    (folder / "secret").write_text("of the host")
    code = f"print(open({str(folder / 'secret')!r}).read())"
    held, loose = command("exec", "-", stdin=code), command("exec", "-", "--unsandboxed", stdin=code)
    assert (held.returncode, held.stderr) == (1, "")
    assert "of the host" not in held.stdout
    assert loose.returncode == 0
    assert "of the host" in loose.stdout
    assert loose.stdout.startswith("sandbox: UNSANDBOXED")
    assert loose.stderr.count("UNSANDBOXED") == 1
    assert loose.stderr.startswith("!!!")


def test_readable_and_memory(command: Command, folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "words").write_text("given")
    code = f"print(open({str(folder / 'lib' / 'words')!r}).read())\nbytearray(1 << 30)"
    shown = command("exec", "-", "--readable", "lib/", "--memory", "400M", stdin=code)
    assert shown.returncode == 1
    assert "given" in shown.stdout
    assert "MemoryError" in shown.stdout


def test_processes_only_where_they_are_allowed(command: Command) -> None:
    code = "import os\nchild = os.fork()\nif not child:\n    os._exit(7)\nprint(os.waitpid(child, 0)[1])"
    options = ("exec", "-", "--allow-import", "os")
    assert command(*options, stdin=code).returncode == 1
    shown = command(*options, "--allow-fork", stdin=code)
    assert "  1792" in shown.stdout, shown.stdout


def test_the_agent_without_a_cage_warns_and_records_it(tmp_path: Path) -> None:
    out, events = tmp_path / "run.ipynb", list[Event]()
    model = ScriptedModel([{"code": "print(1)"}, DONE])
    with pytest.warns(UnsandboxedWarning, match="every right that you have") as caught:
        agent = Agent(model=model, sandbox="none", out=out, verify=False)
    assert [warning.filename for warning in caught] == [__file__]
    with agent:
        run = agent.run_sync("count", on_event=events.append)
    assert run.trajectory.info.sandbox["tier"] == "none"
    assert run.trajectory.info.profile["sandbox"] == "none"
    assert isinstance(events[0], SandboxReady)
    assert events[0].sandbox == run.trajectory.info.sandbox
    assert "* sandbox: **UNSANDBOXED" in nbformat.read(out, 4).cells[0].source
    assert load(out).info.sandbox["tier"] == "none"


def test_the_agent_in_a_cage_is_quiet_and_records_it(tmp_path: Path) -> None:
    out, ready = tmp_path / "run.ipynb", list[SandboxReady]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loose = SandboxProfile(sandbox="none")  # the argument wins
        with Agent(
            model=ScriptedModel([{"code": "1"}, DONE]), profile=loose, sandbox="auto", out=out
        ) as agent:
            info = agent.run_sync("count").trajectory.info
    assert info.sandbox["tier"] in ("A", "B", "C")
    assert f"* sandbox: tier {info.sandbox['tier']}" in nbformat.read(out, 4).cells[0].source
    assert replay_notebook(out, on_ready=ready.append).agrees
    assert [event.sandbox["tier"] for event in ready] == [info.sandbox["tier"]]


def test_cells_and_replays_without_a_cage_warn(tmp_path: Path) -> None:
    with pytest.warns(UnsandboxedWarning):
        (observation,) = exec_cells([f"print(open({os.fspath(__file__)!r}).read(3))"], settings=OPEN)
    assert observation.text("stdout") == '"""\n'
    out = tmp_path / "run.ipynb"
    with Agent(model=ScriptedModel([{"code": "1"}, DONE]), out=out, verify=False) as agent:
        agent.run_sync("count")
    with pytest.warns(UnsandboxedWarning):
        assert replay_notebook(out, settings=OPEN).agrees


@pytest.mark.parametrize("tier", ["a", "off", ""])
def test_a_cage_that_does_not_exist(tmp_path: Path, tier: str) -> None:
    with pytest.raises(UsageError, match="give one of 'auto', 'A', 'B', 'C', 'none'"):
        Agent(model=ScriptedModel([]), sandbox=tier, out=tmp_path / "run.ipynb", verify=False)  # type: ignore[arg-type]  # wrong on purpose
