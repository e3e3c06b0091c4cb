"""The command line through its real entry points: help, usage errors, config files."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import codeact_kernel
from codeact_kernel.frontends.cli import main
from codeact_kernel.frontends.cli_commands import COMMANDS

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPTS = Path(sys.executable).parent


def test_help_is_fast(codeact: Command) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        assert codeact("--help").returncode == 0
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_names_every_option_and_every_exit_code(codeact: Command, command: str) -> None:
    shown = codeact(*command.split(), "--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    for option in COMMANDS[command].options:
        assert option.name in shown.stdout or option.name == "--log-level"
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "10", "130"):
        assert f"  {code}" in shown.stdout or f" {code} " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100


def test_help_texts_offer_no_option_that_does_not_exist(codeact: Command) -> None:
    for name, command in COMMANDS.items():
        known = {option.name for option in command.options} | {"--help", "--help-all", "--version"}
        lines = codeact(*name.split(), "--help").stdout.splitlines()
        offered = {line.split()[0] for line in lines if line.startswith("  --")}
        assert {word for word in offered if not word.startswith("--Class")} <= known


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_spellings_of_help(codeact: Command, words: list[str]) -> None:
    assert codeact(*words).stdout == codeact("--help").stdout


def test_help_of_a_command_by_the_jupyter_spelling(codeact: Command) -> None:
    assert codeact("help", "exec").stdout == codeact("exec", "--help").stdout


def test_help_all_lists_the_traits(codeact: Command) -> None:
    shown = codeact("run", "--help-all")
    assert shown.returncode == 0
    for text in ("--Limits.max_steps=", "--SandboxProfile.data=", "--RunApp.schema="):
        assert text in shown.stdout


@pytest.mark.parametrize(
    "entry",
    [
        [str(SCRIPTS / "codeact")],
        [str(SCRIPTS / "jupyter-codeact")],
        [str(SCRIPTS / "jupyter"), "codeact"],
        [sys.executable, "-m", "codeact_kernel"],
    ],
    ids=["codeact", "jupyter-codeact", "jupyter codeact", "python -m"],
)
def test_version_through_every_entry_point(entry: list[str], environment: dict[str, str]) -> None:
    path = f"{SCRIPTS}:{environment['PATH']}"
    shown = subprocess.run(
        [*entry, "--version"],
        capture_output=True,
        text=True,
        env={**environment, "PATH": path, "PYTHONWARNINGS": "default"},
        check=True,
    )
    assert shown.stdout.strip() == codeact_kernel.__version__


USAGE = {
    "no command": ([], "Usage"),
    "unknown command": (["rnu", "task"], "Did you mean 'run'?"),
    "half a command": (["kernel"], "codeact kernel install [OPTIONS]"),
    "unknown command of two words": (["kernel", "instal"], "Did you mean 'kernel install'?"),
    "name of a kernel": (["kernel", "install", "--name", "a/b"], "--name: 'a/b' cannot be used"),
    "two places": (["kernel", "install", "--user", "--prefix", "x"], "contradict each other"),
    "environment of a kernel": (["kernel", "install", "--env", "KEY"], "give NAME=VALUE"),
    "nothing to trust": (["trust"], "give files to trust"),
    "unknown option": (["run", "task", "--max-step", "3"], "Did you mean '--max-steps'?"),
    "option of another command": (["exec", "x.py", "--max-steps", "3"], "unknown option '--max-steps'"),
    "no task": (["run"], "TASK is missing"),
    "empty task": (["run", " "], "TASK is empty"),
    "two tasks": (["run", "a", "b"], "put quotes around it"),
    "steps of zero": (["run", "t", "--max-steps", "0"], "--max-steps: '0' cannot be used"),
    "steps that are no number": (["run", "t", "--max-steps=ten"], "'ten'"),
    "timeout that is no number": (["run", "t", "--step-timeout", "x"], "--step-timeout: 'x'"),
    "negative timeout": (["run", "t", "--step-timeout", "-1"], "'-1'"),
    "endless cost": (["run", "t", "--max-cost", "inf"], "'inf'"),
    "import that is no name": (["run", "t", "--allow-import", "os;x"], "'os;x'"),
    "tier that does not exist": (
        ["run", "t", "--sandbox", "D"],
        "'D' cannot be used; give one of auto, A, B",
    ),
    "no cage in other words": (["run", "t", "--sandbox", "none"], "is asked for with --unsandboxed"),
    "memory that is none": (["exec", "x.py", "--memory", "lots"], "--memory: 'lots' cannot be used"),
    "nothing to read": (["run", "t", "--readable", "no/lib"], "--readable 'no/lib' does not exist"),
    "tier of the wrong trait": (["run", "t", "--SandboxProfile.sandbox=Z"], "sandbox"),
    "layer that does not exist": (["run", "t", "--SandboxProfile.without=seccomp"], "without"),
    "threads too few": (["run", "t", "--SandboxLimits.threads=2"], "threads"),
    "argument for the doctor": (["doctor", "now"], "unexpected argument 'now'"),
    "option without its value": (["run", "t", "--out"], "--out needs a value"),
    "flag with a value": (["run", "t", "--json=yes"], "--json takes no value"),
    "extra argument": (["demo", "now"], "unexpected argument 'now'"),
    "missing data file": (["run", "t", "--data", "no.csv"], "--data 'no.csv' does not exist"),
    "missing schema": (["run", "t", "--schema", "no.json"], "--schema 'no.json' does not exist"),
    "missing tools file": (["run", "t", "--tools", "no.py"], "tools file 'no.py' does not exist"),
    "missing workspace": (["run", "t", "--workspace", "no"], "--workspace 'no' is no folder"),
    "missing script": (["exec", "no.py"], "'no.py' does not exist"),
    "missing notebook": (["show", "no.ipynb"], "'no.ipynb' does not exist"),
    "notebook to replay missing": (["replay", "no.ipynb"], "'no.ipynb' does not exist"),
    "notebook given to exec": (["exec", "run.ipynb"], "is a notebook"),
    "no code": (["exec", "empty.py"], "no code in 'empty.py'"),
    "out that is no notebook": (["run", "t", "--out", "run.txt"], "ends in .ipynb"),
    "out that exists": (["run", "t", "--out", "run.ipynb"], "is not overwritten"),
    "out in no folder": (["run", "t", "--out", "no/run.ipynb"], "make it first"),
    "schema that is not JSON": (["run", "t", "--schema", "bad.json"], "is not JSON"),
    "schema that is no object": (["run", "t", "--schema", "list.json"], "no JSON Schema"),
    "unknown class": (["run", "t", "--Limit.max_steps=3"], "Did you mean 'Limits'?"),
    "unknown trait": (["run", "t", "--Limits.max_step=3"], "Did you mean 'max_steps'?"),
    "trait out of bounds": (["run", "t", "--Limits.max_steps=0"], "max_steps"),
    "trait of the wrong type": (["run", "t", "--Limits.max_steps=many"], "max_steps"),
    "missing config file": (["run", "t", "--config", "no.py"], "--config 'no.py' does not exist"),
    "broken config file": (["run", "t", "--config", "broken.py"], "SyntaxError"),
    "wrong config value": (["run", "t", "--config", "wrong.py"], "max_steps"),
    "demo into a folder of the user's": (["demo", "--out", "."], "is left alone"),
}


@pytest.mark.parametrize(("args", "message"), USAGE.values(), ids=USAGE)
def test_usage_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    folder: Path,
    args: list[str],
    message: str,
) -> None:
    """Through `main` in this process: a new one for each would take a minute."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", environment["JUPYTER_CONFIG_DIR"])
    (folder / "run.ipynb").write_text("{}")
    (folder / "empty.py").write_text("# %%\n\n")
    (folder / "bad.json").write_text("{")
    (folder / "list.json").write_text("[]")
    (folder / "broken.py").write_text("c.Limits.max_steps = = 3\n")
    (folder / "wrong.py").write_text("c.Limits.max_steps = 'many'\n")
    before = sorted(folder.iterdir())
    assert main(args) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
    assert sorted(folder.iterdir()) == before


