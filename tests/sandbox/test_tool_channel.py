"""Tools over the channel, from real cells: many, at once, cancelled, too large, hostile."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from codeact_kernel.config import ToolLimits
from codeact_kernel.trajectory import Refusal
from codeact_kernel.wire.messages import Raised, ToolOutcome, ToolRequest

from .support import SLOW, Calls, Lab, OpenLab, impatient, setup_with, value_of

pytestmark = pytest.mark.kernel
SETUP = setup_with("add", "wait", "fail", "echo", "hang", allow=("threading", "concurrent", "os", "signal"))


async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def fail(kind: str) -> Raised:
    return Raised(kind, "as asked")


def tools() -> Calls:
    return Calls(
        {"add": lambda a, b: a + b, "wait": wait, "fail": fail, "echo": lambda x: x, "hang": lambda: wait(60)}
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(SLOW, SETUP).start()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def _brisk() -> Iterator[Lab]:
    lab = Lab(impatient(), SETUP).start()
    yield lab
    lab.close()


@pytest.fixture
def brisk(_brisk: Lab) -> Lab:
    if _brisk.session._mailbox is None:
        _brisk.restart()
    return _brisk


def test_a_thousand_calls_in_a_loop(lab: Lab) -> None:
    calls = tools()
    assert value_of(lab, "sum(add(i, 1) for i in range(1000))", calls) == "500500"
    assert len(calls.requests) == 1000


def test_a_hundred_at_once_take_as_long_as_one(lab: Lab) -> None:
    calls = tools()
    began = time.monotonic()
    result = value_of(
        lab, "import asyncio\nlen(await asyncio.gather(*(wait(0.3) for _ in range(100))))", calls
    )
    assert result == "100"
    assert calls.most == 100
    assert time.monotonic() - began < 3  # the sum is 30


def test_calls_from_threads_of_the_cell(lab: Lab) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda i: add(i, i), range(200)))\n"
        "found == [2 * i for i in range(200)]"
    )
    assert value_of(lab, code, tools()) == "True"


def test_long_bytes_and_arrays_there_and_back(lab: Lab) -> None:
    code = (
        "import numpy, pandas\n"
        "data = bytes(range(256)) * 8_000\n"
        "numbers = numpy.arange(400_000, dtype='>f4').reshape(1000, 400).T\n"
        "frame = pandas.DataFrame(numpy.random.default_rng(1).random((50_000, 4)), columns=list('abcd'))\n"
        "def same(x, y): return x.dtype == y.dtype and (x == y).all()\n"
        "kept = echo(numbers)\n"
        "kept[0, 0] = 7\n"
        "[echo(data) == data, same(echo(numbers), numbers), echo(frame).equals(frame), echo([data, 1])[1]]"
    )
    assert value_of(lab, code, tools()) == "[True, np.True_, True, 1]"


def test_sync_calls_threads_and_coroutines_together(lab: Lab) -> None:
    code = (
        "import asyncio, threading\n"
        "found = []\n"
        "threads = [threading.Thread(target=lambda: found.append(add(1, 1))) for _ in range(4)]\n"
        "async def waiting(): return await wait(0.2)\n"
        "pending = [asyncio.create_task(waiting()) for _ in range(10)]\n"
        "await asyncio.sleep(0)\n"
        "for thread in threads: thread.start()\n"
        "here = [add(i, 0) for i in range(50)]\n"
        "there = await asyncio.gather(*pending)\n"
        "for thread in threads: thread.join()\n"
        "(here == list(range(50)), set(there), found)"
    )
    assert value_of(lab, code, tools()) == "(True, {0.2}, [2, 2, 2, 2])"


def test_event_loops_of_several_threads(lab: Lab) -> None:
    code = (
        "import asyncio, threading\n"
        "done = []\n"
        "def run(seconds): done.append(asyncio.run(ask(seconds)))\n"
        "async def ask(seconds): return await wait(seconds)\n"
        "threads = [threading.Thread(target=run, args=(s,)) for s in (0.05, 0.4, 0.2)]\n"
        "for thread in threads: thread.start()\n"
        "while any(t.is_alive() for t in threads): await asyncio.sleep(0.01)\n"
        "sorted(done)"
    )
    assert value_of(lab, code, tools()) == "[0.05, 0.2, 0.4]"


def test_exceptions_arrive_as_builtin_or_tool_error(lab: Lab) -> None:
    code = (
        "seen = []\n"
        "for kind in ('ValueError', 'KeyError', 'TimeoutError', 'sqlite3.IntegrityError',\n"
        "             'UnicodeDecodeError', 'SystemExit', 'print'):\n"
        "    try: fail(kind)\n"
        "    except Exception as e: seen.append((type(e).__name__, str(e)))\n"
        "seen"
    )
    assert ast.literal_eval(value_of(lab, code, tools())) == [
        ("ValueError", "as asked"),
        ("KeyError", "'as asked'"),
        ("TimeoutError", "as asked"),
        ("ToolError", "sqlite3.IntegrityError: as asked"),
        ("ToolError", "UnicodeDecodeError: as asked"),
        ("ToolError", "SystemExit: as asked"),
        ("ToolError", "print: as asked"),
    ]


def test_error_of_a_tool_shows_the_users_frame_only(lab: Lab) -> None:
    cell = lab.run("x = 1\nfail('ValueError')", tools())
    text = "\n".join(cell.error.traceback)
    assert "in_kernel" not in text
    assert cell.error.evalue == "as asked"


def test_argument_that_cannot_cross(lab: Lab) -> None:
    calls = tools()
    error = lab.run("echo(open)", calls).error
    assert error.ename == "TypeError"
    assert error.evalue.startswith("echo(): argument 1:")
    assert calls.requests == []


def test_refusals_are_told(lab: Lab) -> None:
    calls = tools()
    cell = lab.run("try: import socket\nexcept ImportError: pass", calls)
    assert Refusal("import", "socket") in calls.refusals, cell.shown


@pytest.mark.parametrize("code", ["hang()", "import asyncio\nawait asyncio.gather(hang(), hang(), hang())"])
def test_interrupt_while_a_tool_hangs(brisk: Lab, code: str) -> None:
    calls = tools()
    cell = brisk.run("kept = 1\n" + code, calls)
    assert cell.status == "timeout"
    assert len(calls.cancelled) == len(calls.requests) > 0
    assert calls.running == 0
    assert value_of(brisk, "kept, add(1, 2)", tools()) == "(1, 3)"


def test_cancelled_task_cancels_its_call(lab: Lab) -> None:
    calls = tools()
    code = (
        "import asyncio\n"
        "async def never(): await hang()\n"
        "try: await asyncio.wait_for(never(), 0.1)\n"
        "except TimeoutError: print('gave up')\n"
        "add(1, 1)"
    )
    assert lab.run(code, calls).out == "gave up\n"
    assert calls.cancelled == [calls.requests[0].call_id]


def test_interrupts_in_the_middle_of_calls_never_break_the_framing(lab: Lab) -> None:
    code = (
        "import os, signal, threading, time\n"
        "stop = threading.Event()\n"
        "main = threading.main_thread().ident\n"
        "def pester():\n"
        "    while not stop.wait(0.003): signal.pthread_kill(main, signal.SIGINT)\n"
        "pest = threading.Thread(target=pester)\n"
        "good = interrupts = 0\n"
        "big = 'x' * 20_000\n"
        "try: pest.start()\n"
        "except KeyboardInterrupt: pass\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        while time.monotonic() < end:\n"
        "            assert echo(big) == big\n"
        "            good += 1\n"
        "    except KeyboardInterrupt:\n"
        "        interrupts += 1\n"
        "while pest.is_alive():\n"
        "    try:\n"
        "        stop.set()\n"
        "        pest.join()\n"
        "    except KeyboardInterrupt: pass\n"
    )
    cell = lab.run(code, tools())
    assert cell.status == "ok", cell.shown
    good, interrupts = ast.literal_eval(value_of(lab, "good, interrupts"))
    assert good > 20
    assert interrupts > 20
    assert value_of(lab, "sum(add(i, 1) for i in range(100))", tools()) == "5050"


def test_call_too_large_is_a_value_error_and_the_channel_goes_on(lab: Lab) -> None:
    calls = tools()
    error = lab.run("echo('x' * 70_000_000)", calls).error
    assert error.ename == "ValueError"
    assert "echo(): the arguments take 70,000,0" in error.evalue
    assert error.evalue.endswith("bytes, and one call can send 67,108,864; send less, or in parts")
    assert calls.requests == []
    assert value_of(lab, "add(1, 2)", tools()) == "3"


def test_call_of_too_many_parts_is_a_value_error_and_the_channel_goes_on(lab: Lab) -> None:
    calls = tools()
    error = lab.run("echo([[]] * 1_000_000)", calls).error
    assert error.ename == "ValueError"
    assert error.evalue.startswith("echo(): the arguments have more than 1,000,000 parts; send less")
    assert calls.requests == []
    assert value_of(lab, "len(echo([0.5] * 500_000))", tools()) == "500000"


def test_the_hosts_own_limits(open_lab: OpenLab) -> None:
    limits = ToolLimits(max_payload_bytes=1000, max_concurrent=5)
    lab = open_lab(replace(SLOW, tools=limits), SETUP)
    calls = tools()
    too_much = lab.run("echo('x' * 2000)", calls).error
    assert too_much.ename == "ValueError"
    assert "echo(): the arguments take 2," in too_much.evalue
    assert "at most 1,000 are taken" in too_much.evalue
    assert calls.requests == []
    many = lab.run("import asyncio\nawait asyncio.gather(*(wait(0.2) for _ in range(6)))", calls).error
    assert many.ename == "RuntimeError"
    assert many.evalue == "wait(): more than 5 calls at once; gather them in smaller batches"
    assert value_of(lab, "add(1, 2)", tools()) == "3"


def test_however_many_are_gathered_they_take_turns(lab: Lab) -> None:
    calls = tools()
    code = "import asyncio\nsum(await asyncio.gather(*(add(i, 1) for i in range(1000))))"
    assert value_of(lab, code, calls) == str(sum(range(1001)))
    assert len(calls.requests) == 1000


def test_result_too_large_is_a_value_error(open_lab: OpenLab) -> None:
    lab = open_lab(replace(SLOW, tools=ToolLimits(max_payload_bytes=1000)), SETUP)
    calls = Calls({"echo": lambda n: "x" * n})
    error = lab.run("echo(5000)", calls).error
    assert error.ename == "ValueError"
    assert "echo(): the result takes 5,0" in error.evalue
    assert value_of(lab, "echo(3)", calls) == "'xxx'"


def test_call_after_the_cell_is_refused(lab: Lab) -> None:
    lab.run(
        "import threading\n"
        "go, said = threading.Event(), []\n"
        "def late():\n"
        "    go.wait()\n"
        "    try: add(1, 1)\n"
        "    except Exception as e: said.append(repr(e))\n"
        "thread = threading.Thread(target=late)\nthread.start()\n"
        "_ = threading.Timer(0.1, go.set).start()",
        tools(),
    )
    lab.wait(asyncio.sleep(0.4))  # between two cells: the timer fires and the call comes
    assert "no cell is running" in value_of(lab, "thread.join()\nsaid[0]", tools())


def test_failure_of_the_host_comes_out_of_execute(open_lab: OpenLab) -> None:
    class Broken(Calls):
        async def call(self, request: ToolRequest) -> ToolOutcome:
            raise OSError(28, "No space left on device")

    lab = open_lab(SLOW, SETUP)
    with pytest.raises(OSError, match="No space left"):
        lab.run("add(1, 1)", Broken())
    lab.restart()
    assert value_of(lab, "add(1, 1)", tools()) == "2"


HOSTILE = (
    "import json, os, socket\n"
    "from codeact_kernel.in_kernel import attach\n"
    "fd = attach.channel._sock.fileno()\n"
    "def raw(data):\n"
    "    while data: data = data[os.write(fd, data):]\n"
    "def frame(body): raw(len(body).to_bytes(4, 'big') + body)\n"
)


@pytest.mark.parametrize(
    "attack",
    [
        "raw(b'\\xff' * 100)",
        "frame(b'not json')",
        "frame(b'[1, 2]')",
        "frame(b'[' * 1_000_000)",
        "frame(b'\\xff\\xfe')",
        'frame(b\'{"t": "call"}\')',
        'frame(b\'{"t": "call", "id": "x", "tool": 3, "args": 1, "kwargs": 2}\')',
        'frame(b\'{"t": "refused", "kind": "everything", "name": "x"}\')',
        "raw((65 * 1024 * 1024).to_bytes(4, 'big') + b'x' * 100)",
        "os.close(fd)",
        "socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)",
    ],
)
def test_broken_protocol_ends_the_kernel_in_order(hurried: Lab, attack: str) -> None:
    calls = tools()
    cell = hurried.run(f"{HOSTILE}{attack}\nimport time\ntime.sleep(20)", calls)
    assert cell.status == "killed"
    assert cell.reason.startswith("it broke the tool channel (")
    assert calls.requests == []
    assert calls.refusals == []
    hurried.restart()
    assert value_of(hurried, "6 * 7") == "42"


def test_flood_of_calls_with_nobody_reading_the_answers(hurried: Lab) -> None:
    calls = tools()
    call = '{"t": "call", "id": %d, "tool": "echo", "args": [["x", "y"]], "kwargs": {}}'
    cell = hurried.run(f"{HOSTILE}n = 0\nwhile True:\n    n += 1\n    frame(({call!r} % n).encode())", calls)
    assert cell.status in ("timeout", "killed")
    assert cell.seconds < 8
    assert calls.running == 0
    if hurried.session._mailbox is None:
        hurried.restart()
    assert value_of(hurried, "6 * 7") == "42"


def test_call_in_flight_twice_breaks_the_protocol(hurried: Lab) -> None:
    call = b'{"t": "call", "id": 1, "tool": "hang", "args": [], "kwargs": {}}'
    calls = tools()
    cell = hurried.run(f"{HOSTILE}frame({call!r})\nframe({call!r})\nwhile True: pass", calls)
    assert cell.reason.startswith(
        "it broke the tool channel (the kernel broke the protocol: call 1 is in flight"
    )
    assert len(calls.cancelled) == 1


def test_flood_of_refusals_is_bounded(hurried: Lab) -> None:
    calls = tools()
    refused = b'{"t": "refused", "kind": "import", "name": "%s"}' % (b"x" * 5000)
    hurried.run(f"{HOSTILE}for _ in range(5000): frame({refused!r})", calls)
    assert len(calls.refusals) == 1000
    assert all(len(refusal.name) == 200 for refusal in calls.refusals)
