"""A saved run is executed by stock Jupyter: nbclient, a plain python3 kernel, tools from the tape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Result, Stream
from codeact_kernel.trajectory import Action, Reply, Step, Stop, Trajectory, Turn


@pytest.mark.kernel
def test_run_all_in_stock_jupyter(run: Trajectory, tmp_path: Path) -> None:
    first, failed, hung, died, _ = run.steps
    result = Result({"text/plain": "{'ok': True}"}, 2)
    first = replace(
        first,
        action=Action("x = refund(7)\nx"),
        observation=replace(first.observation, shown=(result,)),
    )
    last = Step(5, Reply(code="print(x['ok'], Out[2])"), Action("print(x['ok'], Out[2])"), died.observation)
    said = (Stream("stdout", "True {'ok': True}\n"),)
    last = replace(last, observation=replace(first.observation, shown=said, execution_count=6, tool_calls=()))
    told = replace(run, turns=(Turn("t", (first, failed, hung, died, last), Stop("answer", answer=1)),))
    path = tmp_path / "run.ipynb"
    write(told, path)

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()

    nbformat.write(notebook, path)
    again = {step.index: step for step in load(path).steps}
    assert again[1].observation.shown == (result,)
    assert again[5].observation.shown == said
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    for name, ename in (
        ("step-2", "ZeroDivisionError"),
        ("step-3", "StepTimeout"),
        ("step-4", "KernelKilled"),
    ):
        assert [output.ename for output in outputs[name]] == [ename]
    assert again[3].action == hung.action
