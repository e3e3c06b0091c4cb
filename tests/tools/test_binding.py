"""Binding a call: the same as the function's signature says, whatever form the call has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.exceptions import ToolCallError
from codeact_kernel.tools import binding
from codeact_kernel.tools.registry import tool


def ordinary(a: int, b: int = 2, *, c: int = 3) -> None: ...
def placed(a: int, b: int = 2, /, c: int = 3) -> None: ...
def variadic(a: int, *rest: int, c: int = 3, **more: int) -> None: ...


made = {function: tool(function) for function in (ordinary, placed, variadic)}


@given(
    st.sampled_from([*made]),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from("abcd"), st.integers(), max_size=4),
)
def test_calls_bind_as_the_signature_says(function: Any, args: list[int], kwargs: dict[str, int]) -> None:
    def bound() -> object:
        try:
            found = inspect.signature(function).bind(*args, **kwargs)
        except TypeError as problem:
            return f"{function.__name__}() {problem}"
        return found.args, found.kwargs

    def ours() -> object:
        try:
            return made[function].arguments(args, kwargs)
        except ToolCallError as problem:
            return str(problem)

    assert ours() == bound()
    assert ours() == bound()  # Also the form that is known by now.


@pytest.mark.parametrize("call", [lambda f: f([1, "x"], {}), lambda f: f([1], {"b": "x"})])
def test_what_does_not_fit_is_named_by_its_parameter(call: Callable[[Any], object]) -> None:
    for _ in range(2):
        with pytest.raises(ToolCallError, match=r"^ordinary\(\): argument 'b': ") as caught:
            call(made[ordinary].arguments)
        assert caught.value.kind == "ValueError"


def test_forms_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "MAX_FORMS", 2)
    arguments = tool(ordinary).arguments
    forms: list[dict[str, object]] = [{}, {"b": 1}, {"c": 1}, {"b": 1, "c": 1}, {"c": 1, "b": 1}]
    for form in [*forms, *forms]:
        args, kwargs = arguments([7], form)
        assert {"a": 7, **form} == inspect.signature(ordinary).bind(*args, **kwargs).arguments
    assert len(arguments._forms) == 2
