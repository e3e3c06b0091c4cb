"""The host never turns what came from the sandbox into objects that run code: it is searched, and tried."""

from __future__ import annotations

import ast
import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import codeact_kernel
from codeact_kernel.config import OutputLimits
from codeact_kernel.digest import digest
from codeact_kernel.exceptions import CodeActError
from codeact_kernel.interfaces import CallHandler
from codeact_kernel.notebook.load import load
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Observation, Refusal
from codeact_kernel.wire.messages import ToolOutcome, ToolRequest
from codeact_kernel.wire.setup import parse_setup
from codeact_kernel.wire.values import DecodeError, decode

from .support import SLOW, OpenLab, setup_with

PACKAGE = Path(codeact_kernel.__file__).parent
INSIDE = PACKAGE / "in_kernel"
HOST = sorted(path for path in PACKAGE.rglob("*.py") if INSIDE not in path.parents)
MODULES = {
    "_pickle", "cPickle", "cloudpickle", "code", "codeop", "dill", "joblib", "marshal", "pickle", "runpy",
    "shelve", "yaml", "xmlrpc",
}  # fmt: skip
"""Whatever is imported from one of these can run what it reads."""
CALLS = {
    "eval",
    "exec",
    "compile",
    "read_pickle",
    "literal_eval_unsafe",
    "load_module",
    "exec_module",
    "run_path",
}
ALLOWED = {
    ("frontends/toolsfile.py", "compile"): "the tools file that the user named",
    ("frontends/toolsfile.py", "exec"): "the same",
    ("notebook/patterns.py", "compile"): "a pattern of RE2, which the user gave: a matcher, no code",
    ("notebook/schema/__init__.py", "compile"): "fastjsonschema, of the schema that this package carries",
    ("wire/schemas/checking.py", "compile"): "to see whether a module compiles: the host never runs it",
    ("sandbox/launcher.py", "exec_module"): "our own package by path; inside the cage, before the kernel",
}


def reasons(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything in a module that could run what it is given."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = {alias.name.split(".")[0] for alias in names} & MODULES
            case ast.ImportFrom(module=str(module), level=0):
                found = {module.split(".")[0]} & MODULES
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CALLS:
                harmless = isinstance(node.func, ast.Attribute) and name == "compile" and is_re(node.func)
                found = set() if harmless else {name}
            case ast.Call(keywords=keywords):
                found = {
                    "allow_pickle" for word in keywords if word.arg == "allow_pickle" and not is_false(word)
                }
            case _:
                continue
        yield from ((node.lineno, name) for name in found)


def is_re(call: ast.Attribute) -> bool:
    return isinstance(call.value, ast.Name) and call.value.id == "re"


def is_false(word: ast.keyword) -> bool:
    return isinstance(word.value, ast.Constant) and word.value.value is False


@pytest.mark.parametrize("path", HOST, ids=lambda path: path.stem)
def test_nothing_on_the_host_runs_what_it_reads(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    found = [
        f"{where}:{line} {name}"
        for line, name in reasons(ast.parse(path.read_text()))
        if (where, name) not in ALLOWED
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import yaml.constructor",
        "eval(x)",
        "numpy.load(x, allow_pickle=True)",
        "pandas.read_pickle(x)",
        "spec.loader.exec_module(m)",
        "compile(x, '', 'exec')",
    ],
)
def test_the_grep_finds_what_it_looks_for(source: str) -> None:
    assert list(reasons(ast.parse(source)))


def test_every_exception_is_still_needed() -> None:
    for where, name in ALLOWED:
        tree = ast.parse((PACKAGE / where).read_text())
        assert any(found == name for _, found in reasons(tree)), f"{where} does not use {name} any more"


# --- it is tried ---------------------------------------------------------------------------------


def bomb(marker: Path) -> bytes:
    """Unpickling this makes the marker."""
    return b"cposix\nopen\n(V" + os.fsencode(marker) + b"\nI65\nI384\ntR."


def forms(marker: Path) -> list[Any]:
    """The bomb as values that a tool could be given, or a notebook could hold."""
    raw = bomb(marker)
    text = base64.b64encode(raw).decode()
    call = f"__import__('os').open({str(marker)!r}, 65)"
    return [
        text,
        {"py/reduce": [{"py/function": "os.open"}, {"py/tuple": [str(marker), 65]}]},
        {"$": "bytes", "b64": text},
        {"$": "pickle", "b64": text},
        {"$": "ndarray", "dtype": "|O", "shape": [1], "b64": text},
        {"$": "ndarray", "dtype": "O", "shape": [1], "items": [text]},
        {"$": "ndarray", "dtype": [["a", "|O"]], "shape": [1], "b64": text},
        {"$": "extension", "dtype": "object", "items": [text]},
        {"$": "record", "type": "os.open", "fields": {"path": str(marker), "flags": 65}},
        {"$": "record", "type": "R", "fields": {"__reduce__": call}},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"_generate_next_value_": call}, "name": "A"},
        {"$": "fraction", "parts": [call, 1]},
        {"$": "decimal", "value": call},
        {"$": "zoneinfo", "key": call},
        {"$": "defaultdict", "factory": "os.open", "items": []},
        call,
    ]


