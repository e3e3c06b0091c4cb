"""Owns one process of a server: started under a guardian, its streams, its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio

from . import guardian
from .problems import Unavailable
from .server import Stdio
from .tail import Tail

GRACE_S = 2.0
"""A server whose stdin has ended may take so long to end by itself."""
LAST_WORDS_S = 1.0
CHUNK = 256 * 1024
INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""Of the host's environment, as the SDK does: a server need not see the host's keys."""


class ServerProcess:
    """A running server. Stopped by `stop`, and when the host ends, however it does.

    The SDK's own client has no bound for a line, and leaves what has left the process group, and all of it
    when the host is killed.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, lifeline: socket.socket, tail: Tail, ended: anyio.Event
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._lifeline = lifeline
        self._tail = tail
        self.stdin, self.stdout = process.stdin, process.stdout
        self._ended = ended
        self._server = 0
        self._was_stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(lifeline, self._from_guardian)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, launch: Stdio, tail: Tail, ended: anyio.Event) -> ServerProcess:
        """`ended` is set when its guardian has. Raises: Unavailable."""
        environment = _environment(launch.env)
        command = _found(launch, environment)
        theirs, ours = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guardian.__file__, str(theirs.fileno()), command, *launch.args),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd=launch.cwd or None,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                limit=CHUNK,
            )
        except BaseException as problem:
            ours.close()
            if isinstance(problem, OSError | ValueError):
                raise Unavailable(f"it cannot be started: {problem}") from None
            raise
        finally:
            theirs.close()
        return cls(process, ours, tail, ended)

    @property
    def pid(self) -> int:
        """Of its guardian."""
        return self._process.pid

    def how_it_ended(self) -> str:
        """As part of a sentence; "" while it runs, or when it was ended from here."""
        code = self._process.returncode
        if code is None or self._was_stopped:
            return ""
        number = -code if code < 0 else code - 128
        try:
            return f"signal {signal.Signals(number).name}" if number > 0 else f"exit code {code}"
        except ValueError:
            return f"exit code {code}"

    async def stop(self) -> None:
        """Its stdin ends, then its guardian ends it with all that it started; returns when they are gone,
        also when the caller is cancelled meanwhile."""
        stopping = asyncio.ensure_future(self._stop())
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await asyncio.wait([stopping])
            raise

    async def _stop(self) -> None:
        self.stdin.close()
        if not await self._gone(GRACE_S):
            self._was_stopped = True
            self._let_go()
            if not await self._gone(guardian.ASK_S + guardian.KILL_S + GRACE_S):
                self._process.kill()
                await self._gone(GRACE_S)
        self._let_go()
        if self._process.returncode == -signal.SIGKILL and self._server:
            _kill_group(self._server)  # The guardian could not.
        # Of a process that became somebody else's a pipe may still be held.
        await asyncio.wait([self._listening], timeout=GRACE_S)
        self._listening.cancel()
        self._process._transport.close()  # type: ignore[attr-defined]  # Nothing public closes the pipes.

    async def _gone(self, seconds: float) -> bool:
        """Whether it has ended. `wait` of asyncio waits for the ends of its streams too."""
        until = asyncio.get_running_loop().time() + seconds
        while self._process.returncode is None:
            if asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.01)
        return True

    def _let_go(self) -> None:
        """Said and closed: a fork of the host may hold the other descriptor of it."""
        if self._lifeline.fileno() < 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._lifeline.send(b".")
        except OSError:
            pass  # The guardian is gone already.
        self._loop.remove_reader(self._lifeline)
        self._lifeline.close()

    def _from_guardian(self) -> None:
        try:
            said = self._lifeline.recv(64)
        except OSError:
            said = b""
        if said:
            self._server = int(said)
            return
        self._loop.remove_reader(self._lifeline)
        # What the server said last may still be in the pipe.
        self._timer = self._loop.call_later(LAST_WORDS_S, self._ended.set)

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(CHUNK):
            self._tail.write(data)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | dict(given)


def _found(launch: Stdio, environment: Mapping[str, str]) -> str:
    """The program as a path. Raises: Unavailable."""
    if launch.cwd and not Path(launch.cwd).is_dir():
        raise Unavailable(f"its folder {launch.cwd!r} is not there")
    found = shutil.which(launch.command, path=environment.get("PATH", os.defpath))
    if found is None:
        where = "is not there, or no program" if "/" in launch.command else "is not on the PATH"
        raise Unavailable(f"its command {launch.command!r} {where}; install it, or correct 'command'")
    return os.path.abspath(found)
