"""The chain only grows, and nothing that a careful reader does to a notebook breaks it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from codeact_kernel.notebook.chain import last_link, seal
from codeact_kernel.notebook.chain_check import NO_CHAIN, check
from codeact_kernel.notebook.chain_content import plain
from codeact_kernel.notebook.chain_order import Order
from codeact_kernel.notebook.chain_places import MAX_FINDINGS
from codeact_kernel.notebook.load import load, parse
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.resaving import visible
from codeact_kernel.notebook.schema import problems
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Stream
from codeact_kernel.trajectory import Trajectory, Verdict
from codeact_kernel.wire.messages import Returned, ToolCall

from .tampering import Notebook, at, cell, cover_up, grown, kept, ours, output, rich_run, source

NO_SECRETS = Redactor({})


def sealed(run: Trajectory) -> Notebook:
    """As it is read from a file."""
    notebook = render(run)
    seal(notebook)
    found: Notebook = json.loads(nbformat.v4.writes(notebook))
    return found


@pytest.fixture(scope="module")
def recorded() -> str:
    return json.dumps(sealed(rich_run()))


@pytest.fixture
def notebook(recorded: str) -> Notebook:
    found: Notebook = json.loads(recorded)
    return found


# --- how it is made ----------------------------------------------------------------------------


def test_a_run_is_intact(run: Trajectory, notebook: Notebook) -> None:
    assert check(notebook) == ()
    assert check(sealed(run)) == ()


def test_the_same_run_has_the_same_chain(notebook: Notebook) -> None:
    assert sealed(rich_run()) == notebook


def test_a_step_keeps_its_hash_as_the_run_goes_on(notebook: Notebook) -> None:
    final = {step: last_link(notebook, step) for step in range(1, 8)}
    assert len(set(final.values())) == 7
    for steps in range(8):
        earlier = sealed(grown(rich_run(), steps))
        assert check(earlier) == ()
        assert [last_link(earlier, n) for n in range(1, steps + 1)] == [final[n] for n in range(1, steps + 1)]


def test_timings_and_the_verdict_are_outside() -> None:
    run = rich_run()
    first, *others = run.turns[0].steps
    slow = replace(
        first,
        observation=replace(
            first.observation,
            duration_s=99.0,
            tool_calls=tuple(replace(call, duration_s=9.0) for call in first.observation.tool_calls),
        ),
        reply=replace(first.reply, duration_s=77.0),
        started="2027-01-01T00:00:00.000000+00:00",
    )
    turns = (replace(run.turns[0], steps=(slow, *others)), *run.turns[1:])
    later = replace(run, turns=turns, verdict=Verdict("drift", ("output",), remarks=("a clock",)))
    assert "* verified: drift: output" in source(sealed(later), "title")
    assert last_link(sealed(later)) == last_link(sealed(run))
    assert check(sealed(later)) == ()


def test_the_hash_of_a_step_as_the_docs_say_it(notebook: Notebook) -> None:
    """Without our code: what docs/trajectory-format.md tells others to compute."""

    def digest(value: object) -> str:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    step = cell(notebook, "step-2")
    metadata = {k: v for k, v in kept(notebook, "step-2").items() if k not in ("chain", "digests", "started")}
    del metadata["duration_s"], metadata["reply"]["duration_s"]
    metadata["reply"]["cost_usd"] = 1
    others = {"id": "step-2", "cell_type": "code", "execution_count": 3}
    parts = {
        "source": digest("1/0"),
        "outputs": digest(step["outputs"]),
        "record": digest([others, ["codeact-step", "raises-exception"], metadata]),
    }
    assert kept(notebook, "step-2")["digests"] == parts
    assert kept(notebook, "step-2")["chain"] == digest(
        ["codeact-chain-1", kept(notebook, "step-1")["chain"], parts]
    )


def test_the_hash_of_calls_as_the_docs_say_it(notebook: Notebook) -> None:
    lines = [
        json.loads(line) for line in source(notebook, "setup").split("\n") if line.startswith('{"step":1')
    ]
    said = [[line["call"], line["digest"], line.get("approved_by", "")] for line in lines]
    text = json.dumps(said, separators=(",", ":"))
    assert kept(notebook, "step-1")["digests"]["calls"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_written_notebook_is_sealed_whatever_it_holds(tmp_path: Path) -> None:
    """Secrets that are masked, NaN, more levels than JSON can hold, lone surrogates."""
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    run = rich_run()
    turn = run.turns[1]
    odd = (
        Stream("stdout", "\ud800 and hunter2-hunter2"),
        Display({"application/json": [float("nan"), 1e20, 1e300, -0.0, 2**60]}),
        Display({"application/json": deep}),
    )
    last = turn.steps[-1]
    last = replace(last, observation=replace(last.observation, shown=odd))
    run = replace(run, turns=(run.turns[0], replace(turn, steps=(*turn.steps[:-1], last))))
    path = tmp_path / "run.ipynb"
    write(run, path, Redactor({"PASSWORD": "hunter2-hunter2"}))
    assert check(parse(path)) == ()
    assert ours(parse(path))["redacted"]


def test_a_tape_outside_of_the_source(tmp_path: Path) -> None:
    run = rich_run()
    turn = run.turns[1]
    first = turn.steps[0]
    calls = tuple(
        ToolCall(6, n, "refund", (os.urandom(400_000).hex(),), {}, Returned(n), approved_by="ana")
        for n in range(1, 9)
    )
    first = replace(first, observation=replace(first.observation, tool_calls=calls))
    run = replace(run, turns=(run.turns[0], replace(turn, steps=(first, *turn.steps[1:]))))
    path = tmp_path / "run.ipynb"
    write(run, path, NO_SECRETS)
    notebook = parse(path)
    lines: Any = kept(notebook, "setup")["tape"]
    assert check(notebook) == ()
    assert last_link(notebook, 5) == last_link(sealed(rich_run()), 5)
    lines[-1] = lines[-1].replace('"returns":8', '"returns":12')
    assert [finding.place for finding in check(notebook)] == ["step 6, call 8"]


def test_what_load_gives_is_not_changed_by_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    write(rich_run(), path, NO_SECRETS)
    assert load(path) == rich_run()


# --- what does not break it --------------------------------------------------------------------


def as_jupyterlab_saves(notebook: Notebook) -> Notebook:
    """Open + Save: the server splits and joins lines, the page is JavaScript, follows backspaces and carriage
    returns, and keeps its own things in the metadata."""
    text = json.dumps(nbformat.v4.to_notebook(notebook))
    opened = json.loads(
        text, parse_float=lambda said: int(float(said)) if float(said).is_integer() else float(said)
    )
    opened["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    opened["metadata"]["language_info"] = {"name": "python", "version": "3.13.1"}
    opened["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    for one in opened["cells"]:
        one["metadata"] |= {"trusted": True, "collapsed": False, "scrolled": True, "editable": True}
        one["metadata"]["jupyter"] = {"outputs_hidden": True}
        one["metadata"]["execution"] = {"iopub.status.busy": "2026-12-01T00:00:00Z"}
        one["metadata"].setdefault("tags", []).reverse()
        one["metadata"]["tags"].append("mine")
        for shown in one.get("outputs", ()):
            if shown["output_type"] == "stream":
                shown["text"] = process_text(shown["text"])
    saved: Notebook = json.loads(nbformat.v4.writes(nbformat.from_dict(opened)))
    return saved


def process_text(new: str, text: str = "", index: int = 0) -> str:
    """JupyterLab's own (packages/outputarea/src/model.ts of 4.4), line by line in Python."""
    if not re.search("[\b\r\n]", new):
        return text[:index] + new + text[index + len(new) :]
    last_end = 0
    while True:
        found = re.compile("[\n\b\r]").search(new, last_end)
        prefix = new[last_end : found.start() if found else len(new)]
        text = text[:index] + prefix + text[index + len(prefix) :]
        index += len(prefix)
        if found is None:
            return text
        last_end = found.end()
        if found[0] == "\b":
            if index > 0 and text[index - 1] != "\n":
                text = text[: index - 1] + text[index + 1 :]
                index -= 1
        elif found[0] == "\r":
            while index > 0 and text[index - 1] != "\n":
                index -= 1
        else:
            text += "\n"
            index = len(text)


