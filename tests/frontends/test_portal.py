"""The portal and its doors, without any kernel: where tools run, and what ends a call."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from codeact_kernel.frontends.portal import THREAD, AsyncDoor, PortalRunner, SyncDoor, portal
from codeact_kernel.tools.registry import ToolRegistry, tool
from codeact_kernel.wire.messages import Raised, Returned, ToolOutcome, ToolRequest

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def where() -> str:
    return threading.current_thread().name


async def awhere() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


def seen() -> str:
    return VARIABLE.get()


async def aseen() -> str:
    await asyncio.sleep(0)
    return VARIABLE.get()


class Runs:
    """Tools behind a runner, called as the loop does: on the portal."""

    def __init__(self, *tools: Any) -> None:
        self.runner = PortalRunner()
        self.registry = ToolRegistry(tools, self.runner)

    async def call(self, door: SyncDoor | AsyncDoor, name: str) -> ToolOutcome:
        self.runner.door = door
        # The tool channel serves calls in a context of its own: that of the first task it was made for.
        call = self.registry.call(ToolRequest(1, name))
        return await portal().create_task(call, context=contextvars.Context())

    def sync(self, name: str) -> Any:
        door = SyncDoor()
        return value(door.run(self.call(door, name)))

    async def awaited(self, name: str) -> Any:
        door = AsyncDoor()
        return value(await door.run(self.call(door, name)))


def value(outcome: ToolOutcome) -> Any:
    assert isinstance(outcome, Returned), outcome
    return outcome.value


TOOLS = (
    where,
    awhere,
    tool(where, name="at_caller", thread="caller"),
    tool(where, name="at_worker", thread="worker"),
    tool(where, name="at_loop", thread="loop"),
    tool(awhere, name="a_caller", thread="caller"),
    tool(awhere, name="a_worker", thread="worker"),
    tool(lambda: awhere(), name="gives_awaitable"),
    tool(lambda: awhere(), name="gives_awaitable_in_worker", thread="worker"),
)
MAIN, WORKER = threading.main_thread().name, "codeact-tool-"


@pytest.mark.parametrize(
    ("name", "under_sync", "under_await"),
    [
        ("where", MAIN, WORKER),
        ("at_caller", MAIN, MAIN),
        ("at_worker", WORKER, WORKER),
        ("at_loop", THREAD, MAIN),
        ("awhere", THREAD, MAIN),
        ("a_caller", THREAD, MAIN),
        ("a_worker", THREAD, MAIN),
        ("gives_awaitable", THREAD, MAIN),
        ("gives_awaitable_in_worker", THREAD, MAIN),
    ],
)
def test_where_tools_run(name: str, under_sync: str, under_await: str) -> None:
    runs = Runs(*TOOLS)
    assert runs.sync(name).startswith(under_sync)
    assert asyncio.run(runs.awaited(name)).startswith(under_await)


@pytest.mark.parametrize("name", ["seen", "aseen", "in_worker", "at_caller", "at_loop"])
def test_tools_see_the_context_variables_of_the_call(name: str) -> None:
    runs = Runs(
        seen,
        aseen,
        tool(seen, name="in_worker", thread="worker"),
        tool(seen, name="at_caller", thread="caller"),
        tool(seen, name="at_loop", thread="loop"),
    )
    token = VARIABLE.set("first")
    try:
        assert runs.sync(name) == "first"
        VARIABLE.set("second")
        assert runs.sync(name) == "second"
        VARIABLE.set("third")
        assert asyncio.run(runs.awaited(name)) == "third"
    finally:
        VARIABLE.reset(token)


def test_an_asynchronous_tool_runs_on_the_callers_own_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def keep() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        await Runs(keep).awaited("keep")
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(main())


def test_a_call_from_a_thread_runs_its_tools_on_that_thread() -> None:
    runs = Runs(where)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(runs.sync("where")), name="short-lived")
    thread.start()
    thread.join()
    assert found == ["short-lived"]


def test_run_gives_what_the_coroutine_gives() -> None:
    async def good() -> int:
        return 5

    async def bad() -> None:
        raise LookupError("nothing there")

    assert SyncDoor().run(good()) == 5
    with pytest.raises(LookupError, match="nothing there"):
        SyncDoor().run(bad())

    async def main() -> None:
        assert await AsyncDoor().run(good()) == 5
        with pytest.raises(LookupError, match="nothing there"):
            await AsyncDoor().run(bad())

    asyncio.run(main())


def test_run_sync_inside_a_running_loop() -> None:
    async def main() -> str:
        return str(Runs(where).sync("where"))

    assert asyncio.run(main()) == MAIN


def test_on_the_portal_a_synchronous_door_refuses() -> None:
    async def nothing() -> None: ...

    async def at_portal() -> None:
        SyncDoor().run(nothing())

    with pytest.raises(RuntimeError, match="await it there"):
        SyncDoor().run(at_portal())


def test_on_the_portal_an_asynchronous_door_works() -> None:
    async def inner() -> str:
        return where()

    async def at_portal() -> tuple[str, Any]:
        return await AsyncDoor().run(inner()), await Runs(awhere).awaited("awhere")

    assert SyncDoor().run(at_portal()) == (THREAD, THREAD)


# --- ends --------------------------------------------------------------------------------------


class Endless:
    """A coroutine for the portal that says when it runs and how it ended."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.ended: list[str] = []

    async def run(self, then: Callable[[], None] = lambda: None) -> None:
        try:
            self.running.set()
            then()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # tidying up takes a moment, and is waited for
            self.ended.append("cancelled")
            raise


