"""A run whose record masks something goes on: what is masked is said again, and the model is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.config import Settings
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.origin import masked_key
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.resuming import Earlier, Pending
from codeact_kernel.trajectory import Observation, Reply, RunInfo, Step, Trajectory, Turn
from codeact_kernel.wire.messages import Returned, ToolCall, ToolRequest

MASKED = Settings(redact=("email=[a-z]+@[a-z.]+",))


@tool(effect="read")
def address() -> str:
    """An address."""
    return "jane@example.org"


@pytest.mark.kernel
def test_masks_are_asked_for_again(tmp_path: Path) -> None:
    out = tmp_path / "run.ipynb"
    first = ScriptedModel([{"code": "who = address()"}, {"answer": "found"}])
    with Agent([address], model=first, redact={"email": "[a-z]+@[a-z.]+"}, out=out, verify=False) as agent:
        agent.run_sync("find")
    model = ScriptedModel([{"code": "print(who, address())"}, {"answer": "done"}])
    with Agent([address], model=model, verify=False) as agent:
        with pytest.raises(UsageError, match="say --redact email=REGEX again"):
            agent.resume(out)
    with Agent([address], model=model, settings=MASKED, verify=False) as agent:
        agent.resume(out)
        agent.run_sync("again")
    assert "jane" not in out.read_text()
    turn = load(out).turns[1]
    assert "masks some values (email)" in turn.notes[-1]
    assert turn.steps[0].observation.text("stdout") == "[email 1] [email 2]\n"


def test_a_masked_call_of_a_step_that_was_cut_off_is_known_again() -> None:
    """Its argument comes from a file: the record has marks, the cell that runs again has the values."""
    calls = tuple(
        ToolCall(1, number, "send", (f"to [email {number}]",), {}, Returned(number)) for number in (1, 2)
    )
    step = Step(1, Reply(), None, Observation("killed", tool_calls=calls))
    redactor = Redactor({"KEY": "s3cr3t-s3cr3t"}, MASKED.redact)
    run = Trajectory(RunInfo("r", "m", "", "", masks=("email",)), (Turn("t", (step,)),))
    redactor.learn(run)
    earlier = Earlier(Pending(step, never, masked_key(redactor, ("email",))))
    found = [earlier.take(ToolRequest(1, "send", (f"to {who}@x.org",))) for who in ("ann", "bob", "cy")]
    assert found == [*calls, None]  # The third is a new one.
    assert earlier.take(ToolRequest(1, "other", ("to ann@x.org",))) is None


async def never(call: ToolCall) -> bool:
    raise AssertionError(call)
