"""How an argv is read: every order in which people write options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from codeact_kernel import config
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends import traits
from codeact_kernel.frontends.cli_commands import COMMANDS
from codeact_kernel.frontends.cli_options import Parsed, parse
from codeact_kernel.frontends.cli_values import LEAST_MEMORY
from codeact_kernel.sandbox import request

TASK = "count the rows"
DATA = "SandboxProfile.data"
IMPORTS = "SandboxProfile.allow_imports"


def read(*argv: str, command: str = "run") -> Parsed:
    return parse(COMMANDS[command], argv)


@pytest.mark.parametrize(
    "argv",
    [
        [TASK, "--data", "a.csv", "b.csv", "--allow-import", "os", "sys"],
        ["--data", "a.csv", "b.csv", "--allow-import", "os", "sys", "--", TASK],
        ["--data", "a.csv", "--allow-import", "os", "sys", "--data", "b.csv", TASK],
        ["--data", "a.csv", "b.csv", TASK, "--allow-import", "os", "sys"],
        ["--allow-import=os", "--allow-import=sys", "--data=a.csv", "--data", "b.csv", TASK],
        ["--data=a.csv", TASK, "--data=b.csv", "--allow-import", "os", "--allow-import", "sys"],
    ],
)
def test_many_values_in_every_order(argv: list[str]) -> None:
    parsed = read(*argv)
    assert parsed.positionals == (TASK,)
    assert parsed.traits == {DATA: ["a.csv", "b.csv"], IMPORTS: ["os", "sys"]}


def test_a_one_word_task_after_data_files() -> None:
    assert read("--data", "a.csv", "summarise").positionals == ("summarise",)
    assert read("--data", "a.csv", "分析数据").positionals == ("分析数据",)


def test_data_files_alone_are_no_task() -> None:
    with pytest.raises(UsageError, match="TASK is missing"):
        read("--data", "a.csv", "b.csv")
    with pytest.raises(UsageError, match="TASK is missing"):
        read("--allow-import", "os", "sys")
    with pytest.raises(UsageError, match="TASK is missing"):
        read("--data", TASK)


def test_a_file_with_spaces_is_data(tmp_path: Path) -> None:
    path = tmp_path / "my data.csv"
    path.write_text("x")
    with pytest.raises(UsageError, match="TASK is missing"):
        read("--data", "a.csv", str(path))


def test_the_script_of_exec_after_data_files() -> None:
    parsed = read("--data", "a.csv", "script.py", command="exec")
    assert (parsed.positionals, parsed.traits[DATA]) == (("script.py",), ["a.csv"])
    assert read("--data", "a.csv", "-", "--json", command="exec").positionals == ("-",)


def test_values() -> None:
    parsed = read(TASK, "--max-steps", "3", "--max-cost=0.5", "--max-seconds", "none", "--json")
    assert parsed.traits == {
        "Limits.max_steps": 3,
        "Limits.max_cost_usd": 0.5,
        "Limits.max_seconds": None,
        "CodeactApp.json": True,
    }


def test_the_cage() -> None:
    parsed = read(TASK, "--sandbox", "B", "--readable", "lib", "more", "--memory=1.5G", "--allow-fork")
    assert parsed.traits == {
        "SandboxProfile.sandbox": "B",
        "SandboxProfile.readable": ["lib", "more"],
        "SandboxLimits.memory_bytes": 1536 * config.MIB,
        "SandboxProfile.allow_fork": True,
    }
    for command, given in (("run", TASK), ("exec", "a.py"), ("replay", "a.ipynb")):
        assert read(given, "--unsandboxed", command=command).traits == {"SandboxProfile.sandbox": "none"}


@pytest.mark.parametrize(
    ("given", "count"),
    [("512M", 512 * 2**20), ("2G", 2**31), ("2g", 2**31), ("2GiB", 2**31), ("400MB", 400 * 2**20)],
)
def test_sizes(given: str, count: int) -> None:
    assert read(TASK, "--memory", given).traits == {"SandboxLimits.memory_bytes": count}


@pytest.mark.parametrize("given", ["2", "383M", "-1G", "1e9G", "G", "2X", "9999999T", ""])
def test_sizes_that_cannot_be_meant(given: str) -> None:
    with pytest.raises(UsageError, match="at least 384M"):
        read(TASK, f"--memory={given}")


def test_options_that_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="--sandbox and --unsandboxed contradict each other"):
        read(TASK, "--sandbox", "A", "--unsandboxed")
    with pytest.raises(UsageError, match="--unsandboxed and --sandbox contradict each other"):
        read(TASK, "--unsandboxed", "--sandbox=A")


def test_class_options_stay_text() -> None:
    parsed = read(TASK, "--Limits.max_steps=3", "--SandboxProfile.data=a", "--SandboxProfile.data", "b")
    assert parsed.texts == {"Limits.max_steps": ["3"], DATA: ["a", "b"]}


def test_a_task_that_looks_like_an_option() -> None:
    assert read("--", "--help me").positionals == ("--help me",)


def test_the_last_of_a_single_option_wins() -> None:
    assert read(TASK, "--out", "a.ipynb", "--out", "b.ipynb").traits == {"RunApp.out": "b.ipynb"}


@pytest.mark.parametrize("group", traits.GROUPS, ids=lambda group: str(group.__name__))
def test_groups_have_the_fields_and_defaults_of_their_value_objects(group: type) -> None:
    value_object = getattr(config, group.__name__)
    offered = group().trait_values(config=True)
    fields = {field.name for field in dataclasses.fields(value_object)}
    assert fields - set(offered) <= {"limits"}  # a group of its own
    assert set(offered) <= fields
    default = value_object()
    for name, value in offered.items():
        assert value == (list(held) if isinstance(held := getattr(default, name), tuple) else held)


def test_the_least_memory_is_what_a_kernel_needs() -> None:
    assert LEAST_MEMORY == request.LEAST_MEMORY
