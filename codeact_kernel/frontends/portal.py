"""Owns the portal: one long-lived thread with the event loop that everything of ours runs on.

Kernels are spawned from it, because a parent-death signal follows the spawning *thread*; and a
synchronous caller works the same from a script, from a notebook's running loop, or from threads that
come and go. A `Door` is where one call came in: it says where tools and callbacks run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ..events import Event
from ..tools.registry import InlineRunner, Tool
from ..tools.tool import Thread

T = TypeVar("T")
THREAD = "codeact-portal"
EVENT_DELAY_S = 0.02
TICK_S = 0.05

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def portal() -> asyncio.AbstractEventLoop:
    """The loop of the portal thread, started on first use, running until the process ends."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name=THREAD, daemon=True).start()
        return _loop


class Door(Protocol):
    """Where a call came in. `at_caller` and `at_loop` are awaited on the portal thread."""

    default: Thread
    """Where a synchronous tool runs that does not say."""
    context: contextvars.Context
    """Of the caller, when the call came in: its context variables are what tools see."""
    is_portal: bool
    """Whether the event loop of `at_loop` is the portal's."""

    async def at_caller(self, call: Callable[[], object]) -> object:
        """`call()` on the caller's thread."""
        ...

    async def at_loop(self, call: Callable[[], object]) -> object:
        """`call()` and, where it gives an awaitable, what that gives, on the caller's event loop."""
        ...

    def post(self, callback: Callable[[], object]) -> None:
        """Runs `callback` soon, on the caller's thread (or event loop)."""
        ...


class PortalRunner:
    """Runs tools where the door they came in by puts them; a `tools.registry.Runner`."""

    def __init__(self) -> None:
        self.door: Door = SyncDoor()
        self._workers = InlineRunner()

    async def run(self, tool: Tool, call: Callable[[], object]) -> object:
        door = self.door
        where = "loop" if tool.is_async else tool.thread or door.default
        if where == "loop":
            return await door.at_loop(call)
        if where == "caller":
            result = await door.at_caller(call)
        else:
            # In a tuple: what the worker returns may be an awaitable, which is not for this loop.
            boxed: Any = await self._workers.run(tool, lambda: (door.context.copy().run(call),))
            result = boxed[0]
        return await door.at_loop(lambda: result) if isinstance(result, Awaitable) else result

    def at_once(self, tool: Tool) -> contextvars.Context | None:
        where = tool.thread or self.door.default
        is_here = self.door.is_portal and where == "loop" and not tool.is_async
        return self.door.context.copy() if is_here else None

    def close(self) -> None:
        """Ends the idle workers."""
        self._workers.close()


