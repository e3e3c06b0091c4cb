"""The shipped JSON Schema holds for whatever we write, and finds what we would not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest

from codeact_kernel.notebook.chain import seal
from codeact_kernel.notebook.chain_content import KINDS
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.schema import MAX_PROBLEMS, problems, schema
from codeact_kernel.notebook.signing import sign
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Trajectory, Verdict

from .tampering import Notebook, kept, of, ours, put, rich_run, taken

SAVED = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture
def notebook() -> Notebook:
    made = render(rich_run())
    seal(made)
    found: Notebook = json.loads(nbformat.v4.writes(made))
    return found


def test_it_is_a_json_schema_of_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    assert {f"cell-{kind}" for kind in KINDS} <= set(schema()["definitions"])


def test_every_rendered_notebook_fits(run: Trajectory, notebook: Notebook) -> None:
    assert problems(notebook) == ()
    verdicts = (
        Verdict("identical", remarks=("the clock",)),
        Verdict("drift", ("tool", "output")),
        Verdict("unverified", reason="cut off"),
    )
    for verdict in verdicts:
        assert problems(json.loads(json.dumps(render(replace(run, verdict=verdict))))) == ()


def test_a_signed_notebook_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "run.ipynb"
    write(rich_run(), path, Redactor({"TOKEN": "old.ipynb"}))
    sign(path)
    assert problems(json.loads(path.read_text())) == ()


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.name)
def test_the_notebooks_of_this_project_fit(path: Path) -> None:
    assert problems(json.loads(path.read_text())) == ()


def test_another_validator_agrees(notebook: Notebook) -> None:
    """The schema means the same to jsonschema as to fastjsonschema, which we use."""
    whole = schema()
    assert jsonschema.Draft7Validator(whole).is_valid(ours(notebook))
    for one in notebook["cells"]:
        data = one["metadata"]["codeact"]
        name = f"cell-{data['kind']}"
        part = jsonschema.Draft7Validator({**whole, "$ref": f"#/definitions/{name}"})
        assert part.is_valid(data)
        for key in whole["definitions"][name].get("properties", ()):
            assert not part.is_valid({**data, key: object})


def test_what_readers_do_not_know_is_left_alone(notebook: Notebook) -> None:
    ours(notebook)["later"] = {"version": 2}
    kept(notebook, "step-1")["later"] = [None]
    kept(notebook, "step-1")["reply"]["later"] = 1
    assert problems(notebook) == ()


WRONG: list[tuple[Callable[[Notebook], None], str]] = [
    (put(ours, "run_id", 7), "the notebook: its metadata 'run_id' must be string"),
    (
        put(ours, "stop_reasons", ["bored"]),
        "the notebook: its metadata 'stop_reasons[0]' cannot be validated",
    ),
    (put(ours, "recorded", [1, 2, -3, 4]), "the notebook: its metadata 'recorded[2]' must be bigger than"),
    (put(ours, "verdict", {"status": "fine"}), "the notebook: its metadata 'verdict.status' must be one of"),
    (put(ours, "signature", "mine"), "the notebook: its metadata 'signature' must be object"),
    (put(ours, "seal", "0"), "the notebook: its metadata 'seal' must match pattern"),
    (taken(ours, "info"), "the notebook: its metadata must contain ['info']"),
    (put(lambda n: ours(n)["info"], "limits", []), "the notebook: its metadata 'info.limits' must be object"),
    (put(of("step-2"), "status", "fine"), "step 2: its metadata 'status' must be one of"),
    (put(of("step-2"), "started", "<b>"), "step 2: its metadata 'started' must match pattern"),
    (put(of("step-2"), "duration_s", -1), "step 2: its metadata 'duration_s' must be bigger than"),
    (put(of("step-1"), "call_seconds", ["1"]), "step 1: its metadata 'call_seconds[0]' must be number"),
    (put(of("step-1"), "names", "x"), "step 1: its metadata 'names' must be array"),
    (put(of("step-1"), "truncated", 1), "step 1: its metadata 'truncated' must be boolean"),
    (
        put(of("step-7"), "files", [{"name": "a"}]),
        "step 7: its metadata 'files[0]' must contain ['size']",
    ),
    (
        put(lambda n: kept(n, "step-1")["reply"]["usage"], "input_tokens", 1.5),
        "'reply.usage.input_tokens' must be",
    ),
    (
        put(lambda n: kept(n, "step-1")["extras"]["2"], "of", "x"),
        "its metadata 'extras.2.of' must match pattern",
    ),
    (taken(of("step-6"), "reply"), "step 6: its metadata must contain ['reply']"),
    (put(of("turn-1"), "task", None), "task 1: its metadata 'task' must be string"),
    (
        put(of("turn-1-end"), "stop", {"reason": "bored"}),
        "the end of task 1: its metadata 'stop.reason' must be",
    ),
    (put(of("setup"), "tape", [7]), "the setup cell: its metadata 'tape[0]' must be string"),
    (put(of("step-5-notes"), "step", "5"), "its metadata 'step' must be integer"),
    (put(of("title"), "chain", 1), "the title: its metadata 'chain' must be string"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_does_not_fit_is_named(
    change: Callable[[Notebook], None], said: str, notebook: Notebook
) -> None:
    change(notebook)
    (finding,) = problems(notebook)
    assert said in finding.text


def test_the_value_that_was_found_is_not_repeated(notebook: Notebook) -> None:
    kept(notebook, "step-2")["status"] = "\x1b[31m" * 1000
    kept(notebook, "step-1")["extras"]["\x1b[31m" * 1000] = 7
    assert all(len(finding.text) < 400 and "\x1b[31m" not in finding.text for finding in problems(notebook))
    assert len(problems(notebook)) == 2


def test_so_many_problems_are_listed_and_no_more(notebook: Notebook) -> None:
    wrong: Any = {
        "cell_type": "markdown",
        "metadata": {"codeact": {"kind": "thought", "step": "x"}},
        "source": "",
    }
    notebook["cells"] = [wrong] * 10_000
    assert len(problems(notebook)) == MAX_PROBLEMS


def test_no_notebook_at_all() -> None:
    (finding,) = problems({"cells": None, "metadata": 7})
    assert finding.text == "the notebook: its metadata must be object"
