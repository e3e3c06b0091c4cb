"""What a kernel tells of watched functions is data of a stranger: bounded, and believed to be no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from codeact_kernel.frontends.skill_trial import Again, difference_of
from codeact_kernel.frontends.skill_watching import Watching
from codeact_kernel.skills.examples import Example, Watched
from codeact_kernel.trajectory import Action, Observation, Reply, Step
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall, ToolRequest
from codeact_kernel.wire.skill_watch import AGAIN, BEGAN, ENDED, MAX_WATCHED
from codeact_kernel.wire.tape import Tape

FETCH = ToolCall(1, 1, "fetch", (1,), {}, Returned(10))


def watched(
    *calls: tuple[str, Sequence[Json]], tape: Sequence[ToolCall] = (), drifted: bool = False
) -> Watched:
    watching = Watching(["f"])
    step = Step(1, Reply(code="f()"), Action("f()"), Observation("ok"))
    handler = watching.handler(Tape(tape), step)

    async def told() -> None:
        for number, (tool, args) in enumerate(calls):
            await handler.call(ToolRequest(number, tool, tuple(args), {}))

    asyncio.run(told())
    watching.step_done(1, drifted=drifted)
    return watching.functions["f"]


def test_a_call_with_the_tools_that_it_calls() -> None:
    found = watched(
        (BEGAN, [1, "f", [1], {"k": 2}]), ("fetch", [1]), (ENDED, [1, {"returns": 10}]), tape=[FETCH]
    )
    assert found.examples == [Example(1, (1,), {"k": 2}, 10, (FETCH,))]
    assert found.refused == {}


@pytest.mark.parametrize(
    ("calls", "refused"),
    [
        ([(BEGAN, [1, "f", [], {}])], {"did not come to its end": 1}),
        (
            [(BEGAN, [1, "f", None, "is large"]), (ENDED, [1, {"returns": 1}])],
            {"is large": 1},
        ),
        ([(BEGAN, [1, "f", None, ["no text"]]), (ENDED, [1, {"returns": 1}])], {"cannot be told": 1}),
        ([(BEGAN, [1, "f", {}, []]), (ENDED, [1, {"returns": 1}])], {"cannot be told": 1}),
        ([(BEGAN, [1, "f", [], {}]), (ENDED, [1, {"refused": "y" * 9_000}])], {"y" * 100: 1}),
        ([(BEGAN, [1, "f", [], {}]), (ENDED, [1, {}])], {"cannot be told": 1}),
        ([(BEGAN, [1, "f", ["x" * 200_000], {}]), (ENDED, [1, {"returns": 1}])], {"has a large value": 1}),
        ([(BEGAN, [1, "f", [], {}]), (ENDED, [1, {"returns": "x" * 200_000}])], {"cannot be told": 1}),
        (
            [
                (BEGAN, [1, "f", [], {}]),
                (BEGAN, [2, "f", [], {}]),
                ("fetch", [1]),
                (ENDED, [1, {"returns": 1}]),
                (ENDED, [2, {"returns": 1}]),
            ],
            {"ran at the same time as another call of it, and tools were called": 2},
        ),
    ],
)
def test_calls_that_are_no_examples(calls: list[tuple[str, Sequence[Json]]], refused: dict[str, int]) -> None:
    found = watched(*calls, tape=[FETCH])
    assert (found.examples, found.refused) == ([], refused)


@pytest.mark.parametrize(
    "args",
    [[], [1], ["1", "f", [], {}], [1, "g", [], {}], [1, "f", []], [None] * 4, [1, 2, [], {}]],
)
def test_what_is_no_word_of_ours_is_passed_over(args: list[Json]) -> None:
    for tool in (BEGAN, ENDED):
        found = watched((tool, args))
        assert (found.examples, found.refused) == ([], {})


def test_a_flood_is_bounded() -> None:
    begun = [(BEGAN, [n, "f", [], {}]) for n in range(10_000)]
    ended = [(ENDED, [n, {"returns": n}]) for n in range(10_000)]
    found = watched(*begun, *ended)
    assert len(found.examples) == MAX_WATCHED


def test_a_function_within_another_has_its_calls_too() -> None:
    watching = Watching(["f", "g"])
    handler = watching.handler(Tape([FETCH]), Step(1, Reply(code=""), Action(""), Observation("ok")))
    told: list[tuple[str, list[Json]]] = [
        (BEGAN, [1, "f", [], {}]),
        (BEGAN, [2, "g", [1], {}]),
        ("fetch", [1]),
        (ENDED, [2, {"returns": 10}]),
        (ENDED, [1, {"returns": 11}]),
    ]

    async def tell() -> None:
        for tool, args in told:
            await handler.call(ToolRequest(1, tool, tuple(args), {}))

    asyncio.run(tell())
    assert watching.functions["f"].examples == [Example(1, (), {}, 11, (FETCH,))]
    assert watching.functions["g"].examples == [Example(1, (1,), {}, 10, (FETCH,))]


def test_a_step_that_drifted_shows_nothing() -> None:
    found = watched((BEGAN, [1, "f", [], {}]), (ENDED, [1, {"returns": 1}]), drifted=True)
    assert (found.examples, found.calls) == ([], 1)
    assert found.refused == {"was in a step that did not run as it was recorded": 1}


def test_a_trial_answers_from_its_example_and_compares() -> None:
    again = Again(Example(3, (1,), {"k": None}, [1, 2], (FETCH,)))

    async def ask(tool: str, *args: Json) -> object:
        return await again.call(ToolRequest(1, tool, args, {}))

    assert asyncio.run(ask(AGAIN, 1)) == Returned([[1], {"k": None}])
    assert again.difference == "it gave nothing"
    assert asyncio.run(ask("fetch", 1)) == Returned(10)
    missed = asyncio.run(ask("fetch", 2))
    assert isinstance(missed, Raised)
    assert missed.type == "LookupError"
    asyncio.run(ask(ENDED, 1, {"returns": [2, 1]}))
    assert again.difference == "it gave [2,1] and not [1,2]"
    asyncio.run(ask(ENDED, 1, {"returns": [1, 2]}))
    assert again.difference == ""
    assert difference_of(1, [1, {"refused": "raised ValueError"}]) == "it raised ValueError"
    assert difference_of(1, [1, "nonsense"]) == "it gave nothing"
