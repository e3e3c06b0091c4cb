"""Owns driving nbclient: `async_execute_cell` on a stock kernel, over ipc as our own baseline."""

from __future__ import annotations

import asyncio
import tempfile

from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from serve import serve


class NbClient:
    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def begin(self) -> None:
        self._runner.run(self._begin())

    def step(self, code: str) -> str:
        return self._runner.run(self._step(code))

    def end(self) -> None:
        self._runner.run(self._client._async_cleanup_kernel())
        self._folder.cleanup()

    async def _begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bk-")
        folder = self._folder.name
        manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=f"{folder}/k", connection_file=f"{folder}/c.json"
        )
        self._client = NotebookClient(new_notebook(), km=manager, timeout=60)
        await self._client.async_start_new_kernel(cwd=folder)
        await self._client.async_start_new_kernel_client()

    async def _step(self, code: str) -> str:
        cell = new_code_cell(code)
        self._client.nb.cells = [cell]
        await self._client.async_execute_cell(cell, 0)
        return "".join(
            output.text if output.output_type == "stream" else output.data["text/plain"]
            for output in cell.outputs
        )


if __name__ == "__main__":
    serve(NbClient())
