"""Owns the tool stubs: what action code calls. They look like the host's functions and only forward."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Awaitable, Mapping
from typing import Any, NoReturn

from codeact_kernel.in_kernel.channel import Caller
from codeact_kernel.wire.frames import FINAL_ANSWER
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome, ToolParameter, ToolSpec
from codeact_kernel.wire.stubs import HINT, signature_of
from codeact_kernel.wire.values import EncodeError, decode, encode

_COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
DENIED = "ToolDenied"
_INLINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>"}


class ToolError(Exception):
    """A tool failed on the host. Where its exception there is no builtin of Python, the name leads."""


class ToolUnavailable(ToolError):
    """The server of this tool is not there: it could not be started, has ended, or does not answer."""


class ToolSchemaError(ToolError):
    """The server returned something else than it says that this tool returns."""


class ToolProtocolError(ToolError):
    """The server refused the call with an error of the protocol; its code is in the message."""


class ToolDenied(PermissionError):
    """A person, or a rule of theirs, did not allow this call: it was not made. The message has the reason."""


ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (ToolError, ToolUnavailable, ToolSchemaError, ToolProtocolError, ToolDenied)
}
"""What a failed call raises beside Python's own exceptions, by the name that the host says."""


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
        self.__name__ = self.__qualname__ = spec.function
        self.__doc__ = spec.doc or None
        self.__module__ = spec.module or "tools"
        self.__signature__ = signature_of(spec)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        __tracebackhide__ = True
        if gives_awaitable(self):
            return self.aio(*args, **kwargs)
        return self._unwrap(self._caller.call(self._spec.name, *self._encode(args, kwargs)))

    def aio(self, *args: object, **kwargs: object) -> Awaitable[Any]:
        """The same call as an awaitable, for `await` and `asyncio.gather`."""
        __tracebackhide__ = True
        encoded = self._encode(args, kwargs)

        async def call() -> object:
            __tracebackhide__ = True
            return self._unwrap(await self._caller.acall(self._spec.name, *encoded))

        return call()

    def _unwrap(self, outcome: ToolOutcome) -> object:
        __tracebackhide__ = True
        return value_of(outcome)

    def _encode(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[tuple[Json, ...], dict[str, Json]]:
        __tracebackhide__ = True
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"the tool {self._spec.name} is part of this kernel and cannot be pickled")

    def __repr__(self) -> str:
        return f"<tool {self._spec.name}{self.__signature__}>"


FINAL_ANSWER_SPEC = ToolSpec(
    FINAL_ANSWER,
    (ToolParameter("value"),),
    "None",
    "Ends the task with `value` as its answer, once this cell is done.",
)


def value_of(outcome: ToolOutcome, hint: str = "") -> object:
    """What a call returned. Raises what it raised; a ToolError ends with `hint`, unless it has one."""
    __tracebackhide__ = True
    if isinstance(outcome, Returned):
        return decode(outcome.value)
    if hint and outcome.type == ToolError.__name__ and HINT not in outcome.message:
        outcome = Raised(outcome.type, f"{outcome.message}\n{hint}")
    raise _exception(outcome) from None


def _exception(raised: Raised) -> Exception:
    kind = ERRORS.get(raised.type) or getattr(builtins, raised.type, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(raised.message)
        except TypeError:
            pass  # UnicodeDecodeError and its like want more than a message.
    return ToolError(f"{raised.type}: {raised.message}")


def gives_awaitable(tool: ToolFunction) -> bool:
    """Whether a plain call gives an awaitable, made where the function that asks is called."""
    return tool._spec.is_async and _called_from_coroutine()


def _called_from_coroutine() -> bool:
    frame = sys._getframe(3)
    while frame.f_code.co_name in _INLINE and frame.f_back is not None:
        frame = frame.f_back
    return bool(frame.f_code.co_flags & _COROUTINE)
