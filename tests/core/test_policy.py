"""The policy: what each request holds, that it extends the one before, and rare condensation."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import struct
import zlib
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_kernel.config import ContextLimits, Limits, OutputLimits, Settings
from codeact_kernel.conversation import IMAGE_TOKENS, Conversation, tokens
from codeact_kernel.digest import digest
from codeact_kernel.envelope import note
from codeact_kernel.events import (
    AssistantMessage,
    Event,
    Message,
    ModelRequest,
    ObservationMessage,
    Text,
    ThoughtDelta,
    UserMessage,
)
from codeact_kernel.exceptions import BudgetError
from codeact_kernel.interfaces import Emit
from codeact_kernel.outputs import Display, Error, Stream
from codeact_kernel.policy import MAX_OUTPUT, CodeActPolicy
from codeact_kernel.trajectory import (
    OWN_CELL,
    Action,
    Observation,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Usage,
)

SYSTEM = "You write Python." * 20
EMPTY = Trajectory(RunInfo("r1", "fake", "2026-01-01T00:00:00", ""))


def size(messages: tuple[Message, ...]) -> int:
    """Tokens as this test's endpoint counts them: three characters each, a bit more than we estimate."""
    found = len(SYSTEM) // 3
    for message in messages:
        if isinstance(message, AssistantMessage):
            found += len(message.reply.raw) // 3
        else:
            texts = [len(part.text) // 3 for part in message.parts if isinstance(part, Text)]
            found += sum(texts) + IMAGE_TOKENS * (len(message.parts) - len(texts))
    return found


class CountingModel:
    """Answers every request with a cell, and reports usage as an endpoint with a cache would."""

    name = "counting"
    instructions = ""

    def __init__(self, context_window: int = 200_000, reports: bool = True) -> None:
        self.context_window = context_window
        self.reports = reports
        self.requests: list[ModelRequest] = []

    def cost(self, usage: Usage) -> float | None:
        return usage.total / 1e6

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        self.requests.append(request)
        emit(ThoughtDelta("next"))
        code = f"x = {len(self.requests)}"
        raw = json.dumps([{"type": "text", "text": "next"}, {"type": "tool_use", "code": code}])
        prompt = size(request.messages)
        usage = Usage(prompt // 10, len(raw) // 3, prompt - prompt // 10) if self.reports else Usage()
        return Reply("next", code, raw=raw, call_id=f"c{len(self.requests)}", usage=usage)

    async def aclose(self) -> None: ...


def ignored(event: Event) -> None:
    assert isinstance(event, ThoughtDelta)


def printed(index: int, chars: int) -> Observation:
    return Observation(
        "ok", (Stream("stdout", "x" * chars),), execution_count=index + 1, names=(f"v{index}",)
    )


def advance(trajectory: Trajectory, policy: CodeActPolicy, observation: Observation) -> Trajectory:
    """One round of the loop, with the observation given."""
    reply = asyncio.run(policy.act(trajectory, ignored))
    assert reply.code is not None
    index = len(trajectory.steps) + 1
    return trajectory.with_step(Step(index, reply, Action(reply.code), observation))


def code_step(index: int, *notes: str, observation: Observation | None = None) -> Step:
    reply = Reply("look", f"x = {index}", raw=f"[{index}]", call_id=f"c{index}")
    return Step(index, reply, Action(reply.code or ""), observation or printed(index, 10), notes)


def messages(trajectory: Trajectory, config: Settings | None = None) -> tuple[Message, ...]:
    return CodeActPolicy(CountingModel(), config or Settings(), SYSTEM).request(trajectory).messages


# --- what a request holds ----------------------------------------------------------------------


def test_task_replies_and_observations_alternate() -> None:
    one, two = code_step(1), code_step(2, observation=Observation("error", (Error("E", "e"),)))
    assert messages(EMPTY.with_task("count").with_step(one).with_step(two)) == (
        UserMessage((Text("count"),)),
        AssistantMessage(one.reply),
        ObservationMessage("c1", digest(one.observation, OutputLimits())),
        AssistantMessage(two.reply),
        ObservationMessage("c2", digest(two.observation, OutputLimits()), is_error=True),
    )


def test_notes_follow_the_observation_as_parts_of_their_own() -> None:
    step = code_step(1, "2 steps are left.", "`a` was lost </stdout>")
    observed = messages(EMPTY.with_task("t").with_step(step))[-1]
    assert isinstance(observed, ObservationMessage)
    assert observed.parts[-2:] == (
        Text("<note>2 steps are left.</note>"),
        Text("<note>`a` was lost <\\/stdout></note>"),
    )


def test_a_reply_that_cannot_be_run_gets_its_problem_back() -> None:
    reply = Reply("hm", problem="the code was cut off", raw="[]", call_id="c1")
    step = Step(1, reply, None, Observation("error"), ("1 step is left.",))
    assert messages(EMPTY.with_task("t").with_step(step))[-1] == ObservationMessage(
        "c1",
        (Text(note("nothing was run: the code was cut off")), Text(note("1 step is left."))),
        is_error=True,
    )


def test_a_turn_answered_in_text_goes_on_after_the_answer() -> None:
    answer = Reply(answer="7", raw='["7"]')
    trajectory = (
        EMPTY.with_task("a").with_step(code_step(1)).with_stop(Stop("answer", answer=7, reply=answer))
    )
    assert messages(trajectory.with_task("b"))[-2:] == (AssistantMessage(answer), UserMessage((Text("b"),)))


def test_a_turn_answered_in_code_keeps_its_last_observation() -> None:
    trajectory = (
        EMPTY.with_task("a").with_step(code_step(1)).with_stop(Stop("answer", answer=7)).with_task("b")
    )
    observed, task = messages(trajectory)[-2:]
    assert isinstance(observed, ObservationMessage)
    assert task == UserMessage((Text("b"),))


def test_a_turn_that_was_stopped_says_why_to_the_next() -> None:
    stopped = EMPTY.with_task("a").with_stop(Stop("max_steps", "30 of 30 steps used")).with_task("b")
    assert messages(stopped)[-1] == UserMessage(
        (Text(note("the task before this one was stopped: max_steps, 30 of 30 steps used")), Text("b"))
    )


def test_act_asks_the_model_and_passes_events_on() -> None:
    model, events = CountingModel(), []
    reply = asyncio.run(CodeActPolicy(model, Settings(), SYSTEM).act(EMPTY.with_task("t"), events.append))
    assert (reply.code, events) == ("x = 1", [ThoughtDelta("next")])
    assert model.requests == [ModelRequest(SYSTEM, (UserMessage((Text("t"),)),), MAX_OUTPUT)]


# --- budgets in a request ----------------------------------------------------------------------


def test_output_is_capped_to_what_the_turn_leaves() -> None:
    spent = Reply(code="x", raw="[]", usage=Usage(9_000, 1_000), cost_usd=0.01)
    earlier = EMPTY.with_task("a").with_step(Step(1, spent, Action("x"), Observation("ok")))
    policy = CodeActPolicy(CountingModel(), Settings(Limits(max_tokens=25_000)), SYSTEM)
    cap = policy.request(earlier).max_output_tokens
    assert cap == 25_000 - 10_000 - policy.prompt_tokens(earlier)
    later = earlier.with_stop(Stop("answer")).with_task("b")
    assert policy.request(later).max_output_tokens == cap + 10_000 - (
        policy.prompt_tokens(later) - policy.prompt_tokens(earlier)
    )


def test_output_fits_the_window() -> None:
    policy = CodeActPolicy(CountingModel(8_000), Settings(), SYSTEM)
    trajectory = EMPTY.with_task("x" * 8_000)
    assert policy.request(trajectory).max_output_tokens == 8_000 - policy.prompt_tokens(trajectory)


def test_a_request_that_cannot_be_paid_is_not_made() -> None:
    model = CountingModel()
    for limits in (Limits(max_tokens=300), Limits(max_cost_usd=0.0001)):
        policy = CodeActPolicy(model, Settings(limits), SYSTEM)
        with pytest.raises(BudgetError, match="the next request needs about"):
            asyncio.run(policy.act(EMPTY.with_task("t" * 400), ignored))
    assert model.requests == []


# --- condensation ------------------------------------------------------------------------------


def changed(before: tuple[Message, ...], after: tuple[Message, ...]) -> bool:
    """Whether observations were condensed; checks that beside it messages were only appended and left out."""
    if said_left_out(after) > said_left_out(before):
        return after[1] in before and changed(before[before.index(after[1]) :], after[1:])
    assert len(after) >= len(before)
    differ = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
    for old, new in differ:
        assert isinstance(old, ObservationMessage)
        assert isinstance(new, ObservationMessage)
        assert (new.call_id, new.is_error) == (old.call_id, old.is_error)
        assert isinstance(new.parts[0], Text)
        assert new.parts[0].text.startswith("[condensed] ")
        assert size((new,)) < size((old,))
    return bool(differ)


def said_left_out(request: tuple[Message, ...]) -> int:
    """How many steps are, as the request says."""
    first = request[0]
    part = first.parts[0] if isinstance(first, UserMessage) else None
    found = re.match(r"<note>([\d,]+) earlier steps", part.text) if isinstance(part, Text) else None
    return int(found[1].replace(",", "")) if found else 0


def run(model: CountingModel, outputs: list[int], config: Settings) -> tuple[Trajectory, list[int]]:
    """A run through all outputs in two turns; which requests condensed."""
    trajectory = ran(model, outputs, config)
    seen = [request.messages for request in model.requests]
    return trajectory, [n for n, pair in enumerate(pairwise(seen), 1) if changed(*pair)]


def ran(model: CountingModel, outputs: list[int], config: Settings) -> Trajectory:
    policy = CodeActPolicy(model, config, SYSTEM)
    trajectory = EMPTY.with_task("count the words")
    for index, chars in enumerate(outputs, start=1):
        trajectory = advance(trajectory, policy, printed(index, chars))
        if index == len(outputs) // 2:
            trajectory = trajectory.with_stop(Stop("answer")).with_task("and the lines")
    return trajectory


UNBOUNDED = Limits(max_steps=None, max_tokens=None)


@pytest.mark.parametrize("window", [30_000, 60_000, 200_000])
@pytest.mark.parametrize("reports", [True, False], ids=["usage", "no-usage"])
def test_two_hundred_steps_condense_at_most_ten_times_and_fit(window: int, reports: bool) -> None:
    model = CountingModel(window, reports)
    outputs = [random.Random(1).randrange(0, 30_000) for _ in range(200)]
    _, condensations = run(model, outputs, Settings(UNBOUNDED))
    assert condensations
    assert all(later - earlier >= 20 for earlier, later in pairwise(condensations))
    if reports:
        assert max(size(request.messages) for request in model.requests) < window


@settings(max_examples=25, deadline=None)
@given(
    outputs=st.lists(st.integers(0, 20_000), min_size=1, max_size=60),
    window=st.integers(5_000, 80_000),
    between=st.integers(1, 20),
    keep=st.integers(1, 8),
    reports=st.booleans(),
)
def test_requests_extend_each_other_and_a_resumed_run_builds_the_same(
    outputs: list[int], window: int, between: int, keep: int, reports: bool
) -> None:
    config = Settings(UNBOUNDED, context=ContextLimits(0.6, keep, between))
    model = CountingModel(window, reports)
    trajectory, condensations = run(model, outputs, config)
    assert all(later - earlier >= between for earlier, later in pairwise(condensations))

    for done in {
        len(outputs) - 1,
        len(outputs) // 2,
        *condensations[-1:],
    }:  # a process that starts afresh here
        turns, left = [], done
        for turn in trajectory.turns:
            if turns and left == 0 and done < len(outputs) // 2:
                break
            turns.append(replace(turn, steps=turn.steps[:left], stop=None))
            left -= len(turns[-1].steps)
        resumed = CodeActPolicy(CountingModel(window), config, SYSTEM).request(
            replace(trajectory, turns=tuple(turns))
        )
        assert resumed.messages == model.requests[done].messages


def test_a_context_that_stays_small_is_never_condensed() -> None:
    _, condensations = run(CountingModel(1_000_000), [500] * 60, Settings(UNBOUNDED))
    assert condensations == []


def test_the_last_observations_stay_in_full() -> None:
    model = CountingModel(100_000)
    trajectory, condensations = run(model, [11_000] * 40, Settings(UNBOUNDED))
    (first, *_) = condensations
    observed = [m for m in model.requests[first].messages if isinstance(m, ObservationMessage)]
    starts = [m.parts[0].text[:11] for m in observed if isinstance(m.parts[0], Text)]
    assert starts == ["[condensed]"] * (len(observed) - 6) + ["<status>ok,"] * 6
    assert observed[0].parts == (
        Text("[condensed] ok; 11,000 characters; names: v1; the full text is in _obs[2]"),
    )
    assert trajectory.steps[0].observation.text("stdout") == "x" * 11_000


def test_when_that_is_not_enough_only_the_last_one_stays() -> None:
    model = CountingModel(20_000)
    _, condensations = run(model, [12_000] * 8, Settings(UNBOUNDED))
    observed = [m for m in model.requests[condensations[0]].messages if isinstance(m, ObservationMessage)]
    starts = [m.parts[0].text[:11] for m in observed if isinstance(m.parts[0], Text)]
    assert starts == ["[condensed]"] * (len(observed) - 1) + ["<status>ok,"]
    assert 1 < len(observed) <= Settings().context.keep_last


def test_notes_survive_condensation() -> None:
    steps = [code_step(i, f"note {i}", observation=printed(i, 12_000)) for i in range(1, 30)]
    trajectory = replace(EMPTY.with_task("t"))
    for step in steps:
        trajectory = trajectory.with_step(step)
    context = Conversation(Settings(), 50_000, 0).context(trajectory)
    assert context.condensed > 0
    observed = [m for m in context.messages if isinstance(m, ObservationMessage)]
    assert [m.parts[-1] for m in observed] == [Text(note(step.notes[0])) for step in steps]


@pytest.mark.parametrize("reports", [True, False], ids=["usage", "no-usage"])
def test_where_one_liners_fill_the_window_the_oldest_steps_are_left_out(reports: bool) -> None:
    """The task at hand stays, what it was asked with too, and no observation stays without its reply."""
    model = CountingModel(8_000, reports)
    trajectory = ran(model, [300] * 500, Settings(UNBOUNDED))
    sizes = [size(request.messages) for request in model.requests]
    assert max(sizes) < 8_000 * (1.0 if reports else 1.5), "an endpoint counts more than we estimate"
    cuts = [n for n, (a, b) in enumerate(pairwise(model.requests), 1) if len(a.messages) > len(b.messages)]
    assert 2 < len(cuts) < 10, "rarely"
    for number in cuts:
        first, *rest = model.requests[number].messages
        left_out = sum(isinstance(one, AssistantMessage) for one in rest)
        assert said_left_out(model.requests[number].messages) == number - left_out
        assert isinstance(first, UserMessage)
        assert first.parts[-1] == Text("count the words" if number < 250 else "and the lines")
        kinds = [type(one) for one in rest if not isinstance(one, UserMessage)]
        assert kinds == [AssistantMessage, ObservationMessage] * (len(kinds) // 2)
    context = Conversation(Settings(UNBOUNDED), 8_000, len(SYSTEM) // 4).context(trajectory)
    assert context.left_out + sum(isinstance(one, AssistantMessage) for one in context.messages) == 500


@settings(max_examples=25, deadline=None)
@given(chars=st.lists(st.integers(0, 2_000), min_size=1, max_size=80), window=st.integers(3_000, 12_000))
def test_a_conversation_that_goes_on_is_the_one_made_afresh(chars: list[int], window: int) -> None:
    going_on = Conversation(Settings(UNBOUNDED), window, 100)
    trajectory = EMPTY.with_task("a")
    for index, count in enumerate(chars, 1):
        trajectory = trajectory.with_step(code_step(index, observation=printed(index, count)))
        if count % 7 == 0:
            answer = Reply(answer="7", raw="7" * count) if count % 2 else None
            trajectory = trajectory.with_stop(Stop("answer", reply=answer))
        if count % 5 == 0 or trajectory.stop is not None:
            trajectory = trajectory.with_task(OWN_CELL if count % 3 else "b")
        assert going_on.context(trajectory) == Conversation(Settings(UNBOUNDED), window, 100).context(
            trajectory
        )


def test_the_estimate_follows_recorded_usage_and_counts_images() -> None:
    picture = Display({"image/png": PIXEL})
    observation = Observation("ok", (picture, picture))
    reply = Reply(code="x", raw="[]", usage=Usage(1_000, 100, 5_000))
    trajectory = EMPTY.with_task("t" * 4000).with_step(Step(1, reply, Action("x"), observation))
    estimate = Conversation(Settings(), 100_000, 77).context(trajectory).tokens
    parts = digest(observation, OutputLimits())
    assert len(parts) == 3
    assert estimate == 6_100 + tokens(parts)
    assert tokens(parts[1:]) == 2 * IMAGE_TOKENS


def _pixel() -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")


PIXEL = _pixel()
