"""The rewriting of long cells: the time it takes grows with their length, not with its square."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable

import pytest

from codeact_kernel.in_kernel.awaiting import AwaitTools

FORMS: dict[str, Callable[[int], str]] = {
    "appends": lambda n: "tasks = []\n" + "tasks.append(f(1))\n" * n + "r = await asyncio.gather(*tasks)\n",
    "values": lambda n: "x = f(1)\ny = await x\nprint(y, x)\n" * n,
    "batches": lambda n: "tasks = [f(1)]\nr = await asyncio.gather(*tasks)\nprint(tasks)\n" * n,
    "guards": lambda n: (
        "async def go():\n    ts = [f(1)]\n"
        + "    if not ts:\n        return []\n    ts.append(f(2))\n" * n
        + "    return await asyncio.gather(*ts)\n"
    ),
    "errors": lambda n: (
        "ts = []\nfor x in range(9):\n"
        + "    if x > 9:\n        raise ValueError\n    ts.append(f(x))\n" * n
        + "assert ts\nawait asyncio.gather(*ts)\n"
    ),
    "calls of a name": lambda n: "r = f(1)\nr.append(2)\n" * (3 * n),
    "one sum": lambda n: (
        "tasks = []\n" + "tasks += [f(1)]\n" * n + f"await asyncio.gather(*({'+'.join(['tasks'] * 500)}))\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_time_grows_with_the_length(form: str) -> None:
    """Of the processor: far less than a second for most, where the square took from 8 seconds to minutes."""
    tree = ast.parse(FORMS[form](2000))
    start = time.process_time()
    AwaitTools({"f"}.__contains__, "helper").visit(tree)
    assert time.process_time() - start < 4
