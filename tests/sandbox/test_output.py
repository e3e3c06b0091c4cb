"""What cells show: in order, complete, bounded, and only that of the cell that runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.outputs import ClearOutput, Display, DisplayUpdate, Output, Stream

from .support import Lab, OpenLab, impatient, value_of

pytestmark = pytest.mark.kernel
HOST = Path(__file__).with_name("host_memory.py")


def measured(code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(HOST)], input=code, capture_output=True, text=True, timeout=60, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_streams_in_order(shared: Lab) -> None:
    cell = shared.run(
        "import sys\n"
        "for i in range(3):\n"
        "    print('out', i, flush=True)\n"
        "    print('err', i, file=sys.stderr, flush=True)"
    )
    texts = [(s.name, s.text) for s in cell.shown if isinstance(s, Stream)]
    assert texts == [(n, f"{n[3:]} {i}\n") for i in range(3) for n in ("stdout", "stderr")]


def test_output_below_python_is_shown(shared: Lab) -> None:
    cell = shared.run("import os\n_ = os.write(1, b'raw\\n')\n_ = os.write(2, b'oops\\n')")
    assert (cell.out, cell.err) == ("raw\n", "oops\n")


def test_output_of_a_child_process_is_shown(open_lab: OpenLab) -> None:
    lab = open_lab(Settings(profile=SandboxProfile(sandbox="none")))
    cell = lab.run("import os\n_ = os.write(1, b'raw\\n')\n_ = os.system('echo child; echo oops >&2')")
    assert (cell.out, cell.err) == ("raw\nchild\n", "oops\n")


def test_stalled_consumer_loses_nothing_and_costs_the_cell_no_time(open_lab: OpenLab) -> None:
    lab = open_lab(impatient())  # 0.5 s for the cell, which the consumer alone outlasts
    stalls = iter([1.2])

    async def stall(output: Output) -> None:
        await asyncio.sleep(next(stalls, 0))

    cell = lab.wait(lab.execute("for i in range(10_000):\n    print(i, flush=i % 100 == 0)", on_output=stall))
    assert cell.status == "ok"
    assert cell.out == "".join(f"{i}\n" for i in range(10_000))


def test_ten_thousand_flushed_lines_arrive(shared: Lab) -> None:
    stalls = iter([1.0])

    async def stall(output: Output) -> None:
        await asyncio.sleep(next(stalls, 0))

    code = "for i in range(10_000):\n    print(i, flush=True)"
    cell = shared.wait(shared.execute(code, on_output=stall))
    assert cell.out == "".join(f"{i}\n" for i in range(10_000))
    assert sum(isinstance(output, Stream) for output in cell.outputs) > 5_000


def test_three_hundred_megabytes_cost_the_host_a_bounded_buffer() -> None:
    cell = measured("print('head of it')\nfor _ in range(300): print('x' * 1_000_000)\nprint('end of it')")
    assert (cell["status"], cell["truncated"]) == ("ok", True)
    assert cell["head"].startswith("head of it\n")
    assert cell["tail"].endswith("\nend of it\n")
    assert cell["kept"] < 9 * 1024 * 1024
    assert cell["growth"] < 150


def test_flood_of_displays_is_stopped() -> None:
    cell = measured("while True: display({'text/plain': 'x' * 5_000_000}, raw=True)")
    assert cell["status"] == "timeout"
    assert cell["reason"] == (
        "it sent more than 67,108,864 bytes of output and was interrupted; variables are kept"
    )
    assert cell["truncated"]
    assert cell["growth"] < 150


@pytest.mark.parametrize(
    "code",
    ["'x' * 60_000_000", "display({'text/html': 'x' * 60_000_000, 'text/plain': 'small'}, raw=True)"],
    ids=["repr", "display"],
)
def test_output_too_large_to_send_is_named_and_loses_nothing_else(shared: Lab, code: str) -> None:
    cell = shared.run("print('before')\n" + code)
    assert (cell.status, cell.truncated) == ("ok", True)
    assert cell.out == "before\n"
    shown = next(str(o.data["text/plain"]) for o in cell.shown if hasattr(o, "data"))
    assert "too large to be sent: text/" in shown
    assert "60,000,0" in shown
    assert len(shown) < 200_000
    assert value_of(shared, "6 * 7") == "42"


def test_huge_error_is_shortened(shared: Lab) -> None:
    cell = shared.run("raise ValueError('z' * 30_000_000)")
    assert (cell.status, cell.error.ename) == ("error", "ValueError")
    assert len(cell.error.evalue) < 200_000


def test_obs_keeps_the_text_of_a_cell(shared: Lab) -> None:
    cell = shared.run("print('kept for later')")
    assert value_of(shared, f"_obs[{cell.finished.execution_count}]") == "'kept for later\\n'"
    missing = shared.run("_obs[10**6]").error
    assert missing.ename == "KeyError"
    assert "no text is kept of cell 1000000" in missing.evalue


def test_display_updates_and_clears_arrive_as_such(shared: Lab) -> None:
    cell = shared.run(
        "from IPython.display import clear_output\n"
        "handle = display('first', display_id='d')\n"
        "handle.update('second')\n"
        "print('gone')\nclear_output(wait=True)\nprint('last')"
    )
    kinds = [type(output) for output in cell.outputs[:-1]]
    assert kinds == [Display, DisplayUpdate, Stream, ClearOutput, Stream]
    assert list(cell.shown) == [Stream("stdout", "last\n")]
    update = cell.outputs[1]
    assert isinstance(update, DisplayUpdate)
    assert (update.display_id, update.data["text/plain"]) == ("d", "'second'")


def test_late_thread_output_belongs_to_nobody(shared: Lab) -> None:
    shared.run(
        "import threading, time\nstop = threading.Event()\n"
        "def late():\n"
        "    while not stop.wait(0.001): print('late', flush=True)\n"
        "thread = threading.Thread(target=late)\nthread.start()"
    )
    cell = shared.run("for i in range(20):\n    print('mine', flush=True)\n    time.sleep(0.002)")
    assert cell.out == "mine\n" * 20
    assert "late" not in value_of(shared, f"_obs[{cell.finished.execution_count}]")
    shared.run("stop.set()\nthread.join()")


def test_threads_and_pools_of_a_cell_print_into_it(shared: Lab) -> None:
    shared.run("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)")
    assert sorted(shared.run("_ = list(pool.map(print, 'ab'))").out) == ["\n", "\n", "a", "b"]
    assert sorted(shared.run("_ = list(pool.map(print, 'cd'))").out) == ["\n", "\n", "c", "d"]
    shared.run("pool.shutdown()")


FORGE = """
kernel = get_ipython().kernel
def forge(kind, content, parent):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
stream = {'name': 'stdout', 'text': 'forged'}
"""


def test_messages_of_another_parent_are_ignored(shared: Lab) -> None:
    shared.run(FORGE)
    cell = shared.run(
        "other = {'header': {'msg_id': 'somebody else'}}\n"
        "forge('stream', stream, other)\nforge('status', {'execution_state': 'idle'}, other)\n"
        "forge('stream', stream, {})\nprint('real')"
    )
    assert (cell.status, cell.out) == ("ok", "real\n")


@pytest.mark.parametrize(
    "sent",
    [
        "forge('stream', {'name': 'stdin', 'text': 'x'}, mine)",
        "forge('stream', {'name': 'stdout', 'text': 5}, mine)",
        "forge('display_data', {'data': [], 'metadata': 3, 'transient': 'x'}, mine)",
        "forge('update_display_data', {}, mine)",
        "forge('execute_result', {'data': None, 'execution_count': 'x'}, mine)",
        "forge('error', {'traceback': {'a': 1}, 'ename': [], 'evalue': None}, mine)",
        "forge('status', {'execution_state': ['idle']}, mine)",
        "forge(['no', 'type'], {}, mine)",
        "kernel.iopub_socket.send_multipart([b'junk'])",
        "kernel.iopub_socket.send_multipart([b'<IDS|MSG>', b'sig', b'{}', b'{}', b'{}', b'['])",
        "kernel.iopub_socket.send_multipart([b'<IDS|MSG>'] + [b'[' * 100_000] * 5)",
    ],
)
def test_malformed_messages_do_no_harm(shared: Lab, sent: str) -> None:
    shared.run(FORGE)
    cell = shared.run(f"mine = kernel.get_parent('shell')\n{sent}\nprint('real')")
    assert (cell.status, cell.out) == ("ok", "real\n")
    assert value_of(shared, "6 * 7") == "42"


def test_flood_of_foreign_messages_starves_neither_cell_nor_host(shared: Lab) -> None:
    shared.run(FORGE + "import threading\nstop = threading.Event()\n")
    shared.run(
        "def flood():\n"
        "    while not stop.is_set(): forge('stream', stream, {})\n"
        "thread = threading.Thread(target=flood)\nthread.start()"
    )

    async def scene() -> tuple[str, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        cell = await shared.execute("import time\ntime.sleep(0.4)\nprint('through')")
        ticking.cancel()
        return cell.out, ticks

    out, ticks = shared.wait(scene())
    assert out == "through\n"
    assert ticks > 5
    shared.run("stop.set()\nthread.join()")
