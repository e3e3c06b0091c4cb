"""Reading a tools file: what is offered, and what is said when it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.toolentries import load_named
from codeact_kernel.frontends.toolsfile import load_tools

GOOD = '''
from __future__ import annotations
import sqlite3
from dataclasses import dataclass
from codeact_kernel import tool

@dataclass
class Order:
    id: int

class Shop:
    def orders(self, status: str) -> list[Order]:
        """All of them."""
        return [Order(1)]

async def later(seconds: float) -> None: ...
def helper(x): return x

@tool
def total(order: Order) -> float:
    return 1.0

orders = tool(Shop().orders)
again = orders
wait = tool(later, name="wait_for_it")
'''


def write(folder: Path, text: str, name: str = "shop.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_object_made_by_tool_once_in_order(tmp_path: Path) -> None:
    tools = load_tools(write(tmp_path, GOOD))
    assert [tool.name for tool in tools] == ["total", "orders", "wait_for_it"]
    assert tools[1].spec.doc.startswith("All of them.")
    assert tools[1].spec.parameters[0].annotation == "str"


def test_two_files_of_one_name_do_not_clash(tmp_path: Path) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        text = f"from codeact_kernel import tool\n@tool\ndef from_{folder}() -> str: return {folder!r}\n"
        names += [tool.name for tool in load_tools(write(tmp_path / folder, text))]
    assert names == ["from_a", "from_b"]


def test_sibling_modules_and_the_path_after(tmp_path: Path) -> None:
    write(tmp_path, "RATE = 3\n", "tariff_of_the_test.py")
    path = write(
        tmp_path,
        "from tariff_of_the_test import RATE\nfrom codeact_kernel import tool\n"
        "@tool\ndef rate() -> int: return RATE\n",
    )
    before = list(sys.path)
    (rate,) = load_tools(path)
    assert rate() == 3
    assert sys.path == before


BAD = {
    "syntax error": ("x = 1\ndef f(:\n    pass\n", ["shop.py", "line 2", "def f(:"]),
    "exception": (
        "import json\ndef load():\n    return json.loads('{')\nload()\n",
        ["shop.py", "line 3", "JSONDecodeError"],
    ),
    "missing import": ("import no_such_module_here\n", ["line 1", "No module named 'no_such_module_here'"]),
    "exit": ("import sys\nsys.exit(3)\n", ["line 2", "SystemExit: 3"]),
    "no tools": ("def f(x: int) -> int: return x\n", ["makes no tools", "from codeact_kernel import tool"]),
    "no annotation": (
        "from codeact_kernel import tool\n@tool\ndef f(amount): ...\n",
        ["line 2", "'amount'"],
    ),
    "null byte": ("x = '\0'\n", ["shop.py"]),
}


@pytest.mark.parametrize(("text", "parts"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, parts: list[str]) -> None:
    modules = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        load_tools(write(tmp_path, text))
    for part in parts:
        assert part in str(caught.value)
    left = {name for name in set(sys.modules) - modules if name.startswith("codeact_tools")}
    assert len(left) == ("makes no tools" in str(caught.value))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_tools(tmp_path / "no.py")
    with pytest.raises(UsageError, match="cannot be read"):
        load_tools(tmp_path)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"shop\.py"):
        load_tools(path)


# --- modules -----------------------------------------------------------------------------------

MODULE = '''
from codeact_kernel import tool

@tool
def total(order: int) -> float:
    return 1.0

def plain(order: int) -> float:
    """Twice."""
    return 2.0 * order

class Shop:
    both = [total, plain]

number, nothing = 3, []
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An installed package; its name."""
    name = "acme_of_the_test"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "shop.py").write_text(MODULE)
    (tmp_path / name / "plain.py").write_text("def f(x: int) -> int: return x\n")
    (tmp_path / name / "broken.py").write_text("import json\njson.loads('{')\n")
    (tmp_path / name / "needs.py").write_text("import no_such_module_here\n")
    (tmp_path / name / "exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def test_tools_of_a_module_and_of_its_objects(package: str) -> None:
    assert [tool.name for tool in load_named(f"{package}.shop")] == ["total"]
    assert [tool.name for tool in load_named(f"{package}.shop:total")] == ["total"]
    assert [tool.name for tool in load_named(f"{package}.shop:Shop.both")] == ["total", "plain"]
    (plain,) = load_named(f"{package}.shop:plain")
    assert plain(2) == 4.0
    assert plain.spec.doc.startswith("Twice.")


BAD_NAMES = {
    "no module": (":nowhere", ["there is no module 'nowhere'", "FILE.py"]),
    "no module of the package": ("P.nowhere", ["there is no module 'P.nowhere'"]),
    "no tools": ("P.plain", ["makes no tools"]),
    "no object": ("P.shop:nothing_here", ["has no 'nothing_here'"]),
    "no function": ("P.shop:number", ["neither a tool, nor a function", "3"]),
    "empty list": ("P.shop:nothing", ["neither a tool"]),
    "broken": ("P.broken", ["importing 'P.broken' failed: JSONDecodeError"]),
    "missing import": ("P.needs", ["importing 'P.needs' failed: No module named 'no_such_module_here'"]),
    "exit": ("P.exits", ["SystemExit: 3"]),
    "no name": ("P.shop:", ["names no tools"]),
    "relative": (":.shop", ["names no tools"]),
    "no words": (":rm -rf", ["names no tools"]),
}


@pytest.mark.parametrize(("entry", "parts"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_what_is_wrong_with_a_module_is_said(package: str, entry: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_named(entry.removeprefix(":").replace("P", package, 1) if entry[0] == "P" else entry[1:])
    for part in parts:
        assert part.replace("P.", f"{package}.") in str(caught.value)


def test_a_file_and_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "shop")
    assert len(load_named("shop.py")) == len(load_named("./shop")) == 3
    with pytest.raises(UsageError, match="there is no module 'shop'"):
        load_named("shop")
