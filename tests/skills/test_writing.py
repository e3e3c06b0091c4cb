"""The two files of a skill as texts: what stands in them, that they run as they stand, what they refuse."""

from __future__ import annotations

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.skills.cells import program_of
from codeact_kernel.skills.examples import MAX_EXAMPLES, Example, Watched
from codeact_kernel.skills.folder import write_skill
from codeact_kernel.skills.gathering import Gathered, gathered
from codeact_kernel.skills.instrumenting import instrumented
from codeact_kernel.skills.literals import Literals
from codeact_kernel.skills.testfile import tests_of, told
from codeact_kernel.skills.writing import Saved, skill_source
from codeact_kernel.wire.messages import (
    Json,
    Raised,
    Returned,
    ToolCall,
    ToolOutcome,
    ToolParameter,
    ToolSpec,
)
from codeact_kernel.wire.records import Record
from codeact_kernel.wire.setup_skills import Skill, check_skill
from codeact_kernel.wire.values import encode

from .test_gathering import run_of

tests_of.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
SAVED = Saved("sales.ipynb", "3f2a", 2, "ab" * 32, "2026-11-29")
SPECS = tuple(
    ToolSpec(name, (ToolParameter("n"), ToolParameter("unit", default="None")))
    for name in ("fetch", "refund", "files.read", "shop.price", "shop.stock")
)


def of(name: str, *cells: str) -> Gathered:
    return gathered(program_of(run_of(*cells)), name, ["fetch", "refund"])


def call(
    tool: str, *args: object, gives: object = None, raises: Raised | None = None, **named: object
) -> ToolCall:
    outcome: ToolOutcome = raises or Returned(encode(gives))
    return ToolCall(1, 1, tool, tuple(map(encode, args)), {k: encode(v) for k, v in named.items()}, outcome)


def example(*args: object, gives: object, calls: tuple[ToolCall, ...] = (), **named: object) -> Example:
    encoded: dict[str, Json] = {name: encode(value) for name, value in named.items()}
    return Example(1, tuple(map(encode, args)), encoded, encode(gives), calls)


# --- the function ------------------------------------------------------------------------------


def test_the_file_of_a_skill() -> None:
    found = of(
        "total",
        "import math\nRATE = 2\ndef scaled(x):\n    return math.floor(x * RATE)\n",
        "# whatever the order\ndef total(ids):\n    # all of them\n"
        "    return sum(scaled(fetch(i)) for i in ids)",
    )
    assert skill_source(found, SAVED, "Sums up.\n\nAnd more.", "Tests: none.") == (
        '''\
"""Sums up.

Saved by codeact from sales.ipynb (run 3f2a, step 2, chain abababababababab) on 2026-11-29.
It calls the tools: fetch.
Tests: none.
"""

import math

RATE = 2


def scaled(x):
    return math.floor(x * RATE)


# whatever the order
def total(ids):
    # all of them
    """Sums up.

    And more.
    """
    return sum(scaled(fetch(i)) for i in ids)
'''
    )


