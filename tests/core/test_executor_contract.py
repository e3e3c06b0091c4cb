"""What every Executor must do, asked of the shipped fake and of the real kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

import pytest

from codeact_kernel.config import Limits, Settings
from codeact_kernel.exceptions import SandboxError
from codeact_kernel.interfaces import CallHandler, Executor
from codeact_kernel.outputs import Display, Error, Finished, Output, Result, Status, Stream
from codeact_kernel.rebuild import restore
from codeact_kernel.sandbox.fake import Call, FakeExecutor, Hang, Moves
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Trajectory,
    Turn,
)
from codeact_kernel.wire.messages import (
    Json,
    Returned,
    ToolCall,
    ToolOutcome,
    ToolParameter,
    ToolRequest,
    ToolSpec,
)
from codeact_kernel.wire.setup import SetupSpec, setup_source

TOOLS = (ToolSpec("add", (ToolParameter("a"), ToolParameter("b"))), ToolSpec("stall"))
SETUP = setup_source(SetupSpec("contract", (), TOOLS))

ASSIGN = "x = 1"
PRINTS = "import logging\nfor i in range(3): print('line', i)\nlogging.error('bad')"
SHOWS = "from IPython.display import display\ndisplay({'a': 1})\n40 + 2"
FAILS = "x = 2\nraise ValueError('no')"
CALLS = "y = add(3, b=4)\nprint(y)"
STALLS = "print('go', flush=True)\nstall()"
IMPORTS = "import socket"
HANGS = "print('go', flush=True)\nz = 1\nwhile True: pass"
DIES = "import ctypes\nctypes.string_at(0)"


def play(source: str) -> Moves:
    """What the sources above do, as a script of the fake."""
    match source:
        case "x = 1":
            yield Finished("ok", names=("x",))
        case _ if source == PRINTS:
            yield Stream("stdout", "line 0\nline 1\nline 2\n")
            yield Stream("stderr", "ERROR:root:bad\n")
        case _ if source == SHOWS:
            yield Display({"text/plain": "{'a': 1}"})
            yield Result({"text/plain": "42"}, 2)
        case _ if source == FAILS:
            yield Error("ValueError", "no")
            yield Finished("error", names=("x",))
        case _ if source == CALLS:
            outcome = yield Call("add", (3,), {"b": 4})
            assert isinstance(outcome, Returned)
            yield Stream("stdout", f"{outcome.value}\n")
            yield Finished("ok", names=("y",))
        case _ if source == STALLS:
            yield Stream("stdout", "go\n")
            yield Call("stall")
        case _ if source == IMPORTS:
            yield Refusal("import", "socket")
            yield Error("ImportError", "not allowed")
        case _ if source == HANGS:
            yield Stream("stdout", "go\n")
            yield Hang()
        case _ if source == DIES:
            yield Finished("killed", "its process ended (SIGSEGV)")
        case _:
            raise AssertionError(source)


class Handler(CallHandler):
    """Adds, stalls, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[ToolRequest] = []
        self.refusals: list[Refusal] = []
        self.cancelled = 0

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.requests.append(request)
        if request.tool == "stall":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        numbers: list[Json] = [*request.args, *request.kwargs.values()]
        return Returned(sum(n for n in numbers if isinstance(n, int)))

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


def fake() -> Executor:
    return FakeExecutor(play)


def real() -> Executor:
    return KernelSession(Settings(Limits(interrupt_grace_s=5)))


Make: TypeAlias = Callable[[], Executor]
both = pytest.mark.parametrize(
    "make", [pytest.param(fake, id="fake"), pytest.param(real, id="kernel", marks=pytest.mark.kernel)]
)


@asynccontextmanager
async def started(make: Make) -> AsyncIterator[Executor]:
    executor = make()
    try:
        await executor.start(SETUP)
        yield executor
    finally:
        await executor.aclose()


async def outputs(executor: Executor, source: str, handler: Handler | None = None) -> list[Output]:
    async with aclosing(executor.execute(Action(source), handler or Handler())) as stream:
        return [output async for output in stream]


def finished(shown: list[Output]) -> Finished:
    """The last item, which is the only Finished."""
    *rest, last = shown
    assert isinstance(last, Finished)
    assert not any(isinstance(item, Finished) for item in rest)
    return last


async def interrupted(executor: Executor, source: str, handler: Handler) -> Finished:
    """Interrupts the cell once it has printed."""
    shown: list[Output] = []
    async with aclosing(executor.execute(Action(source), handler)) as stream:
        async for output in stream:
            shown.append(output)
            if isinstance(output, Stream):
                await executor.interrupt()
    return finished(shown)


def run(make: Make, case: Callable[[Executor], Awaitable[None]]) -> None:
    async def main() -> None:
        async with started(make) as executor:
            await case(executor)

    asyncio.run(main())


@both
def test_cells_show_their_outputs_in_order_and_end_once(make: Make) -> None:
    async def case(executor: Executor) -> None:
        first = finished(await outputs(executor, ASSIGN))
        assert (first.status, first.reason, first.execution_count) == ("ok", None, 2)
        assert "x" in first.names
        shown = await outputs(executor, PRINTS)
        assert "".join(s.text for s in shown if isinstance(s, Stream) and s.name == "stdout") == (
            "line 0\nline 1\nline 2\n"
        )
        assert "".join(s.text for s in shown if isinstance(s, Stream) and s.name == "stderr") == (
            "ERROR:root:bad\n"
        )
        assert finished(shown).execution_count == 3
        display, result, _ = await outputs(executor, SHOWS)
        assert isinstance(display, Display)
        assert isinstance(result, Result)
        assert (display.data["text/plain"], result.data["text/plain"]) == ("{'a': 1}", "42")

    run(make, case)


