"""Owns folders of Jupyter's of the tests' own, with the CodeAct kernel installed and configured in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

PATIENCE = 60
"""Seconds that anything may take: the machine may be slow, and shared."""
TOOLS = Path(__file__).with_name("tools.py")
CONFIG = """
c.CodeActKernel.model = "scripted:{home}/default.jsonl"
c.CodeActKernel.tools = ["{home}/tools.py"]
c.SandboxProfile.allow_imports = ["comm", "traitlets"]
"""


@dataclass(frozen=True)
class Place:
    folder: Path
    """Of the notebooks: where applications run."""
    home: Path
    """The user's: configuration, kernelspecs, runtime files, scripts and tools."""

    def prepare(self, config: str = CONFIG) -> None:
        """Makes the folders, installs the kernel, and configures it."""
        self.folder.mkdir()
        (self.home / "config").mkdir(parents=True)
        (self.home / "config" / "codeact_config.py").write_text(config.format(home=self.home))
        shutil.copyfile(TOOLS, self.home / "tools.py")
        self.run("codeact_kernel", "kernel", "install", "--user")

    def environment(self) -> dict[str, str]:
        """In which Jupyter applications find these folders, and no others of a user."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC", "JUPYTER", "JPY", "IPYTHON", "CODEACT"))
        }
        folders = {
            f"JUPYTER_{kind.upper()}_DIR": str(self.home / kind) for kind in ("config", "data", "runtime")
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        homes = {"IPYTHONDIR": str(self.home / "ipython"), "HOME": str(self.home)}
        return {**kept, **folders, **homes, "PATH": path}

    def run(self, module: str, *arguments: str) -> str:
        """What `python -m module …` prints; a failure is shown with all of it."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def script(self, name: str, *replies: dict[str, str]) -> str:
        """Writes a script for a scripted model; what names it as a model."""
        path = self.home / f"{name}.jsonl"
        path.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
        return f"scripted:{path}"

    def notebook(self, name: str, *cells: str, kernel: str = "codeact") -> str:
        """Writes a notebook with these code cells; its name in the folder."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        made.metadata.kernelspec = {"name": kernel, "display_name": kernel}
        nbformat.write(made, self.folder / f"{name}.ipynb")
        return f"{name}.ipynb"

    def open_gate(self, name: str) -> None:
        """Lets a call of the tool `wait_for_bank` end."""
        (self.home / f"gate-{name}").touch()
