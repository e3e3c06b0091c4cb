"""Owns the budgets of a task: when a run must stop, when the model is told, what a reply may still cost.

Pure functions of the steps of one turn: a budget is per task. Costs are US dollars, times seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from .config import Limits
from .exceptions import BudgetError
from .interfaces import Model
from .trajectory import Step, Stop, Usage

Cost: TypeAlias = Callable[[Usage], float | None]
"""`Model.cost`."""

MIN_OUTPUT = 256
"""Output tokens without which a request is not worth its prompt: the run stops instead."""
STEPS_LEFT = (5, 2, 1)
"""When the model is told about steps."""
SHARES_LEFT = (0.25, 0.1)
"""When it is told about time, tokens and cost."""
_PROBE = 32_000


def check_budget(limits: Limits, model: Model) -> None:
    """Refuses budgets that cannot be enforced. To be called before a run starts.

    Raises: BudgetError when a bound is not a positive number, or `max_cost_usd` is set and the
    model's price is not known.
    """
    for name in ("max_steps", "max_seconds", "max_tokens", "max_cost_usd"):
        bound: float | None = getattr(limits, name)
        if bound is not None and not bound > 0:  # also NaN, which no comparison would ever reach
            raise BudgetError(f"{name}={bound!r} is no budget; give a positive number, or None for no bound")
    if limits.max_cost_usd is not None and model.cost(Usage(output_tokens=1)) is None:
        raise BudgetError(
            f"max_cost_usd={limits.max_cost_usd!r} cannot be enforced: the price of model {model.name!r} is "
            "not known; leave the cost budget out (max_tokens bounds any model), or choose a model with a "
            "known price"
        )


def budget_stop(
    steps: Sequence[Step],
    limits: Limits,
    elapsed_s: float,
    prompt_tokens: int = 0,
    cost: Cost | None = None,
) -> Stop | None:
    """Why no further request may be made, or None. To be called before every request.

    Args:
        steps: of the running turn, finished.
        elapsed_s: since the turn began.
        prompt_tokens: estimated size of the next request (`CodeActPolicy.prompt_tokens`). With it the
            run stops *before* the request that would go over the token or cost budget.
        cost: `model.cost`, needed with `max_cost_usd`.
    """
    after = f"after step {steps[-1].index}" if steps else "before the first step"
    if limits.repeated_failures > 0 and _repeats(steps) >= limits.repeated_failures:
        return Stop(
            "repeated_failure", f"the same cell failed in the same way {_repeats(steps)} times, {after}"
        )
    if limits.max_steps is not None and len(steps) >= limits.max_steps:
        return Stop("max_steps", f"{len(steps)} of {limits.max_steps} steps used, {after}")
    if limits.max_seconds is not None and elapsed_s >= limits.max_seconds:
        return Stop("max_seconds", f"{elapsed_s:,.0f} of {limits.max_seconds:,.0f} seconds used, {after}")
    if limits.max_tokens is not None and _tokens_left(steps, limits.max_tokens, prompt_tokens) < MIN_OUTPUT:
        needed = f"; the next request needs about {prompt_tokens + MIN_OUTPUT:,}" if prompt_tokens else ""
        return Stop("max_tokens", f"{_tokens(steps):,} of {limits.max_tokens:,} tokens used, {after}{needed}")
    if limits.max_cost_usd is None:
        return None
    spent = _spent(steps)
    if spent is None:
        return Stop("max_cost", f"the price of a reply is not known, so the budget cannot be kept, {after}")
    if _affordable(limits.max_cost_usd - spent, prompt_tokens, cost) < MIN_OUTPUT:
        return Stop("max_cost", f"{spent:.4f} of {limits.max_cost_usd:.4f} USD used, {after}")
    return None


def output_cap(steps: Sequence[Step], limits: Limits, prompt_tokens: int, cost: Cost, most: int) -> int:
    """Output tokens that the next reply may have: `most`, or what the token and cost budgets leave.

    Less than `MIN_OUTPUT` where `budget_stop` says to stop.
    """
    caps = [most]
    if limits.max_tokens is not None:
        caps.append(_tokens_left(steps, limits.max_tokens, prompt_tokens))
    if limits.max_cost_usd is not None:
        left = limits.max_cost_usd - (_spent(steps) or 0.0)
        caps.append(_affordable(left, prompt_tokens, cost))
    return min(caps)


def budget_note(
    steps: Sequence[Step], limits: Limits, elapsed_s: float, previous_elapsed_s: float
) -> str | None:
    """What the model is to be told after the last of `steps`, for that step's notes. None mostly:
    each budget is mentioned when a threshold is passed, not at every step.

    Args:
        elapsed_s, previous_elapsed_s: since the turn began, now and when this was last asked.
    """
    if not steps:
        return None
    facts = [*_step_facts(steps, limits)]
    used = 0 if limits.max_tokens is None else _tokens(steps)
    spent = (0.0, 0.0) if limits.max_cost_usd is None else (_spent(steps[:-1]) or 0.0, _spent(steps) or 0.0)
    measures = (
        ("time is", limits.max_seconds, previous_elapsed_s, elapsed_s),
        ("tokens are", limits.max_tokens, used - steps[-1].reply.usage.total, used),
        ("cost budget is", limits.max_cost_usd, *spent),
    )
    for name, bound, earlier, now in measures:
        if bound is not None and (share := _passed(1 - earlier / bound, 1 - now / bound)) is not None:
            facts.append(f"less than {share:.0%} of the {name} left")
    return f"Budget: {'; '.join(facts)}. Finish before it runs out." if facts else None


def _step_facts(steps: Sequence[Step], limits: Limits) -> Iterator[str]:
    left = None if limits.max_steps is None else limits.max_steps - len(steps)
    if left in STEPS_LEFT:
        yield "1 step is left" if left == 1 else f"{left} steps are left"
    if limits.repeated_failures > 1 and _repeats(steps) == limits.repeated_failures - 1:
        yield "the same cell failing the same way once more ends the run, so try something else"


def _passed(earlier: float, now: float) -> float | None:
    """The lowest threshold that lies between two shares left."""
    return min((share for share in SHARES_LEFT if now < share <= earlier), default=None)


# --- what was used -----------------------------------------------------------------------------


def _tokens(steps: Sequence[Step]) -> int:
    return sum(step.reply.usage.total for step in steps)


def _tokens_left(steps: Sequence[Step], bound: int, prompt_tokens: int) -> int:
    return bound - _tokens(steps) - prompt_tokens


def _spent(steps: Sequence[Step]) -> float | None:
    costs = [step.reply.cost_usd for step in steps]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _affordable(left: float, prompt_tokens: int, cost: Cost | None) -> int:
    """Output tokens that `left` dollars buy after the next prompt.

    The prompt is priced as if nothing of it were cached any more and all of it were cached anew: the
    budget is hard, so it ends a little early rather than late.
    """
    if left <= 0:
        return 0
    if cost is None:
        return _PROBE
    plain, written = Usage(input_tokens=prompt_tokens), Usage(cache_write_tokens=prompt_tokens)
    prices = (cost(plain), cost(written), cost(written + Usage(output_tokens=_PROBE)))
    if prices[0] is None or prices[1] is None or prices[2] is None:
        return 0
    per_token = (prices[2] - prices[1]) / _PROBE
    return int(max(0.0, left - max(prices[0], prices[1])) / per_token) if per_token > 0 else _PROBE


def _repeats(steps: Sequence[Step]) -> int:
    """How many of the last steps failed in one and the same way."""
    if not steps or _failure(steps[-1]) is None:
        return 0
    count = 0
    for step in reversed(steps):
        if _failure(step) != _failure(steps[-1]):
            break
        count += 1
    return count


def _failure(step: Step) -> tuple[str | None, ...] | None:
    """What makes two failures the same: the code, how it ended and the error."""
    if step.action is None:
        return None, step.reply.problem
    if step.observation.status == "ok":
        return None
    error = step.observation.error
    what = (error.ename, error.evalue) if error else (None, None)
    return step.action.code, step.observation.status, *what