def raise_interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_cancels_waits_and_is_raised() -> None:
    endless, door = Endless(), SyncDoor()
    with pytest.raises(KeyboardInterrupt):
        door.run(endless.run(lambda: door.post(raise_interrupt)))
    assert endless.ended == ["cancelled"]


def test_the_second_ctrl_c_does_not_wait() -> None:
    door = SyncDoor()
    stuck = asyncio.Event()

    async def stubborn() -> None:
        door.post(raise_interrupt)
        try:
            await stuck.wait()
        except asyncio.CancelledError:
            door.post(raise_interrupt)
            await stuck.wait()

    with pytest.raises(KeyboardInterrupt):
        door.run(stubborn())
    portal().call_soon_threadsafe(stuck.set)


def test_ctrl_c_in_a_tool_fails_the_tool_and_ends_the_call() -> None:
    def interrupted() -> None:
        raise_interrupt()

    outcomes: list[ToolOutcome] = []
    runs, door = Runs(interrupted), SyncDoor()

    async def call() -> None:
        calling = asyncio.ensure_future(runs.call(door, "interrupted"))
        try:
            await asyncio.Event().wait()
        finally:
            outcomes.append(await calling)

    with pytest.raises(KeyboardInterrupt):
        door.run(call())
    (outcome,) = outcomes
    assert isinstance(outcome, Raised)
    assert outcome.type == "RuntimeError"
    assert "interrupted by the user" in outcome.message


def test_an_exception_of_a_listener_ends_the_call_and_is_raised() -> None:
    endless, door = Endless(), SyncDoor()

    def listener() -> None:
        raise ZeroDivisionError("in the listener")

    with pytest.raises(ZeroDivisionError, match="in the listener"):
        door.run(endless.run(lambda: door.post(listener)))
    assert endless.ended == ["cancelled"]


def test_a_listener_that_fails_again_meanwhile_changes_nothing() -> None:
    door = SyncDoor()
    tidied: list[int] = []

    async def noisy() -> None:
        door.post(lambda: 1 / 0)
        try:
            await asyncio.Event().wait()
        finally:
            door.post(lambda: [][0])
            await door.at_caller(lambda: tidied.append(1))

    with pytest.raises(ZeroDivisionError):
        door.run(noisy())
    assert tidied == [1]


def test_cancelling_the_awaiting_task_cancels_and_waits() -> None:
    endless = Endless()

    async def main() -> None:
        task = asyncio.ensure_future(AsyncDoor().run(endless.run()))
        await asyncio.to_thread(endless.running.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert endless.ended == ["cancelled"]

    asyncio.run(main())


def test_cancelling_twice_does_not_wait_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    going, stuck = threading.Event(), asyncio.Event()
    cancelled = threading.Event()

    async def stubborn() -> None:
        going.set()
        try:
            await stuck.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await stuck.wait()

    async def main() -> None:
        doors.append(AsyncDoor())
        task = asyncio.ensure_future(doors[0].run(stubborn()))
        for event in (going, cancelled):
            await asyncio.to_thread(event.wait, 10)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    doors: list[AsyncDoor] = []
    problems: list[Any] = []
    portal().set_exception_handler(lambda loop, context: problems.append(context))
    try:
        asyncio.run(main())
        portal().call_soon_threadsafe(stuck.set)
        SyncDoor().run(_settled())
        doors[0].post(lambda: None)
    finally:
        portal().set_exception_handler(None)
    assert problems == []
    assert caplog.records == []


def _settled() -> Coroutine[Any, Any, None]:
    async def turns() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    return turns()


def test_there_is_one_portal_and_it_outlives_the_threads_that_use_it() -> None:
    loops: list[object] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: loops.append(SyncDoor().run(_which())))
        thread.start()
        thread.join()
    assert loops == [portal(), portal()]


async def _which() -> object:
    return asyncio.get_running_loop()