def test_open_and_save_in_jupyterlab_verifies(notebook: Notebook) -> None:
    saved = as_jupyterlab_saves(notebook)
    assert saved != notebook
    assert "".join(output("step-7", 0)(saved)["text"]) == "100%|#####|\nDONE\n"
    assert check(saved) == ()
    assert check(as_jupyterlab_saves(saved)) == ()


def test_streams_that_jupyterlab_makes_one(tmp_path: Path) -> None:
    run = rich_run()
    shown = (
        Stream("stdout", "a\n"),
        Stream("stdout", "b\n"),
        Stream("stderr", "c"),
        Stream("stdout", "d\re"),
    )
    first, *others = run.turns[0].steps
    first = replace(first, observation=replace(first.observation, shown=shown))
    notebook = sealed(replace(run, turns=(replace(run.turns[0], steps=(first, *others)), run.turns[1])))
    cell(notebook, "step-1")["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]},
        {"output_type": "stream", "name": "stderr", "text": "c"},
        {"output_type": "stream", "name": "stdout", "text": ["e"]},
    ]
    assert check(notebook) == ()
    cell(notebook, "step-1")["outputs"][2]["text"] = ["x\re"]
    assert [finding.text for finding in check(notebook)] == [
        "step 1: its outputs were changed since it was recorded"
    ]


