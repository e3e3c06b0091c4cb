"""Which variables may cross between a notebook and the kernel, and what is said of the others."""

from __future__ import annotations

import io
import math
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression

from codeact_kernel.config import ToolLimits
from codeact_kernel.exceptions import ToolDefinitionError, UsageError
from codeact_kernel.frontends.magic_place import home, place
from codeact_kernel.frontends.magic_values import Exchange, check_name, described, functions, user_names


def refusal(value: Any, name: str = "x") -> str:
    with pytest.raises(UsageError) as caught:
        Exchange().parcels([name], {name: value})
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (LinearRegression(), r"a value of type sklearn\.linear_model\S+LinearRegression cannot be sent"),
        ({"a": [LinearRegression()]}, r"at x\['a'\]\[0\]"),
        ((n for n in range(3)), r"a generator cannot be sent, since reading it uses it up; send list\(x\)"),
        (math, "a module cannot be sent; the agent imports what it needs itself"),
        (io.StringIO("file"), r"an open file cannot be sent \(_io\.StringIO\); read it"),
        (len, "offer a function with --tools x"),
        (Path, "offer a function with --tools x"),
        (polars.DataFrame({"a": [1]}), r"send x\.to_pandas\(\)"),
    ],
)
def test_what_cannot_travel_is_named_with_its_type_and_what_to_do(value: Any, said: str) -> None:
    text = refusal(value)
    assert text.startswith("--with x: ")
    assert re.search(said, text)


@pytest.mark.parametrize(
    "name", ["In", "Out", "_", "__", "_1", "_i", "_ih", "__name__", "print", "get_ipython"]
)
def test_names_of_python_and_ipython_do_not_cross(name: str) -> None:
    assert f"--with {name}: that name is of Python, of IPython or of codeact" in refusal(1, name)
    for ours in ("from_notebook", "to_notebook", "final_answer"):
        with pytest.raises(UsageError, match="that name is of"):
            check_name("--out", ours)
    with pytest.raises(UsageError, match="--out f: that is the name of a tool"):
        check_name("--out", "f", ["f"])


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    namespace: dict[str, Any] = {"In": [], "_": 1, "math": math, "len_": len, "df": 1, "kilo": 2}
    assert user_names(namespace) == ["kilo", "df"]
    with pytest.raises(UsageError, match="--with dg: there is no such variable here; there are: kilo, df"):
        Exchange().parcels(["dg"], namespace)


def test_large_values_are_refused_and_huge_ones_are_not_even_encoded() -> None:
    exchange = Exchange()
    exchange.limits = ToolLimits(max_payload_bytes=10_000, max_cell_bytes=15_000)
    with pytest.raises(UsageError, match=r"--with x: \d+ kB, and a value can have 10 kB; send the rows"):
        exchange.parcels(["x"], {"x": "é" * 9_000})
    # Eight gigabytes of it, of which no byte is there.
    huge = np.broadcast_to(np.float64(0), (10**9,))
    with pytest.raises(UsageError, match="--with x: 8000"):
        exchange.parcels(["x"], {"x": huge})
    with pytest.raises(UsageError, match="--with x: 8000"):
        exchange.parcels(["x"], {"x": pd.Series(huge, copy=False)})
    with pytest.raises(
        UsageError, match=r"--with a,b: 18 kB in all; at once can be sent 15 kB: send them one"
    ):
        exchange.parcels(["a", "b"], {"a": "x" * 9_000, "b": "y" * 9_000})


def test_only_what_has_changed_is_sent_again() -> None:
    exchange = Exchange()
    frame = pd.DataFrame({"a": [1, 2]})
    namespace: dict[str, Any] = {"df": frame, "n": 1}
    first = exchange.parcels(["df", "n"], namespace)
    assert [parcel.name for parcel in first] == ["df", "n"]
    with pytest.raises(RuntimeError), exchange.sending(first):
        raise RuntimeError("the cell failed")
    assert exchange.parcels(["df", "n"], namespace) == first
    with exchange.sending(first) as code:
        assert code == (
            "df = from_notebook('df')  # DataFrame, 2 rows: a int64\nn = from_notebook('n')  # int, 1"
        )
    assert exchange.parcels(["df", "n"], namespace) == ()
    frame.loc[0, "a"] = 7  # In place: it is still the same object.
    assert [parcel.name for parcel in exchange.parcels(["df", "n"], namespace)] == ["df"]


