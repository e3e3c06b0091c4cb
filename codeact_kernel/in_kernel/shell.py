"""Owns the IPython shell that runs actions, and what it shows of an exception."""

from __future__ import annotations

import os
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.error import UsageError
from traitlets import Instance

from codeact_kernel.in_kernel import denials_hooks
from codeact_kernel.in_kernel.transforming import Transformers

_INTERRUPTED = compile("raise KeyboardInterrupt", "<interrupted before it began>", "exec")


class ActionShell(ZMQInteractiveShell):  # type: ignore[misc]  # ipykernel publishes no types
    """A shell whose tracebacks show the user's frames and no library internals.

    `interrupted`: an interrupt has come before the cell's own code could take it. `transformed`: a text and
    what it stands for; None before each cell, whose meaning depends on what has run.
    """

    input_transformer_manager = Instance(Transformers, ())
    interrupted = False
    transformed: tuple[str, str] | None = None

    async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> bool:
        if self.interrupted:
            self.interrupted = False
            code_obj, async_ = _INTERRUPTED, False
        failed: bool = await super().run_code(code_obj, result, async_=async_)
        return failed

    def transform_cell(self, raw_cell: str) -> str:
        """Once for each cell: ipykernel does it to see whether the cell awaits, and IPython to run it."""
        if self.transformed is None or self.transformed[0] != raw_cell:
            self.transformed = raw_cell, super().transform_cell(raw_cell)
        return self.transformed[1]

    def should_run_async(self, raw_cell: str, *, transformed_cell: str = "", **kwargs: Any) -> bool:
        """As stock, which compiles each cell twice to find out."""
        if "await" not in transformed_cell and "async" not in transformed_cell:
            return False
        awaits: bool = super().should_run_async(raw_cell, transformed_cell=transformed_cell, **kwargs)
        return awaits

    def _tee(self, channel: str) -> AbstractContextManager[None]:
        """Stock keeps all that cells print for ever, for `%notebook`. `_obs` keeps it up to a bound."""
        return nullcontext()

    def system(self, cmd: str) -> None:
        denials_hooks.refuse_program(cmd)
        super().system(cmd)

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Stock prints exception groups, and what it fails to format, as text. Here they are errors too."""
        try:
            kind, value, tb = self._get_exc_info(exc_tuple)
        except ValueError:  # There was none: `%tb` in a fresh kernel.
            sys.stderr.write("No traceback available to show.\n")
            return
        if issubclass(kind, SyntaxError | UsageError) or kwargs.get("exception_only"):
            super().showtraceback(exc_tuple, *args, **kwargs)
            return
        try:
            if any(isinstance(error, BaseExceptionGroup) for error in _linked(value)):
                lines = "".join(traceback.format_exception(kind, value, tb)).splitlines()
            elif hasattr(value, "_render_traceback_"):
                lines = value._render_traceback_()
            else:
                offset = kwargs.get("tb_offset")
                lines = self.InteractiveTB.structured_traceback(kind, value, tb, tb_offset=offset)
        except KeyboardInterrupt:
            lines = ["interrupted while the traceback was made"]
        except Exception:  # Out of memory, or what the program's own class for exceptions raises.
            lines = "".join(traceback.format_exception_only(kind, value)).splitlines()
        self._showtraceback(kind, value, lines)

    def _get_exc_info(self, exc_tuple: Any = None) -> tuple[Any, Any, Any]:
        kind, value, tb = super()._get_exc_info(exc_tuple)
        for error in _linked(value):
            denials_hooks.of_shown(error)
            if error is not value and error.__traceback__ is not None:
                error.__traceback__ = self._trim(error.__traceback__)
        return kind, value, (self._trim(tb) or tb) if tb is not None else None

    def _trim(self, tb: types.TracebackType) -> types.TracebackType | None:
        own = [t for t in _walk(tb) if self._is_users(t.tb_frame)]
        trimmed: types.TracebackType | None = None
        for entry in reversed(own):
            trimmed = types.TracebackType(trimmed, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        return trimmed

    def _is_users(self, frame: types.FrameType) -> bool:
        name = frame.f_code.co_filename
        return name in self.compile._filename_map or name.startswith(os.getcwd() + os.sep)


def _linked(value: object) -> Iterator[BaseException]:
    """The exception, what it came of, and the members of groups; each once."""
    waiting, seen = [value], set[int]()
    while waiting:
        error = waiting.pop()
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting.append(error.__cause__ or error.__context__)
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions


def _walk(tb: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next
