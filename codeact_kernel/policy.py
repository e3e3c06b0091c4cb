"""Owns the policy: the next action, chosen by a language model from the trajectory so far."""

from __future__ import annotations

from dataclasses import replace

from .budget import MIN_OUTPUT, output_cap
from .config import Settings
from .conversation import CHARS_PER_TOKEN, Context, Conversation
from .events import ModelRequest
from .exceptions import BudgetError
from .interfaces import Emit, Model
from .trajectory import Reply, Trajectory

MAX_OUTPUT = 32_000
"""Tokens of one reply, its thinking included."""


class CodeActPolicy:
    """Asks a model for the next action: one thought and one cell, or the answer.

    Each request extends the one before by what happened since, byte for byte, so that an endpoint's
    prompt cache holds; see `conversation` for the rare exception. Stateless but for kept digests: the
    same trajectory gives the same request.

    Args:
        system: the system prompt (`prompt.system_prompt`), constant for the whole run.
    """

    def __init__(self, model: Model, settings: Settings, system: str) -> None:
        self._model = model
        self._settings = settings
        self._system = system
        self._conversation = Conversation(settings, model.context_window, len(system) // CHARS_PER_TOKEN)

    async def act(self, trajectory: Trajectory, emit: Emit) -> Reply:
        """The reply, priced by the model where the adapter has not done it.

        Raises: as `Model.respond`, and BudgetError when the budgets leave no room for a reply.
        """
        reply = await self._model.respond(self.request(trajectory), emit)
        if reply.cost_usd is not None:
            return reply
        return replace(reply, cost_usd=self._model.cost(reply.usage))

    def prompt_tokens(self, trajectory: Trajectory) -> int:
        """Estimated size of the next request, for `budget.budget_stop`."""
        return self._conversation.context(trajectory).tokens

    def request(self, trajectory: Trajectory) -> ModelRequest:
        """The next request, its output capped to what the budgets of the turn leave.

        Raises: BudgetError when that is too little, which `budget.budget_stop` tells beforehand.
        """
        context = self._conversation.context(trajectory)
        return ModelRequest(self._system, context.messages, self._max_output(trajectory, context))

    def _max_output(self, trajectory: Trajectory, context: Context) -> int:
        steps = trajectory.turns[-1].steps
        limits = self._settings.limits
        cap = output_cap(steps, limits, context.tokens, self._model.cost, MAX_OUTPUT)
        if cap < MIN_OUTPUT:
            raise BudgetError(
                f"the next request needs about {context.tokens:,} tokens of prompt and the budgets leave "
                f"{max(0, cap)!r} for the reply (max_tokens={limits.max_tokens!r}, "
                f"max_cost_usd={limits.max_cost_usd!r}); raise them, or give a smaller task"
            )
        return min(cap, max(MIN_OUTPUT, self._model.context_window - context.tokens))
