"""Owns the variables that cross between a notebook and the agent's kernel, each as a tool call on the tape.

`df = from_notebook('df')` before a task and `to_notebook('result', result)` after it are cells of the user's
own, so a replay needs nothing new. The two tools answer only while such a cell runs: at any other time code
in the kernel can neither read the notebook nor write to it. The codec is `wire.values`: data, no pickle.
"""

from __future__ import annotations

import builtins
import hashlib
import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import IOBase
from types import ModuleType
from typing import Any

from ..config import ToolLimits
from ..exceptions import UsageError
from ..tools.tool import Tool, tool
from ..tools.toolkits import tools_in, within
from ..wire.coding import type_name
from ..wire.frames import FINAL_ANSWER, MAX_FRAME
from ..wire.lines import canonical
from ..wire.values import EncodeError, Picture, encode
from . import brief
from .terminal import clean, clip

FROM, TO = "from_notebook", "to_notebook"
_OF_IPYTHON = re.compile(r"_+|_i+|_\d+|_i\d+|_[iod]h|__\w*|In|Out|get_ipython")
_RESERVED = frozenset({FROM, TO, FINAL_ANSWER, *dir(builtins)})
COLUMNS = 8


@dataclass(frozen=True)
class Parcel:
    """A variable as it is to be sent. `size`: bytes, encoded; `said`: what it is, in a few words."""

    name: str
    value: object
    digest: str
    size: int
    said: str


