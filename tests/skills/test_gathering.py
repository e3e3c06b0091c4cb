"""What belongs to a function of a run, found in the text of its cells; and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.outputs import Status
from codeact_kernel.skills.cells import program_of
from codeact_kernel.skills.gathering import Gathered, free_names, gathered
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory, Turn

TOOLS = ("fetch", "refund")


def run_of(*cells: str | tuple[str, Status]) -> Trajectory:
    pairs: Sequence[tuple[str, Status]] = [(cell, "ok") if isinstance(cell, str) else cell for cell in cells]
    steps = tuple(
        Step(number, Reply(code=code), Action(code), Observation(status))
        for number, (code, status) in enumerate(pairs, 1)
    )
    return Trajectory(RunInfo("r", "m", "", ""), (Turn("task", steps),))


def of(name: str, *cells: str | tuple[str, Status]) -> Gathered:
    return gathered(program_of(run_of(*cells)), name, TOOLS)


def texts(found: Gathered) -> list[str]:
    return [part.source for part in found.parts]


def test_imports_helpers_classes_and_constants_of_any_cell_in_an_order_that_runs() -> None:
    found = of(
        "total",
        "import re, math as m\nfrom decimal import Decimal, getcontext\n# in EUR\nLIMIT = Decimal('10')\n",
        "class Order:\n    unit = LIMIT\n    def __init__(self, x):\n        self.x = m.floor(x)\n",
        "def helper(order, limit=LIMIT):\n    return order.x if WORD.match('a') else limit\n",
        "%matplotlib inline\nWORD = re.compile('a|b')\nunused = 3\n",
        "%%time\ndef total(ids):\n    return sum(helper(Order(i)) for i in ids)\nprint(total([1]))",
    )
    assert found.imports == ("import math as m", "import re", "from decimal import Decimal")
    assert texts(found) == [
        "# in EUR\nLIMIT = Decimal('10')",
        "class Order:\n    unit = LIMIT\n    def __init__(self, x):\n        self.x = m.floor(x)",
        "WORD = re.compile('a|b')",
        "def helper(order, limit=LIMIT):\n    return order.x if WORD.match('a') else limit",
        "def total(ids):\n    return sum(helper(Order(i)) for i in ids)",
    ]
    space: dict[str, object] = {}
    exec("\n".join([*found.imports, *texts(found)]), space)
    assert space["total"]([1.5, 2.5]) == 3  # type: ignore[operator]  # the function


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        (["def f(): return 1", "def f(): return 2"], ["def f(): return 2"]),
        (["def f(): return 1", ("def f(): return 2\n1/0", "error")], ["def f(): return 1"]),
        ([("def f(): return 2\n1/0", "error")], ["def f(): return 2"]),
        (["def f(n): return n and f(n - 1)"], ["def f(n): return n and f(n - 1)"]),
        (
            ["def g(n): return f(n)", "def f(n): return g(n)"],
            ["def g(n): return f(n)", "def f(n): return g(n)"],
        ),
        (["def f(top): return top\nf = f(1)"], ["def f(top): return top"]),
        (
            ["def top(k): return k", "def f(): return top(1)"],
            ["def top(k): return k", "def f(): return top(1)"],
        ),
        (["A, B = 1, 2", "def f(): return A + B"], ["A, B = 1, 2", "def f(): return A + B"]),
        (["A = 1; B = 2", "def f(): return B"], ["B = 2", "def f(): return B"]),
        (["A: list[int] = []", "def f(): return A"], ["A: list[int] = []", "def f(): return A"]),
        (["key = lambda r: r.total", "def f(rs): return sorted(rs, key=key)"], None),
        (
            ["@deco\ndef f(): return 1", "def deco(g): return g"],
            ["def deco(g): return g", "@deco\ndef f(): return 1"],
        ),
        (["x = 1\ndef f():\n    x = 2\n    return [x for x in range(3)]"], None),
        (["def f():\n    def g(): return y\n    y = 1\n    return g()\ny = fetch(1)"], None),
        (["class A: pass\nB = A()\ndef f(): return B"], ["class A: pass", "B = A()", "def f(): return B"]),
        (["import pandas as pd\npd.options.mode = 1\ndef f(): return pd.NA"], ["def f(): return pd.NA"]),
        (["rows = [row for row in ()]\ndef row(): return 1\ndef f(): return row()"], None),
        (["def f():\n    '''a  \nb'''\n    return 1"], ["def f():\n    '''a  \nb'''\n    return 1"]),
    ],
)  # fmt: skip
def test_the_definition_that_counts(cells: list[str], parts: list[str] | None) -> None:
    found = of("f", *cells)
    if parts is not None:
        assert texts(found) == parts
    assert found.tools == ()


def test_tools_by_name_and_modules_of_tools() -> None:
    found = of(
        "f",
        "from mcp_servers import filesystem as fs, git\nfrom toolkits import shop\nimport toolkits.pay",
        "def f(n):\n    try:\n        return fetch(n), fs.read_text_file(path='x')\n"
        "    except ToolDenied:\n        return shop.price(n), toolkits.pay, display(n)",
    )
    assert found.tools == ("fetch",)
    assert found.modules == ("mcp_servers.filesystem", "toolkits.pay", "toolkits.shop")
    assert found.imports == (
        "import toolkits.pay",
        "from IPython.display import display",
        "from mcp_servers import filesystem as fs",
        "from toolkits import shop",
    )


@pytest.mark.parametrize(
    ("cells", "modules"),
    [
        (["import mcp_servers", "def f(): return mcp_servers.asana.good(1), mcp_servers.b"], ["asana", "b"]),
        (["import mcp_servers as m", "def f(): return m.asana.good(1)"], ["asana"]),
        (["import mcp_servers as m", "def f(): return g()\ndef g(): return m.asana"], ["asana"]),
        (["import mcp_servers", "import mcp_servers.b", "def f(): return mcp_servers.asana"], ["asana"]),
        (["import mcp_servers.b", "def f(): return mcp_servers.asana"], ["asana", "b"]),
        (["import mcp_servers.asana as a", "def f(): return a.good(1)"], ["asana"]),
        (["def f():\n    import mcp_servers\n    return mcp_servers.asana.good(1)"], ["asana"]),
        (["def f():\n    from mcp_servers import asana as a, b\n    return a.good(1)"], ["asana", "b"]),
        (["def f():\n    from mcp_servers.asana import good\n    return good(1)"], ["asana"]),
    ],
)
def test_modules_of_tools_however_they_are_reached(cells: list[str], modules: list[str]) -> None:
    assert of("f", *cells).modules == tuple(f"mcp_servers.{one}" for one in modules)


@pytest.mark.parametrize(
    "cells",
    [
        ["def f(n):\n    global SEEN\n    SEEN = n\n    return SEEN"],
        ["def start():\n    global SEEN, re\n    import re\n    SEEN = 1\ndef f(): start(); return re, SEEN"],
        ["class A:\n    name = __qualname__, __module__\ndef f(): return A"],
        ["def f(): return __annotations__"],
    ],
)
def test_names_that_the_code_itself_brings(cells: list[str]) -> None:
    found = of("f", *cells)
    assert free_names("\n".join(texts(found))) == ()


@pytest.mark.parametrize(
    ("cells", "imports"),
    [
        (["import a.b.c", "import a.d", "def f(): return a.b.c.x()"], ["a.b.c"]),
        (["import a.b.c", "import a.d", "def f(): return a.b.c.x(), a.d"], ["a.b.c", "a.d"]),
        (["import a.b.c, a.d", "def f(): return g(), a.b.c.x\ndef g(): return a.d.x"], ["a.b.c", "a.d"]),
        (["import a", "import a.d", "def f(): return a.x, a.d.y"], ["a.d"]),
        (["import a", "import a.d", "def f(): return a.x"], ["a"]),
        (["import a.b", "import a.d", "def f(): return g(a), a.b\ndef g(x): return x"], ["a.b", "a.d"]),
        ([("import a.nope", "error"), "import a.b", "def f(): return a.x"], ["a.b"]),
        (["import a.b", "import a.d as a", "def f(): return a.b"], ["a.d as a"]),
        (["import a.b, a.d", "def f(): return a"], ["a.d"]),
    ],
)
def test_imports_of_one_package_add_up(cells: list[str | tuple[str, Status]], imports: list[str]) -> None:
    assert of("f", *cells).imports == tuple(f"import {one}" for one in imports)


def test_what_a_kernel_gives_beside_tools() -> None:
    found = of(
        "f",
        "def g(): return [tools.search(word) for word in 'ab'], ToolDenied.__name__",
        "def f(n):\n    try: return g()\n    except (tools.ToolError, tools.ToolUnavailable): pass",
    )
    assert found.kernel == {"tools.search", "tools.ToolError", "tools.ToolUnavailable", "ToolDenied"}
    assert of("f", "def f(tools): return tools.search, Odd.x\nclass Odd: x = 1").kernel == frozenset()


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (
            ["rows = fetch(1)", "def f(): return rows"],
            "'f' (step 2) uses 'rows', which is data that step 1 computes",
        ),
        (["rows = fetch(1)", "def f(): return rows"], "def f(…, rows)"),
        (
            ["rows = fetch(1)", "def g(): return rows", "def f(): return g()"],
            "'g' (step 2), which 'f' needs, uses",
        ),
        (
            ["rows = fetch(1)\nN = len(rows)", "def f(): return N"],
            "'N' (step 1), which 'f' needs, uses 'rows'",
        ),
        (["RATES = {}", "RATES['x'] = 1", "def f(): return RATES"], "'RATES', which is changed by step 2"),
        (["NAMES = []\nNAMES.append(1)", "def f(): return NAMES"], "is changed by step 1"),
        (["N = 1\nN += 1\ndef f(): return N"], "'N', which is data that step 1 computes"),
        (["for N in range(3): pass\ndef f(): return N"], "'N', which is data"),
        (["N = 1\ndel N\ndef f(): return N"], "'N', which is deleted by step 1"),
        (["import datetime\nNOW = datetime.datetime.now()\ndef f(): return NOW"], "'NOW', which is data"),
        (
            ["if True:\n    def g(): return 1", "def f(): return g()"],
            "'g', which is defined inside another statement",
        ),
        (
            ["try:\n    import x\nexcept ImportError: pass", "def f(): return x"],
            "'x', which is imported inside another",
        ),
        (["with open('x') as file: pass\ndef f(): return file"], "'file', which is data"),
        (["def f(): return zork"], "uses 'zork', which no cell of the run defines; pass it as a parameter"),
        (["from math import *", "def f(): return sqrt(2)"], "may come from 'from math import *' in step 1"),
        (["def f(): return final_answer(1)"], "let it return the value instead"),
        (["def f(): return Out[1]"], "uses 'Out', which only a notebook has"),
        (["def f():\n    %time fetch(1)\n    return 1"], "holds IPython's own syntax"),
        (["def f():\n    global A\n    A = B"], "uses 'B', which no cell"),
        (
            ["import toolkits", "def f(): return getattr(toolkits, 'shop')"],
            "uses 'toolkits' without naming a module of it; import the module in a cell (from toolkits",
        ),
        (["from . import x", "def f(): return x"], "which means nothing in a file of its own"),
        (["f = lambda: 1"], "'f' is no function"),
        (["x = 1"], "no step that ended well defines a function 'f'. The run defines: none"),
        (["def ff(): return 1"], "Did you mean 'ff'?"),
        (["class A:\n    def f(self): pass"], "defines a function 'f'"),
        ([("def f(): return 1", "killed")], "defines a function 'f'"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_named(cells: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        of("f", *cells)
    assert says in str(caught.value)


def test_hostile_cells_are_only_read() -> None:
    deep = "x = " + "(" * 5000 + ")" * 5000
    nested = "def f(): return " + "-" * 4000 + "1"
    many = "\n".join(f"def g{n}(): return g{n + 1}()" for n in range(300)) + "\ndef g300(): return 1"
    found = of("ok", deep, nested, "\0", "def \x0c ok(): return 1", "def ok(): return '\\d'")
    assert texts(found) == ["def ok(): return '\\d'"]
    with pytest.raises(UsageError, match="more than 200 definitions"):
        of("f", many, "def f(): return g0()")
    with pytest.raises(UsageError):
        of("f", nested)


def test_the_names_that_a_file_leaves_to_the_kernel() -> None:
    source = "import math\nA = 1\ndef f(x):\n    return fetch(x), A, math.pi, len, ToolError, display(x), f\n"
    assert free_names(source) == ("fetch",)
    # Where there are skills, `tools` is too.
    assert free_names("def f():\n    try:\n        fetch(1)\n    except tools.ToolError: pass") == ("fetch",)
