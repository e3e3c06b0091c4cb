"""The import direction of docs/design.md, checked on the whole AST, function-level imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import codeact_kernel

ROOT = Path(codeact_kernel.__file__).parent
LAYERS = {
    "__init__": 4,
    "__main__": 4,
    "exceptions": 0,
    "config": 0,
    "trajectory": 0,
    "verdict": 0,
    "outputs": 0,
    "events": 0,
    "wire": 0,
    "inert": 1,
    "interfaces": 1,
    "ahead": 1,
    "jupyter_schemas": 1,
    "waiting": 1,
    "models": 2,
    "sandbox": 2,
    "tools": 2,
    "notebook": 2,
    "skills": 2,
    "policy": 3,
    "prompt": 3,
    "prompt_modules": 3,
    "prompt_skills": 3,
    "digest": 3,
    "envelope": 3,
    "images": 3,
    "conversation": 3,
    "budget": 3,
    "collect": 3,
    "agent": 3,
    "resuming": 3,
    "toolcalls": 3,
    "callnotes": 3,
    "allowance": 3,
    "timelimit": 3,
    "rebuild": 3,
    "replay": 3,
    "call_differences": 3,
    "comparison": 3,
    "live": 3,
    "normal_forms": 3,
    "pixels": 3,
    "profile_drift": 3,
    "unrepeatable": 3,
    "frontends": 4,
    "in_kernel": -1,
}
BOUNDARY = ("supervisor", "launcher")
ADAPTERS = {"models", "sandbox", "tools", "notebook"}
MODULES = sorted(ROOT.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module or ""
                continue
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            if node.module:
                yield f"{base}.{node.module}"
            else:
                yield from (f"{base}.{alias.name}" for alias in node.names)


def is_facade(path: Path) -> bool:
    return path == ROOT / "__init__.py"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    if is_facade(path):
        return
    here = room(name_of(path))
    for target in imports_of(path):
        if not target.startswith("codeact_kernel"):
            continue
        there = room(target)
        if name_of(path) in ("codeact_kernel.sandbox.launcher", "codeact_kernel.sandbox.forkserver"):
            others = ("confine", "forkserver", "launcher", "supervisor")
            rooms = ("codeact_kernel.in_kernel", *(f"codeact_kernel.sandbox.{name}" for name in others))
            assert target.startswith(rooms)
            continue  # It becomes the sandbox kernel.
        if here == "in_kernel":
            assert there in {"in_kernel", "wire"}, f"{path.name} imports {target}"
            continue
        assert there != "in_kernel", f"{path.name} imports {target}: only the sandbox runs that"
        if there == "__init__":
            continue
        assert LAYERS[there] <= LAYERS[here], f"{path.name} imports {target}"
        if here in ADAPTERS and there in ADAPTERS:
            assert here == there, f"{path.name} imports {target}: adapters never import each other"


@pytest.mark.parametrize("path", sorted((ROOT / "wire").rglob("*.py")), ids=name_of)
def test_wire_is_stdlib_only(path: Path) -> None:
    optional = {"numpy", "pandas", "pydantic"}  # values of these types cross; imported on first use
    top_level = {
        alias
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if not (isinstance(node, ast.ImportFrom) and node.level)
    }
    assert all(name.split(".")[0] in sys.stdlib_module_names for name in top_level)
    for target in imports_of(path):
        top = target.split(".")[0]
        assert top in sys.stdlib_module_names or top in optional or room(target) == "wire"


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "sandbox" / "confine").glob("*.py")), *(ROOT / "sandbox" / f"{n}.py" for n in BOUNDARY)],
    ids=name_of,
)
def test_the_boundary_is_stdlib_only(path: Path) -> None:
    """It runs before the kernel's code, and in any interpreter that has ipykernel."""
    for target in imports_of(path):
        ours = target.startswith(("codeact_kernel.sandbox.confine", "codeact_kernel.in_kernel"))
        ours = ours or target == "codeact_kernel.sandbox.forkserver"  # Only where it is told to serve.
        assert ours or target.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {target}"


def test_the_supervisor_imports_nothing_dear() -> None:
    """Every kernel waits for it."""
    code = "import sys; before = set(sys.modules); import codeact_kernel.sandbox.supervisor; " + (
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    dear = {"dataclasses", "inspect", "subprocess", "tempfile", "pathlib", "shutil", "ctypes", "socket"}
    assert not dear & set(done.stdout.split())


def test_in_kernel_needs_only_ipython_and_wire() -> None:
    allowed = {
        "IPython",
        "ipykernel",
        "traitlets",
        "zmq",
        "tornado",
        "codeact_kernel",
        "numpy",
        "pandas",
        "jupyter_client",
    }
    for path in (ROOT / "in_kernel").glob("*.py"):
        for target in imports_of(path):
            top = target.split(".")[0]
            assert top in sys.stdlib_module_names or top in allowed, f"{path.name} imports {target}"
