"""Owns driving smolagents' LocalPythonExecutor. At its best: without its time limit, which takes a thread."""

from __future__ import annotations

from serve import serve
from smolagents.local_python_executor import LocalPythonExecutor


class SmolAgents:
    def begin(self) -> None:
        self._executor = LocalPythonExecutor([], timeout_seconds=None)
        self._executor.send_tools({})

    def step(self, code: str) -> str:
        done = self._executor(code)
        return f"{done.logs}{'' if done.output is None else done.output!r}"

    def end(self) -> None: ...


if __name__ == "__main__":
    serve(SmolAgents())
