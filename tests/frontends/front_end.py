"""A front end for tests: starts the CodeAct kernel as Jupyter does, and speaks its protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

import codeact_kernel

SPEC = Path(codeact_kernel.__file__).parent / "frontends" / "kernelspec" / "kernel.json"
DEADLINE_S = 60.0


@dataclass
class Cell:
    """What came of a request: the messages of iopub, and the reply."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Contents of the messages of these kinds."""
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    def text(self, name: str = "stdout") -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def result(self) -> Mapping[str, Any]:
        (content,) = self.of("execute_result")
        data: Mapping[str, Any] = content["data"]
        return data

    @property
    def plain(self) -> str:
        """All displays, as a console prints them."""
        return "\n".join(content["data"].get("text/plain", "") for content in self.of("display_data"))

    def shown(self) -> list[Mapping[str, Any]]:
        """What a notebook shows in the end: displays as they end, without blank ones."""
        found: dict[object, Mapping[str, Any]] = {}
        for content in self.of("display_data", "update_display_data"):
            known = content["transient"].get("display_id")
            found[known or object()] = content["data"]
        return [data for data in found.values() if any(data.values())]


class FrontEnd:
    """One kernel and its client, used synchronously. Close it."""

    def __init__(self, folder: Path, *options: str, notebook: str = "", env: Mapping[str, str] | None = None):
        self.folder = folder
        self._runner = asyncio.Runner()
        self._sockets = tempfile.mkdtemp(prefix="ck-")
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC")}
        self._env |= {f"JUPYTER_{name.upper()}_DIR": str(folder / name) for name in ("config", "data")}
        self._env |= {"HOME": str(folder), **(env or {})}
        if notebook:
            self._env["JPY_SESSION_NAME"] = str(folder / notebook)
        spec = json.loads(SPEC.read_text())
        argv = [sys.executable, *spec["argv"][1:], *options]
        try:
            self._runner.run(self._start(argv, spec["interrupt_mode"]))
        except BaseException:
            self.close()
            raise

    async def _start(self, argv: list[str], interrupt_mode: str) -> None:
        self.manager = AsyncKernelManager(transport="ipc", ip=f"{self._sockets}/k")
        self.manager._kernel_spec = KernelSpec(
            argv=argv, display_name="CodeAct", language="codeact", interrupt_mode=interrupt_mode
        )
        self.manager.connection_file = f"{self._sockets}/k.json"
        await self.manager.start_kernel(cwd=str(self.folder), env=self._env)
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=DEADLINE_S)

    @property
    def pid(self) -> int:
        found: int = self.manager.provisioner.pid
        return found

    def processes(self) -> list[psutil.Process]:
        """The kernel and all that it has started."""
        kernel = psutil.Process(self.pid)
        return [kernel, *kernel.children(recursive=True)]

    def script(self, *replies: Mapping[str, str]) -> None:
        """Replies of the model from the next task on."""
        number = len(list(self.folder.glob("script-*.jsonl")))
        path = self.folder / f"script-{number}.jsonl"
        path.write_text("\n".join(map(json.dumps, replies)))
        assert self.run(f"%model scripted:{path}").reply["status"] == "ok"

    def run(self, code: str, **options: Any) -> Cell:
        """Runs a cell to its end."""
        return self._runner.run(self.cell(code, **options))

    def together(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Runs a coroutine on the loop of the client."""

        async def made() -> Any:
            return await make()

        return self._runner.run(made())

    async def cell(
        self,
        code: str,
        *,
        cell_id: str | None = "cell",
        during: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
        answers: Iterable[str] = (),
        **content: Any,
    ) -> Cell:
        """`during` is called with every message as it comes; `answers`: to questions on stdin."""
        request = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": bool(answers),
            "stop_on_error": True,
            **content,
        }
        session, client = self.client.session, self.client
        message = session.msg("execute_request", request, metadata={"cellId": cell_id} if cell_id else {})
        client.shell_channel.send(message)
        asked = message["header"]["msg_id"]
        answering = asyncio.ensure_future(self._answer(list(answers)))
        done = Cell()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    came = await client.get_iopub_msg(timeout=DEADLINE_S)
                    if came["parent_header"].get("msg_id") != asked:
                        continue
                    done.messages.append(came)
                    if during is not None:
                        await during(came)
                    if came["content"].get("execution_state") == "idle":
                        break
            done.reply = (await client._async_recv_reply(asked, timeout=DEADLINE_S))["content"]
        finally:
            answering.cancel()
            await asyncio.wait([answering])
        return done

    async def _answer(self, answers: list[str]) -> None:
        self.asked: list[dict[str, Any]] = []
        for answer in answers:
            while True:
                try:
                    came = await self.client.get_stdin_msg(timeout=1)
                    break
                except Empty:
                    pass
            self.asked.append(came["content"])
            self.client.input(answer)

    def ask(self, kind: str, *args: Any, **options: Any) -> dict[str, Any]:
        """The content of the reply to another request: complete, inspect, is_complete, history, …"""

        async def asked() -> dict[str, Any]:
            sent = getattr(self.client, kind)(*args, **options)
            reply = await self.client._async_recv_reply(sent, timeout=DEADLINE_S)
            content: dict[str, Any] = reply["content"]
            return content

        return self._runner.run(asked())

    async def interrupt(self) -> None:
        await self.manager.interrupt_kernel()

    def restart(self) -> None:
        async def again() -> None:
            await self.manager.restart_kernel()
            await self.client.wait_for_ready(timeout=DEADLINE_S)

        self._runner.run(again())

    def shut_down(self) -> None:
        """The polite way, and with patience: tests look at what is left."""

        async def down() -> None:
            self.client.shutdown()
            await asyncio.wait_for(self.manager.provisioner.wait(), DEADLINE_S)

        self._runner.run(down())

    def close(self) -> None:
        async def ended() -> None:
            if hasattr(self, "client"):
                self.client.stop_channels()
            if self.manager.has_kernel:
                await self.manager.shutdown_kernel(now=not await self.manager.is_alive())
            await self.manager.cleanup_resources()

        self._runner.run(ended())
        self._runner.close()
        shutil.rmtree(self._sockets, ignore_errors=True)


def gone(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that are still there after a while."""
    return psutil.wait_procs(list(processes), timeout=DEADLINE_S)[1]
