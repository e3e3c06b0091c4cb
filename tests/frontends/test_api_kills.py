"""What ends badly, end to end: cells that must be killed, Ctrl-C, and a host that dies."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from codeact_kernel import Agent, Limits, SandboxProfile, ScriptedModel
from codeact_kernel.events import Event, StepFinished
from codeact_kernel.frontends.replaying import replay_notebook
from codeact_kernel.notebook.load import load

pytestmark = pytest.mark.kernel

STUBBORN = """\
import time
during = 1
book(2)
while True:
    try: time.sleep(60)
    except KeyboardInterrupt: pass
"""


def test_a_run_goes_on_after_a_cell_that_could_only_be_killed(tmp_path: Path) -> None:
    booked: list[int] = []

    def book(number: int) -> int:
        booked.append(number)
        return number * 10

    out = tmp_path / "run.ipynb"
    model = ScriptedModel(
        [
            {"code": "base = book(1)\nimport itertools\ncounter = itertools.count()\nnext(counter)"},
            {"code": "1 / 0"},
            {"code": STUBBORN},
            {"code": "print(base, next(counter), 'during' in globals())\nfinal_answer(base + book(3))"},
        ]
    )
    valid: list[int] = []

    def check(event: Event) -> None:
        if isinstance(event, StepFinished):
            nbformat.validate(nbformat.read(out, as_version=4))
            # The notebook may be some steps old while the run is on, but with its journal nothing is.
            assert load(out).steps[: event.step.index][-1] == event.step
            valid.append(event.step.index)

    limits = Limits(step_timeout_s=1, interrupt_grace_s=0.3)
    with Agent([book], model=model, limits=limits, out=out, verify=False) as agent:
        run = agent.run_sync("book", on_event=check)
    assert run.answer == 40
    assert booked == [1, 2, 3]
    assert valid == [1, 2, 3, 4]
    ok, error, killed, last = run.trajectory.steps
    assert [step.observation.status for step in (ok, error, killed, last)] == ["ok", "error", "killed", "ok"]
    assert last.observation.text("stdout") == "10 1 False\n"
    # Cell 4 is the one that was killed: Out[n] means the same live, and when the notebook is run again.
    assert [step.observation.execution_count for step in (ok, error, killed, last)] == [2, 3, None, 5]
    made, lost = killed.notes
    assert made == "Before it failed these calls were made, and count: book(2) → 20."
    assert "could not be rebuilt: during, time." in lost
    told = str(model.requests[-1].messages)
    assert made in told
    assert lost in told
    assert "longer than 1 s" in told
    notebook = nbformat.read(out, as_version=4)
    nbformat.validate(notebook)
    assert any(cell.source.startswith("%%recorded") for cell in notebook.cells)
    assert replay_notebook(out).agrees
    assert booked == [1, 2, 3]


def test_a_kernel_that_dies_is_rebuilt_within_the_same_run(tmp_path: Path) -> None:
    model = ScriptedModel(
        [{"code": "x = 41"}, {"code": "import ctypes\nctypes.string_at(0)"}, {"code": "final_answer(x + 1)"}]
    )
    profile = SandboxProfile(allow_imports=("ctypes",))
    with Agent(model=model, profile=profile, out=tmp_path / "run.ipynb", verify=False) as agent:
        run = agent.run_sync("crash")
    assert run.answer == 42
    assert run.trajectory.steps[1].observation.status == "killed"
    assert "SIGSEGV" in str(model.requests[-1].messages)


# --- another process ---------------------------------------------------------------------------

PROGRAM = """

from codeact_kernel import Agent, ScriptedModel, Limits
from codeact_kernel.events import OutputShown
from codeact_kernel.outputs import Stream

calls = []
def note(number: int) -> int:
    calls.append(number)
    return number

def ready(event: object = None) -> None:
    # Once the cell prints, and has nothing else to do than to go on.
    if event is None or (isinstance(event, OutputShown) and isinstance(event.output, Stream)):
        print("ready", flush=True)

{body}
"""


@contextmanager
def program(folder: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM.replace("{body}", body)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", (line, process.stderr.read() if process.stderr and process.poll() else "")


def family(pid: int) -> list[int]:
    """Descendants of a process that lives."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *family(int(child))]
    return found


