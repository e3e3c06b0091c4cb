"""Owns where tools run: the seam, and the runner that needs nothing but the current event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from .tool import Tool

MAX_THREADS = 256


class Runner(Protocol):
    """Decides on which thread a tool runs. Called by `ToolRegistry.call`, on the loop's thread."""

    async def run(self, tool: Tool, call: Callable[[], object]) -> object:
        """What `call()` returns; when that is awaitable, what it gives, awaited on this loop.

        `call` runs the tool and never raises an Exception: failures are in what it returns.
        """
        ...

    def at_once(self, tool: Tool) -> contextvars.Context | None:
        """Where `call()` may be made right here, the context to make it in; None: it has to be `run`."""
        ...


class InlineRunner:
    """Async tools and `thread="caller"` or `"loop"` on the current loop, all others in threads.

    The threads are daemons: a tool that never returns cannot keep the process from ending.
    """

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self._max = max_threads
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0

    async def run(self, tool: Tool, call: Callable[[], object]) -> object:
        if tool.is_async or tool.thread in ("caller", "loop"):
            result = call()
        else:
            result = await self._in_thread(call)
        return await result if inspect.isawaitable(result) else result

    def at_once(self, tool: Tool) -> contextvars.Context | None:
        is_here = not tool.is_async and tool.thread in ("caller", "loop")
        return contextvars.copy_context() if is_here else None

    def close(self) -> None:
        """Ends the idle threads; a busy one ends after its tool. May be called twice."""
        for _ in range(self._started):
            self._jobs.put(None)
        self._started = 0

    async def _in_thread(self, call: Callable[[], object]) -> object:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()
        context = contextvars.copy_context()

        def job() -> None:
            if done.cancelled():
                return  # Nobody waits any more: what has not begun is not to happen.
            try:
                settle: Callable[[], None] = _result(done, context.run(call))
            except BaseException as problem:  # KeyboardInterrupt and its like go to who awaits
                settle = _error(done, problem)
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._started < self._max:
            self._started += 1
            threading.Thread(target=self._work, name=f"codeact-tool-{self._started}", daemon=True).start()
        return await done

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # an idle thread keeps nothing of its last call alive
            self._idle.release()


def _result(done: asyncio.Future[object], value: object) -> Callable[[], None]:
    return lambda: None if done.done() else done.set_result(value)


def _error(done: asyncio.Future[object], problem: BaseException) -> Callable[[], None]:
    return lambda: None if done.done() else done.set_exception(problem)
