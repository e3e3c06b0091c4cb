"""Owns the kernel that runs actions: IPython, interruptible, and it says which variables a cell changed."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from IPython.core.compilerop import CachingCompiler
from IPython.core.events import EventManager

from codeact_kernel.in_kernel import attach, denials_hooks
from codeact_kernel.in_kernel.bounded import BoundedSession
from codeact_kernel.in_kernel.publishing import HeldSocket
from codeact_kernel.in_kernel.shell import ActionShell
from codeact_kernel.in_kernel.streams import OBSERVATIONS, CappedOutStream


def _is_caught(frame: types.FrameType | None) -> bool:
    """Whether IPython catches a KeyboardInterrupt here. Elsewhere it would end the kernel's event loop."""
    safe = (ActionShell.run_code.__code__, EventManager.trigger.__code__)
    while frame is not None:
        if frame.f_code in safe:
            return True
        frame = frame.f_back
    return False


class ActionKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel publishes no types
    """An IPython kernel for actions.

    Beyond stock: a cell that awaits, or that blocks after an await, can be interrupted; execute
    replies carry `codeact: {"names": […], "truncated": …}`, the variables the cell created or rebound
    and whether not all that it printed was sent; what a cell prints is kept as `_obs[n]`, up to a bound.
    """

    shell_class = ActionShell
    compiler_class = CachingCompiler  # Code names without the pid: two runs give the same traceback.
    _execute_sleep = 0.0  # Stock waits half a millisecond before each reply; outputs are in order anyway.

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shell.user_ns["_obs"] = OBSERVATIONS
        self.shell.user_ns_hidden["_obs"] = OBSERVATIONS

    async def do_execute(self, code: str, silent: bool, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.shell.transformed = None
        before = self._bindings()
        cut = self._messages_cut()
        for stream in self._streams():
            stream.begin_cell()
        try:
            reply: dict[str, Any] = await super().do_execute(code, silent, *args, **kwargs)
        except RecursionError:
            reply = self._too_deep()  # Stock ipykernel would never answer.
        finally:
            missing = [stream.end_cell() for stream in self._streams()]
            denials_hooks.end_cell()
        if not silent:
            OBSERVATIONS._close(int(reply.get("execution_count", 0)))
            names = self._rebound(before)
            reply["codeact"] = {"names": names, "truncated": any(missing) or self._messages_cut() > cut}
        return reply

    def _streams(self) -> list[CappedOutStream]:
        return [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, CappedOutStream)]

    def _too_deep(self) -> dict[str, Any]:
        self.shell.showtraceback()
        return {
            "status": "error",
            "ename": "RecursionError",
            "evalue": "the cell is nested too deeply to be compiled; split it up",
            "traceback": [],
            "execution_count": self.shell.execution_count,
            "user_expressions": {},
            "payload": [],
        }

    def _messages_cut(self) -> int:
        return self.session.cut if isinstance(self.session, BoundedSession) else 0

    def _bindings(self) -> dict[str, int]:
        names = self.shell.user_ns.copy()  # At once, since threads of the program may be at it.
        return dict(zip(names, map(id, names.values()), strict=True))

    def _rebound(self, before: Mapping[str, int]) -> list[str]:
        """The user's variables that stand for something else than before, or are new."""
        hidden = self.shell.user_ns_hidden
        return [
            name
            for name, value in list(self.shell.user_ns.items())
            if before.get(name) != id(value)
            and not name.startswith("_")
            and not (name in hidden and hidden[name] is value)
        ]

    # --- threads ---

    @property
    def _supports_kernel_subshells(self) -> bool:
        return bool(self.shell_channel_thread)

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        """As stock. That a cell has begun goes out with its `execute_input`, which comes at once."""
        request = parent or self.get_parent(channel)
        cell = request.get("header", {}).get("msg_type") == "execute_request"
        if status == "busy" and cell and not request.get("content", {}).get("silent", False):
            content, ident = {"execution_state": status}, self._topic("status")
            self.session.send(HeldSocket(self.iopub_thread), "status", content, parent=request, ident=ident)
        else:
            super()._publish_status(status, channel, parent)

    # --- interrupts ---

    def pre_handler_hook(self) -> None:
        self.shell.interrupted = False
        self.saved_sigint_handler = signal.signal(signal.SIGINT, self._on_sigint)

    def _on_sigint(self, signum: int, frame: types.FrameType | None) -> None:
        channel = attach.channel
        if channel is not None and channel.interrupts.active:
            channel.interrupts.interrupted = True
        elif _is_caught(frame):
            raise KeyboardInterrupt
        else:
            self.shell.interrupted = True

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        """Stock ipykernel neither wakes a sleeping event loop nor stops code that blocks after an await."""
        loop = asyncio.get_running_loop()
        ours = asyncio.all_tasks(loop)

        def on_sigint(signum: int, frame: types.FrameType | None) -> None:
            channel = attach.channel
            if channel is not None and channel.interrupts.active:
                channel.interrupts.interrupted = True
            elif not self._in_user_code(frame):
                loop.call_soon_threadsafe(future.cancel)
            elif asyncio.current_task(loop) is future:
                raise KeyboardInterrupt
            else:
                # In a task that the cell made: KeyboardInterrupt would tear down the event loop, and
                # its siblings that are due next would block in their turn.
                for task in asyncio.all_tasks(loop) - ours:
                    task.cancel()
                raise asyncio.CancelledError("interrupted")

        saved = signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, saved)

    def _in_user_code(self, frame: types.FrameType | None) -> bool:
        namespace = self.shell.user_global_ns
        while frame is not None:
            if frame.f_globals is namespace:
                return True
            frame = frame.f_back
        return False

    def _send_interrupt_children(self) -> None:
        # To the main thread, not to the process: any other thread that took the signal would leave
        # the main thread asleep in its system call.
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGINT)
