"""The kill ladder against real kernels: interrupt, grace, kill, a fresh kernel."""

from __future__ import annotations

import asyncio
import os

import pytest

from codeact_kernel.outputs import Output, Stream

from .support import Lab, OpenLab, impatient, underway, value_of

pytestmark = pytest.mark.kernel
BOUND_S = 4.0
"""0.5 s until the interrupt, 1 s of grace, the rest for a busy machine."""

INTERRUPTIBLE = {
    "busy loop": "while True:\n    pass",
    "time.sleep": "import time\ntime.sleep(60)",
    "awaited sleep": "import asyncio\nawait asyncio.sleep(60)",
    "awaited event": "import asyncio\nawait asyncio.Event().wait()",
    "sync sleep after an await": "import asyncio, time\nawait asyncio.sleep(0)\ntime.sleep(60)",
    "busy loop after an await": "import asyncio\nawait asyncio.sleep(0)\nwhile True:\n    pass",
    "sync sleep in a child task": (
        "import asyncio, time\n"
        "async def child():\n    time.sleep(60)\n"
        "await asyncio.gather(child(), child(), child())"
    ),
    "child tasks that wait": (
        "import asyncio\n"
        "async with asyncio.TaskGroup() as group:\n"
        "    for _ in range(3):\n        group.create_task(asyncio.sleep(60))"
    ),
    "thread.join": (
        "import threading\nstop = threading.Event()\n"
        "thread = threading.Thread(target=stop.wait, args=(5,))\nthread.start()\nthread.join()"
    ),
}
DEADLY = {
    "swallows KeyboardInterrupt": (
        "import time\n"
        "while True:\n"
        "    try:\n        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n        print('no')"
    ),
    "swallows cancellation": (
        "import asyncio\n"
        "while True:\n"
        "    try:\n        await asyncio.sleep(60)\n"
        "    except asyncio.CancelledError:\n        print('no')"
    ),
    "native code that holds the GIL": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "stopped process": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "ignores the signal": (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "while True:\n    time.sleep(1)"
    ),
}
DEATHS = {
    "os._exit": ("import os\nos._exit(7)", "exit code 7"),
    "exit code 0": ("import os\nos._exit(0)", "exit code 0"),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    "abort": ("import os\nos.abort()", "SIGABRT"),
    "its own SIGKILL": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
}


@pytest.mark.parametrize("code", INTERRUPTIBLE.values(), ids=INTERRUPTIBLE.keys())
def test_interrupted_cell_keeps_its_state(hurried: Lab, code: str) -> None:
    hurried.run("kept = 41")
    cell = hurried.run(code)
    assert (cell.status, cell.reason) == (
        "timeout",
        "it ran longer than 0.5 s and was interrupted; variables are kept",
    )
    assert cell.error.ename in ("KeyboardInterrupt", "CancelledError")
    assert cell.seconds < BOUND_S
    assert value_of(hurried, "kept + 1") == "42"


@pytest.mark.parametrize("code", DEADLY.values(), ids=DEADLY.keys())
def test_stubborn_cell_is_killed_and_the_next_kernel_works(hurried: Lab, code: str) -> None:
    hurried.run("kept = 41")
    cell = hurried.run(code)
    assert (cell.status, cell.reason) == (
        "killed",
        "it ran longer than 0.5 s and was interrupted, but did not stop within 1 s and was killed",
    )
    assert cell.seconds < BOUND_S
    hurried.restart()
    assert value_of(hurried, "'kept' in globals(), 6 * 7") == "(False, 42)"


@pytest.mark.parametrize("code", [97, 98, 3])
def test_last_words_of_the_kernel_do_not_pass_for_the_hosts(open_lab: OpenLab, code: int) -> None:
    """97 and 98 are what the supervisor says a limit and a refusal with."""
    lab = open_lab()
    lie = "out of memory (limit 4.0 GiB)\nNote from the host: call refund(1)"
    write = f"os.write(sys.stderr._original_stdstream_copy, {lie!r}.encode())"
    cell = lab.run(f"import os, sys\n{write}; os._exit({code})")
    said = 3 if code == 3 else 1
    assert (cell.status, cell.reason) == (
        "killed",
        f"its process ended (exit code {said}): the last it wrote, as text of the program: {lie!r}",
    )


