"""Calls of a server from a kernel: what comes back shows itself, what fails says so, who is asked answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.events import Image
from codeact_kernel.frontends.approval_text import Question
from codeact_kernel.frontends.portal import Door
from codeact_kernel.inert.bundles import inert_bundle
from codeact_kernel.outputs import Display, Stream
from codeact_kernel.trajectory import Step
from codeact_kernel.wire.messages import Raised

SERVER = Path(__file__).parents[1] / "tools" / "mcp" / "servers" / "calls.py"
CELLS = (
    "from mcp_servers import calls\ncalls.mixed()",
    "parts = calls.mixed()\nprint(parts[3].read(), tools.read('calls', 'calls://stock/nails'))\nparts[2]",
    "print(calls.sign_up())",
    "calls.order(from_id=1)\ncalls.order(from_id=2)\ncalls.boom(how='tool')",
    "try:\n    calls.boom(how='protocol')\nexcept tools.ToolError as no:\n    print(type(no).__name__)",
)


class Person:
    """Says yes, and its name."""

    who = "ana"

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ready(self) -> bool:
        return True

    async def line(self, question: Question, door: Door) -> str | None:
        self.asked.append(question)
        return {"name": "Ana", "age": "", "plan": "full", "news": "y"}.get(question.keys, "y")


@dataclass
class Made:
    steps: tuple[Step, ...]
    model: ScriptedModel
    person: Person
    notebook: str

    def said(self, step: int) -> str:
        shown = self.steps[step].observation.shown
        return "".join(one.text for one in shown if isinstance(one, Stream))

    def images(self, step: int) -> int:
        """That the model saw of a step, in its next request."""
        parts = getattr(self.model.requests[step + 1].messages[-1], "parts", ())
        return sum(isinstance(part, Image) for part in parts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    path = tmp_path_factory.mktemp("calls") / "run.ipynb"
    model = ScriptedModel([*({"code": cell} for cell in CELLS), {"answer": "done"}])
    servers = {"mcpServers": {"calls": {"command": sys.executable, "args": [str(SERVER)]}}}
    person = Person()
    with Agent(model=model, mcp=servers, out=path, verify=False, asker=person) as agent:
        run = agent.run_sync("Call it.")
    return Made(run.trajectory.steps, model, person, path.read_text())


@pytest.mark.kernel
def test_parts_show_themselves_in_order_and_pictures_reach_the_model(made: Made) -> None:
    observation = made.steps[0].observation
    assert observation.status == "ok", observation.error
    assert made.said(0) == "before\n"
    picture, sound, link = (one.data for one in observation.shown if isinstance(one, Display))
    assert "image/png" in picture
    assert "audio/wav" in str(sound["text/html"])
    assert "calls://stock" in str(link["text/plain"])
    assert made.images(0) == 1


@pytest.mark.kernel
def test_links_are_read_and_audio_plays(made: Made) -> None:
    assert made.steps[1].observation.error is None
    assert made.said(1) == "all of it nails: 3\n"
    (player,) = [
        one.data for one in made.steps[1].observation.shown if "text/html" in getattr(one, "data", {})
    ]
    page = str(inert_bundle(player)["text/html"])
    assert page.startswith("<audio controls")
    assert 'src="data:audio/wav;base64,UklGRg=="' in page


@pytest.mark.kernel
def test_a_question_of_the_server_reaches_the_person_and_no_record(made: Made) -> None:
    assert made.said(2) == "Ana 30 full True\n"
    assert [question.keys for question in made.person.asked] == [
        "y/n/c",
        "name",
        "age",
        "plan",
        "news",
        "y/e/n/c",
    ]
    (call,) = made.steps[2].observation.tool_calls
    assert (call.tool, call.args, call.kwargs) == ("calls.sign_up", (), {})
    assert made.person.asked[0].mark not in made.notebook


@pytest.mark.kernel
def test_a_failed_cell_says_what_it_had_called(made: Made) -> None:
    error = made.steps[3].observation.error
    assert error is not None
    assert error.ename == "ToolError"
    assert "no such order" in error.evalue
    (note,) = made.steps[3].notes
    assert note.startswith("Before it failed these calls were made, and count: calls.order(from_id=1) → {")
    assert note.endswith('calls.boom(how="tool") raised ToolError.')
    assert note in str(made.model.requests[4].messages)


@pytest.mark.kernel
def test_failures_of_the_protocol_have_a_type_of_their_own(made: Made) -> None:
    assert made.said(4) == "ToolProtocolError\n"
    outcome = made.steps[4].observation.tool_calls[0].outcome
    assert outcome == Raised("ToolProtocolError", "calls.boom(): no way (code -32050)")
