"""The `codeact` command as a user has it: the installed script, in a folder and a home of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.frontends.cli import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPT = Path(sys.executable).with_name("codeact")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC", "JUPYTER"))
    }
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
        kept.pop(name, None)
    return {**kept, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"), "PYTHONWARNINGS": "error"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs."""
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def codeact(environment: dict[str, str], folder: Path) -> Command:
    def run(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), *args],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**environment, **env},
            timeout=100,
            check=False,
        )

    return run


@pytest.fixture
def command(
    environment: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """As `codeact`, in the process of the tests: a new one takes a second to import everything.

    Not for what moves file descriptor 1 (`--json` of what prints): sys.stdout is pytest's own here.
    """

    def run(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in {**environment, **env}.items():
                patch.setenv(name, value)
            patch.chdir(folder)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            capfd.readouterr()
            code = main(list(args))
            shown = capfd.readouterr()
        return subprocess.CompletedProcess(["codeact", *args], code, shown.out, shown.err)

    return run