@pytest.mark.parametrize(
    ("code", "doc"),
    [
        ("def f(): return 1", "One."),
        ("def f(\n    a,\n):\n    return 1", 'Says """x""" and \\d'),
        ("@staticmethod\ndef f():\n    @staticmethod\n    def g(): pass\n    return g", 'Ends in "'),
        ("async def f():\n\n    return '''a  \nb'''", "Zero\x00 and \u202e turned"),
        ("def f():\n    'Its own.'\n    return 1", "Not this one."),
        ("def f(): pass; x = 1", "Doc."),
    ],
)
def test_a_docstring_is_put_in_and_nothing_else(code: str, doc: str) -> None:
    source = skill_source(of("f", code), SAVED, doc, "")
    tree = check_skill(Skill("f", source))
    space: dict[str, object] = {}
    exec(compile(tree, "f", "exec"), space)
    function = space["f"]
    said = getattr(function, "__func__", function).__doc__ or ""
    assert said.strip() == ("Its own." if "Its own" in code else doc)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f():\n    'Doc.'\n    return 'a\u202eb'", "invisible character (U+202E"),
        ("def f():\n    'Doc.'\n    return 'a\x1b[2Jb'", "invisible character (U+001B"),
        ("def f():\n    'Doc.'\n    return '" + "x" * 70_000 + "'", "a skill has at most"),
    ],
)
def test_what_a_file_does_not_hold(code: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        skill_source(of("f", code), SAVED, "", "")
    assert says in str(caught.value)


def test_the_words_of_a_stranger_do_not_leave_their_place() -> None:
    saved = Saved('x"""\nimport os\n"""', "run\x1b[2J'''", 1, "c", "2026")
    found = of("f", 'def f():\n    \'Doc """ end\'\n    return 1')
    tree = check_skill(Skill("f", skill_source(found, saved, "", "")))
    assert [type(node).__name__ for node in tree.body] == ["Expr", "FunctionDef"]


def test_a_watched_function_has_a_decorator_and_all_else_stays() -> None:
    run = run_of("x = 1\r\n@a\ndef f():\n    return 1\nf()", "def g(): return f()")
    program = program_of(run)
    found = instrumented(run, [program.functions["f"], program.functions["g"]])
    codes = [step.action.code for step in found.steps if step.action is not None]
    assert codes == [
        "x = 1\n@_codeact_watch('f')\n@a\ndef f():\n    return 1\nf()",
        "@_codeact_watch('g')\ndef g(): return f()",
    ]


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, -2.5, True, "a'\"\\\n\u202e", b"\0x"],
        {"a": (1,), 2: (), "b": {3, 1, 2}, None: frozenset({"x"}), "e": set(), "f": [], "g": {}},
        [Decimal("1.50"), datetime.date(2026, 1, 2), datetime.timedelta(1), UUID(int=5)],
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        [{"name": "x" * 40, "items": [{"n": n, "text": "y" * 30} for n in range(5)]}],
    ],
)
def test_values_are_written_as_python_that_says_the_same(value: object) -> None:
    literals = Literals()
    source = literals.source(value, 4)
    space: dict[str, object] = {}
    exec("\n".join([*sorted(literals.imports), f"value = {source}"]), space)
    assert space["value"] == value
    assert type(space["value"]) is type(value)
    assert all(len(line) <= 110 for line in source.split("\n"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "float that is not finite"),
        (["x" * 10_000], "a value of 10,0"),
        (object(), "type object"),
        (range(3), "type range"),
        (type("Sub", (dict,), {})(a=1), "type Sub"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=1))), "zone"),
    ],
)
def test_values_that_are_not_written(value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Literals().source(value)


def test_values_are_not_followed_without_end() -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        Literals().source(deep)


# --- tests -------------------------------------------------------------------------------------


def pytest_of(folder: Path) -> subprocess.CompletedProcess[str]:
    # Without bytecode: what is rewritten within a second, at the same size, would run as it was before.
    words = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, cwd=folder)