@given(
    st.lists(st.sampled_from(["a", "bc", "\b", "\b\b", "\r", "\n", "\r\n", "def"]), max_size=15).map("".join)
)
def test_what_is_overwritten_is_what_jupyterlab_takes_out(text: str) -> None:
    assert visible(text) == process_text(text)


def test_what_is_overwritten_counts_as_javascript_counts() -> None:
    assert visible("\U0001f600\rab!") == "ab!"
    assert visible("\U0001f600x\rab") == "abx"


def test_overwriting_takes_time_that_grows_with_the_text() -> None:
    text = "x" * 1_000_000 + "\r" + "y\b" * 500_000 + "\ry" * 500_000
    assert len(visible(text)) < 1_000_000


def test_numbers_as_javascript_writes_them() -> None:
    assert plain(120.0) == 120
    assert isinstance(plain(120.0), int)
    assert plain(-0.0) == 0
    assert plain(1.2345678901234568e20) == 123456789012345680000
    assert plain([1e22, {"a": 0.1}]) == [10**22, {"a": 0.1}]
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not a number of JSON"):
            plain(value)


# --- what does ---------------------------------------------------------------------------------


def test_a_run_of_an_earlier_version(notebook: Notebook) -> None:
    (finding,) = check(json.loads(nbformat.v4.writes(render(rich_run()))))
    assert finding.text == f"the notebook: {NO_CHAIN}"


def test_each_break_is_one_finding(notebook: Notebook) -> None:
    """One early step is changed, and the later ones are not held against it."""
    cell(notebook, "step-1")["source"] = "x = 1"
    assert [finding.text for finding in check(notebook)] == [
        "step 1: its code was changed since it was recorded"
    ]


def test_several_breaks_are_all_named(notebook: Notebook) -> None:
    cell(notebook, "step-2")["outputs"] = []
    cell(notebook, "step-4")["source"] += " "
    notebook["cells"] = [one for one in notebook["cells"] if one["id"] != "step-6-notes"]
    assert {finding.place for finding in check(notebook)} == {"step 2", "step 4", "the notes of step 6"}
    assert {finding.step for finding in check(notebook)} == {2, 4, 6}


def test_a_hash_that_fits_a_forged_cell_breaks_the_next(notebook: Notebook) -> None:
    """Only what stands before a cell is computed anew, not what follows it."""
    signature = notebook["cells"][:6]
    shorter = {**notebook, "cells": signature}
    cell(notebook, "step-1")["source"] = "x = 1"
    cover_up(shorter)
    assert any(finding.place == "step 2" for finding in check(notebook))


