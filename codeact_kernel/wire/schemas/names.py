"""Owns names: a server's words for its tools, their parameters and types as Python identifiers.

A name that is a Python identifier stays as it is. Names never begin with an underscore: those are ours.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable

LONGEST = 64
"""Characters of a name; what is longer is cut."""
TYPING = ("Any", "Literal", "NotRequired", "TypedDict", "Union")
"""What the source of a module may import."""
PACKAGES = ("mcp_servers", "toolkits")
RESERVED_MODULES = frozenset({"tools", "skills", *PACKAGES})
_RESERVED_PARAMETERS = frozenset({"self", "cls"})
_RESERVED_TYPES = frozenset({*TYPING, *dir(builtins)})
_READ = 4 * LONGEST
"""Characters of a name that are looked at."""
# Python takes these as parts of identifiers, and nobody can see them: two names would look the same.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_TITLE_WORDS = 4


class Names:
    """Gives unique names, in the order in which they are asked for: later ones change no earlier one.

    Args:
        word: leads a name that would begin with a digit, and stands for an empty one.
        reserved: names that are not given.
        taken: names that are given already.
        joint: between a name and its number.
    """

    def __init__(
        self, word: str, reserved: Collection[str] = (), taken: Iterable[str] = (), joint: str = "_"
    ) -> None:
        self._word = word
        self._joint = joint
        self._reserved = reserved
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def give(self, name: str) -> str:
        """The identifier of `name`; with a number at its end where another one has it."""
        base = identifier(name, self._word, self._reserved)
        given, number = base, self._next.get(base, 2)
        while given in self._taken:
            given = f"{base[: LONGEST - 8].rstrip('_')}{self._joint}{number}"
            number += 1
        self._next[base] = number
        self._taken.add(given)
        return given


def identifier(name: str, word: str, reserved: Collection[str] = ()) -> str:
    """A name as a Python identifier, the same one that Python makes of it (NFKC)."""
    if not (name.isascii() and name.isidentifier() and name[0] != "_" and len(name) <= LONGEST):
        name = _made(name, word)
    return f"{name}_" if keyword.iskeyword(name) or name in reserved else name


def _made(name: str, word: str) -> str:
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name[:_READ]))
    known = "".join(
        sign if f"a{sign}".isidentifier() and not _INVISIBLE.match(sign) else " " for sign in text
    )
    joined = "_".join(known.split()).lstrip("_")[:LONGEST]
    if not joined.isidentifier():
        joined = f"{word}_{joined}"[:LONGEST].rstrip("_")
    return unicodedata.normalize("NFKC", joined)


def function_names(names: Iterable[str]) -> tuple[str, ...]:
    """A server's names of its tools as names of functions: unique; further ones change no earlier one."""
    given = Names("tool")
    return tuple(map(given.give, names))


def module_name(name: str) -> str:
    """A server's name, as mcp.json has it, as the name of a module."""
    return identifier(name, "server", RESERVED_MODULES)


def parameter_namer() -> Names:
    return Names("arg", _RESERVED_PARAMETERS)


def type_namer(functions: Iterable[str]) -> Names:
    """For the types of a module which has these functions."""
    return Names("Type", _RESERVED_TYPES, functions, joint="")


def type_name(words: str) -> str:
    """`read_text_file result` as `ReadTextFileResult`; not unique yet."""
    parts = (part for part in re.split(r"[\W_]+", words[:_READ]) if part)
    return "".join(part[0].upper() + part[1:] for part in parts)[:LONGEST]


def title_name(title: object) -> str:
    """A title as the name of a type; "" when it is none: no text, or a sentence."""
    if not isinstance(title, str) or len(title) > LONGEST or len(title.split()) > _TITLE_WORDS:
        return ""
    return type_name(title)
