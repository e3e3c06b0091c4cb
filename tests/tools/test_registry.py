"""Calls through the registry: decoded, checked, run, encoded; every failure an outcome."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from codeact_kernel.tools.registry import InlineRunner, ToolRegistry, tool
from codeact_kernel.wire.messages import Raised, Returned, ToolOutcome, ToolRequest
from codeact_kernel.wire.values import Opaque, Record, decode, encode


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Order:
    id: str
    total: Decimal


class Customer(BaseModel):
    name: str
    orders: list[Order]


class Aliased(BaseModel):
    order_id: int = Field(alias="orderId")


class Options(TypedDict):
    dry: bool


class Point(NamedTuple):
    x: int
    y: int


@pytest.fixture
def runner() -> Iterator[InlineRunner]:
    runner = InlineRunner()
    yield runner
    runner.close()


def call(registry: ToolRegistry, name: str, *args: object, **kwargs: object) -> ToolOutcome:
    """One call as the sandbox makes it, on a loop of its own."""
    encoded = {key: encode(value) for key, value in kwargs.items()}
    request = ToolRequest(1, name, tuple(map(encode, args)), encoded)
    return asyncio.run(registry.call(request))


def value(outcome: ToolOutcome) -> Any:
    assert isinstance(outcome, Returned), outcome
    return decode(outcome.value)


# What the sandbox has: values that went through the codec once.
order = decode(encode(Order("a", Decimal("9.5"))))


def seen(annotation: Any, given: object, runner: InlineRunner) -> object:
    """What a tool gets for an argument of that annotation."""
    got: list[object] = []

    def take(argument: Any) -> None:
        got.append(argument)

    take.__annotations__ = {"argument": annotation}
    assert call(ToolRegistry([take], runner), "take", given) == Returned(None)
    return got[0]


@pytest.mark.parametrize(
    ("annotation", "given", "wanted"),
    [
        (int, 5, 5),
        (int, "5", 5),
        (int, np.int64(5), 5),
        (float, np.float32(0.5), 0.5),
        (list[int], [np.int64(5)], [5]),
        (list[float], np.array([1.0, 2.0]), [1.0, 2.0]),
        (list[str], pd.Series(["a"]), ["a"]),
        (str, "\ud800", "\ud800"),
        (str | None, "\ud800", "\ud800"),
        (Decimal, 9.5, Decimal("9.5")),
        (date, "2024-01-02", date(2024, 1, 2)),
        (Path, "/a", Path("/a")),
        (Color, "red", Color.RED),
        (Color, decode(encode(Color.RED)), Color.RED),
        (Order, order, Order("a", Decimal("9.5"))),
        (Order, {"id": "a", "total": 9.5}, Order("a", Decimal("9.5"))),
        (list[Order], [order], [Order("a", Decimal("9.5"))]),
        (Customer, {"name": "z", "orders": [order]}, Customer(name="z", orders=[Order("a", Decimal("9.5"))])),
        (Aliased, decode(encode(Aliased(orderId=5))), Aliased(orderId=5)),
        (list[Options] | None, [{"dry": True}], [{"dry": True}]),
        (Options, {"dry": True}, {"dry": True}),
        (Point, decode(encode(Point(1, 2))), Point(1, 2)),
        (Any, order, order),
        (Record, order, order),
        (dict[str, Any], order, {"id": "a", "total": Decimal("9.5")}),
    ],
    ids=str,
)
def test_arguments_become_what_the_annotation_says(
    annotation: Any, given: object, wanted: object, runner: InlineRunner
) -> None:
    got = seen(annotation, given, runner)
    assert got == wanted
    assert type(got) is type(wanted)


def test_arrays_and_frames_as_arguments(runner: InlineRunner) -> None:
    array, frame = np.arange(3), pd.DataFrame({"a": [1, 2]})
    assert isinstance(seen(np.ndarray, array, runner), np.ndarray)
    pd.testing.assert_frame_equal(seen(pd.DataFrame, frame, runner), frame)
    pd.testing.assert_frame_equal(seen(pd.DataFrame | None, frame, runner), frame)


def refund(order_id: str, amount: float = 1.0, *items: Order, dry: bool = False, **labels: int) -> str:
    return f"{order_id} {amount} {len(items)} {dry} {labels}"


@pytest.mark.parametrize(
    ("args", "kwargs", "kind", "message"),
    [
        ([], {}, "TypeError", "refund() missing a required argument: 'order_id'"),
        (["a"], {"order_id": "b"}, "TypeError", "refund() multiple values for argument 'order_id'"),
        ([5], {}, "TypeError", "refund(): argument 'order_id': Input should be a valid string, got 5 (int)"),
        (
            ["a", "abc"],
            {},
            "ValueError",
            "refund(): argument 'amount': Input should be a valid number, "
            "unable to parse string as a number, got 'abc' (str)",
        ),
        (
            ["a", 1.0, {"id": "x", "total": "y"}],
            {},
            "ValueError",
            "refund(): argument 'items'.total: Input should be a valid decimal, got 'y' (str)",
        ),
        (
            ["a"],
            {"size": None},
            "TypeError",
            "refund(): argument 'labels': Input should be a valid integer, got None (NoneType)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_calls_name_the_parameter(
    args: list[object], kwargs: dict[str, object], kind: str, message: str, runner: InlineRunner
) -> None:
    assert call(ToolRegistry([refund], runner), "refund", *args, **kwargs) == Raised(kind, message)


def test_every_kind_of_parameter_is_bound(runner: InlineRunner) -> None:
    outcome = call(ToolRegistry([refund], runner), "refund", "a", 2, order, dry=True, size="3")
    assert value(outcome) == "a 2.0 1 True {'size': 3}"


def test_unknown_tools_and_undecodable_arguments(runner: InlineRunner) -> None:
    registry = ToolRegistry([refund], runner)
    assert call(registry, "pay") == Raised("NameError", "no tool is called 'pay'; there are: refund")
    request = ToolRequest(1, "refund", ({"$": "nonsense"},))
    assert asyncio.run(registry.call(request)) == Raised(
        "ValueError", "refund(): argument 1: unknown tag 'nonsense'"
    )


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["$", "items", "type", "a"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(
    st.text(max_size=8),
    st.lists(json_like, max_size=3),
    st.dictionaries(st.text(max_size=4), json_like, max_size=2),
)
def test_no_request_makes_the_registry_raise(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    registry = ToolRegistry([tool(refund, thread="caller")])
    for asked in (name, "refund"):
        outcome = asyncio.run(registry.call(ToolRequest(1, asked, tuple(args), kwargs)))
        assert isinstance(outcome, Returned | Raised)


# --- what a tool does --------------------------------------------------------------------------


class OutOfStockError(Exception):
    pass


def fail(how: str) -> None:
    match how:
        case "value":
            raise ValueError("bad order")
        case "key":
            raise KeyError("order-7")
        case "own":
            raise OutOfStockError("none left")
        case "cancelled":
            raise asyncio.CancelledError
        case "stop":
            raise StopIteration(5)
        case "exit":
            raise SystemExit(3)
        case "file":
            Path(__file__, "nothing").with_name("missing.db").read_bytes()
        case "long":
            raise ValueError("x" * 10_000)


async def afail(how: str) -> None:
    fail(how)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("value", Raised("ValueError", "bad order")),
        ("key", Raised("KeyError", "order-7")),
        ("own", Raised("OutOfStockError", "none left")),
        ("long", Raised("ValueError", "x" * 2000 + "…")),
    ],
)
@pytest.mark.parametrize("name", ["fail", "afail"])
def test_what_a_tool_raises_is_an_outcome(name: str, how: str, wanted: Raised, runner: InlineRunner) -> None:
    assert call(ToolRegistry([fail, afail], runner), name, how) == wanted


@pytest.mark.parametrize("name", ["fail", "afail"])
def test_a_tool_cannot_end_the_host(name: str, runner: InlineRunner) -> None:
    outcome = call(ToolRegistry([fail, afail], runner), name, "exit")
    assert outcome == Raised("RuntimeError", f"{name}() tried to end the host process: SystemExit(3)")


def test_a_sync_tool_may_raise_stop_iteration(runner: InlineRunner) -> None:
    # No future and no coroutine could carry it; an `async def` never lets it out either.
    assert call(ToolRegistry([fail], runner), "fail", "stop") == Raised("StopIteration", "5")


def test_a_sync_tool_cannot_cancel_its_caller(runner: InlineRunner) -> None:
    assert call(ToolRegistry([fail], runner), "fail", "cancelled") == Raised("CancelledError", "")


def test_messages_have_no_host_paths(runner: InlineRunner) -> None:
    outcome = call(ToolRegistry([fail], runner), "fail", "file")
    assert outcome in (
        Raised("NotADirectoryError", "[Errno 20] Not a directory: 'missing.db'"),
        Raised("FileNotFoundError", "[Errno 2] No such file or directory: 'missing.db'"),
    )

    def say() -> None:
        raise ValueError(f"see {Path.home()}/a/b.py:3, {Path.cwd()}/x and GET /api/orders at http://h/usr/x")

    said = call(ToolRegistry([say], runner), "say")
    assert said == Raised("ValueError", "see b.py:3, x and GET /api/orders at http://h/usr/x")


def test_results_that_cannot_be_sent_are_shown(runner: InlineRunner) -> None:
    def connect() -> object:
        return {"lock": threading.Lock(), "n": 1}

    result = value(call(ToolRegistry([connect], runner), "connect"))
    assert result["n"] == 1
    assert isinstance(result["lock"], Opaque)


def test_sync_function_that_returns_an_awaitable(runner: InlineRunner) -> None:
    async def later(x: int) -> int:
        return x + 1

    assert value(call(ToolRegistry([tool(lambda x: later(x), name="f")], runner), "f", 1)) == 2


# --- where a tool runs -------------------------------------------------------------------------


def test_a_hundred_sync_tools_at_once(runner: InlineRunner) -> None:
    barrier = threading.Barrier(100, timeout=30)

    def wait(n: int) -> int:
        barrier.wait()  # passes only when all hundred run at the same time
        return n

    registry = ToolRegistry([wait], runner)

    async def all_of_them() -> list[ToolOutcome]:
        return await asyncio.gather(*(registry.call(ToolRequest(n, "wait", (n,))) for n in range(100)))

    assert [value(outcome) for outcome in asyncio.run(all_of_them())] == list(range(100))


def test_a_hundred_async_tools_at_once(runner: InlineRunner) -> None:
    arrived = 0
    everybody = asyncio.Event()

    async def wait(n: int) -> int:
        nonlocal arrived
        arrived += 1
        if arrived == 100:
            everybody.set()
        await everybody.wait()
        return n

    registry = ToolRegistry([wait], runner)

    async def all_of_them() -> list[ToolOutcome]:
        return await asyncio.gather(*(registry.call(ToolRequest(n, "wait", (n,))) for n in range(100)))

    assert [value(outcome) for outcome in asyncio.run(all_of_them())] == list(range(100))


def test_threads_and_context(runner: InlineRunner) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    db = sqlite3.connect(":memory:")  # usable on this thread only

    def where() -> tuple[str, str]:
        return threading.current_thread().name, user.get()

    def count() -> int:
        return int(db.execute("select 1").fetchone()[0])

    registry = ToolRegistry(
        [
            where,
            tool(where, name="here", thread="caller"),
            tool(count, thread="caller"),
            tool(count, name="bad"),
        ],
        runner,
    )

    async def main() -> list[ToolOutcome]:
        user.set("zoë")
        return [await registry.call(ToolRequest(1, name)) for name in ("where", "here", "count", "bad")]

    there, here, good, bad = asyncio.run(main())
    assert value(there)[0].startswith("codeact-tool-")
    assert value(here)[0] == threading.current_thread().name
    assert value(there)[1] == value(here)[1] == "zoë"
    assert value(good) == 1
    assert isinstance(bad, Raised)
    assert bad.type == "ProgrammingError"
    db.close()


def test_cancelling_a_call_cancels_an_async_tool(runner: InlineRunner) -> None:
    events: list[str] = []
    started = asyncio.Event()

    async def hang() -> None:
        events.append("started")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(ToolRegistry([hang], runner).call(ToolRequest(1, "hang")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert events == ["started", "cancelled"]


def test_cancelling_a_call_leaves_a_thread_alone(runner: InlineRunner) -> None:
    started, go_on = threading.Event(), threading.Event()
    finished = threading.Event()

    def hang() -> None:
        started.set()
        go_on.wait(30)
        finished.set()

    async def main() -> ToolOutcome:
        registry = ToolRegistry([hang, refund], runner)
        task = asyncio.create_task(registry.call(ToolRequest(1, "hang")))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.to_thread(finished.wait, 30)
        return await registry.call(ToolRequest(2, "refund", ("a",)))

    assert isinstance(asyncio.run(main()), Returned)


def test_keyboard_interrupt_reaches_the_host(runner: InlineRunner) -> None:
    def press() -> None:
        raise KeyboardInterrupt

    for made in (tool(press), tool(press, thread="caller")):
        with pytest.raises(KeyboardInterrupt):
            call(ToolRegistry([made], runner), "press")


def test_closed_runner_ends_its_threads() -> None:
    before = set(threading.enumerate())
    runner = InlineRunner()
    assert isinstance(call(ToolRegistry([refund], runner), "refund", "a"), Returned)
    (ours,) = set(threading.enumerate()) - before
    runner.close()
    ours.join(30)
    assert not ours.is_alive()
