"""Which calls of a source are awaited, as a kernel has it: that is what stands for a tool outside of one."""

from __future__ import annotations

import ast

import pytest

from codeact_kernel.skills.awaited import Awaited
from codeact_kernel.wire.messages import ToolSpec

AWAITED = [
    "return await f(1)",
    "return await asyncio.gather(f(1), *(f(n) for n in ns))",
    "return await asyncio.gather(*[f(n) if n else f(0) for n in ns])",
    "return await asyncio.gather(*map(f, ns))",
    "return await asyncio.gather(*map(shop.f, ns), return_exceptions=True)",
    "tasks = [f(n) for n in ns]\n    return await asyncio.gather(*tasks)",
    "tasks: list = [f(n) for n in ns]\n    return await asyncio.gather(*tasks)",
    "tasks = []\n    for n in ns:\n        tasks.append(f(n))\n    return await asyncio.gather(*tasks)",
    "tasks = []\n    tasks += [f(n) for n in ns]\n    tasks.extend(f(n) for n in ns)\n"
    "    print(len(tasks))\n    return await asyncio.gather(*tasks)",
    "tasks = map(f, ns)\n    return await asyncio.gather(*tasks)",
    "tasks = {n: f(n) for n in ns}\n    return dict(zip(tasks, await asyncio.gather(*tasks.values())))",
    "tasks = {}\n    for n in ns:\n        tasks[n] = f(n)\n    got = await asyncio.gather(*tasks.values())\n"
    "    return dict(zip(tasks, got))",
    "tasks: dict = {}\n    tasks['a'] = f(1)\n    tasks['b'] = f(2)\n"
    "    return dict(zip(tasks.keys(), await asyncio.gather(*tasks.values())), of=list(tasks))",
    "tasks = dict()\n    tasks.update({n: f(n) for n in ns})\n    tasks[0] = f(0)\n"
    "    return dict(zip(tasks, await asyncio.gather(*tasks.values())))",
    "tasks = set()\n    for n in ns:\n        tasks.add(f(n))\n    return await asyncio.gather(*tasks)",
    "tasks = [None] * 3\n    for n in range(3):\n        tasks[n] = f(n)\n"
    "    return await asyncio.gather(*tasks)",
    "task = f(1)\n    return await asyncio.wait_for(task, 5)",
    "async with asyncio.TaskGroup() as group:\n        return group.create_task(f(1))",
]
PLAIN = [
    "return f(1)",
    "return await process(f(1))",
    "return await asyncio.gather(*(process(f(n)) for n in ns))",
    "return await asyncio.wait_for(process(1), f(1))",
    "xs = [f(n) for n in ns]\n    xs = [asyncio.create_task(go(x)) for x in xs]\n"
    "    return await asyncio.gather(*xs)",
    "xs = [f(n) for n in ns]\n    xs[:] = [go(x) for x in xs]\n    return await asyncio.gather(*xs)",
    "xs = {}\n    for n in ns:\n        xs[n] = f(n)\n    for n in ns:\n        xs[n] = go(xs[n])\n"
    "    return await asyncio.gather(*xs.values())",
    "xs = [f(n) for n in ns]\n    for n, x in enumerate(xs):\n        xs[n] = go(x)\n"
    "    return await asyncio.gather(*xs)",
    "xs = {}\n    for n in ns:\n        xs[n] = f(n)\n    return xs, await asyncio.gather(go(1))",
    "tasks = [go(n) for n in ns]\n    return f(1), await asyncio.gather(*tasks)",
    "def g():\n        return f(1)\n    return await go(g())",
]


def awaited(body: str) -> Awaited:
    return Awaited(ast.parse(f"async def skill(ns):\n    {body}"))


@pytest.mark.parametrize("body", AWAITED)
def test_calls_that_are_awaited(body: str) -> None:
    assert awaited(body).always(ToolSpec("shop.f"))
    assert not awaited(body).mixed(ToolSpec("shop.f"))
    assert awaited(body).any


@pytest.mark.parametrize("body", PLAIN)
def test_calls_that_give_the_value(body: str) -> None:
    assert not awaited(body).always(ToolSpec("f"))
    assert not awaited(body).mixed(ToolSpec("f"))


@pytest.mark.parametrize("body", ["f(0)\n    return await f(1)", "list(map(f, ns))\n    return await f(1)"])
def test_calls_of_both_kinds(body: str) -> None:
    assert awaited(body).mixed(ToolSpec("f"))
    assert not awaited(body).always(ToolSpec("f"))


def test_an_async_tool_is_awaited_wherever_a_coroutine_calls_it() -> None:
    later = ToolSpec("f", is_async=True)
    assert awaited("return await process(f(1))").always(later)
    assert awaited("return await process((lambda: f(1))())").always(later)
    assert not awaited("def g():\n        return f(1)\n    return await go(g())").always(later)
    assert awaited("def g():\n        return f(1)\n    return await go(f(g()))").mixed(later)
