"""Toolkits: installed ones by name, anything else by NAME=ENTRY, and tools in modules of their own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.exceptions import ToolDefinitionError, UsageError
from codeact_kernel.frontends.config_files import merge
from codeact_kernel.frontends.magic_values import functions
from codeact_kernel.frontends.toolentries import Toolkit, installed_toolkits, load_entries, load_named
from codeact_kernel.frontends.trusting import load_trusted_tools, trust
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire.messages import Raised, Returned, ToolModule, ToolRequest

NAME = "acme_kit_of_the_test"
SHOP = '''"""Orders of the shop."""
from codeact_kernel import tool
loaded = True

@tool(effect="read", approval="ask")
def total(order: int) -> float:
    """What it costs."""
    return 2.5 * order

def refund(order: int) -> str: return f"refunded {order}"
def make(): return [total, refund]
def fails(): raise RuntimeError("no database")
several, number = [total, refund], 7
'''
POINTS = """[codeact_kernel.tools]
shop-of-the-test = {name}.shop
acme_kit_of_the_test = {name}.shop:total
kit_list = {name}.shop:several
kit_made = {name}.shop:make
kit_fails = {name}.shop:fails
kit_number = {name}.shop:number
kit_gone = {name}.shop:nowhere
7up = {name}.shop

[console_scripts]
kit_script = {name}.shop:make
"""


def install(folder: Path, name: str, version: str, points: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points.format(name=name))


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, one with toolkits in it."""
    folder = tmp_path / "site-packages"
    (folder / NAME).mkdir(parents=True)
    (folder / NAME / "__init__.py").write_text(
        "from codeact_kernel import tool\n@tool\ndef flat() -> int: return 1\n"
    )
    (folder / NAME / "shop.py").write_text(SHOP)
    install(folder, NAME, "1.2", POINTS)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for module in [module for module in sys.modules if module.split(".")[0] == NAME]:
        del sys.modules[module]


def names(entry: str) -> list[str]:
    return [made.name for made in load_named(entry)]


# --- entry points ------------------------------------------------------------------------------


def test_an_installed_toolkit_is_a_module_and_is_loaded_when_it_is_named(kit: Path) -> None:
    assert Toolkit("shop-of-the-test", f"{NAME} 1.2", f"{NAME}.shop") in installed_toolkits()
    assert not any(one.name == "kit_script" for one in installed_toolkits())
    assert f"{NAME}.shop" not in sys.modules
    (total,) = load_named("shop-of-the-test")
    assert f"{NAME}.shop" in sys.modules
    assert total.name == total.spec.name == "shop_of_the_test.total"
    assert total.home == ToolModule("shop_of_the_test", "toolkits", doc="Orders of the shop.")
    assert (total.spec.effect, total.approval) == ("read", "ask")


def test_what_an_entry_point_may_point_at(kit: Path) -> None:
    assert names("kit_list") == ["kit_list.total", "kit_list.refund"]
    assert names("kit_made") == ["kit_made.total", "kit_made.refund"]
    assert names("other=kit_made") == ["other.total", "other.refund"]


def test_a_toolkit_comes_before_a_module_which_can_be_named_too(kit: Path) -> None:
    assert names(NAME) == [f"{NAME}.total"]
    assert names(f"{NAME}:*") == ["flat"]
    assert names(f"kit={NAME}:*") == ["kit.flat"]


BAD = {
    "it fails": ("kit_fails", [r"kit_fails", r"1\.2", "RuntimeError: no database"]),
    "no tools": ("kit_number", ["kit_number", "neither a tool, nor a function", "7"]),
    "nothing there": ("kit_gone", ["kit_gone", "AttributeError"]),
    "no name for a module": ("7up", ["'7up'", "--tools NAME=7up"]),
    "reserved": ("tools=kit_list", ["'tools'", "searches"]),
    "reserved too": ("skills=kit_list", ["'skills'", "earlier runs"]),
    "underscore": ("_x=kit_list", ["'_x'", "leading underscore"]),
    "keyword": ("class=kit_list", ["'class'", "identifier"]),
    "nothing of that name": ("kit_nowhere", ["no module 'kit_nowhere'", "codeact tools"]),
}


