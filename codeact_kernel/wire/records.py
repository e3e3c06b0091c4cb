"""Owns the values that stand for objects whose class exists only on the other side.

Dataclass and pydantic instances arrive as a `Record`, namedtuples as a `TupleRecord` (still a
tuple), and what cannot travel at all as an `Opaque`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


class Record(Mapping[str, object]):
    """An object's fields: ``order.id`` and ``order["id"]`` both read one; ``dict(order)`` copies.

    Read-only. Equal to a record with the same type name and fields; hashable when its fields are.
    Fields are instance attributes, so a field called `items` wins over the mapping's method; who has
    to be sure calls ``Record._asdict(record)``.
    """

    __slots__ = ("__dict__", "_type_name")
    _type_name: str

    def __init__(self, type_name: str, fields: Mapping[str, object]) -> None:
        object.__setattr__(self, "_type_name", type_name)
        self.__dict__.update(fields)

    def _asdict(self) -> dict[str, object]:
        return dict(self.__dict__)

    def __getitem__(self, name: str) -> object:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(_missing(self, name)) from None

    def __getattr__(self, name: str) -> object:
        # Only reached when there is no such field.
        raise AttributeError(_missing(self, name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(_READ_ONLY.format(name))

    def __delattr__(self, name: str) -> None:
        raise AttributeError(_READ_ONLY.format(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self._type_name == other._type_name and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self._type_name, frozenset(self.__dict__.items())))

    def __repr__(self) -> str:
        return f"{self._type_name}({_fields_text(self.__dict__)})"

    def __reduce__(self) -> tuple[object, ...]:
        return Record, (self._type_name, dict(self.__dict__))


class TupleRecord(tuple[object, ...]):
    """A namedtuple without its class: a tuple with names. Equal to any tuple of the same items."""

    _type_name: str
    _fields: tuple[str, ...]

    def __new__(cls, type_name: str, fields: Mapping[str, object]) -> TupleRecord:
        self = super().__new__(cls, fields.values())
        self.__dict__.update(fields)
        self.__dict__.update(_type_name=type_name, _fields=tuple(fields))
        return self

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self, strict=True))

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"{self.__dict__.get('_type_name')} has no field {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(_READ_ONLY.format(name))

    def __repr__(self) -> str:
        return f"{self._type_name}({_fields_text(TupleRecord._asdict(self))})"

    def __reduce__(self) -> tuple[object, ...]:
        return TupleRecord, (self._type_name, TupleRecord._asdict(self))


@dataclass(frozen=True)
class Opaque:
    """A value that stayed on the host. It can be looked at, but not be passed back to a tool.

    `text` is its repr there, cut short.
    """

    type_name: str
    text: str

    def __repr__(self) -> str:
        return f"<{self.type_name} object on the host: {self.text}>"


_READ_ONLY = "cannot change {!r}: a record is read-only; make a copy with dict(record)"


def _missing(record: Record, name: object) -> str:
    return f"{record._type_name} has no field {name!r}; it has {', '.join(record) or 'none'}"


def _fields_text(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items())
