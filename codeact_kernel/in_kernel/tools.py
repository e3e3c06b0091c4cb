"""Owns the tool stubs: what action code calls. They look like the host's functions and only forward."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Awaitable, Mapping
from typing import Any

from codeact_kernel.in_kernel.channel import Caller
from codeact_kernel.wire.frames import FINAL_ANSWER
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome, ToolParameter, ToolSpec
from codeact_kernel.wire.values import EncodeError, decode, encode

_KINDS = {
    "positional_only": inspect.Parameter.POSITIONAL_ONLY,
    "positional_or_keyword": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "var_positional": inspect.Parameter.VAR_POSITIONAL,
    "keyword_only": inspect.Parameter.KEYWORD_ONLY,
    "var_keyword": inspect.Parameter.VAR_KEYWORD,
}
_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
DENIED = "ToolDenied"
_INLINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>"}


class ToolError(Exception):
    """A tool failed on the host with an exception that is no Python builtin; its name leads the message."""


class ToolDenied(PermissionError):
    """A person, or a rule of theirs, did not allow this call: it was not made. The message has the reason."""


class _Source:
    """Source text in a signature: shown as written, never evaluated."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class ToolFunction:
    """A tool as action code sees it.

    Called from synchronous code it waits and returns the value. `f.aio(...)` returns an awaitable,
    and so does a plain call of a tool that is `async def` on the host, where the calling code is
    itself asynchronous. (`await f(...)` and `asyncio.gather(f(...), …)` work for every tool: see
    `in_kernel.awaiting`.)
    """

    def __init__(self, spec: ToolSpec, caller: Caller) -> None:
        self._spec = spec
        self._caller = caller
        self.__name__ = self.__qualname__ = spec.name
        self.__doc__ = spec.doc or None
        self.__module__ = "tools"
        self.__signature__ = signature(spec)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        if self._spec.is_async and _called_from_coroutine():
            return self.aio(*args, **kwargs)
        return _unwrap(self._caller.call(self._spec.name, *self._encode(args, kwargs)))

    def aio(self, *args: object, **kwargs: object) -> Awaitable[Any]:
        """The same call as an awaitable, for `await` and `asyncio.gather`."""
        encoded = self._encode(args, kwargs)

        async def call() -> object:
            return _unwrap(await self._caller.acall(self._spec.name, *encoded))

        return call()

    def _encode(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[tuple[Json, ...], dict[str, Json]]:
        by_place: list[Json] = []
        by_name: dict[str, Json] = {}
        name: str | None = None
        try:
            for value in args:
                by_place.append(encode(value, blobs=True))
            for name, value in kwargs.items():
                by_name[name] = encode(value, blobs=True)
        except EncodeError as problem:
            where = len(by_place) + 1 if name is None else repr(name)
            raise TypeError(f"{self._spec.name}(): argument {where}: {problem}") from None
        return tuple(by_place), by_name

    def __repr__(self) -> str:
        return f"<tool {self._spec.name}{self.__signature__}>"


def signature(spec: ToolSpec) -> inspect.Signature:
    """The tool's signature, annotations and defaults as source text."""
    return inspect.Signature(
        [_parameter(parameter) for parameter in spec.parameters],
        return_annotation=_Source(spec.returns) if spec.returns else inspect.Signature.empty,
    )


def _parameter(parameter: ToolParameter) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        parameter.name,
        _KINDS[parameter.kind],
        annotation=_Source(parameter.annotation) if parameter.annotation else empty,
        default=empty if parameter.default is None else _Source(parameter.default),
    )


FINAL_ANSWER_SPEC = ToolSpec(
    FINAL_ANSWER,
    (ToolParameter("value"),),
    "None",
    "Ends the task with `value` as its answer, once this cell is done.",
)


def _unwrap(outcome: ToolOutcome) -> object:
    if isinstance(outcome, Returned):
        return decode(outcome.value)
    raise _exception(outcome) from None


def _exception(raised: Raised) -> Exception:
    kind = ToolDenied if raised.type == DENIED else getattr(builtins, raised.type, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(raised.message)
        except TypeError:
            pass  # UnicodeDecodeError and its like want more than a message.
    return ToolError(f"{raised.type}: {raised.message}")


def _called_from_coroutine() -> bool:
    frame = sys._getframe(2)
    while frame.f_code.co_name in _INLINE and frame.f_back is not None:
        frame = frame.f_back
    return bool(frame.f_code.co_flags & _COROUTINE)
