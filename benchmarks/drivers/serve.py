"""Owns a driver's end of the pipe. It runs in the peer's virtual environment: nothing but the stdlib here."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Protocol

HEAD = 40


class Executor(Protocol):
    def begin(self) -> None: ...

    def step(self, code: str) -> str:
        """Runs the code; what it printed and what its last expression was."""

    def end(self) -> None: ...


def serve(executor: Executor) -> None:
    """Until stdin ends. What is printed meanwhile goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    begun = False
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            if asked["do"] == "begin" and begun:
                executor.end()
            try:
                answer = _timed(executor, asked["do"] == "begin", asked["code"])
            except Exception as problem:
                answer = {"problem": f"{type(problem).__name__}: {problem}"}
            begun = begun or (asked["do"] == "begin" and "problem" not in answer)
            answers.write(json.dumps(answer) + "\n")
    finally:
        if begun:
            executor.end()


def _timed(executor: Executor, anew: bool, code: str) -> dict[str, float | str]:
    wall, cpu = time.perf_counter(), time.process_time()
    if anew:
        executor.begin()
    text = executor.step(code)
    seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "head": text[:HEAD], "length": len(text)}
