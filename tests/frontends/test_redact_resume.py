"""A run whose record masks something goes on: what is masked is said again, and the model is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.config import Settings
from codeact_kernel.exceptions import UsageError
from codeact_kernel.notebook.load import load

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
