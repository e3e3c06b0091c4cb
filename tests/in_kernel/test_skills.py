"""The package `skills` in a kernel: lazy, checked as cells are, with tools; from the tape without a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel.wire.messages import (
    Json,
    Returned,
    ToolCall,
    ToolModule,
    ToolParameter,
    ToolSchema,
    ToolSpec,
)
from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_skills import Skill

from .test_hostless import run

FETCH = ToolSpec("fetch", (ToolParameter("n"),), doc="Ten times n.")


def call(tool: str, *args: Json, gives: Json) -> ToolCall:
    return ToolCall(1, 1, tool, args, {}, Returned(gives))


def setup(*skills: Skill, tape: tuple[ToolCall, ...] = (), imports: tuple[str, ...] = ()) -> str:
    modules = (ToolModule("shop", "toolkits"),)
    return setup_source(
        SetupSpec(
            "", imports, (FETCH, ToolSpec("shop.price", FETCH.parameters)), tape, modules, skills=skills
        )
    )


TOTAL = Skill(
    "total",
    '''\
"""Total of orders."""
import math
from dataclasses import dataclass

@dataclass
class Sum:
    value: "float"

def total(ids: list[int], *, scale: float = 1.0) -> float:
    """The sum of all, rounded up."""
    return math.ceil(Sum(sum(fetch(i) for i in ids)).value * scale)
''',
)
PRICES = Skill(
    "prices",
    """\
import asyncio
from toolkits import shop

async def prices(a, b):
    return await asyncio.gather(shop.price(a), fetch(b)), await fetch(a)
""",
)


def test_a_skill_calls_the_tools_of_the_kernel(tmp_path: Path) -> None:
    tape = (
        *(call("fetch", n, gives=10 * n) for n in (1, 2, 3)),
        call("shop.price", 1, gives=0.5),
        call("fetch", 1, gives=10),
    )
    cells = [
        setup(TOTAL, PRICES, tape=tape),
        "from skills import total\ntotal([1, 2], scale=1.01)",
        "import asyncio, skills\nasyncio.run(skills.prices(1, 3))",
        "dir(skills), total.__module__, total.__doc__",
        "[hit.name for hit in tools.search('sum rounded')][:1]",
        "str(tools.describe('skills.total')).splitlines()[0]",
        "tools.describe(total) == tools.describe('skills.total')",
    ]
    ran = run(tmp_path, *cells).cells
    assert [error for _, error in ran] == [""] * len(cells)
    assert [value for value, _ in ran[1:]] == [
        "31",
        "([0.5, 30], 10)",
        "(['prices', 'total'], 'skills.total', 'The sum of all, rounded up.')",
        "['skills.total']",
        "'def total(ids: list[int], *, scale: float = 1.0) -> float:'",
        "True",
    ]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import os\ndef bad(): pass", "module 'os' is refused"),
        ("def bad(x): return x.__globals__\n", "'__globals__' is refused"),
        ("exec('1')\ndef bad(): pass", "'exec' is refused"),
        ("from skills import bad\ndef bad(): pass", "imports itself"),
        ("1 / 0\ndef bad(): pass", "division by zero"),
        ("print(x)\ndef bad(): pass", "name 'x' is not defined"),
        ("import math\nmath.sys.exit(1) if 0 else getattr(math, '__spec__')\ndef bad(): pass", "'__spec__'"),
    ],
)
def test_what_the_guard_refuses_a_cell_it_refuses_a_skill(source: str, error: str, tmp_path: Path) -> None:
    cells = [setup(Skill("bad", source)), "x = 1\nimport skills", "from skills import bad", "skills.bad"]
    ran = run(tmp_path, *cells).cells
    assert [said for _, said in ran[:2]] == ["", ""]  # Nothing of it runs before it is looked up.
    assert error in ran[2][1]
    assert error in ran[3][1]  # Also the second time: nothing half done is left.


def test_names_of_a_skill_are_its_own(tmp_path: Path) -> None:
    counter = Skill("count", "seen = []\ndef count():\n    seen.append(1)\n    return len(seen)")
    other = Skill("twice", "from skills import count\ndef twice():\n    return count() + count()")
    cells = [setup(counter, other), "from skills import count, twice\ncount(), twice()", "seen"]
    ran = run(tmp_path, *cells).cells
    assert ran[1] == ["(1, 5)", ""]
    assert "name 'seen' is not defined" in ran[2][1]


def test_a_kernel_without_skills_says_how_to_get_some(tmp_path: Path) -> None:
    (tmp_path / "skills.py").write_text("value = 1")
    ran = run(tmp_path, setup(), "import skills").cells
    assert "this run has no skills (--skills DIR" in ran[1][1]
    theirs = run(
        tmp_path, setup(imports=("skills",)), "import skills\nskills.value", CODEACT_IMPORT_CEILING="skills"
    )
    assert theirs.cells[1] == ["1", ""]


def test_a_skill_that_is_not_there(tmp_path: Path) -> None:
    ran = run(tmp_path, setup(TOTAL), "import skills\nskills.nope", "from skills import nope").cells
    assert "there is no skill 'nope'; there are: total" in ran[1][1]
    assert "cannot import name 'nope': there is no skill 'nope'; there are: total" in ran[2][1]


def test_a_server_of_an_older_notebook_may_be_called_as_the_package_is(tmp_path: Path) -> None:
    schema = ToolSchema("total", {"properties": {"x": {}}, "required": ["x"]})
    tools, modules = (ToolSpec("skills.total", schema=schema),), (ToolModule("skills", "mcp_servers"),)
    tape = (ToolCall(1, 1, "skills.total", (), {"x": 1}, Returned("the server's")),)
    cells = [
        setup_source(SetupSpec("", (), tools, tape, modules, skills=(TOTAL,))),
        "from mcp_servers import skills as server\nserver.__all__, server.total(x=1)",
        "from skills import total\ntotal([])",
        "sorted(hit.signature for hit in tools.search('total'))",
        "str(tools.describe('skills.*')).count('def total(')",
    ]
    ran = run(tmp_path, *cells).cells
    assert [error for _, error in ran] == [""] * len(cells)
    assert [value for value, _ in ran[1:]] == [
        "(['total'], \"the server's\")",
        "0",
        "['skills.total(ids: list[int], *, scale: float = 1.0) -> float', 'skills.total(x: Any) -> Any']",
        "2",
    ]


def test_another_setup_has_other_skills(tmp_path: Path) -> None:
    one, two = Skill("f", "def f(): return 1"), Skill("f", "def f(): return 2")
    cells = [setup(one), "from skills import f\nf()", setup(two), "from skills import f\nf()"]
    assert [value for value, _ in run(tmp_path, *cells).cells[1::2]] == ["1", "2"]