class Exchange:
    """What crosses. `sent`: the digest of each variable as the kernel got it last."""

    def __init__(self) -> None:
        self.limits = ToolLimits()
        self._offered: Mapping[str, object] = {}
        self._wanted: frozenset[str] = frozenset()
        self._taken: dict[str, Any] = {}
        self.sent: dict[str, str] = {}
        self.tools: tuple[Tool, Tool] = (
            tool(self._from_notebook, name=FROM, effect="read"),
            tool(self._to_notebook, name=TO, effect="read"),
        )

    def _from_notebook(self, name: str) -> Any:
        """A variable of the user's notebook. For the user's own cells: it is called for you."""
        if name not in self._offered:
            had = ", ".join(self.sent) or "none"
            raise RuntimeError(
                f"the user's variables cannot be read from here; sent so far: {had}. If you need another, "
                "ask the user for it"
            )
        return self._offered[name]

    def _to_notebook(self, name: str, value: Any) -> None:
        """Makes a variable of the user's notebook. For the user's own cells: it is called for you."""
        if name not in self._wanted:
            raise RuntimeError("the user's variables cannot be set from here; leave the value in a variable")
        self._taken[name] = value

    @contextmanager
    def sending(self, parcels: Sequence[Parcel]) -> Iterator[str]:
        """The cell that takes `parcels` in. They count as sent when it has ended without an exception."""
        self._offered = {parcel.name: parcel.value for parcel in parcels}
        try:
            yield "\n".join(f"{each.name} = {FROM}({each.name!r})  # {each.said}" for each in parcels)
            self.sent |= {parcel.name: parcel.digest for parcel in parcels}
        finally:
            self._offered = {}

    @contextmanager
    def taking(self, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The cell that gives `names`, and where their values are when it has run."""
        self._wanted, self._taken = frozenset(names), {}
        try:
            yield "\n".join(f"{TO}({name!r}, {name})" for name in names), self._taken
        finally:
            self._wanted = frozenset()

    # --- before anything starts ---

    def parcels(self, names: Sequence[str], namespace: Mapping[str, object]) -> tuple[Parcel, ...]:
        """Those of the variables that the kernel does not have as they are. Raises UsageError."""
        packed = [self._parcel(name, namespace) for name in names]
        total = sum(parcel.size for parcel in packed)
        if total > self.limits.max_cell_bytes:
            raise UsageError(
                f"--with {','.join(names)}: {brief.size(total)} in all; at once can be sent "
                f"{brief.size(self.limits.max_cell_bytes)}: send them one by one, or less"
            )
        return tuple(parcel for parcel in packed if self.sent.get(parcel.name) != parcel.digest)

    def _parcel(self, name: str, namespace: Mapping[str, object]) -> Parcel:
        check_name("--with", name)
        if name not in namespace:
            known = _some(user_names(namespace))
            raise UsageError(f"--with {name}: there is no such variable here; there are: {known}")
        value = namespace[name]
        if (rough := _weight(value)) > self._most:
            raise self._too_large(name, rough)
        try:
            # As the tool call will: a subclass of a builtin type is what it holds.
            encoded = encode(str(value) if isinstance(value, str) else value)
        except EncodeError as problem:
            raise UsageError(_refusal(name, value, problem)) from None
        text = canonical(encoded).encode()
        if len(text) > self._most:
            raise self._too_large(name, len(text))
        return Parcel(name, value, hashlib.sha256(text).hexdigest(), len(text), described(value))

    @property
    def _most(self) -> int:
        return min(self.limits.max_payload_bytes, MAX_FRAME)

    def _too_large(self, name: str, size: int) -> UsageError:
        return UsageError(
            f"--with {name}: {brief.size(size)}, and a value can have {brief.size(self._most)}; send the "
            "rows and columns that matter, or a function that looks things up in it, with --tools"
        )


def check_name(flag: str, name: str, tools: Collection[str] = ()) -> None:
    """That a variable can be called `name` on both sides. Raises UsageError."""
    if name in tools:
        raise UsageError(f"{flag} {name}: that is the name of a tool; call the variable otherwise")
    if name in _RESERVED or _OF_IPYTHON.fullmatch(name):
        raise UsageError(
            f"{flag} {name}: that name is of Python, of IPython or of codeact; call the variable otherwise"
        )


def is_users(name: str) -> bool:
    """Whether a name is one that a user gives."""
    return not (name.startswith("_") or name in _RESERVED or _OF_IPYTHON.fullmatch(name))


def user_names(namespace: Mapping[str, object]) -> list[str]:
    """Variables of the user's own that hold data, the last ones first."""
    return [
        name
        for name, value in reversed([*namespace.items()])
        if is_users(name) and not isinstance(value, ModuleType | type) and not callable(value)
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(names[:10]) or "none") + more


def _refusal(name: str, value: object, problem: EncodeError) -> str:
    kind = type_name(value)
    if isinstance(value, ModuleType):
        return f"--with {name}: a module cannot be sent; the agent imports what it needs itself"
    if inspect.isroutine(value) or isinstance(value, type | Tool):
        return f"--with {name}: a {kind} cannot be sent; offer a function with --tools {name}"
    if hasattr(value, "to_pandas"):
        return f"--with {name}: a {kind} cannot be sent; send {name}.to_pandas()"
    if isinstance(value, IOBase):
        return f"--with {name}: an open file cannot be sent ({kind}); read it, and send what it holds"
    if inspect.isgenerator(value) or isinstance(value, Iterator):
        return f"--with {name}: a {kind} cannot be sent, since reading it uses it up; send list({name})"
    where = f" at {name}{problem.path}" if problem.path else ""
    return (
        f"--with {name}: a value of type {kind} cannot be sent ({problem.reason}{where}). Send the data it "
        "is made of, or offer a function that uses it, with --tools"
    )


def _weight(value: Any) -> int:
    """Bytes that it has at least, known without encoding it."""
    try:
        if type(value).__module__.startswith("pandas"):
            used = value.memory_usage(index=True)
            return int(used.sum() if hasattr(used, "sum") else used)
        return int(getattr(value, "nbytes", 0)) or (len(value) if isinstance(value, str | bytes) else 0)
    except (AttributeError, TypeError, ValueError):
        return 0  # Somebody else's idea of these names; the encoded size counts.


def described(value: Any) -> str:
    """What a variable holds, in a few words, on one line: `DataFrame, 1,000 rows: id int64, name str`."""
    kind = type(value).__name__
    try:
        text = f"{kind}, {_details(value)}".removesuffix(", ")
    except Exception:  # Of any library's object: then its type is all that is said.
        text = kind
    return clip(" ".join(clean(text).split()), 300)


def _details(value: Any) -> str:
    if type(value).__module__.startswith("pandas"):
        return _of_pandas(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.shape} {value.dtype}"
    if isinstance(value, str):
        return brief.count(len(value), "character")
    if isinstance(value, bytes | bytearray):
        return brief.count(len(value), "byte")
    if isinstance(value, bool | int | float | complex | None):
        return clip(repr(value), 40)
    if isinstance(value, Picture) or hasattr(value, "savefig") or hasattr(value, "_repr_png_"):
        return "as a Picture: it shows itself; its bytes are in .data"
    return brief.count(len(value), "item") if hasattr(value, "__len__") else ""


def _of_pandas(value: Any) -> str:
    if not hasattr(value, "dtypes") or not hasattr(value, "columns"):
        return f"{brief.count(len(value), 'value')}, {value.dtype}" if hasattr(value, "dtype") else ""
    kinds = [f"{name} {dtype}" for name, dtype in list(value.dtypes.items())[:COLUMNS]]
    more = f" and {len(value.columns) - COLUMNS} more columns" if len(value.columns) > COLUMNS else ""
    return f"{brief.count(len(value), 'row')}: {', '.join(kinds)}{more}"


def functions(names: Sequence[str], namespace: Mapping[str, object]) -> tuple[Tool, ...]:
    """The functions of the user's that are to be tools. Raises UsageError."""
    return tuple(made for name in names for made in _tools_named(name, namespace))


def _tools_named(name: str, namespace: Mapping[str, object]) -> tuple[Tool, ...]:
    """The function; of a list of functions, or a module with some made by `tool`, all, as a module."""
    check_name("--tools", name)
    if name not in namespace:
        raise UsageError(f"--tools {name}: there is no such function here; define it first")
    value: Any = namespace[name]
    if isinstance(value, list | tuple | ModuleType):
        return within(name, tools_in(value))
    return (tool(value, name=name),)
