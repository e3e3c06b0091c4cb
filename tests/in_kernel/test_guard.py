"""The allow-lists against a table of spellings and a table of ordinary code, in real IPython shells."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
DEPTHS = (100, 800, 1000, 1500, 2500, 5000)
KINDS = {"import", "builtin", "magic", "attribute"}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SPELLINGS: dict[str, list[str]] = load("guard_spellings").SPELLINGS
ORDINARY: list[str] = load("guard_ordinary").ORDINARY


def lab(
    cases: Sequence[Sequence[str]], *, guard: bool = True, allow: Sequence[Sequence[str]] = ()
) -> list[Any]:
    """Runs the cases, each in a fresh namespace and folder, in one process of its own."""
    allowed = allow or [()] * len(cases)
    job = [{"cells": list(c), "allow": list(a)} for c, a in zip(cases, allowed, strict=True)]
    done = subprocess.run(
        [sys.executable, HERE / "guard_lab.py"],
        input=json.dumps({"guard": guard, "cases": job}),
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[Any] = json.loads(done.stdout)
    return answers


def one(*cells: str, allow: Sequence[str] = ()) -> Any:
    return lab([cells], allow=[allow])[0]


@cache
def all_spellings(guard: bool) -> dict[str, Any]:
    return dict(zip(SPELLINGS, lab(list(SPELLINGS.values()), guard=guard), strict=True))


@cache
def all_ordinary() -> list[Any]:
    return lab([[code] for code in ORDINARY])


def test_there_are_enough_spellings() -> None:
    assert len(SPELLINGS) >= 60


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling_bites_without_the_guard(name: str) -> None:
    assert all_spellings(False)[name]["canary"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling_is_refused(name: str) -> None:
    answer = all_spellings(True)[name]
    assert not answer["canary"]
    assert answer["guard_alive"]
    assert answer["reported"]
    assert {kind for kind, _ in answer["reported"]} <= KINDS
    said = "".join(cell["message"] + cell["out"] + cell["err"] for cell in answer["cells"])
    assert "refused" in said


@pytest.mark.parametrize("number", range(len(ORDINARY)))
def test_ordinary_code_is_left_alone(number: int) -> None:
    answer = all_ordinary()[number]
    (cell,) = answer["cells"]
    assert cell["error"] is None, (ORDINARY[number], cell)
    assert cell["err"] == ""
    assert answer["reported"] == []


def test_refused_import_says_what_and_how() -> None:
    answer = one("x = 1\nimport subprocess", "x")
    cell, after = answer["cells"]
    assert cell["error"] == "ImportRefused"
    assert {"ImportError", "ModuleNotFoundError", "InputRejected"} <= set(cell["bases"])
    assert cell["before"], "refused before anything ran"
    assert after["error"] == "NameError"
    for part in ("'subprocess'", "Instead:", "allowed_imports()", "--allow-import subprocess"):
        assert part in cell["message"]
    assert cell["out"].startswith("----> import subprocess\nImportRefused: ")
    assert "Traceback" not in cell["out"]
    assert answer["reported"] == [["import", "subprocess"]]


def test_message_and_report_are_the_same_when_it_happens_at_run_time() -> None:
    static, dynamic = lab([["import shutil"], ["i = __import__\n\ni('shutil')"]])
    assert dynamic["reported"] == static["reported"] == [["import", "shutil"]]
    message = dynamic["cells"][0]["message"]
    assert static["cells"][0]["message"].startswith(message)
    assert not dynamic["cells"][0]["before"]
    assert dynamic["cells"][0]["out"] == f"----> i('shutil')\nImportRefused: {message}\n"


def test_everything_that_is_wrong_with_a_cell_is_said_at_once() -> None:
    answer = one("import os\nimport json, sys\nexec('1')")
    assert answer["reported"] == [["import", "os"], ["import", "sys"], ["builtin", "exec"]]
    assert "import json, sys; exec" in answer["cells"][0]["message"]


@pytest.mark.parametrize(
    "caught", ["ImportError", "ModuleNotFoundError", "Exception", "(ValueError, ImportError)"]
)
def test_code_may_catch_a_refused_import_and_it_is_reported(caught: str) -> None:
    answer = one(f"try:\n    import requests\nexcept {caught}:\n    requests = None\nprint(requests)")
    assert answer["cells"][0]["error"] is None
    assert answer["cells"][0]["out"] == "None\n"
    assert answer["reported"] == [["import", "requests"]]


def test_a_caught_refusal_of_an_attribute_is_reported() -> None:
    answer = one("try:\n    getattr(print, '__se' + 'lf__')\nexcept AttributeError as e:\n    print(e)")
    assert answer["cells"][0]["error"] is None
    assert answer["reported"] == [["attribute", "__self__"]]


def test_allowed_module_that_is_not_installed() -> None:
    (cell,) = one("import igraph_that_nobody_has", allow=["igraph_that_nobody_has"])["cells"]
    assert cell["error"] == "ModuleNotFoundError"
    assert "No module named" in cell["message"]


ALLOWED = [
    (["os"], "import os; os.mkdir('canary')"),
    (["os"], "from os import path, mkdir; mkdir('canary'); path.join('a', 'b')"),
    (["os"], "import os.path as p; p.join('a'); import os; os.mkdir('canary')"),
    (["os"], "import random; random._os.mkdir('canary')"),
    (["os"], "import random; getattr(random, '_' + 'os').mkdir('canary')"),
    (["os"], "import glob; glob.os.mkdir('canary')"),
    (["os.path"], "import os.path as p; from pathlib import Path; Path(p.join('canary')).mkdir()"),
    (["sys"], "import sys; sys.modules['os'].mkdir('canary')"),
    (
        ["operator.attrgetter", "os"],
        "import operator, random; operator.attrgetter('_os')(random).mkdir('canary')",
    ),
    (["subprocess"], "import subprocess; subprocess.run(['mkdir', 'canary'])"),
    (["urllib.request"], "import urllib.request; urllib.request.Request('http://x'); open('canary', 'w')"),
    (["helper"], "open('helper.py', 'w').write('import os'); import helper; open('canary', 'w')"),
]


@cache
def run_allowed() -> list[Any]:
    return lab([[code] for _, code in ALLOWED], allow=[allow for allow, _ in ALLOWED])


@pytest.mark.parametrize("number", range(len(ALLOWED)))
def test_what_the_user_allows_is_allowed(number: int) -> None:
    answer = run_allowed()[number]
    assert answer["cells"][0]["error"] is None, answer
    assert answer["canary"]
    assert answer["reported"] == []


def test_allowing_one_part_does_not_allow_the_whole() -> None:
    answer = one("import os\nos.mkdir('canary')", "import os.path\nos.mkdir('canary')", allow=["os.path"])
    assert not answer["canary"]
    assert answer["cells"][0]["error"] == "ImportRefused"
    assert answer["cells"][1]["error"] == "AttributeError"


def test_module_file_in_the_workspace_does_not_shadow_a_library() -> None:
    planted = (
        "from pathlib import Path\nfor n in ('colorsys', 'stringprep'): Path(n + '.py').write_text('x' * 9)"
    )
    answer = one(planted, "import colorsys\nimport stringprep\nprint(colorsys.rgb_to_hsv(0, 0, 0))")
    assert answer["cells"][1]["error"] is None
    assert answer["cells"][1]["out"] == "(0.0, 0.0, 0)\n"


def test_star_import_leaves_refused_modules_out() -> None:
    answer = one(
        "from glob import *\nfrom matplotlib.cbook import *\n"
        "print('subprocess' in globals(), 'os' in globals())"
    )
    assert answer["cells"][0]["out"] == "False False\n"


def test_nesting_beyond_the_recursion_limit_does_not_switch_the_check_off() -> None:
    deep = ["x = " + "+".join(["1"] * depth) + "\nimport os\nos.mkdir('canary')" for depth in DEPTHS]
    answer = one(*deep, "import os")
    assert not answer["canary"]
    assert answer["guard_alive"]
    errors = [cell["error"] for cell in answer["cells"]]
    assert errors[0] == errors[-1] == "ImportRefused"


def test_a_cell_that_cannot_be_checked_is_refused() -> None:
    too_deep = "open('canary', 'w')\nx = " + "+".join(["1"] * 1500)
    answer = one(too_deep)
    (cell,) = answer["cells"]
    assert (cell["error"], cell["before"]) == ("Refused", True)
    assert "nested too deeply" in cell["message"]
    assert not answer["canary"]


def test_refused_names_are_bounded() -> None:
    answer = one("i = __import__\ni('m' * 10**6)")
    ((kind, name),) = answer["reported"]
    assert kind == "import"
    assert len(name) <= 200
    assert len(answer["cells"][0]["message"]) < 2000


def test_remove_puts_everything_back() -> None:
    # The same process runs guarded cases one after the other; a leak would refuse the lab's own reset.
    first, second = lab([["import os"], ["1"]], guard=True)
    assert first["cells"][0]["error"] == "ImportRefused"
    assert second["cells"][0]["error"] is None
    code = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from codeact_kernel.in_kernel.guard import Guard
shell = InteractiveShell.instance()
before = dict(shell.user_ns), list(shell.ast_transformers), list(sys.path)
guard = Guard(shell, (), print)
guard.install()
assert "json" in guard.allowed_imports() and "os" not in guard.allowed_imports()
guard.remove()
assert (dict(shell.user_ns), list(shell.ast_transformers), list(sys.path)) == before
assert shell.run_cell("import os; exec('x = 1'); os.getcwd()").success
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_libraries_and_the_shell_go_on_working() -> None:
    code = """
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from codeact_kernel.in_kernel.guard import Guard
shell = InteractiveShell.instance()
Guard(shell, (), print).install()
shell.run_cell("import json; value = [3]")
assert shell.user_expressions({"v": "value[0]"})["v"]["data"]["text/plain"] == "3"
assert shell.ev("len(value)") == 1
with provisionalcompleter():
    assert "dumps" in [c.text.rpartition(".")[2] for c in shell.Completer.completions("json.du", 7)]
import subprocess, importlib, os  # the host of the shell is no action code
exec("import socket")
assert shell.object_inspect("json.dumps")["found"]
assert shell.run_cell("import pandas as pd; pd.DataFrame({'a': [1]}).to_json()").success
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_lists_are_consistent() -> None:
    # A process of its own, because the module belongs to the sandbox kernel.
    code = """
from codeact_kernel.in_kernel.guard_lists import load_lists
lists = load_lists()
refused = "os sys subprocess socket ctypes pickle importlib inspect multiprocessing shutil builtins http"
for name in [*refused.split(), "urllib", "urllib.request", "IPython", "codeact_kernel", "asyncio.subprocess"]:
    assert not lists.allows(name), name
for name in ("json", "collections.abc", "urllib.parse", "numpy.linalg", "pandas", "IPython.display"):
    assert lists.allows(name), name
assert not lists.imports & (lists.denied | set(lists.instead))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
