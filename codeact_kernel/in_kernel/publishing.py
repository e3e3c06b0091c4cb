"""Owns how this kernel's threads hand over messages: with as few switches between threads as it takes.

A switch costs a step more than the message does: each one waits for the other thread to get the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ipykernel.iostream import IOPubThread

MOST_WAITING = 1000
"""Messages; who hands over more waits until they are sent."""
CATCH_UP_S = 1.0


class PublishingThread(IOPubThread):  # type: ignore[misc]  # ipykernel publishes no types
    """Stock's IOPub thread, which is woken once for all that waits for it, not once for each message."""

    _events: deque[Callable[[], object]]
    _woken = False
    unwaited = 0
    """Bytes handed over since somebody last waited for this thread."""

    def schedule(self, f: Callable[[], object]) -> None:
        if self.thread.is_alive():
            self._events.append(f)
            self.wake()
        else:
            f()  # As stock: a forked child sends by itself.

    def hold(self, f: Callable[[], object]) -> None:
        """As `schedule`, for what something else follows at once: that wakes the thread for both."""
        if self.thread.is_alive():
            self._events.append(f)
        else:
            f()

    def wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._event_pipe.send(b"")

    def send_multipart(self, msg: list[bytes], *args: Any, **kwargs: Any) -> None:
        self.unwaited += sum(map(len, msg))
        super().send_multipart(msg, *args, **kwargs)
        if len(self._events) > MOST_WAITING and threading.current_thread() is not self.thread:
            self._catch_up()

    def _catch_up(self) -> None:
        """Or a thread that hands over without a pause would fill the memory, and all others wait for what is
        before theirs."""
        done = threading.Event()
        self.schedule(done.set)
        done.wait(CATCH_UP_S)

    @property
    def waiting(self) -> int:
        """What has been handed over and not begun yet."""
        return len(self._events)

    def _handle_event(self, msg: object) -> None:
        self._woken = False  # First: whoever comes later wakes it again.
        try:
            super()._handle_event(msg)
        except BaseException:
            self.wake()  # For the rest.
            raise


class HeldSocket:
    """The socket for a message that another one follows at once."""

    def __init__(self, thread: PublishingThread) -> None:
        self._thread = thread

    def send_multipart(self, message: list[bytes], **options: Any) -> None:
        self._thread.hold(lambda: self._thread._really_send(message, **options))


class NoSubshells:
    """Stands for stock's thread between the shell channel and subshells where there are none, and is false.

    An agent runs one cell at a time. Without the thread, requests and replies take no way around it.
    """

    def __init__(self) -> None:
        self.parent_thread = threading.current_thread()

    def __bool__(self) -> bool:
        return False
