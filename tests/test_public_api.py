"""What `import codeact_kernel` gives: pinned names, no side effects, no cost."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import codeact_kernel

NAMES = [
    "Agent",
    "ContextLimits",
    "Launcher",
    "Limits",
    "OutputLimits",
    "Run",
    "SandboxLimits",
    "SandboxProfile",
    "ScriptedModel",
    "ToolLimits",
    "__version__",
    "tool",
]
PROBE = """
import json, os, socket, sys, threading
before = set(os.listdir("."))
modules = set(sys.modules)
import codeact_kernel
found = {
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - modules}),
    "asyncio": "asyncio" in sys.modules,
    "threads": threading.active_count(),
    "files": sorted(set(os.listdir(".")) - before),
    "names": dir(codeact_kernel),
}
from codeact_kernel import *
found["threads_after_names"] = threading.active_count()
found["files_after_names"] = sorted(set(os.listdir(".")) - before)
print(json.dumps(found))
"""


def probe(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def test_names_are_pinned() -> None:
    assert sorted(codeact_kernel.__all__) == codeact_kernel.__all__ == NAMES
    assert dir(codeact_kernel) == NAMES
    for name in NAMES:
        assert getattr(codeact_kernel, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'codeact_kernel' has no attribute 'Agnet'"):
        _ = codeact_kernel.Agnet


def test_importing_does_nothing_and_loads_nothing(tmp_path: Path) -> None:
    found = json.loads(probe(tmp_path, PROBE))
    assert set(found["modules"]) - sys.stdlib_module_names == {"codeact_kernel"}
    assert not found["asyncio"]
    assert found["threads"] == found["threads_after_names"] == 1
    assert found["files"] == found["files_after_names"] == []
    assert found["names"] == NAMES


def test_importing_is_fast(tmp_path: Path) -> None:
    """Against another small import in the same process, so that a slow machine does not matter."""
    code = (
        "import time; a = time.perf_counter(); import codeact_kernel; b = time.perf_counter(); "
        "import asyncio; c = time.perf_counter(); print((b - a) / (c - b))"
    )
    assert min(float(probe(tmp_path, code)) for _ in range(3)) < 0.5


def test_the_package_is_typed() -> None:
    assert files("codeact_kernel").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_public_things_say_what_they_are_in_plain_words(name: str) -> None:
    thing = getattr(codeact_kernel, name)
    docs = [inspect.getdoc(thing)]
    if inspect.isclass(thing):
        own = {key: member for key, member in vars(thing).items() if not key.startswith("_")}
        docs += [
            inspect.getdoc(member)
            for member in own.values()
            if inspect.isfunction(member) or isinstance(member, property | classmethod)
        ]
    for doc in docs:
        assert doc, f"{name} lacks a docstring"
        assert not any(mark in doc for mark in (":param", ":returns:", ":class:", ":func:", ".. "))
