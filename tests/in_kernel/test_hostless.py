"""The setup cell in a shell without a host: data into the folder, imports under the ceiling, what it says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_files import RecordedFile
from codeact_kernel.wire.setup_lines import pack

CODE = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
from codeact_kernel.in_kernel.attach import attach_from_environment
attach_from_environment()
shell = InteractiveShell.instance(colors="nocolor")
cells, answers = json.load(sys.stdin), []
for cell in cells:
    result = shell.run_cell(cell)
    error = result.error_before_exec or result.error_in_exec
    answers.append([repr(result.result), "" if error is None else repr(error)])
print("\\n" + json.dumps([answers, sorted(name for name in os.environ if name.startswith("CODEACT"))]))
"""


class Ran(NamedTuple):
    """Value and error of each cell; stderr; environment variables of ours that were left."""

    cells: list[list[str]]
    stderr: str
    left: list[str]


def run(folder: Path, *cells: str, **env: str) -> Ran:
    ours = ("JPY_SESSION_NAME", "CODEACT")  # Tests have switches of that name too.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps(cells),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, **env, "IPYTHONDIR": str(folder / "ipython")},
        check=True,
        timeout=60,
    )
    answers, left = json.loads(done.stdout.splitlines()[-1])
    return Ran(answers, done.stderr, left)


def embedded(name: str, data: bytes) -> RecordedFile:
    return RecordedFile(name, len(data), hashlib.sha256(data).hexdigest(), pack(data))


def test_small_data_is_there_and_nothing_is_said(tmp_path: Path) -> None:
    source = setup_source(SetupSpec("r", files=(embedded("data/a.csv", b"a,1\n"),)))
    ran = run(tmp_path, source, "open('data/a.csv').read()", source)
    assert ran.cells == [["None", ""], ["'a,1\\n'", ""], ["None", ""]]
    assert ran.stderr == ""


def test_missing_data_is_named_with_the_command(tmp_path: Path) -> None:
    files = (
        RecordedFile("data/my big.parquet", 12_345_678, "0" * 64),
        RecordedFile("data/set/.env", 90),
        RecordedFile("data/set/other", 100_000),
        RecordedFile("data/images/", 0),
    )
    source = setup_source(SetupSpec("r", files=files))
    expected = (
        "The run read data that is too large for this notebook, or was not to be put into it:\n"
        "    data/my big.parquet (12.3 MB)\n"
        "    data/set/.env (90 bytes)\n"
        "    data/set/other (0.1 MB)\n"
        "    data/images/ (a folder)\n"
        "To run it again with that data, give its path: codeact replay {} "
        "--data 'PATH/my big.parquet' --data PATH/set --data PATH/images\n"
    )
    assert run(tmp_path, source).stderr == expected.format("NOTEBOOK.ipynb")
    known = run(tmp_path, source, JPY_SESSION_NAME="some/where/q1 sales.ipynb").stderr
    assert known == expected.format("'q1 sales.ipynb'")
    assert run(tmp_path, source, JPY_SESSION_NAME="a\x1b[2J.ipynb").stderr == expected.format(
        "NOTEBOOK.ipynb"
    )


def test_many_missing_files_are_counted(tmp_path: Path) -> None:
    files = tuple(RecordedFile(f"data/set/{number}", 5) for number in range(30))
    said = run(tmp_path, setup_source(SetupSpec("r", files=files))).stderr
    assert "… and 10 more" in said
    assert said.count("data/set/") == 20
    assert said.count("--data") == 1


def test_other_data_that_is_there_is_kept_and_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text("mine")
    (tmp_path / "data/sub").symlink_to("/")
    files = (embedded("data/a.csv", b"theirs"), embedded("data/sub/b.csv", b"theirs"))
    ran = run(tmp_path, setup_source(SetupSpec("r", files=files)), "1 + 1")
    assert ran.stderr.startswith("Data files in the working folder are not as they were recorded:\n")
    assert "data/a.csv is there already and differs from the recorded one; it is kept" in ran.stderr
    assert "data/sub/b.csv cannot be put there: " in ran.stderr
    assert (tmp_path / "data/a.csv").read_text() == "mine"
    assert ran.cells[1] == ["2", ""]


ASKS = setup_source(SetupSpec("r", ("subprocess", "json", "asyncio", "yaml", "ctypes.util")))
IMPORTS = ("import subprocess", "import json", "import asyncio.subprocess", "import ctypes.util")


def test_without_a_ceiling_every_recorded_import_is_allowed(tmp_path: Path) -> None:
    ran = run(tmp_path, ASKS, *IMPORTS)
    assert [error for _, error in ran.cells] == [""] * 5
    assert ran.stderr == ""


def test_a_ceiling_holds_back_what_it_does_not_name(tmp_path: Path) -> None:
    ran = run(tmp_path, ASKS, *IMPORTS, CODEACT_IMPORT_CEILING="ctypes, torch")
    assert ran.stderr.count("import_ceiling does not allow") == 1
    assert "asks to import 'subprocess', 'asyncio', 'yaml', which" in ran.stderr
    assert (
        'profile = {"import_ceiling": ["ctypes", "torch", "subprocess", "asyncio", "yaml"]}\n' in ran.stderr
    )
    errors = [error for _, error in ran.cells]
    assert "subprocess" in errors[1]
    assert errors[2] == ""
    assert "asyncio.subprocess" in errors[3]  # The default list has asyncio without this part.
    assert errors[4] == ""
    assert ran.left == []


def test_an_empty_ceiling_allows_the_default_list_only(tmp_path: Path) -> None:
    ran = run(tmp_path, ASKS, *IMPORTS, "import numpy", CODEACT_IMPORT_CEILING="")
    assert [bool(error) for _, error in ran.cells] == [False, True, False, True, True, False]
    assert "'ctypes.util'" in ran.stderr
