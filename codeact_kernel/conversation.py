"""Owns the conversation: the messages that a trajectory amounts to, which of them are condensed or left out.

Everything here is a pure function of the trajectory and the settings, so that a resumed run builds the
same bytes: one pass goes over the requests that were made and takes each decision again from the usage
that was recorded by then. Messages are only ever appended, but for the rare condensation, which
rewrites observations in one block and never an assistant message; and where even one-liners fill the
window, as after a thousand steps, the oldest messages are left out, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import is_

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
LEAN = 0.3
"""Share of the context window that is still used after the oldest messages were left out."""
LEFT_OUT = (
    "{steps:,} earlier steps are left out here, to make room. What they defined is still in the kernel; "
    "`_obs[n]` has what cell n printed, as far as it is kept"
)


@dataclass(frozen=True)
class Context:
    """What the next request sends.

    `tokens`: estimated size of the request, system prompt included. `condensed`: how many
    observations, counted from the first, are not there in full. `left_out`: how many steps, counted from
    the first, are not there at all.
    """

    messages: tuple[Message, ...]
    tokens: int
    condensed: int
    left_out: int


@dataclass(frozen=True)
class _Seen:
    """An observation as the model sees it, in full and condensed. `saves`: tokens."""

    place: int
    """In the messages."""
    full: ObservationMessage
    short: ObservationMessage

    @property
    def saves(self) -> int:
        return tokens(self.full.parts) - tokens(self.short.parts)


class Conversation:
    """Builds the context of each request, from where the one before ended: a step costs as much after two
    thousand others as after two.

    Args:
        window: tokens the model can take.
        system_tokens: estimated size of the system prompt.
    """

    def __init__(self, settings: Settings, window: int, system_tokens: int) -> None:
        self.settings = settings
        self.window = window
        self._system_tokens = system_tokens
        self._fold = _Fold(settings, window, system_tokens)

    def context(self, trajectory: Trajectory) -> Context:
        """The messages so far. A turn that ended in code is followed by the next task's message, so
        an ObservationMessage (a user's one, for the API) may stand before a UserMessage, and two
        tasks side by side: the adapter merges neighbours of one role."""
        if not self._fold.leads_to(trajectory.turns):
            self._fold = _Fold(self.settings, self.window, self._system_tokens)
        self._fold.take(trajectory.turns)
        ahead = self._fold.copy()  # This request is not made yet, and perhaps never is.
        ahead.request()
        return Context(tuple(ahead.messages), ahead.size, ahead.condensed, ahead.left_out)


@dataclass
class _Fold:
    """One pass over a trajectory. `size`: tokens of the conversation, as recorded where the endpoint
    reported them, estimated for what came since. `taken`: what it has gone over. `fresh`: observations that
    are there in full. `observed`: how many there were; `last`: at the last condensation."""

    settings: Settings
    window: int
    size: int
    taken: tuple[Turn, ...] = ()
    messages: list[Message] = field(default_factory=list)
    fresh: list[_Seen] = field(default_factory=list)
    observed: int = 0
    last: int | None = None
    left_out: int = 0

    @property
    def condensed(self) -> int:
        return self.observed - len(self.fresh)

    def copy(self) -> _Fold:
        return replace(self, messages=self.messages.copy(), fresh=self.fresh.copy())

    def leads_to(self, turns: Sequence[Turn]) -> bool:
        """Whether these begin with what was taken."""
        if len(turns) < len(self.taken):
            return False
        return all(map(_goes_on, self.taken, turns))

    def take(self, turns: tuple[Turn, ...]) -> None:
        """Goes on to the end of these."""
        for number, turn in enumerate(turns[max(0, len(self.taken) - 1) :], max(0, len(self.taken) - 1)):
            known = self.taken[number] if number < len(self.taken) else None
            self._take(turn, known, turns[number - 1].stop if number else None)
        self.taken = turns

    def _take(self, turn: Turn, known: Turn | None, ended: Stop | None) -> None:
        """A turn, or what has come to it. `ended`: why the one before it did."""
        if turn.task == OWN_CELL:
            if known is None:
                self.add(UserMessage(_own(turn, ended, self.settings.output)))
            return
        if known is None:
            self.add(UserMessage(_task(turn, ended)))
        for step in turn.steps[len(known.steps) if known else 0 :]:
            self.request()
            self.reply(step.reply)
            self.observe(step)
        if turn.stop is not None and turn.stop.reply is not None and (known is None or known.stop is None):
            self.request()
            self.reply(turn.stop.reply)

    def add(self, message: UserMessage) -> None:
        self.messages.append(message)
        self.size += tokens(message.parts)

    def reply(self, reply: Reply) -> None:
        self.messages.append(AssistantMessage(reply))
        estimate = self.size + _reply_tokens(reply)
        self.size = reply.usage.total if reply.usage.prompt else estimate

    def observe(self, step: Step) -> None:
        seen = _seen(step, self._output_limits(), len(self.messages))
        self.messages.append(seen.full)
        self.fresh.append(seen)
        self.observed += 1
        self.size += tokens(seen.full.parts)

    def request(self) -> None:
        """A request was, or is to be, made here: makes room first if the context is too large."""
        rules = self.settings.context
        if self._room(rules.condense_at) < 0 and self._wait() == 0:
            for keep in (rules.keep_last, 1):
                self._condense(len(self.fresh) - keep)
                if self._room(rules.condense_at) >= 0:
                    return
        if self._room(FULL) < 0:
            self._leave_out()

    def _condense(self, count: int) -> None:
        """The first `count` of those that are there in full."""
        old = self.fresh[: max(0, count)]
        saved = sum(seen.saves for seen in old)
        if not saved:
            return
        for seen in old:
            self.messages[seen.place] = seen.short
        del self.fresh[: len(old)]
        self.size -= saved
        self.last = self.observed

    def _leave_out(self) -> None:
        """The oldest messages, but neither the task at hand nor the last step."""
        last = max(n for n, one in enumerate(self.messages) if not isinstance(one, ObservationMessage))
        estimates = [*map(_message_tokens, self.messages)]
        # What was recorded may be more than the estimates, so these only say how it is shared out.
        each, size, cut = self.size / max(1, sum(estimates)), float(self.size), 0
        # An observation goes with the reply that asked for it.
        while cut < last and (
            size > self.window * LEAN or isinstance(self.messages[cut], ObservationMessage)
        ):
            size -= each * estimates[cut]
            cut += 1
        steps = sum(isinstance(one, AssistantMessage) for one in self.messages[:cut])
        if not steps:
            return
        asked = next(one for one in reversed(self.messages[:cut]) if isinstance(one, UserMessage))
        # Without what was said of those left out before.
        task = asked.parts[1:] if self.left_out and asked is self.messages[0] else asked.parts
        if isinstance(self.messages[cut], UserMessage):
            task = ()
        self.left_out += steps
        head = UserMessage((Text(note(LEFT_OUT.format(steps=self.left_out))), *task))
        self.messages[:cut] = [head]
        self.fresh = [replace(seen, place=seen.place - cut + 1) for seen in self.fresh if seen.place >= cut]
        self.size = int(size) + tokens(head.parts)

    def _room(self, share: float) -> int:
        """Tokens until the context fills `share` of the window."""
        return int(self.window * share) - self.size

    def _wait(self) -> int:
        """Steps until the next condensation is allowed."""
        if self.last is None:
            return 0
        return max(0, self.last + self.settings.context.min_steps_between - self.observed)

    def _output_limits(self) -> OutputLimits:
        """How much of the next observation is shown. After a condensation the rest of the window has
        to do until the next one: where it is small, the steps until then share it."""
        output, wait = self.settings.output, self._wait()
        if wait == 0:
            return output
        share = max(0, self._room(FULL)) // wait
        return replace(
            output,
            model_chars=min(output.model_chars, max(MIN_CHARS, share * CHARS_PER_TOKEN)),
            model_images=min(output.model_images, share // IMAGE_TOKENS),
        )


def _goes_on(before: Turn, after: Turn) -> bool:
    """Whether a turn is what became of another: with more steps, or ended."""
    if before is after:
        return True
    same = before.task == after.task != OWN_CELL and before.notes == after.notes
    ended = before.stop is None or before.stop is after.stop
    return (
        same and ended and len(before.steps) <= len(after.steps) and all(map(is_, before.steps, after.steps))
    )


def tokens(parts: Iterable[Part]) -> int:
    """An estimate, from the characters."""
    return sum(
        len(part.text) // CHARS_PER_TOKEN if isinstance(part, Text) else IMAGE_TOKENS for part in parts
    )


def _message_tokens(message: Message) -> int:
    return _reply_tokens(message.reply) if isinstance(message, AssistantMessage) else tokens(message.parts)


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


def _seen(step: Step, limits: OutputLimits, place: int) -> _Seen:
    notes = tuple(Text(note(sentence)) for sentence in step.notes)
    if step.action is None:
        problem = step.reply.problem or ("" if notes else "the reply held no code")
        parts = (Text(note(f"nothing was run: {problem}")), *notes) if problem else notes
        message = ObservationMessage(step.reply.call_id, parts, is_error=True)
        return _Seen(place, message, message)
    observation = step.observation
    full, line = digest(observation, limits), Text(condensed(observation))
    short = (line,) if tokens((line,)) < tokens(full) else full
    messages = (_message(step, observation, (*parts, *notes)) for parts in (full, short))
    return _Seen(place, *messages)


def _message(step: Step, observation: Observation, parts: tuple[Part, ...]) -> ObservationMessage:
    return ObservationMessage(step.reply.call_id, parts, is_error=observation.status != "ok")
