"""Owns what sandboxed code may ask the person at a front end: the tools `input` and `getpass`.

They are tools, not Jupyter's stdin channel: so an answer is on the tape, and the run replays with nobody
there. They are offered to a kernel that starts with somebody attending; without, `input` is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext

from ..interfaces import Attendant, OnTheSpot, ToolSource
from ..toolcalls import Secret
from ..waiting import Waiting
from ..wire.messages import (
    Json,
    Raised,
    Returned,
    ToolModule,
    ToolOutcome,
    ToolParameter,
    ToolRequest,
    ToolSpec,
)
from .terminal import clean, clip

MAX_PROMPT = 500
MAX_ANSWER = 100_000
MAX_A_MINUTE = 100
LEAST_SECRET = 4
"""Characters; what is shorter could not be masked without ruining the record."""
INPUT = ToolSpec(
    "input",
    (ToolParameter("prompt", default='""'),),
    "str",
    "Asks the person who watches this run, and returns the line that they type.",
    effect="read",
)
GETPASS = ToolSpec(
    "getpass",
    (ToolParameter("prompt", default='"Password: "'),),
    "str",
    "As input, for a secret: it is not shown, and masked in the record of this run.",
    effect="read",
)
PROMPTS = {"input": "", "getpass": "Password: "}


class PersonTools:
    """The tools of a run, and these two while somebody attends. A `ToolSource`.

    Args:
        tools: the run's own; of one name with ours, they win.
        keep_secret: told of what was typed for `getpass`, before anything of it is written; gives what is
            written in its place.
        asking: held while a person is asked anything: one question at a time.
        answer_s: seconds that the person has.
    """

    def __init__(
        self,
        tools: ToolSource,
        keep_secret: Callable[[str], str],
        asking: asyncio.Lock | None = None,
        answer_s: float | None = None,
    ) -> None:
        self._tools = tools
        self._keep_secret = keep_secret
        self._answer_s = answer_s
        self._asking = asking or asyncio.Lock()
        self._asked: deque[float] = deque(maxlen=MAX_A_MINUTE)
        self.attendant: Attendant | None = None
        self.waiting: Waiting | None = None
        """The clock that stands still while somebody thinks."""

    def specs(self) -> tuple[ToolSpec, ...]:
        own = self._tools.specs()
        if self.attendant is None:
            return own
        names = {spec.name for spec in own}
        return (*own, *(spec for spec in (INPUT, GETPASS) if spec.name not in names))

    def has(self, tool: str) -> bool:
        return self._tools.has(tool)

    def modules(self) -> tuple[ToolModule, ...]:
        return self._tools.modules()

    def news(self) -> tuple[str, ...]:
        return self._tools.news()

    def at_once(self, tool: str) -> OnTheSpot | None:
        return self._tools.at_once(tool)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        if request.tool not in PROMPTS or any(spec.name == request.tool for spec in self._tools.specs()):
            return await self._tools.call(request)
        prompt = _prompt(request)
        if isinstance(prompt, Raised):
            return prompt
        return await self._ask(self.attendant, prompt, request.tool)

    async def _ask(self, attendant: Attendant | None, prompt: str, tool: str) -> ToolOutcome:
        now = asyncio.get_running_loop().time()
        if len(self._asked) == MAX_A_MINUTE and now - self._asked[0] < 60:
            return Raised("RuntimeError", f"{tool}(): more than {MAX_A_MINUTE} questions in a minute")
        self._asked.append(now)
        if attendant is None:
            return _nobody(tool)
        with nullcontext() if self.waiting is None else self.waiting.person():
            try:
                async with self._asking, asyncio.timeout(self._answer_s):
                    answer = await attendant.input(prompt, tool == "getpass")
            except TimeoutError:
                return Raised("TimeoutError", f"{tool}(): no answer within {self._answer_s:g} s")
        return _nobody(tool) if answer is None else self._answered(answer[:MAX_ANSWER], tool)

    def _answered(self, answer: str, tool: str) -> ToolOutcome:
        if tool == "getpass" and answer:
            if len(answer) < LEAST_SECRET:
                problem = (
                    f"getpass(): what was typed has less than {LEAST_SECRET} characters; it was not used"
                )
                return Raised("ValueError", problem)
            return Secret(answer, self._keep_secret(answer))
        return Returned(answer)


def _prompt(request: ToolRequest) -> str | Raised:
    """What the person is asked, harmless and bounded."""
    given: list[Json] = [*request.args, *request.kwargs.values()]
    wrong = len(given) > 1 or (request.kwargs and "prompt" not in request.kwargs)
    prompt = given[0] if given else PROMPTS[request.tool]
    if wrong or not isinstance(prompt, str | int | float):
        return Raised("TypeError", f"{request.tool}() takes one text, the prompt")
    return clip(clean(str(prompt)), MAX_PROMPT)


def _nobody(tool: str) -> Raised:
    return Raised(
        "EOFError",
        f"{tool}(): nobody can be asked here; decide without, or end with a question as the answer",
    )
