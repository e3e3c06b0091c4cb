"""Owns `codeact fork`: a new branch from a step of a saved run."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from traitlets import Bool, Int, Unicode

from ..exceptions import UsageError
from ..notebook.load import load
from .assembly import Agent
from .command_run import RunApp
from .doors import saved_run, source_argument, text_argument
from .origin import code_at, model_of


class ForkApp(RunApp):
    """The traits of `codeact fork`."""

    name = "codeact-fork"
    command = "fork"
    at = Int(None, allow_none=True, min=0, help="The last step that is kept; 0: none.").tag(config=True)
    edit = Bool(False, help="Change the code of that step in $EDITOR.").tag(config=True)
    code = Unicode("", help="A file with other code for that step.").tag(config=True)

    def task(self) -> str | None:
        return text_argument("INSTRUCTION", self.arguments[1]) if len(self.arguments) > 1 else None

    def model_spec(self) -> str | None:
        return self.model or model_of(load(saved_run(self.argument)))

    def prepare(self, agent: Agent) -> None:
        path = saved_run(self.argument)
        if self.at is None:
            raise UsageError("--at is missing: say after which step the branch begins, as in --at 3")
        if self.edit and self.code:
            raise UsageError("--edit and --code contradict each other; give one of them")
        code = source_argument(self.code) if self.code else None
        if self.edit:
            code = edited(code_at(path, self.at))
        agent.fork(path, self.at, code=code)


def edited(code: str) -> str:
    """The code as the user's editor left it. Raises UsageError when it cannot be run or fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="codeact-edit-") as folder:
        file = Path(folder, "step.py")
        file.write_text(code, encoding="utf-8", errors="backslashreplace")
        try:
            done = subprocess.run([*shlex.split(editor), str(file)], check=False)
        except (OSError, ValueError) as problem:
            raise UsageError(
                f"the editor {editor!r} cannot be run: {problem}; set EDITOR, or give --code"
            ) from None
        if done.returncode:
            raise UsageError(f"the editor {editor!r} ended with {done.returncode}; nothing was run")
        return file.read_text(encoding="utf-8")
