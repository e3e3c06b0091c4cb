"""Functions of modules in places that await them: however they came by their name; all else is as it was."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

from codeact_kernel.in_kernel.awaiting import AwaitTools
from codeact_kernel.in_kernel.deferring import HELPERS
from codeact_kernel.in_kernel.functions import AWAITABLE

from .modules_lab import LIST, READ, REFUND, Place, place, remote


@pytest.fixture
def here() -> Iterator[Place]:
    with place(
        READ, LIST, REFUND, *(remote(f"files.{name}", of={}) for name in ("create_task", "wait"))
    ) as made:
        yield made


def run(code: str, *, rewrite: bool = True, **names: Any) -> Any:
    """Runs a cell with top-level await; the value of its variable `r`."""
    tree: ast.AST = ast.parse(code)
    if rewrite:
        tree = AwaitTools(lambda name: False, AWAITABLE, names.get).visit(tree)
    space: dict[str, Any] = {**HELPERS, "asyncio": asyncio, **names}
    compiled = compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)  # type: ignore[arg-type]  # it is a module
    result = FunctionType(compiled, space)()
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return space.get("r")


IMPORT = "from mcp_servers import files\n"
AWAITED = [
    "r = await files.read_text('a')",
    "import mcp_servers.files as fs\nr = await fs.read_text('a')",
    "import mcp_servers\nr = await mcp_servers.files.read_text('a')",
    "from mcp_servers.files import read_text\nr = await read_text('a')",
    "from mcp_servers.files import read_text as read\nr = await read('a')",
    "read = files.read_text\nr = await read('a')",
    "r = [await f('a') for f in (files.read_text,)][0]",
    "by = {'x': files}\nr = await by['x'].read_text('a')",
    "r = await getattr(files, 'read_text')('a')",
    "async def main(f):\n    return await f('a')\nr = await main(files.read_text)",
    (
        "async def main():\n"
        "    from mcp_servers import files as inner\n"
        "    return await inner.read_text('a')\n"
        "r = await main()"
    ),
    (
        "class A:\n"
        "    f = staticmethod(files.read_text)\n"
        "    async def go(self):\n"
        "        return await self.f('a')\n"
        "r = await A().go()"
    ),
    "(r,) = await asyncio.gather(files.read_text('a'))",
    "r = (await asyncio.gather(*(files.read_text(x) for x in 'ab')))[0]",
    "r = (await asyncio.gather(*[files.read_text(x) for x in 'ab'], return_exceptions=True))[0]",
    "r = (await asyncio.gather(*map(files.read_text, 'ab')))[0]",
    "from asyncio import gather\nr = (await gather(files.read_text('a')))[0]",
    "t = asyncio.create_task(files.read_text('a'))\nr = await t",
    "async with asyncio.TaskGroup() as tg:\n    t = tg.create_task(files.read_text('a'))\nr = t.result()",
    "r = await asyncio.wait_for(files.read_text('a'), 60)",
    "tasks = [files.read_text(x) for x in 'ab']\nr = (await asyncio.gather(*tasks))[0]",
    "tasks = []\nfor x in 'ab':\n    tasks.append(files.read_text(x))\nr = (await asyncio.gather(*tasks))[0]",
    "one = files.read_text('a')\nr = await one",
    "r = [await t for t in asyncio.as_completed([files.read_text('a')])][0]",
]


@pytest.mark.parametrize("code", AWAITED)
def test_it_is_awaited(here: Place, code: str) -> None:
    assert run(IMPORT + code) == ["files.read_text", [], {"path": "a"}]


@pytest.mark.parametrize("code", AWAITED)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_without_the_rewriting_it_would_be_an_error(here: Place, code: str) -> None:
    with pytest.raises((TypeError, ExceptionGroup)):
        run(IMPORT + code, rewrite=False)


def test_a_tool_of_a_toolkit(here: Place) -> None:
    assert run("from toolkits import shop\nr = await shop.refund(7)") == ["shop.refund", [7], {}]


PLAIN = "r = []\nfor x in 'ab':\n    r.append(files.read_text(x)[2]['path'])"
OTHER = [
    PLAIN,
    "r = files.read_text('a')[2]",
    "r = [files.read_text(x)[0] for x in 'ab']",
    "async def main():\n    return files.read_text('a')[2]\nr = await main()",
    "async def later(x):\n    return x\nr = await later(files.read_text('a'))",
    "async def later(x):\n    return x\nr = (await asyncio.gather(later(files.read_text('a')), later(2)))[1]",
    "r = await asyncio.to_thread(files.read_text, 'a')",
    "async def go(x): return x\nr = [files.read_text('a')]\nr = [go(x) for x in r]\nr = await r[0]",
    "r = files.create_task(files.read_text('a'))",
    "from mcp_servers.files import create_task as new\nr = new(files.read_text('a'))",
    "from mcp_servers.files import wait\nr = wait(files.read_text('a'))",
    "import mcp_servers\nr = mcp_servers.files.create_task(files.read_text('a'))",
    "import mcp_servers.files as fs\nr = fs.create_task(files.read_text('a'))",
    "r = known.create_task(known.read_text('a'))",
    "r = wait_for(known.read_text('a'))",
    "async def read_text(x):\n    return x\nr = await read_text('a')",
    (
        "class A:\n"
        "    async def read_text(self, x):\n"
        "        return x\n"
        "files = A()\n"
        "r = await files.read_text('a')"
    ),
    (
        "class A:\n"
        "    async def f(self):\n"
        "        return 1\n"
        "class B(A):\n"
        "    async def f(self):\n"
        "        return 1 + await super().f()\n"
        "r = await B().f()"
    ),
    (
        "class A:\n"
        "    def __await__(self):\n"
        "        yield from asyncio.sleep(0).__await__()\n"
        "        return 5\n"
        "r = await A()"
    ),
    "r = await (lambda: asyncio.sleep(0, 7))()",
    (
        "def decorated(f):\n"
        "    async def g(x):\n"
        "        return f(x)[2]\n"
        "    return g\n"
        "r = await decorated(files.read_text)('a')"
    ),
    "from functools import partial\nasync def f(a, b):\n    return a + b\nr = await partial(f, 1)(2)",
    "async def f(x):\n    return x\nr = await asyncio.gather(*map(f, [1, 2]))",
    "async def agen():\n    yield 1\nr = [x async for x in agen()]",
]


@pytest.mark.parametrize("code", OTHER)
def test_other_programs_mean_what_they_meant(here: Place, code: str) -> None:
    known = importlib.import_module("mcp_servers.files")
    names = {"known": known, "wait_for": known.wait}  # From earlier cells.
    assert run(IMPORT + code, **names) == run(IMPORT + code, rewrite=False, **names) != []


def test_a_cell_that_awaits_nothing_is_not_touched() -> None:
    tree = AwaitTools(lambda name: False, AWAITABLE).visit(ast.parse(IMPORT + PLAIN))
    assert ast.unparse(tree) == ast.unparse(ast.parse(IMPORT + PLAIN))


def test_a_run_without_modules_is_not_touched() -> None:
    code = "async def f():\n    return await g(1)"
    assert ast.unparse(AwaitTools(lambda name: False).visit(ast.parse(code))) == code


def test_what_is_awaited_is_rewritten_once() -> None:
    code = "r = await asyncio.gather(asyncio.wait_for(f(1), 5), *[f(2)])\nt = f(3)\nawait t\nawait t"
    text = ast.unparse(AwaitTools(lambda name: False, AWAITABLE).visit(ast.parse(code)))
    assert text.count(AWAITABLE) == 3
    assert f"{AWAITABLE}({AWAITABLE}" not in text


def test_positions_are_kept() -> None:
    tree = AwaitTools(lambda name: False, AWAITABLE).visit(ast.parse("x = 1\nr = await files.read(\n    1)"))
    (helper,) = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == AWAITABLE)
    assert (helper.lineno, helper.col_offset, helper.end_col_offset) == (2, 10, 20)
