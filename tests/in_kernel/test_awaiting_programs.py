"""Programs as models write them, with tools however they are named: what works in Python works the
same, and what awaits tools makes each call once."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

from codeact_kernel.in_kernel.awaiting import AwaitTools
from codeact_kernel.in_kernel.deferring import HELPERS
from codeact_kernel.in_kernel.functions import AWAITABLE
from codeact_kernel.in_kernel.tools import ToolFunction
from codeact_kernel.wire.messages import ToolModule, ToolParameter, ToolSpec

from .modules_lab import Host, Place, place, remote

TEXT = {"type": "string"}
ASANA = ToolModule("asana", "mcp_servers", "Asana", "")
GOOD = [remote("asana.good", x=TEXT), remote("asana.create_task", x=TEXT)]
FLAT = ToolSpec("good", (ToolParameter("x"),))
WAYS = {
    "flat": ("", "good"),
    "flat alias": ("get = good\n", "get"),
    "module": ("from mcp_servers import asana\n", "asana.good"),
    "alias": ("import mcp_servers\nasana2 = mcp_servers.asana\n", "asana2.good"),
    "imported": ("from mcp_servers.asana import good as fetch\n", "fetch"),
}


class Counting(Host):
    """It answers with the argument, and knows how many calls were under way at once."""

    most = under_way = 0

    def call(self, tool: str, args: Any, kwargs: Any) -> Any:
        asked = super().call(tool, args, kwargs)
        value = [*args, *kwargs.values()][0]
        return type(asked)(value)

    async def acall(self, tool: str, args: Any, kwargs: Any) -> Any:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return self.call(tool, args, kwargs)


@pytest.fixture
def here() -> Iterator[Place]:
    with place(*GOOD, modules=(ASANA,)) as made:
        made.host.__class__ = Counting
        yield made


def run(host: Host, code: str, *, flat: bool, rewrite: bool = True) -> Any:
    """The variable `r` after the cell, and the calls that it made."""
    host.asked.clear()
    names: dict[str, Any] = {"good": ToolFunction(FLAT, host)} if flat else {}
    tree: ast.AST = ast.parse(code)
    if rewrite:
        tools = AwaitTools(names.__contains__, "" if flat else AWAITABLE, {**names, "asyncio": asyncio}.get)
        tree = tools.visit(tree)
    space: dict[str, Any] = {**HELPERS, "asyncio": asyncio, **names}
    compiled = compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)  # type: ignore[arg-type]  # it is a module
    result = FunctionType(compiled, space)()
    if inspect.iscoroutine(result):
        asyncio.run(result)
    return space.get("r"), [call[0] for call in host.asked]


PROCESS = "async def process(x): return x.upper()\n"
ORDINARY = [
    "class M:\n    def create_task(self, t): return t.upper()\nr = M().create_task(F('x'))",
    "class M:\n    def create_task(self, t): return t.upper()\nm = M()\nr = [m.create_task(F('x'))]",
    "class M:\n    def create_task(self, t, n): return t, n\nr = M().create_task(F('x'), F('y'))",
    "class M:\n    def create_task(self, t, n): return t, n\nm = M()\ntry:\n"
    "    r = m.create_task(F('x'), n=int('y'))\nexcept ValueError:\n    r = 0",
    "class M:\n    def create_task(self, t, n): return t, n\nm = M()\nr = m.create_task(F('x'), n=F('y'))",
    "class M:\n    def create_task(self, t, *, name): return t, name\n"
    "r = M().create_task(t=F('x'), name='y')",
    "class J:\n    def __init__(self): self.all = []\n"
    "    def create_task(self, what): self.all.append(what)\nj = J()\nj.create_task(F('y'))\nr = j.all",
    "class A:\n    def __init__(self, m): self.m = m\n    def go(self): return self.m.create_task(F('a'))\n"
    "class M:\n    def create_task(self, t): return t\nr = A(M()).go()",
    "class G:\n    def gather(self, *x): return x\n    def wait(self, x): return x\ng = G()\n"
    "r = g.gather(F('a'), F('b')), g.wait(F('c'))",
    "class W:\n    async def create_task(self, x): return x + '!'\nr = await W().create_task(F('a'))",
    PROCESS + "item: str = F('a')\nitem = asyncio.create_task(process(item))\nr = await item",
    PROCESS + "value = F('a')\nfor value in [asyncio.create_task(process(value))]:\n    r = await value",
    PROCESS + "one = F('a')\none, two = asyncio.create_task(process(one)), 2\nr = await one",
    PROCESS + "jobs = []\nfor k in 'ab':\n    jobs.append(F(k))\n"
    "jobs[:] = [asyncio.create_task(process(j)) for j in jobs]\nr = await asyncio.gather(*jobs)",
    PROCESS + "jobs = {}\nfor k in 'ab':\n    jobs[k] = F(k)\n"
    "jobs = {k: process(v) for k, v in jobs.items()}\nr = await asyncio.gather(*jobs.values())",
    PROCESS + "x = F('a')\nif (x := asyncio.create_task(process(x))):\n    r = await x",
    PROCESS + "jobs = [F('a')]\njobs += [process(j) for j in jobs[:]]\nr = await asyncio.gather(*jobs[1:])",
    PROCESS + "x = F('a')\nasync def show(): return await process(x)\nr = await show()",
    PROCESS + "async def main():\n    x = F('a')\n    def up(): return x.upper()\n    y = up()\n"
    "    x = process(y)\n    return await x\nr = await main()",
    "x = F('a')\nr = await x if asyncio.iscoroutine(x) else x",
    "x = F('a')\nif hasattr(x, '__await__'):\n    x = await x\nr = x",
    "flag = False\nr = F('a')\nif flag:\n    r = await r",
    "r = [F(k) for k in 'ab']\nif len(r) > 5:\n    r = await asyncio.gather(*r)",
    "async def main(ok):\n    x = F('a')\n    if not ok:\n        return 1\n    return await x\n"
    "r = await main(False)",
    "tasks = []\nasync def drain():\n    return await asyncio.gather(*tasks)\ntasks.append(F('a'))\n"
    "r = tasks",
    "r = all = tasks = []\ntasks.append(F('a'))\nr = [*all]\nif len(tasks) > 4:\n"
    "    await asyncio.gather(*tasks)",
    "for k in 'ab':\n    if k == 'a':\n        r = F(k)\n        break\n    r = await r",
    "tasks = []\ntry:\n    for k in ['a', '']:\n        if not k:\n            raise ValueError\n"
    "        tasks.append(F(k))\n    r = await asyncio.gather(*tasks)\nexcept ValueError:\n    r = 0",
    "try:\n    x = [F('a')]\n    if True:\n        raise ValueError\n"
    "    r = await asyncio.gather(*x)\nexcept ValueError:\n    r = 0",
    "tasks = []\nfor k in 'ab':\n    tasks.append(F(k))\n    if k == 'b':\n        break\n"
    "r = 0\nif len(tasks) > 4:\n    r = await asyncio.gather(*tasks)",
    "x = 'q'\nr = [x for x in [F('a')]], x",
    "def wait(x): return x\nr = wait(F('a'))",
    "class C:\n    x = F('a')\nr = C.x",
    "r = await asyncio.gather(*[asyncio.to_thread(F, k) for k in 'ab'])",
    "loop = asyncio.get_running_loop()\nr = await loop.run_in_executor(None, F, 'z')",
]
ASANA_ONLY = [
    "import mcp_servers\na = mcp_servers.asana\nr = a.create_task(a.good('x'))",
    "import mcp_servers\ndef go(a): return a.create_task(a.good('x'))\nr = go(mcp_servers.asana)",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", ORDINARY)
def test_ordinary_programs_work_the_same(here: Place, code: str, way: str) -> None:
    first, name = WAYS[way]
    code = first + code.replace("F(", f"{name}(").replace("F,", f"{name},")
    flat = way.startswith("flat")
    plain = run(here.host, code, flat=flat, rewrite=False)
    assert run(here.host, code, flat=flat) == plain
    assert plain[1], "the program calls a tool"


@pytest.mark.parametrize("code", ASANA_ONLY)
def test_a_tool_called_create_task_gets_the_value_of_another(here: Place, code: str) -> None:
    made = run(here.host, code, flat=False)
    assert (
        made == run(here.host, code, flat=False, rewrite=False) == ("x", ["asana.good", "asana.create_task"])
    )


IMPORTED = [
    "from mcp_servers import asana\nr = await asyncio.gather(*[asana.create_task(k) for k in 'ab'])",
    "from mcp_servers import asana\nr = await asyncio.gather(asana.create_task('a'), asana.create_task('b'))",
    "import mcp_servers.asana\nr = await asyncio.gather(*(mcp_servers.asana.create_task(k) for k in 'ab'))",
    "import mcp_servers\na = mcp_servers.asana\nts = []\nfor k in 'ab':\n"
    "    ts.append(a.create_task(k))\nr = await asyncio.gather(*ts)",
    "from mcp_servers import asana\nasync with asyncio.TaskGroup() as tg:\n"
    "    ts = [tg.create_task(asana.create_task(k)) for k in 'ab']\nr = [t.result() for t in ts]",
    "from mcp_servers import asana\nts = [asyncio.create_task(asana.create_task(k)) for k in 'ab']\n"
    "r = [await t for t in ts]",
]


@pytest.mark.parametrize("code", IMPORTED)
def test_a_tool_called_create_task_is_awaited(here: Place, code: str) -> None:
    r, asked = run(here.host, code, flat=False)
    assert (r, asked) == (["a", "b"], ["asana.create_task"] * 2)
    assert isinstance(here.host, Counting)
    assert here.host.most == 2


def test_an_awaited_tool_called_create_task_gets_the_value_of_another(here: Place) -> None:
    code = "from mcp_servers import asana as a\nr = await a.create_task(a.good('x'))"
    assert run(here.host, code, flat=False) == ("x", ["asana.good", "asana.create_task"])


GATHERED = [
    "tasks = [F(k) for k in 'ab']\nassert tasks, 'nothing to do'\nr = await asyncio.gather(*tasks)",
    "async def main(keys):\n    tasks = []\n    for k in keys:\n        if not k:\n"
    "            raise ValueError(k)\n        tasks.append(F(k))\n    return await asyncio.gather(*tasks)\n"
    "r = await main('ab')",
    "tasks = []\nfor k in ['a', '', 'b']:\n    try:\n        if not k:\n            raise ValueError(k)\n"
    "        tasks.append(F(k))\n    except ValueError:\n        continue\n"
    "r = await asyncio.gather(*tasks)",
    "tasks = []\ntasks += [F(k) for k in 'ab']\nr = await asyncio.gather(*tasks)",
    "tasks = []\ntasks.extend(F(k) for k in 'ab')\nr = await asyncio.gather(*tasks)",
    "tasks = []\ntasks.extend([F('a'), F('b')])\nr = await asyncio.gather(*tasks)",
    "tasks = {k: F(k) for k in 'ab'}\nr = await asyncio.gather(*tasks.values())",
    "tasks = {'a': F('a'), 'b': F('b')}\ndone = await asyncio.gather(*tasks.values())\n"
    "r = [*dict(zip(tasks, done))]",
    "tasks = {}\nfor k in 'ab':\n    tasks[k] = F(k)\nr = await asyncio.gather(*tasks.values())",
    "r = await asyncio.gather(*{k: F(k) for k in 'ab'}.values())",
    "tasks = [F(k) for k in 'ab']\nr = await asyncio.gather(*tasks)\nprint(tasks)",
    "tasks = []\nfor k in 'ab':\n    tasks.append(F(k))\nr = await asyncio.gather(*tasks) if tasks else []",
    "async def main():\n    tasks = []\n    for k in 'ab':\n        tasks.append(F(k))\n    if not tasks:\n"
    "        return []\n    return await asyncio.gather(*tasks)\nr = await main()",
    "r = []\nbatch = []\nfor k in 'ab':\n    batch.append(F(k))\n    if len(batch) == 3:\n"
    "        r += await asyncio.gather(*batch)\n        batch = []\nif batch:\n"
    "    r += await asyncio.gather(*batch)",
    "tasks = [F(k) for k in 'ab']\ntry:\n    r = await asyncio.gather(*tasks)\nexcept ValueError:\n    r = 0",
    "more = [F('b')]\nr = await asyncio.gather(*([F('a')] + more))",
    "async with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(F(k)) for k in 'ab']\n"
    "r = [t.result() for t in ts]",
    "async with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(F(k), name=f'of {k}') for k in 'ab']\n"
    "r = [t.result() for t in ts]",
    "async with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(F(k), name=str(k)) for k in 'ab']\n"
    "r = [t.result() for t in ts]",
    "import contextvars\nclass S: pass\ns = S()\nasync with asyncio.TaskGroup() as s.tg:\n"
    "    ts = [s.tg.create_task(F(k), context=contextvars.copy_context()) for k in 'ab']\n"
    "r = [t.result() for t in ts]",
    "r = await asyncio.gather(\n"
    "    *[asyncio.get_running_loop().create_task(F(k), name=k.upper()) for k in 'ab'])",
    "loop = asyncio.get_running_loop()\nr = await asyncio.gather(*[loop.create_task(F(k)) for k in 'ab'])",
    "r = await asyncio.gather(*[asyncio.get_event_loop().create_task(coro=F(k)) for k in 'ab'])",
    "class S:\n    async def go(self):\n        async with asyncio.TaskGroup() as self.tg:\n"
    "            ts = [self.tg.create_task(F(k)) for k in 'ab']\n"
    "        return [t.result() for t in ts]\nr = await S().go()",
    "class C:\n    async def good(self):\n        return await asyncio.gather(F('a'), F('b'))\n"
    "r = await C().good()",
    "from asyncio import gather as together\nr = await together(F('a'), F('b'))",
]
ONE_BY_ONE = [
    "def make(k): return F(k)\nr = await asyncio.gather(make('a'), make('b'))",
    "def make(k): return F(k)\nr = await asyncio.gather(*map(make, 'ab'))",
    "def make(k): return F(k)\nasync with asyncio.TaskGroup() as tg:\n"
    "    ts = [tg.create_task(make(k)) for k in 'ab']\n"
    "r = [t.result() for t in ts]",
    "tasks = [F(k) for k in 'ab']\nprint(tasks)\nr = await asyncio.gather(*tasks)",
    "tasks = [F(k) for k in 'ab']\nr = [await t for t in tasks]",
    "tasks = {k: F(k) for k in 'ab'}\nr = [await t for k, t in tasks.items()]",
    "a, b = F('a'), F('b')\nr = list(await asyncio.gather(a, b))",
    "async def all_of(tasks): return await asyncio.gather(*tasks)\nr = await all_of([F(k) for k in 'ab'])",
    "class S:\n    async def go(self):\n        self.ts = []\n        for k in 'ab':\n"
    "            self.ts.append(F(k))\n"
    "        return await asyncio.gather(*self.ts)\nr = await S().go()",
    "done, _ = await asyncio.wait([F('a'), F('b')])\nr = sorted(t.result() for t in done)",
    "ts = [F('a'), F('b')]\nr = sorted([await t for t in asyncio.as_completed(ts + [])])",
    "ts = [[F('a'), F('b')]]\nr = await ts[0]",
    "r = await [F('a'), F('b')]",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [*GATHERED, *ONE_BY_ONE])
def test_what_is_awaited_is_called_once(here: Place, code: str, way: str) -> None:
    first, name = WAYS[way]
    flat = way.startswith("flat")
    r, asked = run(here.host, first + code.replace("F(", f"{name}("), flat=flat)
    assert (list(r), len(asked)) == (["a", "b"], 2)
    assert isinstance(here.host, Counting)
    if code in GATHERED and way != "flat alias":
        assert here.host.most == 2


MISTAKES = [
    "async def main(): return 1\nawait main",
    "async def main(): return 1\nawait asyncio.gather(main, main)",
    "await (F(k) for k in 'ab')",
    "await asyncio.gather(*{'a': F('a')})",
    "async with asyncio.TaskGroup() as tg:\n    tg.create_task(F)",
    "await 5",
    "F('a')\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n"
    "    await pool.submit(len, 'ab')",
    "F('a')\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n"
    "    await asyncio.gather(*[pool.submit(len, k) for k in 'ab'])",
]


@pytest.mark.parametrize("code", MISTAKES)
def test_mistakes_stay_errors(here: Place, code: str) -> None:
    with pytest.raises((TypeError, ExceptionGroup)):
        run(here.host, code.replace("F", "good"), flat=True)


def test_deep_nesting_does_not_stop_the_rewriting(here: Place) -> None:
    code = f"x = {'+'.join(['1'] * 400)}\nr = await good('a')"
    assert run(here.host, code, flat=True) == ("a", ["good"])