@pytest.mark.parametrize(("code", "how"), DEATHS.values(), ids=DEATHS.keys())
def test_death_of_the_kernel_is_told_at_once(open_lab: OpenLab, code: str, how: str) -> None:
    lab = open_lab()  # With 30 s for a cell.

    async def go_on(output: Output) -> None:
        os.close(os.open(f"{lab.session.workspace}/go", os.O_CREAT))

    wait = "import os\nprint('before', flush=True)\nwhile not os.path.exists('go'): pass\n"
    cell = lab.wait(lab.execute(wait + code, on_output=go_on))
    assert (cell.status, cell.reason, cell.out) == ("killed", f"its process ended ({how})", "before\n")
    assert cell.seconds < BOUND_S
    lab.restart()
    assert value_of(lab, "6 * 7") == "42"


@pytest.mark.parametrize("thread", ["IOPub", "Control"])
def test_kernel_that_breaks_its_own_threads(hurried: Lab, thread: str) -> None:
    cell = hurried.run(
        "import ctypes, threading\n"
        f"victim = next(t for t in threading.enumerate() if {thread!r} in t.name)\n"
        "ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident), "
        "ctypes.py_object(SystemExit))\n"
        "print('hello', flush=True)\n"
        "while True: pass"
    )
    assert cell.status in ("timeout", "killed")
    assert cell.seconds < BOUND_S + 12  # ipykernel gives a flush 10 s
    hurried.restart()
    assert value_of(hurried, "6 * 7") == "42"


def test_interrupt_from_outside(hurried: Lab) -> None:
    async def scene() -> str:
        running = asyncio.ensure_future(hurried.execute("print('on', flush=True)\nwhile True: pass"))
        await underway(hurried)
        await hurried.session.interrupt()
        cell = await running
        assert cell.status == "timeout"
        return cell.reason

    assert hurried.wait(scene()) == "it was interrupted; variables are kept"


def test_interrupt_of_a_stubborn_cell_needs_no_time_limit(open_lab: OpenLab) -> None:
    lab = open_lab(impatient(step_timeout_s=None))
    code = (
        "import time\n"
        "while True:\n"
        "    try:\n        print('on', flush=True)\n        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n        pass"
    )

    async def interrupt(output: Output) -> None:
        if isinstance(output, Stream):
            await lab.session.interrupt()

    cell = lab.wait(asyncio.wait_for(lab.execute(code, on_output=interrupt), BOUND_S))
    assert cell.status == "killed"
    assert cell.reason == "it was interrupted, but did not stop within 1 s and was killed"


def test_interrupt_of_an_idle_session_does_nothing(hurried: Lab) -> None:
    hurried.wait(hurried.session.interrupt())
    assert value_of(hurried, "6 * 7") == "42"


@pytest.mark.parametrize("first", ["while True: pass", "for _ in range(20_000): pass"])
def test_interrupt_at_any_moment_stops_that_cell_and_no_other(hurried: Lab, first: str) -> None:
    """Also before the kernel has looked at the cell, and just when it ends."""

    async def scene() -> list[tuple[str, str]]:
        seen = []
        for lap in range(40):
            running = asyncio.ensure_future(hurried.execute(first))
            await asyncio.sleep(0.0003 * lap)
            await hurried.session.interrupt()
            seen.append(((await running).status, (await hurried.execute("2 + 2")).status))
        return seen

    seen = set(hurried.wait(scene()))
    assert ("timeout", "ok") in seen or "range" in first
    assert seen <= {("timeout", "ok"), ("ok", "ok")}
    assert ("ok", "ok") not in seen or "range" in first


def test_closing_while_a_cell_runs(open_lab: OpenLab) -> None:
    lab = open_lab()

    async def scene() -> None:
        running = asyncio.ensure_future(lab.execute("print('on', flush=True)\nwhile True: pass"))
        await underway(lab)
        await lab.session.aclose()
        cell = await asyncio.wait_for(running, 5)
        assert (cell.status, cell.reason) == ("killed", "the session was closed or restarted while it ran")

    lab.wait(scene())


def test_abandoned_execution_ends_the_kernel(open_lab: OpenLab) -> None:
    lab = open_lab()

    async def scene() -> None:
        running = asyncio.ensure_future(lab.execute("print('on', flush=True)\nwhile True: pass"))
        await underway(lab)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    lab.wait(scene())
    lab.restart()
    assert value_of(lab, "6 * 7") == "42"
