"""Owns `codeact mcp-server`: the isolated kernel for any MCP client, over stdio or HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from traitlets import Float, Int, Unicode

from ..config import Settings
from ..exceptions import UsageError
from ..tools.registry import Tool, ToolRegistry
from ..wire.messages import ToolModule
from .app import CodeactApp
from .approval_modes import Modes
from .assembly import Agent
from .doors import outlets, tools_of
from .kernel_agent import NoModel
from .mcp_server import KernelServer
from .mcp_server_asking import ClientAsker
from .mcp_server_http import LOOPBACK, PATH, FrontDoor, address, application, listening, serve_http
from .mcp_server_kernels import Kernels
from .mcp_server_stdio import serve_stdio
from .mcp_server_words import about
from .page import Page
from .server_configs import MISSING, configs_of
from .terminal import clean

TOKEN = "CODEACT_MCP_TOKEN"
FOLDER = "codeact-runs"


@dataclass(frozen=True)
class Entrance:
    """Where HTTP is served, and what clients have to know; "" for nothing."""

    host: str
    port: int
    token: str = field(repr=False)


class McpServerApp(CodeactApp):
    """The traits of `codeact mcp-server`."""

    name = "codeact-mcp-server"
    command = "mcp-server"
    http = Unicode("", help="PORT or HOST:PORT to serve HTTP on; empty: the standard streams.").tag(
        config=True
    )
    out = Unicode(FOLDER, help="The folder that notebooks are saved in.").tag(config=True)
    sessions = Int(8, min=1, help="Clients that may have a kernel at once, over HTTP.").tag(config=True)
    idle_s = Float(1800.0, min=1, help="Seconds after which an idle kernel ends, over HTTP.").tag(config=True)

    def start(self) -> int:
        if importlib.util.find_spec("mcp") is None:
            raise UsageError(MISSING)
        settings, folder = self.settings(), _folder(self.out)
        entrance = self._entrance(settings) if self.http else None
        if entrance is None and sys.stdin is None:
            raise UsageError("standard input is closed, where the client speaks; --http serves without it")
        with outlets(True) as (console, wire):  # From here on stdout is the protocol's.
            assert wire is not None
            page, tools = Page(console), tools_of(self.tools)
            kernel = self._offered(page, settings, tools, folder)
            if entrance is not None:
                asyncio.run(self._over_http(page, kernel, entrance))
            else:
                stdin = os.fdopen(os.dup(0), "rb", buffering=0)
                _nothing_on_stdin()
                stdout = os.fdopen(os.dup(wire.fileno()), "wb", buffering=0)
                serving = serve_stdio(kernel.server(), stdin, stdout)
                asyncio.run(_until_signal(serving, kernel.kernels.aclose))
        return 0

    def _entrance(self, settings: Settings) -> Entrance:
        """Raises: UsageError."""
        host, port = address(self.http)
        token = os.environ.get(TOKEN, "")
        if host not in LOOPBACK and not token:
            raise UsageError(
                f"--http {self.http!r}: whoever reaches {host} could run code with your data and tools; set "
                f"{TOKEN} to a secret that clients send (Authorization: Bearer …)"
            )
        if settings.profile.workspace is not None and self.sessions > 1:
            raise UsageError(
                "--workspace is one folder, and each client has a kernel of its own: add --sessions 1, or "
                "leave it out"
            )
        return Entrance(host, port, token)

    async def _over_http(self, page: Page, kernel: KernelServer, entrance: Entrance) -> None:
        kernels, host, token = kernel.kernels, entrance.host, entrance.token
        app = application(kernel.server(), host, kernels=self.sessions, idle_s=self.idle_s)
        with listening(host, entrance.port) as listener:
            shown = f"[{host}]" if ":" in host else host
            page.line(f"MCP at http://{shown}:{listener.getsockname()[1]}{PATH}")
            if not token:
                said = f"any user of this machine can connect; {TOKEN} in the environment prevents it"
                page.line(said, "dim")
            stop = asyncio.Event()
            sweeping = asyncio.create_task(kernels.sweep())
            serving = serve_http(FrontDoor(app, token, kernels.end), listener, stop)
            try:
                await _until_signal(serving, kernels.aclose, stop.set)
            finally:
                sweeping.cancel()

    def _offered(self, page: Page, settings: Settings, tools: tuple[Tool, ...], folder: Path) -> KernelServer:
        """Raises: UsageError, before any client sees it."""
        registry, servers = ToolRegistry(tools), configs_of(self.mcp or None)
        registry.add((), (ToolModule(config.module, "mcp_servers") for config in servers))
        Modes(self.approve or None, registry.tools.values(), registry.modules())

        def make(path: Path, asker: ClientAsker) -> Agent:
            return Agent(
                tools,
                model=NoModel("none"),
                settings=settings,
                out=path,
                verify=False,
                approve=self.approve or None,
                asker=asker,
                mcp=servers or None,
            )

        def tell(text: str) -> None:
            page.line(clean(text), "dim")

        most, idle_s = (self.sessions, self.idle_s) if self.http else (1, None)
        kernels = Kernels(make, folder, most=most, idle_s=idle_s, tell=tell)
        words = about(settings.profile, registry.specs(), registry.modules())
        reaches_out = bool(tools or servers)
        return KernelServer(kernels, settings.output, words, reaches_out=reaches_out, tell=tell)


async def _until_signal(
    serving: Awaitable[None], close: Callable[[], Awaitable[None]], stop: Callable[[], None] | None = None
) -> None:
    """Serves until the end, or until SIGTERM or Ctrl-C, and then ends the kernels: their notebooks are saved.
    `stop`: ends the serving gently; None: it is cancelled. A second signal ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(serving)
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    waiting = asyncio.create_task(signalled.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await close()
        if stop is not None:
            stop()
        else:
            task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _folder(name: str) -> Path:
    """Raises: UsageError."""
    folder = Path(name).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(
            f"--out {name!r} cannot be made ({problem.strerror}); name a folder for notebooks: --out DIR"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--out {str(folder)!r} cannot be written; name another folder: --out DIR")
    return folder


def _nothing_on_stdin() -> None:
    """For whatever else would read there, a program that a tool starts above all."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