def test_the_bomb_is_live(tmp_path: Path) -> None:
    import pickle  # noqa: TID251  # to show that what is sent would go off

    marker = tmp_path / "marker"
    os.close(pickle.loads(bomb(marker)))
    assert marker.exists()


def test_decoder_sets_off_no_bomb(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for form in forms(marker):
        try:
            str(decode(form))
        except DecodeError:
            continue
    assert not marker.exists()


FILES = """
head = b"{{'descr': '|O', 'fortran_order': False, 'shape': (1,), }}".ljust(117) + b"\\n"
raw = bytes.fromhex({raw!r})
with open("result.pkl", "wb") as file:
    file.write(raw)
with open("result.npy", "wb") as file:
    file.write(b"\\x93NUMPY\\x01\\x00v\\x00" + head + raw)
"""
SHOWN = """
import base64
DIGEST = "application/vnd.codeact.digest"
text = base64.b64encode(raw).decode()
kinds = ("text/plain", "image/png", "application/json", "application/x-python-pickle", DIGEST)
display(dict.fromkeys(kinds, text), raw=True, metadata={"pickle": text})
print(repr(raw))
"""


def take(value: Any) -> Any:
    """A tool that gives back what it gets."""
    return value


@dataclass
class Tools(CallHandler):
    """A CallHandler with the real registry behind it."""

    registry: ToolRegistry
    taken: list[ToolOutcome] = field(default_factory=list)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.taken.append(await self.registry.call(request))
        return self.taken[-1]

    def refused(self, refusal: Refusal) -> None: ...


@pytest.mark.kernel
def test_bombs_through_every_path_of_a_session_go_off_nowhere(tmp_path: Path, open_lab: OpenLab) -> None:
    marker = tmp_path / "marker"
    lab = open_lab(SLOW, setup_with("take"))
    tools = Tools(ToolRegistry([take]))
    raw = bomb(marker).hex()
    cell = lab.run(FILES.format(raw=raw) + SHOWN, tools)
    assert cell.status == "ok", cell.shown
    assert {file.name for file in cell.finished.files} == {"result.pkl", "result.npy"}
    digest(Observation(cell.status, cell.shown, files=cell.finished.files), OutputLimits())
    assert lab.run(f"take(bytes.fromhex({raw!r}))", tools).status == "ok"
    unlisted = open_lab()  # Without allow-lists: the channel itself can be used.
    forge = "from codeact_kernel.in_kernel import attach\nattach.channel.call('take', ({form!r},), {{}})"
    for form in forms(marker):
        unlisted.run(forge.format(form=form), tools)
    assert len(tools.taken) == 1 + len(forms(marker))
    assert not marker.exists()


def test_bombs_in_a_saved_notebook_go_off_nowhere(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    saved = json.loads((Path(__file__).parents[2] / "notebooks" / "refunds.ipynb").read_text())
    for number, form in enumerate(forms(marker)):
        path = tmp_path / f"{number}.ipynb"
        path.write_text(json.dumps(with_everywhere(saved, form)))
        try:
            str(load(path))
        except CodeActError:
            continue
    assert not marker.exists()


def with_everywhere(document: Any, form: Any) -> Any:
    """The document with the bomb for every null and every output's text."""
    match document:
        case None:
            return form
        case dict():
            return {
                key: form if key in ("returns", "text/plain") else with_everywhere(v, form)
                for key, v in document.items()
            }
        case list():
            return [with_everywhere(item, form) for item in document]
        case _:
            return document


def test_bombs_in_a_setup_cell_go_off_nowhere(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    header = '{"codeact":1,"run":"r","imports":[]}\n'
    for form in forms(marker):
        line = {"step": 1, "call": 1, "name": "take", "args": [form], "kwargs": {"a": form}, "returns": form}
        spec = parse_setup(header + json.dumps(line) + "\n")
        for call in spec.tape:
            for value in (*call.args, *call.kwargs.values()):
                try:
                    decode(value)
                except DecodeError:
                    continue
    assert not marker.exists()
