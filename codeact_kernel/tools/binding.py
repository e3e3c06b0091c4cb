"""Owns binding the arguments of a call to a signature, each checked and converted to its annotation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..exceptions import ToolCallError
from .mismatch import Mismatch

if TYPE_CHECKING:
    from .checking import Checker

MAX_FORMS = 64
"""Forms of calls that are remembered for one tool."""
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Place(NamedTuple):
    """Where a value goes. `source`: its place among all values of the call."""

    parameter: str
    convert: Callable[[object], object]
    source: int


class _Form(NamedTuple):
    """How calls with so many arguments by place, and these by name, bind: that takes longer than the rest."""

    by_place: tuple[_Place, ...]
    by_name: tuple[_Place, ...]


class Binding:
    """The parameters of one tool.

    Args:
        checkers: by parameter.
    """

    def __init__(self, tool: str, signature: inspect.Signature, checkers: Mapping[str, Checker]) -> None:
        self._tool = tool
        self._signature = signature
        self._checkers = checkers
        self._variadic = any(each.kind in _VARIADIC for each in signature.parameters.values())
        self._forms: dict[tuple[object, ...], _Form] = {}

    def __call__(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments as the function gets them.

        Raises:
            ToolCallError: naming the tool and the parameter; `kind` is TypeError or ValueError.
        """
        form = self._forms.get((len(args), *kwargs)) or self._learned(len(args), kwargs)
        if form is None:
            return self._bound(args, kwargs)
        values = [*args, *kwargs.values()] if kwargs else args
        place: _Place | None = None
        try:
            found = []
            for place in form.by_place:
                found.append(place.convert(values[place.source]))
            named = {}
            for place in form.by_name:
                named[place.parameter] = place.convert(values[place.source])
        except Mismatch as problem:
            raise self._refused("" if place is None else place.parameter, problem) from None
        return tuple(found), named

    def _learned(self, count: int, kwargs: Mapping[str, object]) -> _Form | None:
        """The form of such calls; None: there is none, or none that could be kept."""
        if self._variadic or len(self._forms) >= MAX_FORMS:
            return None
        sources = {name: count + place for place, name in enumerate(kwargs)}
        try:
            bound = self._signature.bind(*range(count), **sources)
        except TypeError:
            return None
        places = {
            name: _Place(name, self._checkers[name].convert, source)
            for name, source in bound.arguments.items()
        }
        by_name = tuple(places.pop(name) for name in bound.kwargs)
        form = self._forms[(count, *kwargs)] = _Form(tuple(places.values()), by_name)
        return form

    def _bound(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as problem:
            raise ToolCallError(f"{self._tool}() {problem}", "TypeError") from None
        for parameter, value in bound.arguments.items():
            try:
                bound.arguments[parameter] = self._converted(parameter, value)
            except Mismatch as problem:
                raise self._refused(parameter, problem) from None
        return bound.args, bound.kwargs

    def _converted(self, parameter: str, value: Any) -> object:
        convert = self._checkers[parameter].convert
        match self._signature.parameters[parameter].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                return tuple(map(convert, value))
            case inspect.Parameter.VAR_KEYWORD:
                return {key: convert(item) for key, item in value.items()}
            case _:
                return convert(value)

    def _refused(self, parameter: str, problem: Mismatch) -> ToolCallError:
        return ToolCallError(problem.at(f"{self._tool}(): argument {parameter!r}"), problem.kind)
