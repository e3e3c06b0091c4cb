"""Owns `refunds.ipynb`: the story of `codeact demo`, on its database."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.frontends.demo.command import TASK
from codeact_kernel.frontends.demo.folder import SCRIPT, TOOLS, prepare
from codeact_kernel.frontends.toolsfile import load_tools


def write(path: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name, "shop")
        prepare(folder)
        tools, model = load_tools(folder / TOOLS), ScriptedModel.from_file(folder / SCRIPT)
        with Agent(tools, model=model, out=path) as agent:
            agent.run_sync(TASK)