class _Job:
    """A call for another thread. Made on the portal, which awaits `done`."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.done: asyncio.Future[object] = portal().create_future()

    def run(self) -> None:
        """On the other thread. Raises KeyboardInterrupt."""
        if self.done.cancelled():
            return
        try:
            result = self._call()
        except KeyboardInterrupt:
            self._settle(asyncio.Future.set_exception, RuntimeError("interrupted by the user"))
            raise
        except BaseException as problem:
            self._settle(asyncio.Future.set_exception, problem)
        else:
            self._settle(asyncio.Future.set_result, result)

    def _settle(self, how: Callable[[asyncio.Future[object], Any], None], value: object) -> None:
        portal().call_soon_threadsafe(lambda: None if self.done.done() else how(self.done, value))


class SyncDoor:
    """A caller that waits on its own thread. That thread runs the synchronous tools meanwhile, and, while
    nothing else is to be done, `on_tick` some twenty times a second."""

    default: Thread = "caller"
    is_portal = True

    def __init__(self, on_tick: Callable[[], object] | None = None) -> None:
        self._on_tick = on_tick
        self._queue: queue.SimpleQueue[_Job | Callable[[], object] | None] = queue.SimpleQueue()
        self.context = contextvars.copy_context()

    async def at_caller(self, call: Callable[[], object]) -> object:
        job = _Job(call)
        self._queue.put(job)
        return await job.done

    async def at_loop(self, call: Callable[[], object]) -> object:
        # On the portal's: the caller's own loop, if it has one, is what it blocks.
        context = self.context.copy()
        result = context.run(call)
        if not isinstance(result, Awaitable):
            return result
        return await portal().create_task(_awaited(lambda: result), context=context)

    def post(self, callback: Callable[[], object]) -> None:
        """Runs `callback` soon, on the caller's thread."""
        self._queue.put(callback)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs `coroutine` on the portal and waits. Ctrl-C, or an exception of a posted callback,
        cancels it, waits for its end, and is raised."""
        if threading.current_thread().name == THREAD:
            coroutine.close()
            raise RuntimeError(
                "a tool on the portal thread cannot run an agent synchronously; await it there"
            )
        running = _spawn(coroutine, lambda: self._queue.put(None))
        problem: BaseException | None = None
        while True:
            try:
                self._serve()
                break
            except BaseException as raised:  # Ctrl-C, or what a listener of the caller's raised.
                if problem is None:
                    problem = raised
                    _cancel(running)
                elif isinstance(raised, KeyboardInterrupt):
                    raise  # The second Ctrl-C does not wait.
        if problem is not None:
            raise problem
        return running.result().result()

    def _serve(self) -> None:
        while (item := self._next()) is not None:
            if isinstance(item, _Job):
                item.run()
            else:
                item()

    def _next(self) -> _Job | Callable[[], object] | None:
        if self._on_tick is None:
            return self._queue.get()
        try:
            return self._queue.get(timeout=TICK_S)
        except queue.Empty:
            return self._on_tick


class AsyncDoor:
    """A caller that awaits on its own event loop. Synchronous tools run in worker threads."""

    default: Thread = "worker"
    is_portal = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()

    async def at_caller(self, call: Callable[[], object]) -> object:
        job = _Job(call)
        self._loop.call_soon_threadsafe(job.run, context=self.context.copy())
        return await job.done

    async def at_loop(self, call: Callable[[], object]) -> object:
        start = asyncio.run_coroutine_threadsafe
        return await asyncio.wrap_future(self.context.copy().run(start, _awaited(call), self._loop))

    def post(self, callback: Callable[[], object]) -> None:
        """Runs `callback` soon, on the caller's event loop, if that is still there."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # It is closed: the caller was cancelled twice and has not waited.

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs `coroutine` on the portal; cancelling the caller cancels it and waits for its end."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        done.set_running_or_notify_cancel()  # A caller that is cancelled twice cannot cancel it.
        running = _spawn(coroutine, lambda: done.set_result(None))
        finished = asyncio.wrap_future(done)
        try:
            await asyncio.shield(finished)
        except asyncio.CancelledError:
            _cancel(running)
            await finished
            raise
        return running.result().result()


class EventPost:
    """Brings events from the portal to the caller's listener, a few at a time.

    Waking the caller's thread for each would make the two threads take turns at the interpreter
    lock, which costs a tool call several times what it takes.
    """

    def __init__(self, door: Door, listener: Callable[[Event], None] | None) -> None:
        self._door = door
        self._listener = listener
        self._waiting: list[Event] = []
        self.count = 0
        """Events so far."""

    def emit(self, event: Event) -> None:
        """Called on the portal thread; returns at once."""
        self.count += 1
        if self._listener is None:
            return
        if not self._waiting:
            portal().call_later(EVENT_DELAY_S, self.flush)
        self._waiting.append(event)

    def flush(self) -> None:
        """Hands over what waits. To be called once more at the end, before the door closes."""
        events, self._waiting = self._waiting, []
        listener = self._listener
        if events and listener is not None:
            self._door.post(lambda: [listener(event) for event in events])


async def _awaited(call: Callable[[], object]) -> object:
    result = call()
    return await result if isinstance(result, Awaitable) else result


def _spawn(
    coroutine: Coroutine[Any, Any, T], on_done: Callable[[], None]
) -> concurrent.futures.Future[asyncio.Task[T]]:
    """A task on the portal. `on_done` is called there when it has ended."""
    holder: concurrent.futures.Future[asyncio.Task[T]] = concurrent.futures.Future()
    loop = portal()

    def ended(task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # Seen, also when the caller was cancelled and does not look.
        on_done()

    def start() -> None:
        task = loop.create_task(coroutine)
        task.add_done_callback(ended)
        holder.set_result(task)

    loop.call_soon_threadsafe(start)
    return holder


def _cancel(running: concurrent.futures.Future[asyncio.Task[T]]) -> None:
    # One turn later: one that was cancelled before it began would not clean up, and closing would not close.
    portal().call_soon_threadsafe(lambda: portal().call_soon(running.result().cancel))
