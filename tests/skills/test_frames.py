"""Frames and series of pandas in the tests of a skill."""

from __future__ import annotations

from typing import Any

import pytest

from codeact_kernel.skills.frames import comparison, is_frame
from codeact_kernel.skills.literals import Literals
from codeact_kernel.skills.testfile import tests_of
from codeact_kernel.skills.writing import skill_source
from codeact_kernel.wire.records import Record

from .test_writing import SAVED, SPECS, call, example, of

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")


def frames() -> list[Any]:
    moments = pandas.to_datetime(["2026-01-01", "2026-02-03"])
    plain = pandas.DataFrame({"who": ["a", None], "n": [1, 2], "x": [1.5, float("nan")], "d": moments})
    return [
        plain,
        plain.set_index("who")[["n"]],
        plain.n,
        plain.groupby("n").x.sum(),
        pandas.DataFrame(),
        pandas.DataFrame({1: [True, False], "long": ["x" * 60, "y" * 60]}, index=[5, 7]),
        pandas.DataFrame({"n": [1]}, index=pandas.MultiIndex.from_tuples([(1, "x")])),
        pandas.Series([], dtype=object),
    ]


@pytest.mark.parametrize("place", range(8))
def test_a_frame_is_written_as_the_call_that_makes_it(place: int) -> None:
    frame, literals = frames()[place], Literals()
    source = literals.source(frame, 4)
    space: dict[str, Any] = {}
    exec("\n".join([*literals.imports, f"made = {source}"]), space)
    assert is_frame(frame)
    exec(f"{comparison(frame)}(made, given)", {**space, "given": frame})
    assert all(len(line) <= 110 for line in source.split("\n"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: pandas.DataFrame({"n": numpy.array([1], dtype="int8")}),
        lambda: pandas.DataFrame({"n": pandas.Categorical(["a"])}),
        lambda: pandas.DataFrame({"n": [1]}, index=pandas.MultiIndex.from_tuples([(1, 2)], names=["a", "b"])),
        lambda: pandas.DataFrame([[1, 2]], columns=["same", "same"]),
        lambda: pandas.DataFrame({"n": [object()]}),
        lambda: pandas.DataFrame({"n": range(501)}),
        lambda: pandas.DataFrame({"n": pandas.to_datetime(["2026-01-01"]).tz_localize("UTC")}),
    ],
)
def test_a_frame_that_cannot_be_written(make: Any) -> None:
    with pytest.raises(ValueError, match="has a"):
        Literals().source(make())


def test_a_frame_inside_another_value_is_in_no_test() -> None:
    """Nothing tells whether two of them are equal: `==` of what holds a frame raises."""
    found = of("f", "def f(n):\n    'Doc.'\n    return fetch(n)")
    frame, source = pandas.DataFrame({"n": [1]}), skill_source(found, SAVED, "", "")
    given = [
        example(1, gives=(frame, 3)),
        example(1, gives=[Record("Pair", {"values": {"a": frame.n}})]),
        example(1, gives=3, calls=(call("fetch", frame, gives=3),)),
        example(frame, gives=frame, calls=(call("fetch", 1, gives=[frame]),)),
    ]
    made = tests_of(found, source, given, SPECS, SAVED.text)
    assert made.refused == {
        "has a frame inside another value": 2,
        "calls fetch with a frame, which a test cannot compare": 1,
    }
    assert len(made.tests) == 1


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    values = [numpy.int64(3), numpy.float64(2.5), numpy.bool_(True)]
    assert Literals().source(values) == "[3, 2.5, True]"
    with pytest.raises(ValueError, match="type ndarray"):
        Literals().source(numpy.zeros(3))
