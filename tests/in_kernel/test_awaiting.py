"""Tools in places that await them: what is rewritten, what is not, and that it runs."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import pytest

from codeact_kernel.in_kernel.awaiting import AwaitTools
from codeact_kernel.in_kernel.deferring import HELPERS
from codeact_kernel.in_kernel.tools import ToolFunction
from codeact_kernel.wire.messages import Json, Returned, ToolOutcome, ToolParameter, ToolSpec

F = ToolSpec("f", (ToolParameter("x"),), "int", "")


class Host:
    """A Caller that answers ten times the argument, and counts."""

    def __init__(self) -> None:
        self.direct = 0
        self.awaited = 0

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        self.direct += 1
        return Returned(int(str(args[0])) * 10)

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        await asyncio.sleep(0)
        self.awaited += 1
        return Returned(int(str(args[0])) * 10)

    def refused(self, kind: str, name: str) -> None:
        raise AssertionError("nothing is refused here")


def transform(code: str) -> str:
    return ast.unparse(AwaitTools({"f", "g"}.__contains__).visit(ast.parse(code)))


def run(code: str, *, rewrite: bool = True) -> tuple[Any, Host]:
    """Runs a cell with top-level await; the value of its variable `r`."""
    tree = ast.parse(code)
    if rewrite:
        tree = AwaitTools({"f", "g"}.__contains__).visit(tree)
    tool = Host()
    space: dict[str, Any] = {**HELPERS, "f": ToolFunction(F, tool), "asyncio": asyncio}
    compiled = compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = FunctionType(compiled, space)()
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return space.get("r"), tool


REWRITTEN = [
    "r = await f(1)",
    "r = [await f(1)][0]",
    "async def main(): return await f(1)\nr = await main()",
    "r = (await asyncio.gather(f(1), f(2)))[0]",
    "r = (await asyncio.gather(*(f(i) for i in (1, 2))))[0]",
    "r = (await asyncio.gather(*[f(i) for i in (1, 2)]))[0]",
    "r = (await asyncio.gather(*[f(1), f(2)], return_exceptions=True))[0]",
    "r = (await asyncio.gather(*map(f, [1, 2])))[0]",
    "r = (await asyncio.gather(f(1) if True else f(2)))[0]",
    "from asyncio import gather\nr = (await gather(f(1)))[0]",
    "import asyncio as aio\nr = (await aio.gather(f(1)))[0]",
    "r = await asyncio.wait_for(f(1), 5)",
    "r = await asyncio.wait_for(fut=f(1), timeout=5)",
    "r = await asyncio.shield(f(1))",
    "r = await asyncio.create_task(f(1))",
    "r = await asyncio.ensure_future(f(1))",
    "r = await asyncio.gather(asyncio.wait_for(f(1), 5))\nr = r[0]",
    "async with asyncio.TaskGroup() as tg:\n    t = tg.create_task(f(1))\nr = t.result()",
    "r = [await t for t in asyncio.as_completed([f(1)])][0]",
    "done, _ = await asyncio.wait({asyncio.create_task(f(1))})\nr = done.pop().result()",
    "tasks = [f(i) for i in (1, 2)]\nr = (await asyncio.gather(*tasks))[0]",
    "tasks = []\nfor i in (1, 2):\n    tasks.append(f(i))\nr = (await asyncio.gather(*tasks))[0]",
    "tasks: list = [f(1)]\nr = (await asyncio.gather(*tasks))[0]",
    "one = f(1)\nr = await one",
    "async def go():\n    todo = [f(1)]\n    return await asyncio.gather(*todo)\nr = (await go())[0]",
    "r = [await f(i) for i in (1, 2)][0]",
    "if True:\n    t = f(1)\nelse:\n    t = f(2)\nr = await t",
    "ts = [f(2)]\nawait asyncio.gather(*ts)\nts = [f(1)]\nlen(ts)\nr = (await asyncio.gather(*ts))[0]",
    "ts = []\nts.append(f(1))\nr = (await asyncio.gather(*ts))[0]\nts = []\nprint(ts)",
    "g = (await f(i) for i in (1,))\nr = [x async for x in g][0]",
]


@pytest.mark.parametrize("code", REWRITTEN)
def test_tool_is_awaited(code: str) -> None:
    r, tool = run(code)
    assert r == 10
    assert tool.direct == 0
    assert tool.awaited >= 1


@pytest.mark.parametrize("code", REWRITTEN)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_without_the_rewriting_it_would_be_an_error(code: str) -> None:
    with pytest.raises((TypeError, ExceptionGroup)):
        run(code, rewrite=False)


UNTOUCHED = [
    "r = f(1)",
    "r = [f(i) for i in range(3)]",
    "r = max(f(1), f(2))",
    "async def main(): return f(1)\nr = await main()",
    "async def later(x): return x\nr = await later(f(1))",
    "async def later(x): return x\nr = (await asyncio.gather(later(f(1)), later(2)))[0]",
    "r = await asyncio.to_thread(f, 1)",
    "r = await asyncio.wait_for(asyncio.sleep(0, 10), f(1))",
    "r = (await asyncio.gather(*[asyncio.to_thread(lambda: f(1))]))[0]",
    "def gather(x): return x\nr = gather(f(1))",
    "class Q:\n    def wait(self, x): return x\nr = Q().wait(f(1))",
    "tasks = [f(1)]\nr = tasks[0]",
    "async def go(x): return x\nr = [f(1)]\nr = [asyncio.create_task(go(x)) for x in r]\nr = await r[0]\n",
    "async def go(x): return x\nr = [f(1)]\nr = [go(x) for x in r]\nr = await asyncio.gather(*r)",
    "async def go(x): return x\nr = f(1)\nprint(r)\nr = go(r)\nr = await r",
    "async def f(x): return x * 10\nr = await f(1)",
    "async def go(f): return await f(1)\nasync def own(x): return x * 10\nr = await go(own)",
]


@pytest.mark.parametrize("code", UNTOUCHED)
def test_other_calls_are_left_alone(code: str) -> None:
    assert ".aio" not in transform(code)
    assert run(code)[0] == run(code, rewrite=False)[0]


def test_a_tool_may_have_a_name_of_asyncio() -> None:
    """`wait(f(1))`, where `wait` is a tool and `f` too: the one gets the value of the other."""
    tools = {"f": ToolFunction(F, Host()), "wait": ToolFunction(F, Host()), "gather": asyncio.gather}
    rewrite = AwaitTools({"f", "wait"}.__contains__, found=tools.get)
    for code in ("r = wait(f(1))", "from bank import create_task\nr = create_task(f(1))"):
        assert ast.unparse(rewrite.visit(ast.parse(code))) == code
    assert ast.unparse(rewrite.visit(ast.parse("r = gather(f(1))"))) == "r = gather(f.aio(1))"
    assert ast.unparse(rewrite.visit(ast.parse("r = await wait(1)"))) == "r = await wait.aio(1)"


def test_locations_are_kept() -> None:
    code = "x = 1\nr = await f(\n    1)"
    tree = AwaitTools({"f"}.__contains__).visit(ast.parse(code))
    (attribute,) = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    assert (attribute.lineno, attribute.col_offset, attribute.end_col_offset) == (2, 10, 11)
