"""Values cross the wire exactly: equal and of the same type, through real frames."""

from __future__ import annotations

import json
import math
import socket
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, computed_field

from codeact_kernel.wire.frames import FrameReader, pack
from codeact_kernel.wire.values import EncodeError, Opaque, Record, TupleRecord, decode, encode


def crossed(value: object, *, fallback: bool = False) -> Any:
    """`value` after the way through a frame's bytes."""
    [message] = FrameReader(max_bytes=10**9).feed(pack({"v": encode(value, fallback=fallback)}))
    return decode(message["v"])


def same(one: Any, other: Any) -> bool:
    """Equal, of the same type all the way down, nan equal to nan, -0.0 not to 0.0, order of keys kept."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one.hex() == other.hex()
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time):
        return one.replace(tzinfo=None) == other.replace(tzinfo=None) and (one.fold, str(one.tzinfo)) == (
            other.fold,
            str(other.tzinfo),
        )
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(item, twin) for twin in other) for item in one)
    return bool(one == other)


texts = st.text(st.characters(codec=None))  # lone surrogates included
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), texts),
    st.sampled_from([ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York"), ZoneInfo("UTC")]),
)
folds = st.integers(0, 1)
hashables = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(10**40), 10**40),
        st.floats(allow_nan=False),
        texts,
        st.binary(),
        st.dates(),
        st.builds(lambda at, fold: at.replace(fold=fold), st.datetimes(timezones=zones), folds),
        st.builds(lambda at, tz, fold: at.replace(tzinfo=tz, fold=fold), st.times(), zones, folds),
        st.timedeltas(),
        st.uuids(),
        st.decimals(allow_nan=False),
        st.fractions(),
        st.complex_numbers(allow_nan=False),
        st.builds(
            lambda start, count, step: range(start, start + count * step, step),
            st.integers(),
            st.integers(-3, 1000),
            st.integers().filter(bool),
        ),
        texts.filter(lambda text: "\0" not in text).map(PurePosixPath),
    ),
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)),
    max_leaves=5,
)
values = st.recursive(
    st.one_of(hashables, st.floats(), st.complex_numbers(), st.decimals(), st.binary().map(bytearray)),
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner),
        st.dictionaries(texts, inner),
        st.dictionaries(hashables, inner),
        st.dictionaries(st.sampled_from(["$", "a", "tag"]), inner),
        st.sets(hashables, max_size=4),
        st.lists(inner).map(lambda items: deque(items, maxlen=7)),
        st.dictionaries(texts, inner).map(OrderedDict),
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_crosses_exactly(value: object) -> None:
    assert same(crossed(value), value)


@given(values)
def test_what_is_encoded_is_plain_text_for_any_reader(value: object) -> None:
    # No NaN, no lone surrogate: readers that are stricter than json.loads take it too.
    text = json.dumps(encode(value), allow_nan=False, ensure_ascii=False)
    assert same(decode(json.loads(text.encode("utf-8"))), value)


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(2**63),
        2**63,
        math.nan,
        -math.inf,
        -0.0,
        5e-324,
        "\ud800",
        "\ud83d\ude00",  # two lone surrogates, which JSON would read as one character
        "\U0001f600",
        {"\ud83d\ude00": 1},
        Decimal("sNaN"),
        Decimal("-NaN123"),
        Decimal("-0E+5"),
        Counter("abca"),
        defaultdict(list, {"a": [1]}),
        defaultdict(None, {1: 2}),
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),
        datetime.min,
        time(23, 59, 59, 999999, fold=1),
        date.max,
        timedelta.min,
        timezone(timedelta(0), "Z"),
        Path("/a/b"),
        PureWindowsPath("c:\\a"),
        UUID(int=5),
        Fraction(-1, 3),
        range(10, 0, -3),
        frozenset({frozenset(), ()}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_corner_cases_cross_exactly(value: object) -> None:
    assert same(crossed(value), value)


def test_json_values_look_like_themselves() -> None:
    value = {"id": 7, "paid": True, "total": 9.5, "tags": ["a", None], "customer": {"name": "Zoë"}}
    assert encode(value) == value


def test_sets_are_encoded_in_one_order() -> None:
    # A set of text iterates differently in every process; a tape is compared by its text.
    names = [f"name-{n}" for n in range(50)]
    assert encode(set(names)) == {"$": "set", "items": sorted(names)}


# --- records -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    sku: str
    price: Decimal


@dataclass
class Order:
    id: int
    items: list[Item] = field(default_factory=list)


class Account(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str
    opened: date

    @computed_field
    @property
    def label(self) -> str:
        return self.name.upper()


Point = namedtuple("Point", "x count")


def test_dataclass_becomes_a_record() -> None:
    order = crossed(Order(7, [Item("a", Decimal("9.50"))]))
    assert type(order) is Record
    assert repr(order) == "Order(id=7, items=[Item(sku='a', price=Decimal('9.50'))])"
    assert order.items[0].price == order["items"][0]["price"] == Decimal("9.50")
    assert dict(order) == {"id": 7, "items": order["items"]}
    assert crossed(order) == order
    assert order != crossed(Order(8))
    assert order != dict(order)


def test_pydantic_model_becomes_a_record_with_extras_and_computed_fields() -> None:
    account = crossed(Account(name="zoë", opened=date(2024, 1, 1), note="x"))
    assert dict(account) == {"name": "zoë", "opened": date(2024, 1, 1), "note": "x", "label": "ZOË"}


def test_record_is_read_only_and_hashable() -> None:
    item = crossed(Item("a", Decimal(1)))
    assert {item: 1}[crossed(Item("a", Decimal(1)))] == 1
    with pytest.raises(AttributeError, match=r"cannot change 'sku'.*dict\(record\)"):
        item.sku = "b"
    with pytest.raises(AttributeError, match="Item has no field 'cost'; it has sku, price"):
        _ = item.cost
    with pytest.raises(KeyError, match="Item has no field 'cost'"):
        _ = item["cost"]


def test_records_copy() -> None:
    import copy

    for value in (crossed(Order(7, [Item("a", Decimal(1))])), crossed(Point(1, [2]))):
        assert copy.deepcopy(value) == value == copy.copy(value)
        assert repr(copy.deepcopy(value)) == repr(value)


def test_namedtuple_is_still_a_tuple() -> None:
    point = crossed(Point(1, [2]))
    x, count = point
    assert type(point) is TupleRecord
    assert (x, count) == (1, [2]) == point == Point(1, [2])
    assert (point.x, point.count) == (1, [2])
    assert repr(point) == "Point(x=1, count=[2])"
    assert crossed({crossed(Point(1, 2)): 3})[(1, 2)] == 3
    with pytest.raises(AttributeError, match="read-only"):
        point.x = 5


# --- enums -------------------------------------------------------------------------------------


class Color(Enum):
    RED = 1
    BLUE = ("b", Decimal(2))
    ROT = RED


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Status(StrEnum):
    PAID = "paid"


class Legacy(str, Enum):  # noqa: UP042  # the older spelling
    OLD = "old"


class Permission(IntFlag):
    READ = 1
    WRITE = 2


class Mode(Flag):
    A = 1
    B = 2


def test_enum_member_comes_with_its_class() -> None:
    red, blue = crossed([Color.RED, Color.BLUE])
    assert isinstance(red, Enum)
    assert repr(red) == "<Color.RED: 1>"
    assert (red.name, red.value, blue.value) == ("RED", 1, ("b", Decimal(2)))
    assert list(type(red)) == [red, blue]
    assert type(red)["ROT"] is red
    assert crossed(Color.RED) is red is crossed(red)
    assert red != blue


@pytest.mark.parametrize("member", [Level.HIGH, Status.PAID, Legacy.OLD, Permission.READ])
def test_enum_that_is_also_a_value_equals_it(member: Any) -> None:
    there = crossed(member)
    assert there == member
    assert isinstance(there, type(member.value))
    assert (there.name, repr(there), str(there)) == (member.name, repr(member), str(member))


@pytest.mark.parametrize("value", [Permission.READ | Permission.WRITE, Permission(0), Mode.A | Mode.B])
def test_combined_flags(value: Any) -> None:
    there = crossed(value)
    assert (there.value, repr(there)) == (value.value, repr(value))
    assert type(there).B in there if isinstance(value, Mode) else there == value


def test_big_enum_travels_without_its_siblings() -> None:
    big = Enum("Big", [(f"M{n}", n) for n in range(300)])
    there = crossed(big["M7"])
    assert (there.name, there.value, len(type(there))) == ("M7", 7, 1)
    assert crossed(big["M7"]) is there


# --- what cannot be sent -----------------------------------------------------------------------


class Shouting(str):
    def __str__(self) -> str:
        return self.upper()


class Odd(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1)


def test_refusal_names_the_part() -> None:
    with socket.socket() as sock:
        with pytest.raises(EncodeError) as caught:
            encode([1, 2, {"when": sock}])
    assert str(caught.value).startswith("[2]['when']: cannot send a value of type socket.socket")
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Order(1, [object()]), ".items[0]: "),
        ({(1,): object()}, "[(1,)]: "),
        ({"$": {1, (object,)}}, "['$']{item "),
        (Shouting("x"), "cannot send a value of type "),
        (defaultdict(lambda: 1), "cannot send a value of type collections.defaultdict"),
        (datetime(2024, 1, 1, tzinfo=Odd()), "cannot send a value of type "),
        (Decimal("1E+9999999"), "a Decimal beyond"),
        (Decimal("1" * 60_000), "a Decimal beyond"),
        (1 << 300_000, "an int of more than 200,000 bits"),
        (range(10**30), "a range of more than 1,000,000 items; send its ends"),
        (Order, "cannot send a value of type type"),
        (lambda: 1, "cannot send a value of type function"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_are_sent_exactly_or_not_at_all(value: object, path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(value)
    assert str(caught.value).startswith(path)


def test_results_fall_back() -> None:
    assert crossed(Shouting("x"), fallback=True) == "x"
    assert crossed(defaultdict(lambda: 1, a=2), fallback=True) == {"a": 2}
    assert crossed(datetime(2024, 1, 1, tzinfo=Odd()), fallback=True).utcoffset() == timedelta(hours=1)
    there = crossed({"ok": 1, "bad": [object()]}, fallback=True)
    assert there["ok"] == 1
    assert there["bad"] == [Opaque("object", "<object object>")]
    assert repr(there["bad"][0]) == "<object object on the host: <object object>>"


def test_opaque_does_not_travel_back() -> None:
    opaque = crossed(object(), fallback=True)
    with pytest.raises(EncodeError, match=r"\[0\]: .*stayed on the host"):
        encode([opaque])
    assert crossed(opaque, fallback=True) == opaque


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_opaque_text_is_bounded_and_survives_a_broken_repr() -> None:
    assert crossed(Rude(), fallback=True).text == "no repr: RuntimeError"
    assert len(crossed(Exception("x" * 10_000), fallback=True).text) < 250


def test_cycles_and_depth() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="100 levels deep, or it contains itself"):
        encode(loop)
    assert isinstance(crossed(loop, fallback=True), Opaque)
    deep: object = 1
    for _ in range(99):
        deep = {1: deep}
    assert crossed([deep]) == [deep]
    with pytest.raises(EncodeError):
        encode([[deep]])


def test_numpy_is_not_imported_for_plain_values() -> None:
    import subprocess

    code = (
        "import sys; from codeact_kernel.wire.values import encode, decode; "
        "decode(encode({1: [2.5, 'a', object]}, fallback=True)); "
        "assert not {'numpy', 'pandas', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