def test_the_tools_answer_only_while_a_cell_of_the_users_runs() -> None:
    exchange = Exchange()
    take, give = exchange.tools
    parcels = exchange.parcels(["a"], {"a": 1})
    with pytest.raises(RuntimeError, match="cannot be read from here; sent so far: none"):
        take("a")
    with exchange.sending(parcels):
        assert take("a") == 1
        with pytest.raises(RuntimeError, match="cannot be read"):
            take("secret")
    with pytest.raises(RuntimeError, match="cannot be read from here; sent so far: a"):
        take("a")
    with exchange.taking(["r"]) as (code, taken):
        assert code == "to_notebook('r', r)"
        give("r", 2)
        with pytest.raises(RuntimeError, match="cannot be set from here"):
            give("a", 3)
    with pytest.raises(RuntimeError, match="cannot be set from here"):
        give("r", 4)
    assert taken == {"r": 2}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pd.DataFrame({f"c{n}": [1.5] for n in range(10)}), "DataFrame, 1 row: c0 float64,"),
        (pd.Series([1, 2]), "Series, 2 values, int64"),
        (np.zeros((2, 3)), "ndarray, (2, 3) float64"),
        ("héllo", "str, 5 characters"),
        (b"x", "bytes, 1 byte"),
        (OrderedDict(a=1), "OrderedDict, 1 item"),
        (None, "NoneType, None"),
        (Figure(), "Figure, as a Picture: it shows itself; its bytes are in .data"),
        (pd.DataFrame({"a\nimport os\x1b[31m": [1]}), "DataFrame, 1 row: a import os int64"),
        (pd.DataFrame({"x" * 1000: [1]}), "DataFrame, 1 row: " + "x" * 100),
    ],
)
def test_a_value_is_described_on_one_line(value: Any, said: str) -> None:
    text = described(value)
    assert text.startswith(said)
    assert len(text) < 350
    assert text.isprintable()


def test_functions_need_what_tools_need() -> None:
    def good(n: int) -> int:
        return n

    def bad(n):  # type: ignore[no-untyped-def]  # that is the point
        return n

    namespace: dict[str, Any] = {"good": good, "bad": bad, "other": good, "n": 1}
    assert [made.name for made in functions(["good", "other"], namespace)] == ["good", "other"]
    with pytest.raises(UsageError, match="--tools nope: there is no such function here; define it first"):
        functions(["nope"], namespace)
    with pytest.raises(ToolDefinitionError, match=r"bad.*'n'"):
        functions(["bad"], namespace)
    with pytest.raises(ToolDefinitionError, match="1 is no function"):
        functions(["n"], namespace)


def test_a_run_is_saved_beside_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    beside = tmp_path / "a [b].c"
    beside.mkdir()
    assert place({}).parent == home({}) == tmp_path
    assert place({}).name.startswith("codeact-")
    for told in ("/nowhere/x.ipynb", "relative.ipynb", "some-kernel-id", ""):
        monkeypatch.setenv("JPY_SESSION_NAME", told)
        assert home({}) == tmp_path
    assert home({"__vsc_ipynb_file__": str(beside / "v.ipynb")}) == beside
    monkeypatch.setenv("JPY_SESSION_NAME", str(beside / "my [x].sales.ipynb"))
    first = place({})
    assert first.parent == beside
    assert first.name.startswith("my [x].sales-codeact-")
    first.with_suffix(".codeact.jsonl").touch()  # Of a run that was cut off.
    assert place({}) != first
