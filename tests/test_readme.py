"""What the README says is checked: commands and their options exist, Python parses, links lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from codeact_kernel.frontends.cli_commands import command_of
from codeact_kernel.frontends.cli_help import TEXTS
from codeact_kernel.frontends.magic import CodeActMagics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines() if line.strip()]


def test_there_are_commands_to_check() -> None:
    assert any(command.startswith("make ") for command in COMMANDS)
    assert any(command.startswith("codeact ") for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("codeact ")])
def test_options_of_codeact_commands_exist(command: str) -> None:
    name = command_of(command.split()[1:])
    assert name
    shown = subprocess.run(
        [sys.executable, "-m", "codeact_kernel", *name.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in re.findall(r"(?<= )--[a-z-]+", command):
        assert option in shown, f"{name} has no {option}"


@pytest.fixture(scope="module")
def all_help() -> str:
    return "".join(TEXTS.values()) + CodeActMagics.codeact.parser.format_help()


@pytest.mark.parametrize("text", sorted(set(re.findall(r"`(codeact \w+|--[a-z-]+)", README))))
def test_what_is_mentioned_exists(text: str, all_help: str) -> None:
    assert text.removeprefix("codeact ") in all_help


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", README)) - {"PYTHON"}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_parses(code: str) -> None:
    ast.parse(code)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_test_command_is_what_ci_runs() -> None:
    assert "make test" in COMMANDS
    assert re.search(r"^check:.*\btest\b", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "make check" in (ROOT / ".ci" / "run").read_text()
