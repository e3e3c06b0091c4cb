"""Owns the kernels of MCP clients: one each, made when it is first needed, ended when it is idle for long.

What runs in one is a trajectory like any other, recorded from its first cell on in a notebook of its own.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..events import Event, StepFinished
from ..exceptions import CodeActError, UsageError
from ..trajectory import Step
from .assembly import Agent
from .mcp_server_asking import ClientAsker

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

MAX_CODE = 1_000_000
"""Characters of one cell."""
MAX_WAITING = 16
"""Calls of one client that wait for its kernel."""
MAX_SAVED = 200
"""Copies that one client may save."""
Make: TypeAlias = "Callable[[Path, ClientAsker], Agent]"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}")
_NAMES = 500
KEPT_S = 24 * 3600.0
"""What a client is to know of a kernel that was idle is kept so long, if the client does not end before."""


class ClientKernel:
    """The kernel of one client, with the agent that it belongs to; none before the first cell, and after a
    reset.

    Args:
        make: a new agent, whose run is saved in the notebook that is given, and who asks there.
        folder: where notebooks go.
        admit: asked before there is a kernel. Raises: UsageError.
    """

    def __init__(self, make: Make, folder: Path, admit: Callable[[], None]) -> None:
        self._make = make
        self._admit = admit
        self._ended = False
        self._folder = folder
        self._agent: Agent | None = None
        self._turn = asyncio.Lock()
        self._asker = ClientAsker()
        self._waiting = self._saved = 0
        self.used = time.monotonic()
        self.note = ""
        """What the client is to know of the kernel with the next cell."""

    @property
    def there(self) -> bool:
        """Whether there is a kernel, or one that is being made."""
        return self._agent is not None

    @property
    def busy(self) -> bool:
        return self._waiting > 0

    async def run(
        self,
        code: str,
        on_event: Callable[[Event], None] = lambda event: None,
        call: ServerRequestContext[Any] | None = None,
    ) -> Step:
        """Runs a cell after those that came before it. Cancelling it interrupts the cell and keeps the state.
        `call`: of the client, who can be asked by it.

        Raises: UsageError, SandboxError.
        """
        if len(code) > MAX_CODE:
            raise UsageError(
                f"the code has {len(code):,} characters; at most {MAX_CODE:,} are run as one cell"
            )
        if self._waiting >= MAX_WAITING:
            raise UsageError(f"{MAX_WAITING} calls wait for this kernel already; wait for their results")
        if not self.there and not self.busy:
            self._admit()
        self._waiting += 1
        try:
            async with self._turn:
                if self._ended:
                    raise UsageError("this kernel was ended, as its client or this server was")
                self._agent = agent = self._agent or self._make(self._new_path(), self._asker)
                self._asker.call = call
                try:
                    return await _step(agent, code, on_event)
                finally:
                    self._asker.call = None
        finally:
            self._waiting -= 1
            self.used = time.monotonic()

    def names(self) -> tuple[str, ...]:
        """Variables that cells have bound so far, the last ones first."""
        trajectory = self._agent.trajectory if self._agent is not None else None
        steps = trajectory.steps if trajectory is not None else ()
        bound = (name for step in reversed(steps) for name in step.observation.names)
        return tuple(dict.fromkeys(name for name in bound if _is_shown(name)))[:_NAMES]

    async def save(self, name: str) -> tuple[Path, int]:
        """A copy of the notebook as it is, and the number of its steps. Raises: UsageError."""
        name = name.removesuffix(".ipynb")
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r:.120} cannot be the name of a notebook: give letters, digits, blanks, '.', '_' and "
                "'-', no folder; at most 99 characters"
            )
        if self._saved >= MAX_SAVED:
            raise UsageError(f"{MAX_SAVED} notebooks were saved already, and no more are")
        async with self._turn:
            agent = self._agent
            if agent is None or agent.trajectory is None or not agent.path.exists():
                raise UsageError("nothing has been run yet, so there is nothing to save")
            steps = len(agent.trajectory.steps)
            path = await asyncio.to_thread(_copied, agent.path, self._folder / f"{name}.ipynb")
        self._saved += 1
        return path, steps

    async def reset(self) -> Path | None:
        """Ends the kernel when its cell is done; where its run is saved."""
        async with self._turn:
            return await self.close()

    async def end(self) -> Path | None:
        """`close`, and nothing runs here any more."""
        self._ended = True
        return await self.close()

    async def close(self) -> Path | None:
        """Ends the kernel, its cell interrupted; where its run is saved, if anything was run."""
        agent, self._agent = self._agent, None
        if agent is None:
            return None
        await agent.aclose()
        return agent.path if agent.path.exists() else None

    def _new_path(self) -> Path:
        return self._folder / f"mcp-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}.ipynb"


class Kernels:
    """The kernels of all clients.

    Args:
        most: how many there may be at once.
        idle_s: seconds after which one that nobody uses is ended; None: never.
        tell: what the user of this server should know.
    """

    def __init__(
        self,
        make: Make,
        folder: Path,
        *,
        most: int = 1,
        idle_s: float | None = None,
        tell: Callable[[str], None],
    ) -> None:
        self._make, self._folder = make, folder
        self._most, self._idle_s = most, idle_s
        self._tell = tell
        self._clients: dict[str, ClientKernel] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def of(self, client: str) -> ClientKernel:
        """The kernel of this client."""
        found = self._clients.get(client)
        if found is None:
            found = self._clients[client] = ClientKernel(self._make, self._folder, self._admit)
        found.used = time.monotonic()
        return found

    def _admit(self) -> None:
        """Raises: UsageError when there are as many as there may be."""
        if sum(one.there or one.busy for one in self._clients.values()) >= self._most:
            raise UsageError(f"all {self._most} kernels are in use; try again when another client has ended")

    def end(self, client: str) -> None:
        """The client is gone: its kernel ends soon, its notebook is kept."""
        found = self._clients.pop(client, None)
        if found is not None:
            task = asyncio.create_task(self._told(found.end()))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def sweep(self) -> None:
        """Ends kernels that are idle, for ever. To be cancelled."""
        assert self._idle_s is not None
        while True:
            await asyncio.sleep(min(self._idle_s / 4, 30.0))
            for client, found in [*self._clients.items()]:
                limit = max(self._idle_s, KEPT_S) if found.note and not found.there else self._idle_s
                if not found.busy and time.monotonic() - found.used > limit:
                    await self._idle(client, found)

    async def aclose(self) -> None:
        """Ends all of them, cells interrupted, notebooks saved."""
        for client in [*self._clients]:
            self.end(client)
        while self._ending:
            await asyncio.wait(self._ending)

    async def _idle(self, client: str, found: ClientKernel) -> None:
        """Its client may come again: it is told that the variables are gone."""
        if not found.there:
            del self._clients[client]
            return
        await self._told(found.close())
        found.note = "the kernel was idle for long and was ended: this is a new one, without its variables"

    async def _told(self, ending: Awaitable[Path | None]) -> None:
        """Tells the user where the run is saved."""
        try:
            path = await ending
        except (CodeActError, OSError) as problem:
            self._tell(f"a kernel did not end well: {problem}")
            return
        if path is not None:
            self._tell(f"saved {path}")


async def _step(agent: Agent, code: str, on_event: Callable[[Event], None]) -> Step:
    step: Step | None = None
    async with aclosing(agent.stream(None, cell=code)) as events:  # type: ignore[type-var]  # it has aclose
        async for event in events:
            if isinstance(event, StepFinished):
                step = event.step
            on_event(event)
    if step is None:
        raise UsageError("the cell was not run: a limit of this server is used up; reset() begins anew")
    return step


def _copied(path: Path, target: Path) -> Path:
    """Raises: UsageError."""
    try:
        with path.open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)
    except FileExistsError:
        raise UsageError(f"{target.name!r} exists and is not overwritten; choose another name") from None
    except OSError as problem:
        raise UsageError(f"{target.name!r} cannot be written: {problem.strerror}") from None
    return target


def _is_shown(name: str) -> bool:
    """The names come from the sandbox, and stand in a cell of ours."""
    return name.isidentifier() and name.isascii() and not name.startswith("_") and len(name) <= 100
