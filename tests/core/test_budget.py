"""Budgets: hard, typed, and told at thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.budget import MIN_OUTPUT, budget_note, budget_stop, check_budget, output_cap
from codeact_kernel.config import Limits
from codeact_kernel.events import ModelRequest
from codeact_kernel.exceptions import BudgetError
from codeact_kernel.interfaces import Emit
from codeact_kernel.outputs import Error
from codeact_kernel.trajectory import Action, Observation, Reply, Step, Usage

FREE = Limits(None, None, None, None)


class PricedModel:
    """A model that only has a price: dollars per million tokens, in and out."""

    context_window = 100_000
    instructions = ""

    def __init__(self, price: tuple[float, float] | None, name: str = "priced") -> None:
        self.price = price
        self.name = name

    def cost(self, usage: Usage) -> float | None:
        if self.price is None:
            return None
        cheap = usage.cache_read_tokens / 10
        return (
            (usage.prompt - usage.cache_read_tokens + cheap) * self.price[0]
            + usage.output_tokens * self.price[1]
        ) / 1e6

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        raise NotImplementedError

    async def aclose(self) -> None: ...


def step(index: int, code: str = "pass", error: Error | None = None, **reply: object) -> Step:
    observation = Observation("error", (error,)) if error else Observation("ok")
    return Step(index, Reply(code=code, **reply), Action(code), observation)


def steps(count: int, **reply: object) -> tuple[Step, ...]:
    return tuple(step(i + 1, f"x = {i}", **reply) for i in range(count))


# --- at the start ------------------------------------------------------------------------------


def test_a_cost_budget_needs_a_price() -> None:
    unknown = PricedModel(None, "llama-home")
    with pytest.raises(BudgetError, match=r"max_cost_usd=2\.5 cannot be enforced.*'llama-home'"):
        check_budget(Limits(max_cost_usd=2.5), unknown)
    check_budget(Limits(max_cost_usd=2.5), PricedModel((2, 10)))
    check_budget(Limits(), unknown)
    check_budget(Limits(max_cost_usd=1), PricedModel((0, 0)))


@pytest.mark.parametrize("name", ["max_steps", "max_seconds", "max_tokens", "max_cost_usd"])
@pytest.mark.parametrize("bound", [0, -1, math.nan])
def test_a_bound_that_bounds_nothing_is_refused(name: str, bound: float) -> None:
    with pytest.raises(BudgetError, match=f"{name}={bound!r} is no budget"):
        check_budget(replace(Limits(), **{name: bound}), PricedModel((1, 1)))


# --- stopping ----------------------------------------------------------------------------------


def reason(*args: object, **kwargs: object) -> str | None:
    stop = budget_stop(*args, **kwargs)
    return stop.reason if stop else None


def test_unbounded_never_stops() -> None:
    assert budget_stop(steps(1000, usage=Usage(10**9)), FREE, 1e9, 10**9) is None


def test_steps_and_seconds() -> None:
    limits = replace(FREE, max_steps=3, max_seconds=60)
    assert reason(steps(2), limits, 59.9) is None
    assert reason(steps(3), limits, 0) == "max_steps"
    assert reason((), limits, 60) == "max_seconds"
    stop = budget_stop(steps(3), limits, 0)
    assert stop is not None
    assert stop.detail == "3 of 3 steps used, after step 3"


def test_tokens_count_the_next_prompt_too() -> None:
    limits = replace(FREE, max_tokens=10_000)
    used = steps(2, usage=Usage(1000, 500, 1500, 1000))  # 4,000 each
    assert reason(used, limits, 0) is None
    assert reason(used, limits, 0, prompt_tokens=2000 - MIN_OUTPUT) is None
    assert reason(used, limits, 0, prompt_tokens=2001 - MIN_OUTPUT) == "max_tokens"
    assert reason(steps(3, usage=Usage(4000)), limits, 0) == "max_tokens"


def test_cost_counts_the_next_prompt_too() -> None:
    model = PricedModel((1, 10))
    limits = replace(FREE, max_cost_usd=1.0)
    used = steps(2, cost_usd=0.45)
    assert reason(used, limits, 0, cost=model.cost) is None
    assert reason(used, limits, 0, prompt_tokens=97_000, cost=model.cost) is None
    assert reason(used, limits, 0, prompt_tokens=98_000, cost=model.cost) == "max_cost"
    assert reason(steps(2, cost_usd=0.5), limits, 0) == "max_cost"
    assert reason(steps(1), limits, 0, cost=model.cost) == "max_cost"  # a reply whose price is not known


def test_the_next_prompt_is_priced_as_if_nothing_were_cached() -> None:
    model = PricedModel((1, 10))
    limits = replace(FREE, max_cost_usd=0.1)
    cold = steps(1, cost_usd=0.05, usage=Usage(90_000))
    warm = steps(1, cost_usd=0.05, usage=Usage(1000, 0, 89_000))
    assert output_cap(cold, limits, 90_000, model.cost, 32_000) == 0
    assert output_cap(warm, limits, 90_000, model.cost, 32_000) == 0
    assert output_cap(warm, limits, 10_000, model.cost, 32_000) == int((0.05 - 0.01) / 10e-6)


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0, 0.02), st.floats(0.001, 0.02))
def test_a_reply_within_its_cap_stays_within_the_budgets(
    used: int, prompt: int, spent: float, bound: float
) -> None:
    model = PricedModel((1, 10))
    limits = replace(FREE, max_tokens=4000, max_cost_usd=bound)
    done = steps(1, usage=Usage(used), cost_usd=spent)
    cap = output_cap(done, limits, prompt, model.cost, 32_000)
    if cap < MIN_OUTPUT:
        assert reason(done, limits, 0, prompt, model.cost) in ("max_tokens", "max_cost")
        return
    assert budget_stop(done, limits, 0, prompt, model.cost) is None
    assert used + prompt + cap <= 4000
    assert spent + (model.cost(Usage(prompt, cap)) or 0) <= bound + 1e-9


def test_the_cap_is_the_default_when_nothing_is_short() -> None:
    assert output_cap(steps(2), Limits(), 1000, PricedModel((2, 10)).cost, 32_000) == 32_000


def test_the_same_failure_three_times_in_a_row() -> None:
    boom = Error("KeyError", "'x'")
    same = [step(i, "d['x']", boom) for i in (1, 2, 3)]
    assert reason(same, FREE, 0) == "repeated_failure"
    assert reason(same[:2], FREE, 0) is None
    assert reason([same[0], step(2, "d['y']", boom), same[2]], FREE, 0) is None
    assert reason([*same[:2], step(3, "d['x']", Error("KeyError", "'y'"))], FREE, 0) is None
    assert reason([*same, step(4, "d")], FREE, 0) is None
    assert reason(same, replace(FREE, repeated_failures=0), 0) is None


def test_replies_that_cannot_be_run_count_as_failures() -> None:
    broken = [Step(i, Reply(problem="cut off"), None, Observation("error")) for i in (1, 2, 3)]
    assert reason(broken, FREE, 0) == "repeated_failure"


def test_the_same_good_cell_may_run_for_ever() -> None:
    assert reason([step(i) for i in range(1, 20)], FREE, 0) is None


# --- telling -----------------------------------------------------------------------------------


def notes(limits: Limits, done: tuple[Step, ...], seconds_a_step: float = 0) -> dict[int, str]:
    told = (
        (n, budget_note(done[:n], limits, n * seconds_a_step, (n - 1) * seconds_a_step))
        for n in range(1, len(done) + 1)
    )
    return {n: text for n, text in told if text}


def test_steps_are_told_at_thresholds() -> None:
    assert notes(replace(FREE, max_steps=20), steps(20)) == {
        15: "Budget: 5 steps are left. Finish before it runs out.",
        18: "Budget: 2 steps are left. Finish before it runs out.",
        19: "Budget: 1 step is left. Finish before it runs out.",
    }


def test_tokens_time_and_cost_are_told_once_per_threshold() -> None:
    done = steps(100, usage=Usage(100), cost_usd=0.01)
    for limits, what in (
        (replace(FREE, max_tokens=10_000), "tokens are"),
        (replace(FREE, max_seconds=100), "time is"),
        (replace(FREE, max_cost_usd=1.0), "cost budget is"),
    ):
        told = notes(limits, done, seconds_a_step=1)
        assert list(told.values()) == [
            f"Budget: less than 25% of the {what} left. Finish before it runs out.",
            f"Budget: less than 10% of the {what} left. Finish before it runs out.",
        ]
        assert all(abs(n - wanted) <= 1 for n, wanted in zip(told, (76, 91), strict=True))


def test_one_jump_over_two_thresholds_is_one_note() -> None:
    assert "10% of the tokens" in notes(replace(FREE, max_tokens=1000), steps(1, usage=Usage(950)))[1]


def test_a_repeat_is_told_before_it_ends_the_run() -> None:
    boom = Error("KeyError", "'x'")
    told = notes(FREE, tuple(step(i, "d['x']", boom) for i in (1, 2)))
    assert list(told) == [2]
    assert "once more ends the run" in told[2]


def test_nothing_is_told_without_bounds() -> None:
    assert notes(FREE, steps(50, usage=Usage(10**6)), 1e6) == {}
    assert budget_note((), Limits(), 0, 0) is None
