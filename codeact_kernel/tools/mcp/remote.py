"""Owns a tool of an MCP server as a `Tool`: what a call of it is checked for, before the server sees it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ...exceptions import ToolCallError
from ...wire.messages import Json, ToolSchema, ToolSpec
from ...wire.schemas import parameter_names, signature_of
from ...wire.stubs import parameters_hint
from ..approval import Mode
from ..json_schema import StrangersChecker, short
from ..mismatch import Mismatch, path_text
from ..plain import TooLong, jsonable
from ..tool import Tool

Call = Callable[[Mapping[str, Json]], Awaitable[object]]
"""Calls the server with arguments by their names there. Raises: Failure."""
_SCALARS = (type(None), bool, int)


class RemoteTool(Tool):
    """A function of a module that stands for a server. Called on the loop that its server lives on.

    `spec` is what the run began with, `current` what the server says now; the function takes the checked
    arguments by the server's names.
    """

    here = True

    def __init__(self, spec: ToolSpec, call: Call, approval: Mode | None = None) -> None:
        self.spec = self.current = spec
        self.name = spec.name
        self.signature = signature_of(spec)
        self.approval = approval
        self.thread = None
        self.is_async = True
        self.hidden = spec.function.startswith("_")
        self.arguments = self._checked = Arguments(spec, self.signature)

        async def function(**named: Json) -> object:
            return await self._call(named)

        self._call = call
        self.function = function

    def redefined(self, spec: ToolSpec, call: Call) -> None:
        """The server says something else of it now, by which it is checked. Its name stays."""
        self._call, self.current = call, spec
        self.arguments = self._checked = Arguments(spec, self.signature, self._checked.names)

    @property
    def is_outgrown(self) -> bool:
        """Whether it takes other arguments now than its function in the kernel, which stays what it was."""
        return _takes(self.signature) != _takes(signature_of(self.current))

    def named(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
        """As `Tool.named`: the checked ones have the server's names; what was left out is None."""
        python = {there: here for here, there in self._checked.names.items()}
        given = {python.get(name, name): value for name, value in kwargs.items()}
        kinds = {name: one.kind for name, one in self.signature.parameters.items()}
        return {
            name: None for name, kind in kinds.items() if kind is not inspect.Parameter.VAR_KEYWORD
        } | given

    @property
    def claim(self) -> str:
        """What the server says of its effect; nobody has to believe it."""
        schema = self.spec.schema
        if schema is None or schema.read_only is None:
            return ""
        return f"the server says that it {'only reads' if schema.read_only else 'changes something'}"


def _takes(signature: inspect.Signature) -> list[object]:
    return [(one.name, one.kind, one.default is one.empty) for one in signature.parameters.values()]


class Arguments:
    """The arguments of a call: bound, made plain JSON, under the server's names, checked by its schema."""

    def __init__(
        self, spec: ToolSpec, signature: inspect.Signature, before: Mapping[str, str] | None = None
    ) -> None:
        self._tool = spec.name
        self._hint = parameters_hint(spec)
        self._signature = signature
        self._schema = (spec.schema or ToolSchema("")).input
        self.names: Mapping[str, str] = {**(before or {}), **parameter_names(self._schema)}

    @cached_property
    def _checker(self) -> StrangersChecker:
        """Made when it is needed: of 2,500 tools, few are called."""
        return StrangersChecker(self._schema)

    def __call__(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Raises: ToolCallError, naming the parameter and the place in it."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as problem:
            raise ToolCallError(f"{self._tool}() {problem}. {self._hint}", "TypeError") from None
        given: dict[str, object] = {}
        for name, value in bound.arguments.items():
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                given |= {each: self._plain(each, one) for each, one in value.items()}
            elif value is not None or not self._means_left_out(name):
                given[self.names.get(name, name)] = self._plain(name, value)
        self._check(given)
        return (), given

    def _means_left_out(self, name: str) -> bool:
        """None for what may be left out and cannot be null."""
        optional = self._signature.parameters[name].default is not inspect.Parameter.empty
        return optional and not self._checker.allows(self.names.get(name, name), None)

    def _plain(self, name: str, value: object) -> object:
        try:
            check_text(name, "")  # One that no parameter has is a key that the schema lets in.
            plain = jsonable(short(value))
            return check_json(short(plain))
        except TooLong as problem:
            raise self._wrong(name, Mismatch("", str(problem))) from None
        except Mismatch as problem:
            raise self._wrong(name, problem) from None

    def _check(self, given: Mapping[str, object]) -> None:
        try:
            self._checker.check(given)
        except Mismatch as problem:
            if not problem.steps:
                raise ToolCallError(problem.at(f"{self._tool}()"), problem.kind) from None
            first, *rest = problem.steps
            here = next((name for name, there in self.names.items() if there == first), str(first))
            raise self._wrong(here, Mismatch(path_text(rest), problem.message, problem.kind)) from None

    def _wrong(self, name: str, problem: Mismatch) -> ToolCallError:
        return ToolCallError(problem.at(f"{self._tool}(): argument {name!r:.100}"), problem.kind)


def check_json(value: object, path: str = "") -> object:
    """`value`, which has to be JSON as any reader takes it. Raises: Mismatch."""
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, str):
        return check_text(value, path)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise Mismatch(path, f"{value} is no number in JSON")
    if isinstance(value, list):
        for place, item in enumerate(value):
            check_json(item, f"{path}[{place}]")
        return value
    if isinstance(value, dict):
        for key, item in value.items():
            check_text(key, path)
            check_json(item, f"{path}.{key[:100]}")
        return value
    kind = type(value).__name__
    hint = "; send base64.b64encode(…).decode()" if hasattr(value, "data") or kind == "bytes" else ""
    raise Mismatch(path, f"a {kind} is no JSON{hint}", "TypeError")


def check_text(text: str, path: str) -> str:
    """`text`, which has to be one in UTF-8, as the protocol is. Raises: Mismatch."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        sign = text[problem.start]
        hint = "a file name that is no UTF-8 has such; os.fsencode(…) gives its bytes"
        raise Mismatch(path, f"{text!r:.100}: {sign!r} is no character, and no UTF-8; {hint}") from None
    return text
