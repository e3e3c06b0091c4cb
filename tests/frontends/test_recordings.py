"""What a recording holds: no address that a user wants masked, and nothing that changes by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.config import Settings
from codeact_kernel.frontends.replaying import replay_notebook
from codeact_kernel.notebook.load import load
from codeact_kernel.wire.messages import Returned

from .conftest import Command

pytestmark = pytest.mark.kernel
ADDRESS, OTHER = "bob@example.org", "ann@example.org"
SETTINGS = Settings(redact=(r"email=[\w.+-]+@[\w.-]+\.\w+",))
CODE = [
    "c = customer(7)\nprint(c['mail'], send(c['mail'], 'hello'))\n{'to': c['mail'], 'set': {3, 1}}",
    f"send('{OTHER}', text=f'from {{c[\"mail\"]}}')\nraise ValueError(c['mail'])",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nx = 1\nx",
]
VOLATILE = {
    "metadata.codeact.run_id",
    "metadata.codeact.info.created",
    "metadata.codeact.info.sandbox.milliseconds",
    "metadata.codeact.digests.record",
    "metadata.codeact.seal",
    *(f"cells.step-{step}.metadata.codeact.{key}" for step in (1, 2, 3) for key in ("duration_s", "started")),
    *(f"cells.step-{step}.metadata.codeact.call_seconds" for step in (1, 2)),
    *(f"cells.step-{step}.metadata.execution" for step in (1, 2, 3)),
}
"""All that may differ between two recordings of the same run."""


def customer(number: int) -> dict[str, str]:
    """A customer."""
    return {"mail": ADDRESS}


def send(to: str, text: str) -> str:
    """Sends an e-mail."""
    return f"sent to {to}"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("one.ipynb", "two.ipynb"):
        replies = [{"thought": f"{OTHER} first", "code": code} for code in CODE]
        model = ScriptedModel([*replies, {"answer": f"told {ADDRESS}"}])
        with Agent(
            [customer, send], model=model, settings=SETTINGS, out=folder / name, verify=False
        ) as agent:
            assert agent.run_sync(f"write to {OTHER}").answer == f"told {ADDRESS}"
            assert agent.trajectory is not None
            # The record is masked; what the model and the tools see is not.
            assert agent.trajectory.steps[0].observation.text("stdout") == f"{ADDRESS} sent to {ADDRESS}\n"
            journal = next(folder.glob("*.jsonl")).read_text()
            assert "[email 2]" in journal
            assert "@example" not in journal
    return folder / "one.ipynb", folder / "two.ipynb"


def test_a_masked_run_agrees_when_it_is_run_again(recordings: tuple[Path, Path]) -> None:
    path, _ = recordings
    assert "@example" not in path.read_text()
    trajectory = load(path)
    assert trajectory.turns[0].task == "write to [email 1]"
    first, second, _ = trajectory.steps
    asked, told = first.observation.tool_calls
    assert asked.outcome == Returned({"mail": "[email 2]"})
    assert (told.args, told.outcome) == (("[email 2]", "hello"), Returned("sent to [email 2]"))
    assert second.observation.tool_calls[0].args == ("[email 1]",)
    notebook = json.loads(path.read_text())
    assert "* redacted: email (2)" in "".join(notebook["cells"][0]["source"])
    assert notebook["metadata"]["codeact"]["redacted"] == ["email"]
    report = replay_notebook(path)
    assert [step.drifts for step in report.steps] == [(), (), ()]


def test_two_recordings_of_a_run_differ_in_times_only(recordings: tuple[Path, Path]) -> None:
    one, two = (json.loads(path.read_text()) for path in recordings)
    differing = set(_differences(one, two, ""))
    assert differing <= VOLATILE
    assert [cell["id"] for cell in one["cells"]] == [cell["id"] for cell in two["cells"]]


def _differences(one: Any, two: Any, where: str) -> list[str]:
    """Places that differ, cells by their ids."""
    if isinstance(one, dict) and isinstance(two, dict) and not {*one, *two} & {"iopub.execute_input"}:
        pairs = [(f"{where}.{key}".lstrip("."), one.get(key), two.get(key)) for key in {*one, *two}]
    elif where == "cells" and len(one) == len(two):
        pairs = [(f"cells.{a['id']}", a, b) for a, b in zip(one, two, strict=True)]
    else:
        return [where] if one != two else []
    return [place for name, a, b in pairs for place in _differences(a, b, name)]


def test_the_command_masks_and_says_what_is_no_pattern(command: Command, folder: Path) -> None:
    (folder / "script.jsonl").write_text(json.dumps({"answer": f"told {ADDRESS} of 4111"}) + "\n")
    given = (
        "run",
        "write to a customer",
        "--model",
        "scripted:script.jsonl",
        "--out",
        "run.ipynb",
        "--no-verify",
    )
    wrong = command(*given, "--redact", r"email=(?<=x)y")
    assert wrong.returncode == 2
    assert (
        "--redact 'email=(?<=x)y' is no regular expression of RE2: invalid perl operator: (?<="
        in wrong.stderr
    )
    assert "no look-around" in wrong.stderr
    done = command(*given, "--redact", r"email=\w+@[\w.]+", "--redact", r"card=\d{4}")
    assert done.returncode == 0, done.stderr
    assert f"told {ADDRESS} of 4111" in done.stdout
    saved = load(folder / "run.ipynb")
    assert saved.turns[0].stop is not None
    assert saved.turns[0].stop.answer == "told [email 1] of [card 1]"
