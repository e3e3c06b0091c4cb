"""What each door imports before it needs it: counted by module, not timed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

DEAR = frozenset(
    {
        "IPython",
        "anthropic",
        "genai_prices",
        "httpx2",
        "ipykernel",
        "ipywidgets",
        "jedi",
        "jsonschema",
        "jupyter_client",
        "markdown_it",
        "matplotlib",
        "nbformat",
        "numpy",
        "pandas",
        "prompt_toolkit",
        "pyarrow",
        "pydantic",
        "pygments",
        "rich",
        "tornado",
        "traitlets",
        "zmq",
    }
)
JUPYTER = frozenset({"jupyter_client", "tornado", "zmq"})
PAGE = frozenset({"rich", "traitlets"})
"""What a command that prints something does need."""
FIRST_NEEDED_LATER = DEAR - JUPYTER - PAGE
AFTER = """
import json, sys
sys.argv = ["codeact", *json.loads(sys.argv[1])]
from codeact_kernel.frontends.cli import main
code = main()
print(json.dumps([code, sorted({name.partition(".")[0] for name in list(sys.modules)})]), file=sys.stderr)
"""


def imported(code: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def dear_after(command: Sequence[str], folder: Path) -> tuple[int, set[str]]:
    """The exit code of `codeact …`, and what of the dear things it has imported."""
    code, modules = json.loads(imported(AFTER, folder, json.dumps(command)).splitlines()[-1])
    return code, DEAR & set(modules)


def dear_with(statement: str, folder: Path) -> set[str]:
    tell = (
        "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in list(sys.modules)})), "
    )
    return DEAR & set(json.loads(imported(f"{statement}\n{tell}file=sys.stderr)", folder)))


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["help", "replay"], ["--version"]])
def test_help_imports_nothing_dear(command: list[str], tmp_path: Path) -> None:
    assert dear_after(command, tmp_path) == (0, set())


def test_a_mistake_is_told_without_anything_dear(tmp_path: Path) -> None:
    assert dear_after(["run", "a task", "--max-stepz", "3"], tmp_path) == (2, set())


def test_a_list_imports_what_it_prints_with(tmp_path: Path) -> None:
    assert dear_after(["list"], tmp_path) == (0, set(PAGE))


@pytest.mark.parametrize(
    "door", ["command_show", "command_verify", "command_diff", "command_trust", "command_skill"]
)
def test_saved_runs_need_no_kernel(door: str, tmp_path: Path) -> None:
    assert dear_with(f"import codeact_kernel.frontends.{door}", tmp_path) <= PAGE


@pytest.mark.parametrize("door", ["command_run", "command_exec", "command_doctor"])
def test_before_a_kernel_starts_only_what_starts_it_is_there(door: str, tmp_path: Path) -> None:
    found = dear_with(f"import codeact_kernel.frontends.{door}", tmp_path)
    assert not found & FIRST_NEEDED_LATER


def test_an_agent_with_another_model_needs_no_sdk(tmp_path: Path) -> None:
    found = dear_with(
        "from codeact_kernel import Agent, ScriptedModel\n"
        "with Agent(model=ScriptedModel([]), verify=False): pass",
        tmp_path,
    )
    assert not found & (FIRST_NEEDED_LATER - {"jsonschema", "nbformat"})  # Imported ahead: it will write.


@pytest.mark.parametrize("door", ["kernel", "magic"])
def test_the_doors_of_jupyter_leave_what_a_task_needs(door: str, tmp_path: Path) -> None:
    found = dear_with(f"import codeact_kernel.frontends.{door}", tmp_path)
    late = {"anthropic", "genai_prices", "httpx2", "jsonschema", "markdown_it", "nbformat", "pydantic"}
    assert not found & (late | {"matplotlib", "numpy", "pandas"})