def test_the_tests_of_a_skill_run_as_they_stand(tmp_path: Path) -> None:
    plain = of("plain", "def plain(a, *, b=2):\n    'Doc.'\n    return [a, b]")
    tools = of(
        "tools",
        "from mcp_servers import files as f\nfrom toolkits import shop",
        "def tools(n):\n    'Doc.'\n    order = fetch(n, unit=None)\n    try:\n        refund(order.total)\n"
        "    except ValueError as problem:\n"
        "        return f.read(n), shop.price(n=n), str(problem), order['total']",
    )
    later = of(
        "later",
        "import asyncio",
        "async def later(ids):\n    'Doc.'\n    return await asyncio.gather(*(fetch(i) for i in ids))",
    )
    mapped = of(
        "mapped",
        "import asyncio\nfrom toolkits.shop import price",
        "async def mapped(ids):\n    'Doc.'\n    tasks = [price(i) for i in ids]\n"
        "    return await asyncio.gather(*tasks, *map(fetch, ids))",
    )
    fields = of(
        "fields",
        "def fields(n):\n    'Doc.'\n    order = fetch(n)\n"
        "    return [*order.items, *order['keys'], order.get]",
    )
    packaged = of(
        "packaged",
        "import toolkits",
        "def packaged(n):\n    'Doc.'\n    import mcp_servers as m\n"
        "    return m.files.read(n), toolkits.shop.price(n)",
    )
    shaped = Record("Order", {"items": ["a"], "keys": ["b"], "get": 5})
    order = Record("Order", {"total": 5})
    calls = (
        call("fetch", 1, gives=order),
        call("refund", 5, raises=Raised("ValueError", 'it\'s "closed"')),
        call("files.read", 1, gives="text"),
        call("shop.price", n=1, gives=Decimal("0.5")),
    )
    guarded = of(
        "guarded",
        "from mcp_servers import files",
        "class Gone(Exception): pass",
        "def guarded(n):\n    'Doc.'\n    try:\n        return files.read(n)\n"
        "    except tools.ToolUnavailable as problem:\n        raise Gone from problem\n"
        "    except tools.ToolError as problem:\n        return str(problem)\n"
        "    except ToolDenied:\n        return 'denied'",
    )
    # No example calls `stock`, but the file imports it.
    named = of(
        "named",
        "from toolkits.shop import price, stock as st",
        "def named(n):\n    'Doc.'\n    return st(n) if n > 100 else price(n)",
    )
    for found, examples in [
        (
            packaged,
            [
                example(
                    1,
                    gives=("a", 2),
                    calls=(call("files.read", 1, gives="a"), call("shop.price", 1, gives=2)),
                )
            ],
        ),
        (fields, [example(1, gives=["a", "b", 5], calls=(call("fetch", 1, gives=shaped),))]),
        (
            mapped,
            [
                example(
                    [1], gives=[10, 20], calls=(call("shop.price", 1, gives=10), call("fetch", 1, gives=20))
                )
            ],
        ),
        (
            guarded,
            [
                example(1, gives="text", calls=(call("files.read", 1, gives="text"),)),
                example(2, gives="no", calls=(call("files.read", 2, raises=Raised("ToolError", "no")),)),
                example(2, gives="denied", calls=(call("files.read", 2, raises=Raised("ToolDenied", "x")),)),
            ],
        ),
        (named, [example(1, gives=0.5, calls=(call("shop.price", 1, gives=0.5),))]),
        (
            plain,
            [example(1, gives=[1, 2]), example(1, gives=[1, 2]), example("x", b=None, gives=["x", None])],
        ),
        (tools, [example(1, gives=("text", Decimal("0.5"), 'it\'s "closed"', 5), calls=calls)]),
        (
            later,
            [example([1, 2], gives=[10, 20], calls=(call("fetch", 2, gives=20), call("fetch", 1, gives=10)))],
        ),
    ]:
        source = skill_source(found, SAVED, "", "")
        made = tests_of(found, source, examples, SPECS, SAVED.text)
        assert made.refused == {}
        assert len(made.tests) == {"plain": 2, "guarded": 3}.get(found.function.name, 1)  # Twice is one.
        write_skill(tmp_path, Skill(found.function.name, source), made.source)
    done = pytest_of(tmp_path)
    assert "11 passed" in done.stdout, done.stdout
    wrong = tmp_path / "plain.py"
    wrong.write_text(wrong.read_text().replace("[a, b]", "[b, a]"))
    assert "2 failed, 9 passed" in pytest_of(tmp_path).stdout


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (example(1, gives=float("inf")), "has a float that is not finite"),
        (example(1, gives=1, calls=(call("other", 1),)), "calls 'other', which is none of the run's tools"),
        (example(1, gives=1, calls=(call("fetch", 1),) * 51), "has more than 50 tool calls"),
        (example(1, gives=1, calls=(call("fetch", 1, 2, 3),)), "calls fetch with any number of arguments"),
        (example(1, gives=1, calls=(call("fetch", 1, raises=Raised("OddError", "x")),)), "raised 'OddError'"),
        (example(1, gives=1, calls=(call("fetch", 1, raises=Raised("exec", "x")),)), "raised 'exec'"),
        (
            example(1, gives=1, calls=(call("fetch", 1, raises=Raised("UnicodeDecodeError", "x")),)),
            "raised 'UnicodeDecodeError'",
        ),
        (
            example(1, gives=1, calls=(call("fetch", 1, raises=Raised("ExceptionGroup", "x")),)),
            "raised 'ExceptionGroup'",
        ),
        (Example(1, (1,), {"a=__import__('os').system('x'), b": 1}, 1), "whose name is no identifier"),
        (Example(1, (1,), {"lambda": 1}, 1), "whose name is no identifier"),
        (Example(1, ({"$": "nonsense"},), {}, 1), "a value that cannot be read"),
    ],
)
def test_calls_that_are_no_tests_are_told(given: Example, why: str) -> None:
    found = of("f", "def f(n):\n    'Doc.'\n    return fetch(n)")
    made = tests_of(found, skill_source(found, SAVED, "", ""), [given], SPECS, SAVED.text)
    assert made.tests == ()
    assert why in next(iter(told(made.refused)))


def test_a_tool_that_is_awaited_in_one_place_only_cannot_be_stood_for() -> None:
    found = of("f", "async def f(n):\n    'Doc.'\n    return fetch(n), await fetch(n)")
    given = example(1, gives=1, calls=(call("fetch", 1),))
    made = tests_of(found, skill_source(found, SAVED, "", ""), [given], SPECS, SAVED.text)
    assert list(told(made.refused)) == [
        "1 call is no test: it calls fetch, which the code awaits in one place and not in another"
    ]


def test_what_only_a_kernel_can_answer_is_in_no_test() -> None:
    found = of("f", "def f(n):\n    'Doc.'\n    return len(tools.search(n))")
    made = tests_of(found, skill_source(found, SAVED, "", ""), [example("x", gives=0)], SPECS, SAVED.text)
    assert list(told(made.refused)) == [
        "1 call is no test: it uses tools.search, which only a kernel can answer"
    ]


def test_there_are_only_so_many_tests() -> None:
    found = of("f", "def f(n):\n    'Doc.'\n    return n")
    many = [example(n, gives=n) for n in range(MAX_EXAMPLES + 3)]
    made = tests_of(found, skill_source(found, SAVED, "", ""), many, SPECS, SAVED.text)
    assert len(made.tests) == MAX_EXAMPLES
    assert made.refused == {f"is beyond the first {MAX_EXAMPLES}": 3}


def test_examples_of_a_step_are_dropped_together() -> None:
    watched = Watched([example(1, gives=1), Example(2, (), {}, None)])
    watched.drop(1, "drifted")
    assert ([one.step for one in watched.examples], watched.refused, watched.calls) == (
        [2],
        {"drifted": 1},
        2,
    )
