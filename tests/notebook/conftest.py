"""One run with a bit of everything, for tests that need a concrete one."""

from __future__ import annotations

import pytest

from codeact_kernel.outputs import Display, Error, Result, Stream
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
)
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

SPEC = SetupSpec("run-1", ("os",), (ToolSpec("refund", (ToolParameter("order_id", annotation="int"),)),))


def _step(index: int, code: str, observation: Observation, thought: str = "") -> Step:
    reply = Reply(
        thought, code, raw='[{"type":"text"}]', call_id=f"c{index}", usage=Usage(10, 5), cost_usd=0.25
    )
    return Step(index, reply, Action(code), observation, started="2026-11-22T10:00:00.500000+00:00")


@pytest.fixture
def run() -> Trajectory:
    calls = (
        ToolCall(1, 1, "refund", (7,), {}, Returned({"ok": True}), 0.25),
        ToolCall(1, 2, "refund", (8,), {"note": "it's | late"}, Raised("ValueError", "no such order"), 0.5),
        ToolCall(1, 3, "refund", (9,), {}, None),
    )
    picture = Display({"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}, {}, "d1")
    result = Result({"text/plain": "42", "application/vnd.codeact.digest": "int 42"}, 2)
    shown = (Stream("stdout", "a\nb\n"), picture, result)
    steps = (
        _step(
            1,
            "x = refund(7)\nx",
            Observation("ok", shown, None, 2, ("x",), calls, (), 1.5),
            "First, **refund**.",
        ),
        _step(2, "1/0", Observation("error", (Error("ZeroDivisionError", "division", ("1/0",)),), None, 3)),
        _step(3, "while True: pass", Observation("timeout", (), "stopped after 120 s", 4)),
        _step(
            4, "import os; os._exit(1)", Observation("killed", (Stream("stderr", "bye"),), "it died", None)
        ),
    )
    silent = Step(
        5, Reply("hm", problem="the code was cut off"), None, Observation("error"), ("3 steps left",)
    )
    turns = (
        Turn("refund every order\n# over 100 EUR", (*steps, silent), Stop("answer", answer={"refunded": 1})),
        Turn("and now?", (), Stop("max_steps", "30 steps")),
    )
    info = RunInfo("run-1", "scripted", "2026-11-22T10:00:00Z", setup_source(SPEC), {"python": "3.11.7"})
    return Trajectory(info, turns)
