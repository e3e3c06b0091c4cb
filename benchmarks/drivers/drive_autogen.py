"""Owns driving AutoGen's JupyterCodeExecutor."""

from __future__ import annotations

import asyncio
import tempfile

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock
from autogen_ext.code_executors.jupyter import JupyterCodeExecutor
from serve import serve


class AutoGen:
    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory(prefix="bk-")

    def begin(self) -> None:
        self._executor = JupyterCodeExecutor(timeout=60, output_dir=self._folder.name)
        self._runner.run(self._executor.start())

    def step(self, code: str) -> str:
        block = CodeBlock(code=code, language="python")
        done = self._runner.run(self._executor.execute_code_blocks([block], CancellationToken()))
        if done.exit_code:
            raise RuntimeError(done.output)
        return str(done.output)

    def end(self) -> None:
        self._runner.run(self._executor.stop())


if __name__ == "__main__":
    serve(AutoGen())
