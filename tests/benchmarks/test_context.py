"""JSON calls against code: each channel gets it right, all count alike, and where code loses it is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from channels.plot import draw
from channels.running import CHANNELS, Kernel, Measured, kernel_for, run
from channels.tables import figures, verdicts
from channels.task import Call, Plan, Round, Task, made
from channels.tasks import KINDS, Kind
from channels.tokens import Block, Meter, Spent, Tokenizer

from codeact_kernel.sandbox.fake import FakeExecutor

CHARACTERS = Tokenizer(len, "characters")
NO_KERNEL = Kernel(FakeExecutor(), 0.0)
SIZES = (1, 12)


def text(said: str) -> Block:
    return {"type": "text", "text": said}


async def all_runs() -> list[Measured]:
    async with kernel_for(KINDS) as kernel:
        return [
            await run(kind, size, channel, kernel, CHARACTERS)
            for kind in KINDS
            for size in SIZES
            for channel in CHANNELS
        ]


@pytest.fixture(scope="module")
def runs() -> list[Measured]:
    """Each has been checked by `run`: the answer, and what the tools changed."""
    return asyncio.run(all_runs())


def of(runs: list[Measured], task: str, size: int) -> list[Spent]:
    """What the three channels spent."""
    return [one.spent for one in runs if (one.task, one.size) == (task, size)]


@pytest.mark.kernel
def test_turns_are_those_of_a_perfect_policy(runs: list[Measured]) -> None:
    turns = {kind.name: tuple(spent.turns for spent in of(runs, kind.name, 12)) for kind in KINDS}
    late = turns["refunds"][0] - 12 - 1
    assert late > 0, "the example is of use only when there is something to refund"
    assert turns == {
        "refunds": (12 + late + 1, 3, 2),
        "fan-out": (1 + 12 + 1 + 1, 4, 2),
        "search": (12 + 1, 4 + 1, 2),  # 1 + 2 + 4 + 8 pages
        "chain": (13 + 1, 13 + 1, 2),
        "join": (3, 2, 2),
        "convert": (3, 3, 2),
        "single calls": (24, 24, 24),
    }


@pytest.mark.kernel
def test_what_code_reads_does_not_grow_with_the_data(runs: list[Measured]) -> None:
    for kind in KINDS[:-1]:
        (one, many, code), small = of(runs, kind.name, 12), of(runs, kind.name, 1)
        assert code.input < 1.02 * small[2].input, kind.name
        assert one.input > 1.3 * small[0].input, kind.name
        assert many.input > 1.2 * small[1].input, kind.name


@pytest.mark.kernel
def test_single_calls_are_where_code_loses(runs: list[Measured]) -> None:
    for size in SIZES:
        one, many, code = of(runs, "single calls", size)
        assert code.turns == one.turns == many.turns
        assert code.input > one.input
        assert code.output > one.output
    row = next(line for line in verdicts(runs).splitlines() if line.startswith("| single calls"))
    assert row.split(" | ")[1:4] == ["never / never"] * 3  # The rest is of the clock.


@pytest.mark.kernel
def test_the_tables_and_the_plot_have_every_task_and_channel(runs: list[Measured], tmp_path: Path) -> None:
    draw(runs, tmp_path / "plots" / "context.svg")
    drawn, table = (tmp_path / "plots" / "context.svg").read_text(), figures(runs)
    for kind in KINDS:
        assert kind.name in drawn
        assert f"| {kind.name} ({kind.n}) | 1 |" in table
    assert "JSON, one call a turn" in drawn


# --- what is counted ---------------------------------------------------------------------------


def test_a_conversation_is_counted_as_it_is_sent() -> None:
    meter = Meter()
    asked = {"role": "user", "content": [text("12345")]}
    call: Block = {"type": "tool_use", "id": "c0", "name": "look", "input": {"code": 'a\n"b"', "n": [1, 2]}}
    result: Block = {"type": "tool_result", "tool_use_id": "c0", "content": [text('{"a":1}')]}
    meter.request("system", [{"name": "look"}], [asked])
    meter.reply([call])
    answered = [asked, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    meter.request("system", [{"name": "look"}], answered)
    meter.reply([text("done")])
    prefix = (4 + len("system")) + (4 + len('{"name":"look"}'))
    first = prefix + 4 + 5
    said = 4 + len('look\ncode: a\n"b"\nn: [1,2]')  # Not the escapes of JSON, not the identifier.
    second = first + said + 4 + len('{"a":1}')
    cached = 1.25 * first + 0.1 * first + 1.25 * (second - first)
    assert meter.spent(len) == Spent(2, first + second, pytest.approx(cached), said + 8, second)  # type: ignore[arg-type]  # approx is no float


def test_a_request_that_changes_what_was_sent_is_no_figure() -> None:
    meter = Meter()
    meter.request("system", [], [{"role": "user", "content": [text("a")]}])
    for system, first in (("system", "b"), ("other", "a")):
        with pytest.raises(ValueError, match="changed what was sent"):
            meter.request(system, [], [{"role": "user", "content": [text(first)]}])


def test_a_reply_that_no_model_could_write_is_no_figure() -> None:
    meter = Meter()
    meter.request("system", [], [{"role": "user", "content": [text("a")]}])
    meter.reply([text("x" * 32_001)])
    with pytest.raises(ValueError, match="at most 32000 at once"):
        meter.spent(len)


# --- what is checked ---------------------------------------------------------------------------


def task_of(plan_says: str, amount: object, right: int = 1) -> Task:
    changed: list[int] = []

    def pay(amount: int) -> int:
        """Pays."""
        changed.append(amount)
        return amount

    def plan(parallel: bool) -> Plan:
        yield [Call("pay", {"amount": amount})]  # type: ignore[dict-item]  # also what is no amount
        return plan_says

    return Task((made(pay, "write"),), (Round("Pay 1.", plan, "", "", "paid"),), changed, [right])  # type: ignore[arg-type]  # ints are Json


def ran(task: Task) -> Measured:
    return asyncio.run(run(Kind("pay", "", lambda n: task), 1, "one call", NO_KERNEL, CHARACTERS))


def test_a_run_that_is_right_has_its_time_and_the_models() -> None:
    one = ran(task_of("paid", 1))
    spent = replace(one.spent, turns=3, output=120)
    assert replace(one, own_s=0.5, spent=spent).wall_s == pytest.approx(0.5 + 3 * 1.0 + 120 / 60)
    assert one.own_s > 0


def test_a_run_that_is_not_right_gives_no_figures() -> None:
    with pytest.raises(RuntimeError, match="the answers are"):
        ran(task_of("not paid", 1))
    with pytest.raises(RuntimeError, match="the tools changed"):
        ran(task_of("paid", 2))


def test_json_calls_are_checked_as_those_of_code() -> None:
    with pytest.raises(RuntimeError, match="argument 'amount'"):
        ran(task_of("paid", "much"))
