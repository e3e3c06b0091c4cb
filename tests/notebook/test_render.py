"""What the notebook shows, and that others' text cannot pass for ours."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from html import unescape
from pathlib import Path

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.markdown import inline, quoted, table, unquoted
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Result, Stream
from codeact_kernel.trajectory import RunInfo, Stop, Trajectory, Turn
from codeact_kernel.wire.messages import Json, Returned, ToolCall
from codeact_kernel.wire.recorded import parse_recorded
from codeact_kernel.wire.setup import read_setup_source
from codeact_kernel.wire.values import encode


def cell_of(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    (found,) = [cell for cell in notebook.cells if cell.id == name]
    return found


def test_the_cells_of_a_run(run: Trajectory) -> None:
    notebook = render(run)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [
        *("title", "setup", "tape", "turn-1", "step-1-thought", "step-1", "step-2", "step-3", "step-4"),
        *("step-5", "step-5-notes", "turn-1-end", "turn-2", "turn-2-end", "usage"),
    ]
    assert notebook.metadata.kernelspec.name == "codeact-python"
    assert notebook.metadata.language_info.version == "3.11.7"
    assert notebook.metadata.codeact.stop_reasons == ["answer", "max_steps"]
    assert notebook.metadata.codeact.schema_version == 1


def test_the_setup_cell_holds_the_tape(run: Trajectory) -> None:
    notebook = render(run)
    setup = cell_of(notebook, "setup")
    spec = read_setup_source(setup.source)
    assert spec is not None
    assert [call.outcome for call in spec.tape] == [c.outcome for c in run.steps[0].observation.tool_calls]
    assert setup.metadata.tags == ["codeact-setup"]
    assert setup.metadata.jupyter.source_hidden is True
    assert setup.execution_count == 1
    rows = [row for row in cell_of(notebook, "tape").source.splitlines() if row.startswith("|")]
    assert len(rows) == 5
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert "in doubt" in rows[-1]


def test_outputs_times_and_tags_are_jupyters_own(run: Trajectory) -> None:
    notebook = render(run)
    first = cell_of(notebook, "step-1")
    assert [output.output_type for output in first.outputs] == ["stream", "display_data", "execute_result"]
    assert list(first.outputs[2].data) == ["text/plain"]
    assert first.execution_count == 2
    assert first.metadata.execution["iopub.status.busy"] == "2026-11-22T10:00:00.500000Z"
    assert first.metadata.execution["shell.execute_reply"] == "2026-11-22T10:00:02Z"
    assert "raises-exception" not in first.metadata.tags
    for name in ("step-2", "step-3", "step-4"):
        assert "raises-exception" in cell_of(notebook, name).metadata.tags


def test_steps_that_never_ended_are_not_run_again(run: Trajectory) -> None:
    notebook = render(run)
    for name, ename, reason in (
        ("step-3", "StepTimeout", "stopped after 120 s"),
        ("step-4", "KernelKilled", "it died"),
    ):
        cell = cell_of(notebook, name)
        recorded = parse_recorded(cell.source)
        assert recorded is not None
        assert (recorded.ename, recorded.evalue) == (ename, reason)
        assert cell.outputs[-1].output_type == "error"
        assert cell.outputs[-1].ename == ename


def test_the_table_of_calls_folds_what_is_long_and_says_who_allowed_a_call(run: Trajectory) -> None:
    plain = cell_of(render(run), "tape").source
    assert "<details><summary>" not in plain.replace("<details><summary>Recorded tool calls", "")
    assert "| step | call | what was asked | what came back |" in plain
    rows = [{"id": number, "note": "<b>|</b>\n`x`"} for number in range(100)]
    call = ToolCall(1, 1, "fetch", (7, "y" * 100), {}, Returned(rows), approved_by="ann |<b>")
    (first, *_), turn = run.steps, run.turns[0]
    step = replace(first, observation=replace(first.observation, tool_calls=(call,)))
    told = replace(run, turns=(replace(turn, steps=(step,)),))
    *_, head, _, row, _, _ = cell_of(render(told), "tape").source.splitlines()
    assert head.endswith("| what came back | who allowed it |")
    asked, came, allowed = row.removesuffix(" |").split(" | ")[2:]
    assert asked.startswith('<details><summary>fetch(7, "yyy')
    assert asked.endswith(f'\\[7,"{"y" * 100}"\\]</details>')
    assert came.startswith("<details><summary>")
    assert came.count("&lt;b\\>") > 30
    assert "<b>" not in came
    assert came.endswith("… (3,291 bytes)</details>")
    assert allowed == "ann \\|&lt;b\\>"


def test_the_usage_table_adds_up(run: Trajectory) -> None:
    row = cell_of(render(run), "usage").source.splitlines()[-1]
    assert row.split(" | ")[:3] == ["| 5", "40", "20"]
    priced = replace(run, turns=tuple(replace(turn, steps=turn.steps[:4]) for turn in run.turns))
    assert " | 1.0000 |" in cell_of(render(priced), "usage").source


def test_a_tape_beyond_the_cap_stays_in_the_metadata(run: Trajectory, tmp_path: Path) -> None:
    # 60 results that compress badly and are all different: over 4 MiB of tape.
    calls = tuple(
        ToolCall(1, index, "refund", (), {}, Returned([hash((index, n)) for n in range(8_000)]))
        for index in range(1, 61)
    )
    first = run.steps[0]
    big = replace(first, observation=replace(first.observation, tool_calls=calls))
    told = replace(run, turns=(replace(run.turns[0], steps=(big,)),))
    notebook = render(told)
    nbformat.validate(notebook)
    setup = cell_of(notebook, "setup")
    assert '"tape":"external"' in setup.source
    assert len(setup.source) < 2_000
    assert "… and 10 more; all of them are with the setup cell." in cell_of(notebook, "tape").source
    write(told, tmp_path / "run.ipynb")
    assert load(tmp_path / "run.ipynb") == told


def test_hostile_outputs_still_make_a_valid_notebook(run: Trajectory, tmp_path: Path) -> None:
    deep: Json = "x"
    for _ in range(900):
        deep = {"k": [deep]}
    data: dict[str, Json] = {
        "text/plain": 5,
        "text/html": ["a\n", "b"],
        "image/png": {"not": "text"},
        "": None,
        "application/json": {"nan": float("nan"), "deep": deep},
    }
    shown = (Display(data, {"inf": float("inf")}), Result(data, -1), Stream("stdout", "\ud800\x1b]0;x\x07"))
    first = run.steps[0]
    odd = replace(first, observation=replace(first.observation, shown=shown, execution_count=2))
    told = replace(run, turns=(replace(run.turns[0], steps=(odd,), stop=Stop("answer", answer=deep)),))
    path = tmp_path / "run.ipynb"
    write(told, path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    bundle = cell_of(notebook, "step-1").outputs[0].data
    assert (bundle["text/plain"], bundle["text/html"], bundle["application/json"]["nan"]) == (
        "5",
        "a\nb",
        None,
    )


BOX = re.compile(r"<span>(?:&#36;|(?:&#92;)+)</span>")
FORGERIES = (
    "# Answer\n## Task\n\n---\n| a | b |\n|---|---|\n<script>x</script>\n![p](http://x/?d=1)\r# x\r\n<!-- "
)


@given(st.text() | st.just(FORGERIES))
def test_a_quote_holds_whatever_is_in_it(text: str) -> None:
    source = quoted(text)
    assert all(line.startswith(">") for line in source.split("\n"))
    assert "\r" not in source
    assert "![" not in source
    source = BOX.sub("", source)
    assert not any(f"<{letter}" in source for letter in "abcszABCSZ/!?")


@given(st.text() | st.just(FORGERIES), st.integers(1, 99))
def test_inline_text_stays_in_its_cell_of_a_table(text: str, limit: int) -> None:
    line = inline(text, limit)
    rows = table(("a", "b"), [(line, "x")]).splitlines()
    assert len(rows) == 3
    assert len(rows[2].replace("\\\\", "").replace("\\|", "").split("|")) == 4
    assert "<" not in BOX.sub("", line)


SIGNS = (
    "\\",
    "$",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "begin",
    "end",
    "ref",
    "eqref",
    "&",
    "#36;",
    "#92;",
    "dollar;",
)
MATHEMATICS = st.lists(
    st.sampled_from((*SIGNS, "`", "*", "_", "<", "<span>", "!", "|", "@@0@@", "x", " ", "\n"))
)
IN_THE_SOURCE = re.compile(r"\$|\\(?:begin|end)\{[a-z]*\*?\}|\\\\[()\[\]]", re.IGNORECASE)
"""Delimiters that JupyterLab takes out of a cell before it reads markdown (rendermime/src/latex.ts)."""
IN_THE_PAGE = re.compile(r"\$|\\[()\[\]]|\\(?:begin|end|ref|eqref)")
"""What MathJax looks for in each run of text, as JupyterLab sets it up; not in code."""


CODE = re.compile(r"^> ```[^\n]*\n.*?^> ```$|(?<![`\\])`[^`\n\\]+`(?!`)", re.MULTILINE | re.DOTALL)
"""What JupyterLab, too, takes for code before it looks for mathematics: a `$` may stay there."""


def runs_of_text(source: str) -> list[str]:
    html = MarkdownIt("commonmark").enable("table").render(source)
    # As HTMLDomStrings of MathJax: elements end a run (code too, which it does not look into), but for these.
    joined = re.sub(r"<!--.*?-->|<wbr>|<br />", "", html, flags=re.S)
    pieces = re.split(r"<code.*?</code>|<[^<>]*>", joined, flags=re.S)
    return [unescape(piece) for piece in pieces if piece not in ("&#36;", "&#92;")]


@given(MATHEMATICS.map("".join))
@example("$x$ and $$x$$")
@example("`$`")
@example(r"\\`\`(")
@example("```\n$x$\n``` $")
@example(r"\(x\) \[x\] \\(x\\) \\[x\\] \\\(x\\\)")
@example("\\begin{align*}x\\end{align*} \\\\begin{x}\\\\end{x} \\eqref{x}")
@example("&#36;x&#36; &dollar;x&dollar; &#92;(x&#92;) &bsol;(x&bsol;)")
def test_mathematics_is_plain_text(text: str) -> None:
    for source in (quoted(text), inline(text, 1000)):
        assert not IN_THE_SOURCE.search(CODE.sub("x", source))
        for run in runs_of_text(source):
            # A sign in an element of its own has no other beside it that it could open or close.
            assert run.strip("\\$") == "" or not IN_THE_PAGE.search(run), (source, run)


@pytest.mark.parametrize("fence", ["```math", "~~~ math", "````Mermaid"])
def test_a_fence_is_no_formula_and_no_diagram(fence: str) -> None:
    text = f"{fence}\nx\n{fence[:3]}"
    assert fence not in quoted(text)
    assert "text " in quoted(text)
    assert unquoted(quoted(text)) == text


@given(MATHEMATICS.map("".join))
@example("a\\$b \\(c\\) \\begin{x} &#36; &amp;lt; <b> !\\[d] ![e]")
def test_what_was_made_plain_can_be_read_back(text: str) -> None:
    kept = "\n".join(line.rstrip() for line in text.split("\n"))
    assert unquoted(quoted(kept)) == kept


def test_an_answer_that_is_no_text_is_code_and_shows_its_signs() -> None:
    turn = Turn("t", (), Stop("answer", answer={"$": "decimal", "value": "1\n```\n# x\u202e"}))
    notebook = render(Trajectory(RunInfo("id", "m", "2025-01-01T00:00:00Z", ""), (turn,)))
    source = cell_of(notebook, "turn-1-end").source
    assert '> ```python\n> {"$":"decimal"' in source
    assert source.count("\n") == 4


@pytest.mark.parametrize("text", ["refund all", "two\nlines\n\nand < more > and & so", "1 * 2_3"])
def test_plain_text_that_was_quoted_can_be_read_back(text: str) -> None:
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the column `price in $` is text", "> the column `price in $` is text"),
        ("costs `$5` or $6", "> costs `$5` or <span>&#36;</span>6"),
        ("``$5``", "> ``<span>&#36;</span>5``"),
        (
            "see `$A`:\n```sh\necho $HOME\n```\n$5",
            "> see `$A`:\n> ```sh\n> echo $HOME\n> ```\n> <span>&#36;</span>5",
        ),
        (
            r"```sh$x\$5$x```".replace("$x", "\n"),
            r"> ```sh$x> <span>&#92;</span><span>&#36;</span>5$x> ```".replace("$x", "\n"),
        ),
        ("```\n$5", "> ```\n> <span>&#36;</span>5"),
        ("```\n```py\n$5\n```\n```", "> ```\n> ```py\n> <span>&#36;</span>5\n> ```\n> ```"),
        ("an `open\n$5` mark", "> an `open\n> <span>&#36;</span>5` mark"),
        (r"not \`$5\` code", r"> not \`<span>&#36;</span>5\` code"),
    ],
)
def test_a_dollar_stays_where_it_is_code_for_everybody(text: str, shown: str) -> None:
    assert quoted(text) == shown
    assert unquoted(shown) == text


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"total": 3}, '> ```json\n> {"total":3}\n> ```'),
        (encode({"total": Decimal("12.50")}), "> ```python\n> {'total': Decimal('12.50')}\n> ```"),
    ],
)
def test_an_answer_can_be_read(answer: Json, shown: str) -> None:
    run = Trajectory(RunInfo("r", "m", "", ""), (Turn("t", (), Stop("answer", answer=answer)),))
    assert shown in next(cell.source for cell in render(run).cells if cell.id == "turn-1-end")