def test_a_usage_error_of_the_script(codeact: Command) -> None:
    shown = codeact("run", "t", "--data", "no.csv")
    assert shown.returncode == 2
    assert shown.stderr == "codeact: error: --data 'no.csv' does not exist; check the path\n"
    assert shown.stdout == ""
    shown = codeact("exec", "-", stdin="\n")
    assert shown.returncode == 2
    assert "no code in standard input" in shown.stderr


def test_debug_gives_the_traceback(codeact: Command) -> None:
    shown = codeact("run", "t", "--data", "no.csv", "--debug")
    assert shown.returncode != 0
    assert "Traceback" in shown.stderr
    assert "UsageError" in shown.stderr


def test_a_message_cannot_move_the_cursor(codeact: Command) -> None:
    shown = codeact("\x1b[2J\x1b]0;title\x07run")
    assert shown.returncode == 2
    assert "\x1b" not in shown.stderr


def test_config_file_is_read_and_the_command_line_wins(codeact: Command, environment: dict[str, str]) -> None:
    config = Path(environment["JUPYTER_CONFIG_DIR"])
    config.mkdir()
    (config / "codeact_config.py").write_text(
        "c.Limits.max_steps = 7\nc.Limits.max_seconds = 70\nc.CodeactApp.model = 'scripted:a'\n"
        "c.RunApp.model = 'scripted:b'\n"
    )
    shown = codeact("run", "t", "--max-steps", "5", "--model", "scripted:c", "--show-config")
    assert shown.returncode == 0
    assert str(config / "codeact_config.py") in shown.stdout
    assert ".max_steps = 5" in shown.stdout
    assert ".max_seconds = 70" in shown.stdout
    run = shown.stdout.partition("RunApp")[2]
    assert "'scripted:c'" in run
    assert "'scripted:b'" not in run


def test_generated_config_is_a_config(codeact: Command, environment: dict[str, str]) -> None:
    assert codeact("--generate-config").returncode == 0
    path = Path(environment["JUPYTER_CONFIG_DIR"]) / "codeact_config.py"
    text = path.read_text()
    assert "# c.Limits.max_steps = 30" in text
    path.write_text(text.replace("# c.Limits.max_steps = 30", "c.Limits.max_steps = 3"))
    assert ".max_steps = 3\n" in codeact("run", "t", "--show-config").stdout
