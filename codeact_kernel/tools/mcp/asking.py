"""Owns answering what a server asks the person: through the front end, or not at all. Never the sandbox.

What cannot be asked is declined, and the user is told. A server's words are shown clean and bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

import mcp_types as types

from .questions import Answer, Elicit, Form, Page, checked_url, fields_of
from .words import said

LOGIN = "It wants a login. Allow it on this page, which then sends your browser back here."
MAX_A_MINUTE = 10
"""Questions of one server; what comes beyond is declined unseen."""


class Asking:
    """Answers the questions of one server.

    Args:
        module: whose.
        elicit: None: there never is anybody.
        tell: what the user is told, when nobody was asked.
    """

    def __init__(self, module: str, elicit: Elicit | None, tell: Callable[[str], None]) -> None:
        self._module = module
        self._elicit = elicit
        self._tell = tell
        self._asked: deque[float] = deque(maxlen=MAX_A_MINUTE)
        self._told: set[str] = set()

    async def elicitation(self, params: types.ElicitRequestParams) -> types.ElicitResult:
        """The callback of a connection, in both eras of the protocol."""
        answer = await self.answer(params)
        accepted = answer.action == "accept" and answer.values is not None
        content = dict(answer.values or {}) if accepted else None
        # The SDK's type for values is narrower than the JSON that a `Field` makes; they are of its kinds.
        return types.ElicitResult.model_validate({"action": answer.action, "content": content})

    async def answer(self, params: types.ElicitRequestParams) -> Answer:
        """What the person says, if there is one. Never raises."""
        try:
            question = question_of(self._module, params)
        except ValueError as problem:
            return self._declined(f"it cannot be shown: {problem}")
        now = monotonic()
        if len(self._asked) == MAX_A_MINUTE and now - self._asked[0] < 60:
            return self._declined(f"more than {MAX_A_MINUTE} questions in a minute")
        self._asked.append(now)
        if self._elicit is None:
            return self._declined("there is nobody who can be asked")
        answer = await self._elicit(question)
        return self._declined(answer.why) if answer.why else answer

    async def login(self, address: str) -> str:
        """The person is shown where to log in to the server. "": they have; else why not."""
        if self._elicit is None:
            return "there is nobody who can be asked"
        try:
            page = Page(self._module, LOGIN, checked_url(address))
        except ValueError as problem:
            return f"it cannot be shown: {problem}"
        answer = await self._elicit(page)
        return "" if answer.action == "accept" else answer.why or "the person declined"

    def _declined(self, why: str) -> Answer:
        if why not in self._told and len(self._told) < MAX_A_MINUTE:
            self._told.add(why)
            self._tell(f"a question of the server {self._module} was declined: {why}")
        return Answer("decline")


def question_of(module: str, params: types.ElicitRequestParams) -> Form | Page:
    """What a person is asked. Raises: ValueError for what cannot be."""
    message = said(params.message)
    if isinstance(params, types.ElicitRequestURLParams):
        return Page(module, message, checked_url(params.url))
    return Form(module, message, fields_of(params.requested_schema))
