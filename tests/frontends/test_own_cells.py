"""Cells that a person runs in the kernel of an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel import Agent, Limits
from codeact_kernel.events import Text, UserMessage
from codeact_kernel.models.scripted import ScriptedModel
from codeact_kernel.notebook.load import load
from codeact_kernel.trajectory import OWN_CELL

pytestmark = pytest.mark.kernel


def test_a_person_and_the_agent_share_variables_and_the_record(tmp_path: Path) -> None:
    model = ScriptedModel([{"code": "print(x + 1)\ny = x * 2\nfinal_answer(y)"}])
    path = tmp_path / "run.ipynb"
    with Agent(model=model, out=path) as agent:
        own = agent.run_cell_sync("x = 20\nx")
        assert (own.stop_reason, own.steps) == ("own_cell", 1)
        assert agent.run_sync("double it").answer == 40
        failed = agent.run_cell_sync("print(y)\n1 / 0")
        assert failed.stop_reason == "own_cell"
        verdict = failed.verified_sync()
    assert verdict.status == "identical"
    assert len(model.requests) == 1  # No model is asked for a cell of the user's.
    said = [
        part.text
        for m in model.requests[0].messages
        if isinstance(m, UserMessage)
        for part in m.parts
        if isinstance(part, Text)
    ]
    assert any("x = 20" in text for text in said)
    saved = load(path)
    assert [turn.task == OWN_CELL for turn in saved.turns] == [True, False, True]
    assert [step.index for step in saved.steps] == [1, 2, 3]
    assert saved.steps[2].observation.error is not None


def test_budgets_are_of_tasks_and_another_model_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    first, second = ScriptedModel([{"answer": "one"}]), ScriptedModel([{"answer": "two"}])
    second.name = "another"
    with Agent(model=first, out=path, verify=False, limits=Limits(max_tokens=1)) as agent:
        assert agent.run_cell_sync("z = 1").stop_reason == "own_cell"
        agent.change(model=second, limits=Limits())
        assert agent.run_sync("who are you?").answer == "two"
    assert load(path).turns[1].notes == ("From here on the model is another.",)
