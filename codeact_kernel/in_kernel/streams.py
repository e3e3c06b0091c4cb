"""Owns stdout and stderr of a cell: bounded on the wire, and readable afterwards as `_obs[n]`.

The host bounds what it takes anyway; this keeps an honest cell that prints a gigabyte running.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

from ipykernel.iostream import OutStream

from codeact_kernel.in_kernel import attach
from codeact_kernel.in_kernel.publishing import PublishingThread

MIB = 1024 * 1024
WIRE_CHARS = 8 * MIB
"""Characters of one stream of one cell that are sent as they come; beyond it only the tail follows."""
TAIL_CHARS = 64 * 1024
KEPT_CHARS = 2 * MIB
"""Characters of one cell that `_obs` keeps."""
KEPT_CELLS = 500
PIPE_BYTES = 4096
DRAIN_S = 0.2
MAX_WAITING = 100
"""Messages that may wait for the publishing thread when the reply of a cell is sent; if more do, it waits."""
MAX_UNWAITED = 64 * 1024
"""Bytes that a cell may show before it waits for them."""


class Tail:
    """The last `limit` characters of a text that grows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: deque[str] = deque()
        self._size = 0
        self.dropped = 0

    def add(self, text: str) -> None:
        if len(text) > self._limit:
            self.dropped += len(text) - self._limit
            text = text[-self._limit :]
        self._parts.append(text)
        self._size += len(text)
        while self._size - len(self._parts[0]) >= self._limit:
            gone = self._parts.popleft()
            self._size -= len(gone)
            self.dropped += len(gone)

    def text(self) -> str:
        return "".join(self._parts)


class Observations(Mapping[int, str]):
    """`_obs[n]`: the text that cell n printed, in full up to a bound. Read-only for action code."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._parts: list[str] = []
        self._size = 0

    def __getitem__(self, count: int) -> str:
        try:
            return self._texts[count]
        except KeyError:
            have = f"{min(self._texts)}–{max(self._texts)}" if self._texts else "none yet"
            raise KeyError(f"no text is kept of cell {count!r}; kept: {have}") from None

    def __iter__(self) -> Iterator[int]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"_obs: printed text of cells {list(self._texts)}"

    def _add(self, text: str) -> None:
        room = KEPT_CHARS - self._size
        if room > 0:
            self._parts.append(text[:room])
            self._size += len(text)

    def _close(self, count: int) -> None:
        self._texts[count] = "".join(self._parts)
        self._parts, self._size = [], 0
        while len(self._texts) > KEPT_CELLS:
            del self._texts[next(iter(self._texts))]


OBSERVATIONS = Observations()


def inherit_context() -> None:
    """From now on a thread has the context of whoever started it, and a task of a pool that of whoever
    submitted it: what they print belongs to that cell. Python 3.14 can do the first by itself."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_in_context(self: threading.Thread) -> None:
        context, run = copy_context(), self.run
        self.run = lambda: context.run(run)  # type: ignore[method-assign]  # of this thread only
        start(self)

    def submit_in_context(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        return submit(self, copy_context().run, fn, *args, **kwargs)

    threading.Thread.start = start_in_context  # type: ignore[method-assign]  # on purpose, for all
    ThreadPoolExecutor.submit = submit_in_context  # type: ignore[method-assign, assignment]  # as above


class CappedOutStream(OutStream):  # type: ignore[misc]  # ipykernel publishes no types
    """An OutStream that sends the head of what a cell prints, and at its end the tail of the rest."""

    _sent = 0
    _tail: Tail | None = None
    _cell: str | None = None
    """The message that asked for the current cell; None between two cells."""
    _pipe_lock = threading.Lock()
    _order = threading.RLock()

    def begin_cell(self) -> None:
        """What is written from now on by whoever has this context is the cell's."""
        self._cell = self.parent_header.get("msg_id", "")

    def write(self, string: str) -> int | None:
        if isinstance(string, str) and not self._is_of_widget():
            if attach.channel is not None and self._is_late():
                return len(string)  # An agent has moved on; in plain Jupyter it goes to its old cell.
            OBSERVATIONS._add(string)
            if self._sent + len(string) > WIRE_CHARS:
                return self._hold(string)
            self._sent += len(string)
        written: int | None = super().write(string)
        return written

    def flush(self) -> None:
        """As stock, but without a wait where there is nothing to wait for.

        Stock hands over to the publishing thread and waits; and it does so four times for each cell, most of
        them for nothing. What a cell flushes itself is waited for, and what it shows once that is much: so it
        is slowed down to what can be sent.
        """
        thread = self.pub_thread
        if not isinstance(thread, PublishingThread) or not thread.thread.is_alive():
            super().flush()
        elif self._cell is None and thread.waiting < MAX_WAITING:
            self._flush()
        elif self._buffers or thread.waiting or thread.unwaited > MAX_UNWAITED:
            super().flush()
            thread.unwaited = 0

    def _flush(self) -> None:
        """In whichever thread: what is taken out first is to be sent first. Not in a forked child, whose
        parent's other thread may have had the lock."""
        with self._order if self._is_master_process() else nullcontext():
            super()._flush()

    def _is_of_widget(self) -> bool:
        """Whether the callback of a widget writes: that is no cell's, whichever runs."""
        return str(self.parent_header.get("msg_type", "")).startswith("comm_")

    def _is_late(self) -> bool:
        """Whether a thread that outlives its cell writes."""
        return self._cell is None or self.parent_header.get("msg_id", "") != self._cell

    def _hold(self, string: str) -> int:
        room = max(0, WIRE_CHARS - self._sent)
        if room:
            super().write(string[:room])
            self._sent = WIRE_CHARS
        if self._tail is None:
            self._tail = Tail(TAIL_CHARS)
        self._tail.add(string[room:])
        return len(string)

    def _watch_pipe_fd(self) -> None:
        """As stock: what native code and child processes write. `_drain` can tell when it is through."""
        waiting = self._readable()
        try:
            while self._should_watch and waiting.poll():
                with self._pipe_lock:
                    data = os.read(self._fid, PIPE_BYTES)
                    if not data:
                        return
                    self.write(data.decode(errors="replace"))
                    os.write(self._original_stdstream_copy, data)
        except Exception:
            self._exc = sys.exc_info()  # Stock reports it when the stream is closed.

    def _drain(self) -> None:
        """Waits until what is in the pipe has been taken out; not for a process that writes for ever."""
        if self._fid is None:
            return
        waiting, deadline = self._readable(), time.monotonic() + DRAIN_S
        while waiting.poll(0) and time.monotonic() < deadline:
            time.sleep(0)  # The watching thread is at it.
        with self._pipe_lock:
            pass

    def _readable(self) -> select.poll:
        waiting = select.poll()
        waiting.register(self._fid, select.POLLIN)
        return waiting

    def end_cell(self) -> bool:
        """Sends what was held back and starts counting anew. Returns whether something was left out."""
        self._drain()
        tail, self._tail, self._sent, self._cell = self._tail, None, 0, None
        if tail is not None:
            if tail.dropped:
                super().write(f"\n[… {tail.dropped:,} characters of {self.name} not shown …]\n")
            super().write(tail.text())
        return tail is not None and tail.dropped > 0