@both
def test_program_failure_is_data(make: Make) -> None:
    async def case(executor: Executor) -> None:
        error, end = await outputs(executor, FAILS)
        assert isinstance(error, Error)
        assert (error.ename, error.evalue) == ("ValueError", "no")
        assert finished([end]).status == "error"
        assert "x" in finished([end]).names
        assert finished(await outputs(executor, ASSIGN)).status == "ok"

    run(make, case)


@both
def test_calls_and_refusals_go_to_the_handler_of_the_cell(make: Make) -> None:
    async def case(executor: Executor) -> None:
        handler, other = Handler(), Handler()
        shown = await outputs(executor, CALLS, handler)
        assert Stream("stdout", "7\n") in shown
        (request,) = handler.requests
        assert (request.tool, request.args, request.kwargs) == ("add", (3,), {"b": 4})
        refused = await outputs(executor, IMPORTS, other)
        assert finished(refused).status == "error"
        assert other.refusals == [Refusal("import", "socket")]
        assert other.requests == handler.refusals == []

    run(make, case)


@both
def test_an_interrupt_ends_the_cell_and_keeps_the_kernel(make: Make) -> None:
    async def case(executor: Executor) -> None:
        end = await interrupted(executor, HANGS, Handler())
        assert (end.status, end.reason is not None) == ("timeout", True)
        assert finished(await outputs(executor, ASSIGN)).status == "ok"

    run(make, case)


@both
def test_an_interrupt_cancels_a_pending_call(make: Make) -> None:
    async def case(executor: Executor) -> None:
        handler = Handler()
        end = await interrupted(executor, STALLS, handler)
        assert end.status == "timeout"
        assert handler.cancelled == len(handler.requests) <= 1
        assert finished(await outputs(executor, ASSIGN)).status == "ok"

    run(make, case)


@both
def test_an_interrupt_of_nothing_does_nothing(make: Make) -> None:
    async def case(executor: Executor) -> None:
        await executor.interrupt()
        assert finished(await outputs(executor, ASSIGN)).status == "ok"

    run(make, case)


@both
def test_one_cell_at_a_time(make: Make) -> None:
    async def case(executor: Executor) -> None:
        async with aclosing(executor.execute(Action(HANGS), Handler())) as stream:
            assert isinstance(await anext(stream), Stream)
            with pytest.raises(SandboxError, match="one at a time"):
                await outputs(executor, ASSIGN)
            await executor.interrupt()
            assert finished([output async for output in stream]).status == "timeout"

    run(make, case)


@both
def test_a_cell_that_is_abandoned_leaves_the_kernel_down_until_it_is_restarted(make: Make) -> None:
    async def case(executor: Executor) -> None:
        async with aclosing(executor.execute(Action(HANGS), Handler())) as stream:
            assert isinstance(await anext(stream), Stream)
        with pytest.raises(SandboxError, match="restart"):
            await outputs(executor, ASSIGN)
        await executor.restart()
        assert finished(await outputs(executor, ASSIGN)).execution_count == 2

    run(make, case)


@both
def test_an_executor_starts_once_and_closes_twice(make: Make) -> None:
    async def main() -> None:
        executor = make()
        versions: Mapping[str, str] = await executor.start(SETUP)
        assert "python" in versions
        with pytest.raises(SandboxError, match="make a new one"):
            await executor.start(SETUP)
        await executor.aclose()
        await executor.aclose()
        with pytest.raises(SandboxError):
            await outputs(executor, ASSIGN)

    asyncio.run(main())


@both
def test_closing_what_was_never_started(make: Make) -> None:
    asyncio.run(make().aclose())


@both
def test_a_kill_is_data_and_the_executor_is_down_until_restarted(make: Make) -> None:
    async def main() -> None:
        executor = make()
        try:
            await executor.start(setup_source(SetupSpec("contract", ("ctypes",), TOOLS)))
            end = finished(await outputs(executor, DIES))
            assert (end.status, end.execution_count) == ("killed", None)
            assert end.reason is not None
            assert "SIGSEGV" in end.reason
            with pytest.raises(SandboxError, match="restart"):
                await outputs(executor, ASSIGN)
            await executor.restart()
            assert finished(await outputs(executor, ASSIGN)).status == "ok"
        finally:
            await executor.aclose()

    asyncio.run(main())


def step(index: int, source: str, status: Status, *names: str, calls: tuple[ToolCall, ...] = ()) -> Step:
    observation = Observation(status, names=names, tool_calls=calls, reason="gone")
    return Step(index, Reply(code=source), Action(source), observation)


@both
def test_state_is_restored_from_the_tape(make: Make) -> None:
    """`restore` sees only the seam, so it is asked of both; the answer on the tape is a wrong one."""
    calls = (ToolCall(2, 1, "add", (3,), {"b": 4}, Returned(70)),)
    steps = (step(1, ASSIGN, "ok", "x"), step(2, CALLS, "ok", "y", calls=calls))

    async def case(executor: Executor) -> None:
        trajectory = Trajectory(RunInfo("r", "m", "", SETUP), (Turn("t", steps),))
        assert await restore(executor, trajectory, Action("lost = 1")) == ("lost",)
        last = finished(await outputs(executor, ASSIGN))
        assert last.execution_count == 4

    run(make, case)
