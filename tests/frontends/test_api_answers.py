"""Answers with an output type: converted on the host, a mismatch raised in the cell with its path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from codeact_kernel import Agent, Limits, ScriptedModel
from codeact_kernel.exceptions import UsageError

pytestmark = pytest.mark.kernel


class Line(BaseModel):
    sku: str
    price: float


class Report(BaseModel):
    total: float
    lines: list[Line]


@dataclass
class Point:
    x: int
    y: int


class Movie(TypedDict):
    title: str
    year: int


SCHEMA = {
    "type": "object",
    "properties": {"rows": {"type": "array", "items": {"type": "integer"}}},
    "required": ["rows"],
}
CASES: list[tuple[str, Any, str, str, str, Any]] = [
    (
        "pydantic",
        Report,
        "{'total': 3, 'lines': [{'sku': 'a', 'price': 1}, {'sku': 'b', 'price': 'dear'}]}",
        "value.lines[1].price",
        "{'total': 3, 'lines': [{'sku': 'a', 'price': 1}, {'sku': 'b', 'price': 2}]}",
        Report(total=3, lines=[Line(sku="a", price=1), Line(sku="b", price=2)]),
    ),
    ("dataclass", Point, "{'x': 1, 'y': 'up'}", "value.y", "{'x': 1, 'y': 2}", Point(1, 2)),
    (
        "typeddict",
        Movie,
        "{'title': 'Alien'}",
        "value.year",
        "{'title': 'Alien', 'year': 1979}",
        {"title": "Alien", "year": 1979},
    ),
    ("schema", SCHEMA, "{'rows': [1, 'two']}", "value.rows[1]", "{'rows': [1, 2]}", {"rows": [1, 2]}),
    ("annotation", list[int], "[1, 'two']", "value[1]", "(1, 2)", [1, 2]),
]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One kernel for all of them."""
    replies: list[Any] = []
    for _, _, bad, _, good, _ in CASES:
        replies += [{"code": f"final_answer({bad})"}, {"code": f"final_answer({good})"}]
    with Agent(
        model=ScriptedModel(replies), out=tmp_path_factory.mktemp("answers") / "run.ipynb", verify=False
    ) as made:
        yield made


@pytest.mark.parametrize(("name", "output_type", "bad", "path", "good", "answer"), CASES)
def test_the_model_corrects_itself_and_the_answer_is_converted(
    agent: Agent, name: str, output_type: Any, bad: str, path: str, good: str, answer: Any
) -> None:
    run = agent.run_sync(f"give me a {name}", output_type=output_type)
    assert (run.answer, type(run.answer)) == (answer, type(answer))
    assert run.steps == 2
    assert agent.trajectory is not None
    turn = agent.trajectory.turns[-1]
    error = turn.steps[0].observation.error
    assert error is not None
    assert error.ename in ("ValueError", "TypeError")
    assert f"{path}:" in error.evalue
    told = str(agent._work._model.requests[-1].messages)
    assert path in told
    assert "it must fit" in turn.task


def test_a_text_answer_that_does_not_fit_is_given_back(tmp_path: Path) -> None:
    model = ScriptedModel([{"answer": "four"}, {"code": "final_answer(4)"}])
    with Agent(model=model, out=tmp_path / "run.ipynb", verify=False) as agent:
        run = agent.run_sync("two and two", output_type=int)
    assert (run.answer, run.steps) == (4, 2)
    assert "'four'" in str(model.requests[1].messages)


def test_a_wrong_answer_for_ever_ends_with_a_budget_and_no_answer(tmp_path: Path) -> None:
    model = ScriptedModel([{"code": "final_answer('x')"}] * 3)
    with Agent(
        model=model, limits=Limits(repeated_failures=3), out=tmp_path / "run.ipynb", verify=False
    ) as agent:
        run = agent.run_sync("a number", output_type=int)
    assert (run.answer, run.stop_reason) == (None, "repeated_failure")


def test_without_a_type_any_value_is_taken_exactly(tmp_path: Path) -> None:
    model = ScriptedModel(
        [{"code": "import datetime\nfinal_answer((1, {2}, datetime.date(2026, 1, 2), b'x'))"}]
    )
    with Agent(model=model, out=tmp_path / "run.ipynb", verify=False) as agent:
        answer = agent.run_sync("anything").answer
    assert repr(answer) == "(1, {2}, datetime.date(2026, 1, 2), b'x')"


@pytest.mark.parametrize("output_type", [{"type": "strange"}, 42])
def test_a_type_that_cannot_be_checked_is_refused_before_anything_starts(
    tmp_path: Path, output_type: Any
) -> None:
    with Agent(model=ScriptedModel([]), out=tmp_path / "run.ipynb", verify=False) as agent:
        with pytest.raises(UsageError):
            asyncio.run(agent.run("x", output_type=output_type))
    assert list(tmp_path.iterdir()) == []
