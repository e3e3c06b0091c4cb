"""Owns the conversation: the messages that a trajectory amounts to, and which of them are condensed.

Everything here is a pure function of the trajectory and the settings, so that a resumed run builds the
same bytes: one pass goes over the requests that were made and takes each decision again from the usage
that was recorded by then. Messages are only ever appended, but for the rare condensation, which
rewrites observations in one block and never an assistant message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .config import OutputLimits, Settings
from .digest import condensed, digest
from .envelope import note
from .events import AssistantMessage, Message, ObservationMessage, Part, Text, UserMessage
from .trajectory import OWN_CELL, Observation, Reply, Step, Stop, Trajectory, Turn

CHARS_PER_TOKEN = 4
IMAGE_TOKENS = 1500
"""Of one image, about; what endpoints charge for a megapixel."""
FULL = 0.9
"""Share of the context window that observations may fill between two condensations."""
MIN_CHARS = 400
"""What the model sees of an observation at least, however little room is left."""


@dataclass(frozen=True)
class Context:
    """What the next request sends.

    `tokens`: estimated size of the request, system prompt included. `condensed`: how many
    observations, counted from the first, are one-liners.
    """

    messages: tuple[Message, ...]
    tokens: int
    condensed: int


@dataclass(frozen=True)
class _Seen:
    """An observation as the model sees it, in full and condensed. `saves`: tokens."""

    full: ObservationMessage
    short: ObservationMessage

    @property
    def saves(self) -> int:
        return tokens(self.full.parts) - tokens(self.short.parts)


class Conversation:
    """Builds the context of each request. Digests are kept, since making one may scale images.

    Args:
        window: tokens the model can take.
        system_tokens: estimated size of the system prompt.
    """

    def __init__(self, settings: Settings, window: int, system_tokens: int) -> None:
        self.settings = settings
        self.window = window
        self._system_tokens = system_tokens
        self._kept: dict[int, tuple[Step, OutputLimits, _Seen]] = {}

    def context(self, trajectory: Trajectory) -> Context:
        """The messages so far. A turn that ended in code is followed by the next task's message, so
        an ObservationMessage (a user's one, for the API) may stand before a UserMessage, and two
        tasks side by side: the adapter merges neighbours of one role."""
        fold = _Fold(self, self._system_tokens)
        ended: Stop | None = None
        for turn in trajectory.turns:
            if turn.task == OWN_CELL:
                fold.add(UserMessage(_own(turn, ended, self.settings.output)))
                ended = turn.stop
                continue
            fold.add(UserMessage(_task(turn, ended)))
            for step in turn.steps:
                fold.request()
                fold.reply(step.reply)
                fold.observe(step)
            ended = turn.stop
            if ended is not None and ended.reply is not None:
                fold.request()
                fold.reply(ended.reply)
        fold.request()
        return fold.context()

    def seen(self, step: Step, limits: OutputLimits) -> _Seen:
        """The messages of a step's observation, made once."""
        kept = self._kept.get(step.index)
        if kept is None or kept[0] is not step or kept[1] != limits:
            kept = self._kept[step.index] = step, limits, _seen(step, limits)
        return kept[2]


@dataclass
class _Fold:
    """One pass over a trajectory. `size`: tokens of the conversation, as recorded where the endpoint
    reported them, estimated for what came since. `last`: steps there were at the last condensation."""

    rules: Conversation
    size: int
    items: list[UserMessage | AssistantMessage | _Seen] = field(default_factory=list)
    seen: list[_Seen] = field(default_factory=list)
    condensed: int = 0
    last: int | None = None

    def add(self, message: UserMessage) -> None:
        self.items.append(message)
        self.size += tokens(message.parts)

    def reply(self, reply: Reply) -> None:
        self.items.append(AssistantMessage(reply))
        estimate = self.size + _reply_tokens(reply)
        self.size = reply.usage.total if reply.usage.prompt else estimate

    def observe(self, step: Step) -> None:
        seen = self.rules.seen(step, self._output_limits())
        self.items.append(seen)
        self.seen.append(seen)
        self.size += tokens(seen.full.parts)

    def request(self) -> None:
        """A request was, or is to be, made here: condenses first if the context is too large."""
        rules = self.rules.settings.context
        if self._room(rules.condense_at) >= 0 or self._wait() > 0:
            return
        for keep in (rules.keep_last, 1):
            self._condense(len(self.seen) - keep)
            if self._room(rules.condense_at) >= 0:
                return

    def context(self) -> Context:
        short = {id(seen) for seen in self.seen[: self.condensed]}
        messages = (
            (item.short if id(item) in short else item.full) if isinstance(item, _Seen) else item
            for item in self.items
        )
        return Context(tuple(messages), self.size, self.condensed)

    def _condense(self, upto: int) -> None:
        saved = sum(seen.saves for seen in self.seen[self.condensed : max(0, upto)])
        if not saved:
            return
        self.size -= saved
        self.condensed = upto
        self.last = len(self.seen)

    def _room(self, share: float) -> int:
        """Tokens until the context fills `share` of the window."""
        return int(self.rules.window * share) - self.size

    def _wait(self) -> int:
        """Steps until the next condensation is allowed."""
        if self.last is None:
            return 0
        return max(0, self.last + self.rules.settings.context.min_steps_between - len(self.seen))

    def _output_limits(self) -> OutputLimits:
        """How much of the next observation is shown. After a condensation the rest of the window has
        to do until the next one: where it is small, the steps until then share it."""
        output, wait = self.rules.settings.output, self._wait()
        if wait == 0:
            return output
        share = max(0, self._room(FULL)) // wait
        return replace(
            output,
            model_chars=min(output.model_chars, max(MIN_CHARS, share * CHARS_PER_TOKEN)),
            model_images=min(output.model_images, share // IMAGE_TOKENS),
        )


def tokens(parts: Iterable[Part]) -> int:
    """An estimate, from the characters."""
    return sum(
        len(part.text) // CHARS_PER_TOKEN if isinstance(part, Text) else IMAGE_TOKENS for part in parts
    )


def _reply_tokens(reply: Reply) -> int:
    content = reply.raw or reply.thought + (reply.code or "") + (reply.answer or "")
    return len(content) // CHARS_PER_TOKEN


def _task(turn: Turn, ended: Stop | None) -> tuple[Part, ...]:
    """The user's words, after the notes, and why the task before them ended, if that was not by an answer."""
    notes = list(turn.notes)
    if ended is not None and ended.reason not in ("answer", "own_cell"):
        notes.insert(0, f"the task before this one was stopped: {ended.reason}, {ended.detail}")
    return *(Text(note(sentence)) for sentence in notes), Text(turn.task)


def _own(turn: Turn, ended: Stop | None, limits: OutputLimits) -> tuple[Part, ...]:
    """Cells that the user ran, as their words: what they ran, and what it showed."""
    parts = list(_task(replace(turn, task="I ran a cell of my own in your kernel."), ended))
    for step in turn.steps:
        if step.action is not None:
            parts += (Text(step.action.code), *digest(step.observation, limits))
    return tuple(parts)


def _seen(step: Step, limits: OutputLimits) -> _Seen:
    notes = tuple(Text(note(sentence)) for sentence in step.notes)
    if step.action is None:
        problem = step.reply.problem or ("" if notes else "the reply held no code")
        parts = (Text(note(f"nothing was run: {problem}")), *notes) if problem else notes
        message = ObservationMessage(step.reply.call_id, parts, is_error=True)
        return _Seen(message, message)
    observation = step.observation
    full, line = digest(observation, limits), Text(condensed(observation))
    short = (line,) if tokens((line,)) < tokens(full) else full
    return _Seen(_message(step, observation, (*full, *notes)), _message(step, observation, (*short, *notes)))


def _message(step: Step, observation: Observation, parts: tuple[Part, ...]) -> ObservationMessage:
    return ObservationMessage(step.reply.call_id, parts, is_error=observation.status != "ok")