def strings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts of ours in a notebook."""
    if isinstance(value, str):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from strings(item, (*path, key))


OUTSIDE = {"started", "execution", "jupyter", "tags", "output_type", "cell_type"}


def texts_of(notebook: Notebook) -> list[tuple[Any, ...]]:
    """What counts: sources, outputs, ids, and our metadata without timings."""
    found = [path for path in strings(notebook["cells"], ("cells",)) if not OUTSIDE & set(path)]
    return [*found, *strings(ours(notebook), ("metadata", "codeact"))]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_character_counts(recorded: str, data: st.DataObject) -> None:
    notebook = json.loads(recorded)
    *path, last = data.draw(st.sampled_from(texts_of(notebook)))
    holder = notebook
    for key in path:
        holder = holder[key]
    text = holder[last]
    index = data.draw(st.integers(0, len(text)))
    new = data.draw(st.characters(exclude_categories=["Cs"]))
    change = data.draw(st.sampled_from(["insert", "replace", "delete"]))
    changed = text[:index] + (new if change != "delete" else "") + text[index + (change != "insert") :]
    assume(changed != text)
    holder[last] = changed
    assert check(notebook), (path, last, text[:80], changed[:80])


def test_hostile_notebooks_are_judged_and_crash_nothing(notebook: Notebook) -> None:
    """Every value of ours in turn is something else."""
    places = [
        *texts_of(notebook),
        *(("cells", i, k) for i in range(8) for k in ("metadata", "source", "outputs")),
    ]
    places += [("metadata", "codeact", key) for key in ours(notebook)] + [("metadata", "kernelspec")]
    text = json.dumps(notebook)
    for odd in (None, -1, [], {}, [[["x"]]], float("nan"), 10**400):
        changed = json.loads(text)
        for path in places[:: 7 if odd else 1]:
            holder = changed
            try:
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = odd
            except (TypeError, KeyError, IndexError):
                continue  # What it stood in is gone already.
            check(changed)
        assert check(changed)


def test_gaps_as_long_as_a_file_says(notebook: Notebook) -> None:
    ours(notebook)["order"] = "1-999999999"
    assert "steps 8 to 999999999" in {finding.place for finding in check(notebook)}
    ours(notebook)["order"] = ",".join(str(number) for number in range(1, 10**5, 2))
    assert len(check(notebook)) == MAX_FINDINGS


# --- the order of steps ------------------------------------------------------------------------


def test_a_run_that_went_on_after_a_person_edited_it(notebook: Notebook) -> None:
    """An added step has a number behind all others, a removed one leaves a gap: so they were recorded."""
    run = rich_run()
    one, _, three, *others = run.turns[0].steps
    added = replace(three, index=8)
    turns = (replace(run.turns[0], steps=(one, added, three, *others)), run.turns[1])
    edited = sealed(replace(run, turns=turns))
    assert ours(edited)["order"] == "1,8,3-7"
    assert check(edited) == ()
    assert problems(edited) == ()
    edited["cells"].insert(at(edited, "step-4"), edited["cells"].pop(at(edited, "step-8")))
    assert [finding.text for finding in check(edited)] == ["step 4: stands before step 8"]
    edited["cells"].pop(at(edited, "step-8"))
    assert [finding.text for finding in check(edited)] == ["step 8: missing"]


@given(st.lists(st.integers(1, 40), unique=True))
def test_orders(numbers: list[int]) -> None:
    order = Order.of(numbers)
    assert Order.read(order.text) == order
    assert len(order) == len(numbers)
    assert list(order.ranks(numbers)) == list(range(1, len(numbers) + 1))
    assert list(order.ranks(set(range(50)) - set(numbers))) == [None] * (50 - len(numbers))
    for first in range(1, len(numbers) + 1):
        for last in range(first, len(numbers) + 1):
            between = [n for begin, end in order.spans_between(first, last) for n in range(begin, end + 1)]
            assert between == numbers[first - 1 : last]


@pytest.mark.parametrize("text", [None, 7, "1-", "-1", "a", "1--2", "1 2", ",", "1" * 10, "1," * 10**7])
def test_orders_that_are_none(text: object) -> None:
    assert Order.read(text) is None  # type: ignore[arg-type]  # It is a stranger's.
