"""Modules of tools in real kernels: with a host that answers the calls, cold, forked, and after a restart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from codeact_kernel.interfaces import CallHandler
from codeact_kernel.outputs import CommMessage, Output
from codeact_kernel.sandbox.launching import Launcher
from codeact_kernel.trajectory import Refusal
from codeact_kernel.wire.messages import (
    Json,
    Raised,
    Returned,
    ToolModule,
    ToolOutcome,
    ToolParameter,
    ToolRequest,
    ToolSchema,
    ToolSpec,
)
from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_modules import tools_value

from .support import SLOW, Cell, Lab, setup_with, value_of

pytestmark = pytest.mark.kernel
TEXT: Json = {"type": "string"}
IMPORT = "from mcp_servers import files\n"


def tool(name: str, doc: str, *properties: str) -> ToolSpec:
    schema: dict[str, Json] = {"properties": dict.fromkeys(properties, TEXT), "required": [*properties][:1]}
    return ToolSpec(name, doc=doc, schema=ToolSchema(name.rpartition(".")[2], schema))


READ = tool("files.read", "Reads a file.", "path", "encoding")
FAIL = tool("files.fail", "Fails.", "path")
LATE = tool("files.late", "Was not there at first.", "path")
SHOP = ToolSpec("shop.refund", (ToolParameter("order", annotation="int"),), "str", "Refunds.")
PLAIN = ToolSpec("greet", (ToolParameter("name"),), "str", "Greets.")
MODULES = (ToolModule("files", "mcp_servers", "Files"), ToolModule("shop", "toolkits"))
MANY = tuple(tool(f"files.many_{number}", "One of many. " * 20, "path") for number in range(100))
SETUP = setup_source(
    SetupSpec("", ("threading", "concurrent"), (PLAIN, READ, FAIL, SHOP, *MANY), modules=MODULES)
)


@dataclass
class Host(CallHandler):
    """Answers with the call itself; `files.late` is there from the beginning, and nobody was told."""

    requests: list[ToolRequest] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.requests.append(request)
        if request.tool == "files.fail":
            return Raised("ToolError", "no such file")
        if request.tool == "files._updates":
            return Returned(tools_value([LATE]))
        await asyncio.sleep(0)
        return Returned([request.tool, list(request.args), dict(request.kwargs)])

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    @property
    def tools(self) -> list[str]:
        return [request.tool for request in self.requests]


class Nobody:
    """An Attendant who only looks."""

    async def input(self, prompt: str, password: bool) -> str | None:
        raise AssertionError("sessions ask nobody")

    def comm(self, message: CommMessage) -> None:
        raise AssertionError("there are no widgets")

    def late(self, output: Output, token: object) -> None:
        raise AssertionError("nothing is late")


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def plain(cell: Cell) -> str:
    """The traceback."""
    return uncoloured("\n".join(cell.error.traceback))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(SLOW, SETUP).start()
    yield lab
    lab.close()


def test_imports_and_calls(lab: Lab) -> None:
    host = Host()
    cell = IMPORT + (
        "import mcp_servers.files as fs, mcp_servers\n"
        "from toolkits import shop\n"
        "from mcp_servers.files import read as r\n"
        "assert fs is files is mcp_servers.files\n"
        "(files.read('a'), r(path='b', encoding='x'), shop.refund(7), greet('you'))"
    )
    assert value_of(lab, cell, host).replace("\n", "") == (
        "(['files.read', [], {'path': 'a'}], ['files.read', [], {'path': 'b', 'encoding': 'x'}],"
        " ['shop.refund', [7], {}], ['greet', ['you'], {}])"
    )
    assert not host.refusals


def test_at_once_in_the_cell_of_the_import(lab: Lab) -> None:
    cell = (
        "import asyncio\nfrom mcp_servers import files as f\nfrom mcp_servers.files import read as one\n"
        "found = await asyncio.gather(*(f.read(str(n)) for n in range(50)), one('x'), *map(f.read, 'yz'))\n"
        "t = asyncio.create_task(f.read('t'))\n"
        "len(found), (await one('a'))[2], (await t)[2]"
    )
    assert value_of(lab, cell, Host()) == "(53, {'path': 'a'}, {'path': 't'})"


def test_from_threads(lab: Lab) -> None:
    cell = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def work(n):\n    from mcp_servers import files\n    return files.read(str(n))[2]['path']\n"
        "with ThreadPoolExecutor(8) as pool:\n    found = list(pool.map(work, range(100)))\n"
        "found == [str(n) for n in range(100)]"
    )
    assert value_of(lab, cell, Host()) == "True"


def test_a_failure_shows_the_users_line_and_the_parameters(lab: Lab) -> None:
    cell = lab.run(IMPORT + "x = 1\nfiles.fail('a')", Host())
    assert (cell.error.ename, cell.error.evalue) == (
        "ToolError",
        "no such file\nParameters (* = required): path*",
    )
    shown = plain(cell)
    assert "files.fail('a')" in shown
    assert "in_kernel" not in shown
    assert value_of(
        lab,
        "try:\n    files.fail('a')\nexcept tools.ToolError as e:\n    x = type(e) is ToolError\nx",
        Host(),
    )
    wrong = lab.run("files.read(pth='a')", Host())
    assert wrong.error.evalue.endswith("(did you mean 'path'?). Parameters (* = required): path*, encoding")
    assert "in_kernel" not in plain(wrong)


def test_what_is_not_there_is_asked_for_once_in_a_cell(lab: Lab) -> None:
    lab.restart()
    host = Host()
    cell = lab.run(IMPORT + "files.nothing", host)
    assert "did you mean" not in cell.error.evalue
    assert cell.error.evalue.startswith("mcp_servers.files has no function 'nothing'. There are: ")
    assert host.tools == ["files._updates"]
    assert value_of(lab, "[hasattr(files, n) for n in ('a', 'b', 'late', 'c')], files.late('x')", host) == (
        "([False, False, True, False], ['files.late', [], {'path': 'x'}])"
    )
    assert host.tools == ["files._updates", "files._updates", "files.late"]
    unknown = lab.run("from mcp_servers.files import reed", host)
    assert unknown.error.ename == "ImportError"
    assert "'reed'; did you mean 'read'?" in unknown.error.evalue


async def answered(
    asked: Callable[[], Awaitable[Mapping[str, Any]]], there: Callable[[Mapping[str, Any]], object]
) -> Mapping[str, Any]:
    """An answer that says something: a kernel that is slow gives empty ones."""
    async with asyncio.timeout(60):
        while not there(reply := await asked()):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.05)
    return reply


def test_looking_asks_nobody(lab: Lab) -> None:
    """Completion and inspection: nobody wrote these calls, so they must not be on the tape."""
    lab.run(IMPORT)

    async def looked() -> None:
        session, host = lab.session, Host()
        session.attend(Nobody())
        try:
            names = await answered(lambda: session.complete("files.rea", 9), lambda r: r["matches"])
            assert "read" in str(names["matches"])
            given = await answered(lambda: session.complete("files.read(enc", 14), lambda r: r["matches"])
            assert "encoding=" in str(given["matches"])
            shown = await answered(lambda: session.inspect("files.read", 10, 1), lambda r: r["found"])
            source = shown["data"]["text/plain"]
            assert "def read(path: str" in uncoloured(source)
            assert (await session.inspect("files.nothing", 13, 0))["found"] is False
            assert (await lab.execute("hasattr(files, 'missing_too')", host)).status == "ok"
            assert host.tools == ["files._updates"]
        finally:
            session.attend(None)

    lab.wait(looked())


def test_the_object_tools(lab: Lab) -> None:
    host = Host()
    assert value_of(lab, "tools.search('read')", host).splitlines()[0] == (
        'files.read(path: str, *, encoding: str = ...) -> Any — server: "Reads a file."'
    )
    assert "def read(path: str" in value_of(lab, "tools.describe('files.read', 'shop')", host)
    assert value_of(lab, "tools.search('many', limit=100)[99].name[:11]", host) == "'files.many_'"
    listed = lab.run("shown = 1\n%who", host).out.split()
    assert "shown" in listed
    assert not {"tools", "ToolError", "ToolDenied"} & set(listed)
    assert not host.requests


def test_a_variable_of_the_users_own_called_tools(lab: Lab) -> None:
    lab.restart()
    host = Host()
    assert value_of(lab, "tools = [1]\nfrom mcp_servers import files\nfiles.read('a')[0], tools", host)
    assert value_of(lab, "tools", host) == "[1]"
    assert "tools" in lab.run("%who", host).out
    lab.run("del tools, files", host)
    assert value_of(lab, IMPORT + "files.read('b')[0]", host) == "'files.read'"


def test_the_guard_stays(lab: Lab) -> None:
    host = Host()
    planted = (
        "from pathlib import Path\nfor name in ('mcp_servers', 'toolkits'):\n"
        "    Path(name + '.py').write_text('raise SystemExit')\n"
        "import mcp_servers, toolkits\nmcp_servers.files.read('a')[0], dir(toolkits)"
    )
    assert value_of(lab, planted, host) == "('files.read', ['shop'])"
    assert lab.run("import mcp_servers\nmcp_servers.sys", host).error.ename in (
        "AttributeError",
        "ImportRefused",
    )
    for code in ("import os", "files.read.__globals__", "files.__codeact_namespace__", "import importlib"):
        cell = lab.run(code, host)
        assert cell.error.ename in ("ImportRefused", "AttributeRefused"), code
    assert [r.name for r in host.refusals if r.kind == "import"] == ["os", "importlib"]
    assert lab.run("%reset -f", host).error.ename == "MagicRefused"
    assert value_of(
        lab, "from mcp_servers import *\nfrom toolkits import *\nfiles.read('a')[0], shop.refund(1)[0]", host
    ) == ("('files.read', 'shop.refund')")
    for code, said in (
        ("import files", "Instead: from mcp_servers import files."),
        ("from shop import refund", "Instead: from toolkits import shop."),
        ("from tools import search", "Instead: the object tools is there already"),
    ):
        assert said in lab.run(code, host).error.evalue


@pytest.mark.parametrize("spares", [0, 1])
def test_forked(spares: int) -> None:
    """Whether the kernel was forked for it, or was a spare."""
    with Launcher((), spares=spares) as launcher:
        assert launcher.ready() == ""
        lab = Lab(SLOW, SETUP, launcher)
        try:
            lab.start()
            assert lab.session.report.start == ("spare" if spares else "fork")
            cell = IMPORT + "files.many_7('a'), len(tools.search('many', 100))"
            assert value_of(lab, cell, Host()) == "(['files.many_7', [], {'path': 'a'}], 100)"
        finally:
            lab.close()


def test_a_run_without_modules() -> None:
    lab = Lab(SLOW, setup_with("add")).start()
    try:
        for package in ("mcp_servers", "toolkits"):
            cell = lab.run(f"from {package} import files", Host())
            assert cell.error.ename == "ModuleNotFoundError"
            assert cell.error.evalue.startswith(f"No module named {package!r}: this run has no ")
        assert lab.run("tools").error.ename == "NameError"
    finally:
        lab.close()