def assert_ended(pids: list[int]) -> None:
    """Waits for the end of processes that are not our children, by their pidfd."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            assert poll.poll(20_000), f"process {pid} is still there"
        finally:
            os.close(fd)


def folders(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"codeact-*-{pid}-*"))


SPIN = """
model = ScriptedModel([
    {"code": "x = note(1)"},
    {"code": "note(2)\\nprint('half', flush=True)\\nwhile True: pass"},
])
agent = Agent([note], model=model, out="run.ipynb", verify=False)
agent.run_sync("spin", on_event=ready)
"""


def test_when_the_host_is_killed_the_record_tells_how_far_it_got_and_nothing_stays(tmp_path: Path) -> None:
    with program(tmp_path, SPIN) as process:
        wait_ready(process)
        relatives = family(process.pid)
        assert len(relatives) >= 2  # the supervisor and the kernel
        process.kill()
        process.wait()
        assert_ended(relatives)
        assert folders(process.pid) == []
    trajectory = load(tmp_path / "run.ipynb")
    first, second = trajectory.steps
    assert first.observation.status == "ok"
    assert [call.tool for call in first.observation.tool_calls] == ["note"]
    assert second.action is not None
    assert second.action.code.startswith("note(2)")
    assert [call.tool for call in second.observation.tool_calls][:1] == ["note"]
    assert trajectory.stop is None


CTRL_C = """
model = ScriptedModel([
    {"code": "x = note(1)"},
    {"code": "y = note(2)\\nprint('half', flush=True)\\nwhile True: pass"},
    {"code": "final_answer([x, y])"},
])
with Agent([note], model=model, out="run.ipynb", verify=False) as agent:
    try:
        agent.run_sync("spin", on_event=ready)
    except KeyboardInterrupt:
        print("interrupted", agent.trajectory.stop.reason, flush=True)
    print(agent.run_sync("go on").answer, calls)
"""


def test_ctrl_c_keeps_state_and_record(tmp_path: Path) -> None:
    with program(tmp_path, CTRL_C) as process:
        wait_ready(process)
        relatives = family(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert err == ""
        assert out.splitlines() == ["interrupted interrupted", "[1, 2] [1, 2]"]
        assert process.returncode == 0
        assert_ended(relatives)
        assert folders(process.pid) == []
    trajectory = load(tmp_path / "run.ipynb")
    assert [step.observation.status for step in trajectory.steps] == ["ok", "timeout", "ok"]
    assert [turn.stop.reason for turn in trajectory.turns if turn.stop] == ["interrupted", "answer"]


TWICE = """
model = ScriptedModel([
    {"code": "import time\\nwhile True:\\n    try:\\n        print('here', flush=True)\\n"
             "        time.sleep(60)\\n    except KeyboardInterrupt: pass\\n"},
])
agent = Agent(model=model, limits=Limits(interrupt_grace_s=600), out="run.ipynb", verify=False)
agent.run_sync("spin", on_event=ready)
"""


def test_the_second_ctrl_c_does_not_wait_for_a_cell_that_will_not_stop(tmp_path: Path) -> None:
    with program(tmp_path, TWICE) as process:
        wait_ready(process)
        relatives = family(process.pid)
        process.send_signal(signal.SIGINT)
        wait_ready(process)  # The cell has swallowed it.
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert "KeyboardInterrupt" in err
        assert process.returncode != 0
        assert_ended(relatives)
        assert folders(process.pid) == []
    assert load(tmp_path / "run.ipynb").steps[0].action is not None


FORGOTTEN = """
model = ScriptedModel([{"code": "x = 1"}, {"answer": "done"}])
agent = Agent(model=model, out="run.ipynb", verify=False)
print(agent.run_sync("one").answer)
del agent
ready()
"""


def test_an_agent_that_was_never_closed_leaves_nothing_when_the_process_ends(tmp_path: Path) -> None:
    with program(tmp_path, FORGOTTEN) as process:
        out, err = process.communicate(timeout=60)
        assert (out, err, process.returncode) == ("done\nready\n", "", 0)
        assert folders(process.pid) == []
    assert load(tmp_path / "run.ipynb").stop is not None
