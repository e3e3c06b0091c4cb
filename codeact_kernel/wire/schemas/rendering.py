"""Owns types as source text: annotations, and the definitions of those that have names."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterator, Mapping

from .kinds import Alias, Choice, DictOf, ListOf, Named, OneOf, Plain, Record, Table, TupleOf, Type
from .texts import docstring, is_hidden, source


class Renderer:
    """Writes types of a table.

    Args:
        aliases: names for what a function of the module has the name of: `list` as `_list`.
    """

    def __init__(self, table: Table, aliases: Mapping[str, str] | None = None) -> None:
        self._table = table
        self.aliases = aliases or {}
        self._ahead: set[int] = set()
        self.used: set[str] = set()
        """Words that the texts have: what is to be imported."""

    def text(self, meant: Type) -> str:
        """The annotation; types that are defined further down are in quotes."""
        match meant:
            case Plain(name):
                return self.word(name)
            case Choice(values):
                return f"{self.word('Literal')}[{', '.join(values)}]"
            case ListOf(item):
                return f"{self.word('list')}[{self.text(item)}]"
            case TupleOf(items):
                return f"{self.word('tuple')}[{', '.join(map(self.text, items))}]"
            case DictOf(value):
                return f"{self.word('dict')}[{self.word('str')}, {self.text(value)}]"
            case OneOf(members):
                texts = [self.text(each) for each in members]
                quoted = any(text.startswith('"') for text in texts)
                return f"{self.word('Union')}[{', '.join(texts)}]" if quoted else " | ".join(texts)
            case Named():
                number = self._table.number(meant)
                name = self._table.defined[number].name
                return f'"{name}"' if number in self._ahead else name

    def word(self, name: str) -> str:
        self.used.add(name)
        return self.aliases.get(name, name)

    def definitions(self) -> Iterator[str]:
        """The source of each named type, in an order in which it can run."""
        self._ahead = set(self._table.defined)
        for number, definition in self._table.defined.items():
            yield self._alias(definition) if isinstance(definition, Alias) else self._record(definition)
            self._ahead.discard(number)

    def _alias(self, alias: Alias) -> str:
        return f"{alias.name} = {self.text(alias.type)}"

    def _record(self, record: Record) -> str:
        members = {
            each.key: self.text(each.type)
            if each.required
            else f"{self.word('NotRequired')}[{self.text(each.type)}]"
            for each in record.members
        }
        doc = [docstring(record.doc)] if record.doc else []
        if all(map(_is_attribute, members)):
            lines = [f"    {key}: {text}" for key, text in members.items()]
            return "\n".join([f"class {record.name}({self.word('TypedDict')}):", *doc, *lines])
        lines = [f"        {source(key)}: {text}," for key, text in members.items()]
        head = f"{record.name} = {self.word('TypedDict')}("
        return "\n".join([head, f"    {record.name!r},", "    {", *lines, "    },", ")"])


def _is_attribute(key: str) -> bool:
    """Whether a key can stand as a name in a class: Python changes some names there."""
    fine = (
        key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__") and not is_hidden(key)
    )
    return fine and unicodedata.normalize("NFKC", key) == key