@pytest.mark.parametrize(("entry", "parts"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_toolkit_is_said(kit: Path, entry: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_named(entry)
    for part in parts:
        assert part.replace("\\", "") in str(caught.value)


def test_two_packages_with_a_toolkit_of_one_name(kit: Path) -> None:
    install(kit, "acme_other", "3", f"[codeact_kernel.tools]\nkit_list = {NAME}.shop:total\n")
    with pytest.raises(UsageError, match=r"more than once.*kit_list=.*shop:several.*acme_other 3"):
        load_named("kit_list")
    assert names(f"kit_list={NAME}.shop:total") == ["kit_list.total"]


# --- files -------------------------------------------------------------------------------------

FILE = '"""{doc}"""\nfrom codeact_kernel import tool\n@tool\ndef {name}(order: int) -> int: return order\n'


def write(path: Path, name: str, doc: str = "A file.") -> Path:
    path.write_text(FILE.format(name=name, doc=doc))
    return path


def test_files_are_put_into_modules_and_several_into_one(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.py", "refund", "First."), write(tmp_path / "b.py", "total", "Second.")
    tools = load_entries([f"shop={a}", f"shop={b}", str(a)])
    assert [made.name for made in tools] == ["shop.refund", "shop.total", "refund"]
    assert ToolRegistry(tools).modules() == (ToolModule("shop", "toolkits", doc="First."),)
    odd = write(tmp_path / "x=y.py", "odd")
    assert names(f"{tmp_path}/{odd.name}") == ["odd"]


def test_two_tools_of_one_name_say_how_to_tell_them_apart(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.py", "refund"), write(tmp_path / "b.py", "refund")
    with pytest.raises(UsageError, match=r"both make 'refund'; .* --tools NAME=.*b\.py: .* NAME\.refund"):
        load_entries([str(a), str(b)])
    assert len(load_entries([str(a), f"other={b}"])) == 2
    with pytest.raises(UsageError, match=r"both make 'shop\.refund'"):
        load_entries([f"shop={a}", f"shop={b}"])
    assert names(str(a)) == [made.name for made in load_entries([str(a), str(a)])]


def test_a_file_in_a_module_keeps_its_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_named(f"shop={tmp_path}/no.py")


def test_a_config_file_names_what_lies_beside_it(tmp_path: Path) -> None:
    from traitlets.config import Config

    (tmp_path / "c.py").write_text("c.CodeactApp.tools = ['shop=a.py', 'acme', 'x=acme.shop', 'b.py']\n")
    config = Config()
    merge(config, "c.py", str(tmp_path))
    assert config.CodeactApp.tools == [f"shop={tmp_path}/a.py", "acme", "x=acme.shop", f"{tmp_path}/b.py"]


def test_a_notebook_names_trusted_files_for_a_module_and_no_installed_toolkits(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    path = write(tmp_path / "a.py", "refund")
    with pytest.raises(UsageError, match="is not trusted"):
        load_trusted_tools(f"shop={path}")
    trust(path)
    assert [made.name for made in load_trusted_tools(f"shop={path}")] == ["shop.refund"]
    for entry in ("kit_list", "shop=kit_list"):
        with pytest.raises(UsageError, match="installed toolkits are named in codeact_config"):
            load_trusted_tools(entry)
    assert f"{NAME}.shop" not in sys.modules


# --- in Python ---------------------------------------------------------------------------------


def refund(order: int) -> str:
    """Gives it back."""
    return f"refunded {order}"


def test_a_tool_within_a_module_has_its_dotted_name_everywhere() -> None:
    made = tool(refund, effect="read", approval="deny", thread="worker").within("shop")
    assert (made.name, made.spec.module, made.spec.function) == ("shop.refund", "shop", "refund")
    assert (made.spec.effect, made.approval, made.thread) == ("read", "deny", "worker")
    assert made(7) == "refunded 7"
    assert repr(made) == "<tool shop.refund(order: 'int') -> 'str'>"
    again = tool(made, name="back")
    assert again.name == "shop.back"
    assert again.within("other").name == "other.back"
    with pytest.raises(ToolDefinitionError, match="no tool begins with an underscore"):
        tool(refund, name="_refund").within("shop")


def test_messages_of_a_call_name_the_module() -> None:
    registry = ToolRegistry({"shop": refund})
    done = asyncio.run(registry.call(ToolRequest(1, "shop.refund", (7,))))
    assert done == Returned("refunded 7")
    wrong = asyncio.run(registry.call(ToolRequest(2, "shop.refund", ("x",))))
    assert isinstance(wrong, Raised)
    assert "shop.refund(): argument 'order'" in wrong.message


def test_a_registry_has_the_modules_of_its_tools() -> None:
    registry = ToolRegistry([refund, tool(refund).within("a"), tool(refund).within("b")])
    assert list(registry.tools) == ["refund", "a.refund", "b.refund"]
    assert [module.name for module in registry.modules()] == ["a", "b"]
    with pytest.raises(ToolDefinitionError, match="two modules of tools are called 'a'"):
        ToolRegistry({"a": [refund]}, modules=[ToolModule("a", "mcp_servers")])
    with pytest.raises(ToolDefinitionError, match=r"two tools are called 'a\.refund'"):
        ToolRegistry({"a": [refund, refund]})
    with pytest.raises(ToolDefinitionError, match=r"'no module'"):
        ToolRegistry({"no module": [refund]})
    with pytest.raises(ToolDefinitionError, match="neither a tool"):
        ToolRegistry({"a": []})


def test_functions_of_a_notebook_in_a_list_are_a_module() -> None:
    made = functions(["refund", "shop"], {"refund": refund, "shop": [refund]})
    assert [one.name for one in made] == ["refund", "shop.refund"]


@pytest.mark.kernel
def test_a_toolkit_in_a_kernel(tmp_path: Path) -> None:
    cell = "from toolkits import shop\nfrom toolkits.shop import refund as back\n"
    cell += "print(shop.refund(7), back(order=8))"
    agent = Agent({"shop": [refund]}, model=ScriptedModel([]), out=tmp_path / "run.ipynb", verify=False)
    with agent:
        step = agent.run_cell_sync(cell).trajectory.steps[-1]
    assert step.observation.text("stdout") == "refunded 7 refunded 8\n", step.observation
    assert [call.tool for call in step.observation.tool_calls] == ["shop.refund", "shop.refund"]
