"""Owns the refusals: the exceptions action code sees, and their messages.

Refused                  an IPython InputRejected, so that a cell can be refused before it runs
├── ImportRefused        also a ModuleNotFoundError: the usual `except ImportError` fallback works
├── NameRefused          also a NameError: a builtin or a reserved name
├── AttributeRefused     also an AttributeError
└── MagicRefused
"""

from __future__ import annotations

import difflib
import linecache
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from IPython.core.error import InputRejected

from codeact_kernel.in_kernel.guard_lists import AllowLists

Kind: TypeAlias = Literal["import", "builtin", "magic", "attribute"]
SHOWN = 120
"""Characters of source, or of a name, that a message repeats."""


class Refused(InputRejected):  # type: ignore[misc]  # IPython's types are not read here
    """Action code asked for something the allow-lists do not allow. `where`: the code that did."""

    where: str | None = None

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this instead of formatting the frames, most of which are not the user's.
        lines = [self.where] if self.where else list(_user_lines(self))
        return [*(f"----> {line}" for line in lines), f"{type(self).__name__}: {self}"]


class ImportRefused(Refused, ModuleNotFoundError):
    """A module that is not on the list."""


class NameRefused(Refused, NameError):
    """A builtin or a name that is not for action code."""


class AttributeRefused(Refused, AttributeError):
    """An attribute that leads to the interpreter's insides."""


class MagicRefused(Refused):
    """A magic or a shell command."""


_CLASSES: dict[Kind, type[Refused]] = {
    "import": ImportRefused,
    "builtin": NameRefused,
    "attribute": AttributeRefused,
    "magic": MagicRefused,
}


def refusal(lists: AllowLists, kind: Kind, name: str, why: str | None = None) -> Refused:
    """The exception for one refused thing. `why` replaces the reason that the kind implies."""
    match kind:
        case "import":
            message = _import_message(lists, name)
        case "builtin":
            message = f"{name!r} is refused in action code"
        case "attribute":
            message = f"{name!r} is refused in action code: {why or 'it leads into the interpreter'}"
        case "magic":
            allowed = ", ".join(f"%{magic}" for magic in sorted(lists.line_magics))
            message = f"{name} is refused: {why or 'nothing can be executed here'}; allowed magics: {allowed}"
    instead = lists.instead.get(name) if kind != "import" else None
    return _CLASSES[kind](f"{message}. Instead: {instead}." if instead else f"{message}.")


def _import_message(lists: AllowLists, name: str) -> str:
    top = name.partition(".")[0]
    close = difflib.get_close_matches(name, lists.imports, n=1, cutoff=0.8)
    instead = lists.instead.get(name) or lists.instead.get(top) or (close[0] if close else None)
    return (
        f"module {name!r} is refused: it is not on the list of modules that action code may import. "
        + (f"Instead: {instead}. " if instead else "")
        + "allowed_imports() lists what is allowed: the safe standard library and data libraries. "
        f"A user can allow it: --allow-import {name}, or SandboxProfile(allow_imports=({name!r},))"
    )


class Finding(NamedTuple):
    """One refused thing in a cell, and the piece of source that asks for it."""

    kind: Kind
    name: str
    refused: Refused
    source: str | None


def cell_refusal(found: Sequence[Finding]) -> Refused:
    """One exception for all that a cell does wrong."""
    first = found[0]
    others = dict.fromkeys(f.source or f.name for f in found if f.source != first.source)
    also = f" Refused as well: {'; '.join([*others][:5])}." if others else ""
    refused = type(first.refused)(f"{first.refused} Nothing of this code has run.{also}")
    refused.where = first.source
    return refused


def _user_lines(error: BaseException) -> Iterator[str]:
    """The source line of the innermost frame that is action code."""
    found = None
    frames = error.__traceback__
    while frames is not None:
        frame = frames.tb_frame
        if frame.f_globals.get("__name__") == "__main__":
            found = (frame.f_code.co_filename, frames.tb_lineno)
        frames = frames.tb_next
    line = linecache.getline(*found).strip() if found else ""
    if line:
        yield line[:SHOWN]
