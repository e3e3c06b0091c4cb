"""Replay: a real run agrees with itself, and each kind of edit of its notebook is found for what it is."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel import Agent, Limits, SandboxProfile, ScriptedModel
from codeact_kernel.comparison import hash_text, output_diff, shown_lines
from codeact_kernel.config import Settings
from codeact_kernel.exceptions import NotebookError
from codeact_kernel.frontends.replaying import limits_of, replay_notebook
from codeact_kernel.inert.svg import MATPLOTLIB
from codeact_kernel.normal_forms import normalise
from codeact_kernel.outputs import Display, Error, Finished, Result, Shown, Stream
from codeact_kernel.replay import Drift, ReplayReport, StepVerdict, counted, replay, up_to
from codeact_kernel.sandbox.fake import Call, FakeExecutor, Moves
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory, Turn, Verdict
from codeact_kernel.wire.messages import Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

# --- on a fake executor ------------------------------------------------------------------------


def step(index: int, source: str, *shown: Shown, calls: tuple[ToolCall, ...] = (), **more: Any) -> Step:
    status = "error" if any(isinstance(item, Error) for item in shown) else "ok"
    observation = Observation(**{"status": status, "shown": shown, "tool_calls": calls, **more})
    return Step(index, Reply(code=source), Action(source), observation)


def verdicts(script: Callable[[str], Moves], *steps: Step) -> list[StepVerdict]:
    async def main() -> list[StepVerdict]:
        executor = FakeExecutor(script)
        await executor.start("setup")
        trajectory = Trajectory(RunInfo("r", "m", "", "setup"), (Turn("t", steps),))
        async with aclosing(replay(executor, trajectory)) as found:
            return [verdict async for verdict in found]

    return asyncio.run(main())


def kinds(found: list[StepVerdict]) -> list[list[str]]:
    return [[drift.kind for drift in verdict.drifts] for verdict in found]


def shows(*moves: Any) -> Callable[[str], Moves]:
    return lambda source: moves


OUT = Stream("stdout", "hello\n")
BAD = Error("ValueError", "no")
CALL = ToolCall(1, 1, "pay", (5,), {}, Returned(1))
PNG = Display({"image/png": "iVBORw0KGgpoZWxsbw==", "text/plain": "<Figure at 0x7f0011223344>"})


@pytest.mark.parametrize(
    ("recorded", "now", "expected"),
    [
        (step(1, "c", OUT), (OUT,), []),
        (step(1, "c", OUT), (Stream("stdout", "hel"), Stream("stdout", "lo\n")), []),
        (step(1, "c", OUT), (Stream("stdout", "hi\n"),), ["output"]),
        (step(1, "c", OUT), (Stream("stderr", "hello\n"),), ["output"]),
        (step(1, "c", OUT), (), ["output"]),
        (step(1, "c", BAD), (BAD,), []),
        (step(1, "c", BAD), (Error("ValueError", "yes"),), ["code"]),
        (step(1, "c", BAD), (), ["code"]),
        (step(1, "c"), (BAD,), ["code"]),
        (step(1, "c"), (Finished("killed", "gone"),), ["code"]),
        (step(1, "c", calls=(CALL,)), (Call("pay", (5,)),), []),
        (step(1, "c", calls=(CALL,)), (Call("pay", (6,)),), ["tool"]),
        (step(1, "c", calls=(CALL,)), (Call("lend", (5,)),), ["tool", "tool"]),
        (step(1, "c", calls=(CALL,)), (Call("pay", (5,)), Call("pay", (5,))), ["tool"]),
        (step(1, "c", calls=(CALL,)), (), ["tool"]),
        (step(1, "c", PNG), (Display({**PNG.data, "text/plain": "<Figure at 0x7fffffffffff>"}),), []),
        (step(1, "c", PNG), (Display({**PNG.data, "image/png": "iVBORw0KGgp3b3JsZA=="}),), ["output"]),
        (step(1, "c", Result({"text/plain": "1"}, 2)), (Result({"text/plain": "1"}, 9),), []),
        (step(1, "c", Result({"text/plain": "1"}, 2)), (Result({"text/plain": "2"}, 2),), ["output"]),
    ],
)
def test_each_difference_has_its_kind(recorded: Step, now: tuple[Any, ...], expected: list[str]) -> None:
    assert kinds(verdicts(shows(*now), recorded)) == [expected]


def test_a_recorded_stop_is_raised_again_and_nothing_of_it_is_compared() -> None:
    killed = step(1, "hang", OUT, calls=(CALL,), status="killed", reason="it hung")
    sources: list[str] = []

    def script(source: str) -> Moves:
        sources.append(source)
        yield Error("KernelKilled", "it hung")

    assert kinds(verdicts(script, killed)) == [[]]
    assert sources == ['%%recorded {"status": "killed", "ename": "KernelKilled", "evalue": "it hung"}\nhang']
    assert kinds(verdicts(shows(OUT), killed)) == [["code"]]


def test_steps_after_a_kill_were_not_run() -> None:
    found = verdicts(shows(Finished("killed", "gone")), step(1, "a"), step(2, "b"))
    assert [verdict.index for verdict in found] == [1, 2]
    assert kinds(found) == [["code"], ["code"]]
    assert "not run" in found[1].drifts[0].detail


def test_steps_without_an_action_are_not_run() -> None:
    silent = Step(2, Reply(problem="cut off"), None, Observation("error"))
    assert [v.index for v in verdicts(shows(), step(1, "a"), silent, step(3, "b"))] == [1, 3]


REFUND = ToolCall(1, 1, "refund", (7,), {"amount": 40}, Returned(None))
DOUBT = ToolCall(1, 2, "pay", (5,), {}, None)


@pytest.mark.parametrize(
    ("recorded", "now", "said"),
    [
        (
            (REFUND,),
            (Call("refund", (7,), {"amount": 50}),),
            ["refund(7, amount=40): argument 'amount': 40 → 50"],
        ),
        ((CALL,), (Call("pay", (5,)), Call("pay", (5,))), ["called more often than it was recorded: pay(5)"]),
        ((CALL,), (Call("pay", (5,)), Call("pay", (6,))), ["called now, and not recorded: pay(6)"]),
        ((CALL, DOUBT), (Call("pay", (5,)),), ["recorded, but not called again: pay(5)"]),
        ((DOUBT,), (Call("pay", (5,)),), ["in doubt, it was begun and no outcome was recorded: pay(5)"]),
        (
            (CALL, REFUND),
            (Call("refund", (8,)), Call("pay", (6,)), Call("pay", (7,))),
            [
                "refund(7, amount=40): argument 1: 7 → 8; argument 'amount': 40 → (absent)",
                "pay(5): argument 1: 5 → 6",
                "called now, and not recorded: pay(7)",
            ],
        ),
    ],
)
def test_calls_that_differ_are_told_by_what_became_of_them(
    recorded: tuple[ToolCall, ...], now: tuple[Call, ...], said: list[str]
) -> None:
    (found,) = verdicts(shows(*now), step(1, "c", calls=recorded))
    assert [(drift.kind, drift.detail) for drift in found.drifts] == [("tool", text) for text in said]


def test_a_call_that_is_large_is_told_and_not_kept() -> None:
    (found,) = verdicts(shows(Call("pay", ("x" * 100_000,))), step(1, "c", calls=(CALL,)))
    assert [drift.kind for drift in found.drifts] == ["tool", "tool"]
    assert all(len(drift.detail) < 1000 for drift in found.drifts)


def test_calls_without_end_are_counted() -> None:
    asked = [Call("pay", (number,)) for number in range(4000)]
    unused = tuple(ToolCall(1, n, "lend", (n,), {}, Returned(1)) for n in range(1, 1001))
    (found,) = verdicts(shows(*asked), step(1, "c", calls=unused))
    assert len(found.drifts) == 21
    assert found.drifts[-1] == Drift("tool", "… and 4,980 more")


def test_sets_and_packed_images_are_compared_by_what_they_say() -> None:
    one, two = Result({"text/plain": "{'b', 'a'}"}, 2), Result({"text/plain": "{'a', 'b'}"}, 2)
    said = Error("KeyError", "{2, 1}"), Error("KeyError", "{1, 2}")
    assert kinds(verdicts(shows(two, said[1]), step(1, "c", one, said[0]))) == [[]]
    lists = Result({"text/plain": "['b', 'a']"}, 2), Result({"text/plain": "['a', 'b']"}, 2)
    assert kinds(verdicts(shows(lists[1]), step(1, "c", lists[0]))) == [["output"]]


def test_random_ids_do_not_count() -> None:
    def drawn(one: str) -> tuple[Shown, ...]:
        svg = f'<svg><style>{MATPLOTLIB}</style><path id="m{one * 2}"/><use href="#m{one * 2}"/></svg>'
        return Display({"image/svg+xml": svg}), Display({"text/html": f'<table id="T_{one}"></table>'})

    assert kinds(verdicts(shows(*drawn("12345")), step(1, "c", *drawn("abcde")))) == [[]]


def test_svg_is_compared_beside_a_text() -> None:
    svg = Display({"image/svg+xml": "<svg><text>1</text></svg>", "text/plain": "<SVG>"})
    other = Display({"image/svg+xml": "<svg><text>2</text></svg>", "text/plain": "<SVG>"})
    assert kinds(verdicts(shows(svg), step(1, "c", svg))) == [[]]
    assert kinds(verdicts(shows(other), step(1, "c", svg))) == [["output"]]


def test_a_replay_stops_where_it_is_asked_to() -> None:
    ran: list[str] = []

    def script(source: str) -> Moves:
        ran.append(source)
        return ()

    run = Trajectory(
        RunInfo("r", "m", "", "setup"), (Turn("t", (step(1, "a"), step(2, "b"))), Turn("u", (step(3, "c"),)))
    )

    async def main(to: int) -> list[int]:
        executor = FakeExecutor(script)
        await executor.start("setup")
        return [verdict.index async for verdict in replay(executor, run, to=to)]

    assert [asyncio.run(main(to)) for to in (0, 2, 9)] == [[], [1, 2], [1, 2, 3]]
    assert ran == ["a", "b", "a", "b", "c"]


def test_a_cell_that_was_added_by_hand_is_run_in_its_place() -> None:
    """It has a number behind all others."""
    steps = (step(1, "a"), step(4, "added"), step(2, "b"), step(3, "c"))
    run = Trajectory(RunInfo("r", "m", "", "setup"), (Turn("t", steps[:2]), Turn("u", steps[2:])))
    assert [each.index for each in up_to(run, 2).steps] == [1, 4, 2]
    assert [each.index for each in up_to(run, 1).steps] == [1]
    found = verdicts(lambda source: [Finished("killed", "gone")] if source == "added" else [], *steps)
    assert [(verdict.index, verdict.ran) for verdict in found] == [
        (1, True),
        (4, True),
        (2, False),
        (3, False),
    ]


def test_a_long_difference_is_cut() -> None:
    lines = "".join(f"{i}\n" for i in range(1000))
    (found,) = verdicts(shows(), step(1, "c", Stream("stdout", lines)))
    assert len(found.drifts[0].detail.splitlines()) == 21
    assert "more lines" in found.drifts[0].detail


@pytest.mark.parametrize(
    ("drift_kinds", "code"),
    [([], 0), (["output"], 12), (["tool"], 11), (["output", "tool"], 11), (["output", "code", "tool"], 10)],
)
def test_the_exit_code_is_of_the_gravest_drift(drift_kinds: list[Any], code: int) -> None:
    steps = tuple(StepVerdict(i, (Drift(kind, ""),)) for i, kind in enumerate(drift_kinds, 1))
    report = ReplayReport((StepVerdict(0), *steps))
    assert report.exit_code == code
    assert report.agrees == (code == 0)


PROFILE = (Drift("profile", "python: 3.11 → 3.12"),)
OUTPUT = (StepVerdict(1, (Drift("output", ""),)),)


@pytest.mark.parametrize(
    ("report", "asked", "code", "found", "left"),
    [
        (ReplayReport((), PROFILE), {}, 0, (), ("profile",)),
        (ReplayReport((), PROFILE), {"strict": True}, 13, ("profile",), ()),
        (ReplayReport(OUTPUT, PROFILE), {"strict": True}, 12, ("output", "profile"), ()),
        (
            ReplayReport(OUTPUT, PROFILE),
            {"strict": True, "excepted": ["output"]},
            13,
            ("profile",),
            ("output",),
        ),
        (ReplayReport(OUTPUT), {"excepted": ["output"]}, 0, (), ("output",)),
        (ReplayReport(OUTPUT, (), ("so",)), {"excepted": ["tool"]}, 12, ("output",), ()),
    ],
)
def test_what_counts_is_chosen(
    report: ReplayReport, asked: dict[str, Any], code: int, found: tuple[str, ...], left: tuple[str, ...]
) -> None:
    report = replace(report, counted=counted(**asked))
    assert (report.exit_code, report.agrees, report.kinds, report.uncounted) == (code, not code, found, left)
    status = "drift" if code else "identical"
    assert report.verdict() == Verdict(status, report.kinds, remarks=report.remarks)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("<object at 0x7f1234567890>", "<object at 0x7fffffffffff>"),
        ("/tmp/codeact-402653-77-ab_c1/work/x.csv", "/var/tmp/codeact-402653-1234-zz/work/x.csv"),
        ("Wall time: 3 ms", "Wall time: 99 s"),
        ("1 µs ± 2 ns per loop (mean ± std. dev. of 7)", "4 µs ± 5 ns per loop (mean ± std. dev. of 7)"),
    ],
)
def test_what_no_re_run_can_make_equal_is_normalised(text: str, same: str) -> None:
    assert normalise(text) == normalise(same)


@pytest.mark.parametrize(("text", "other"), [("0x10", "0x11"), ("x = 1", "x = 2"), ("a 12 s", "a 13 s")])
def test_what_a_program_says_is_not_normalised(text: str, other: str) -> None:
    assert normalise(text) != normalise(other)
    assert hash_text(text) != hash_text(other)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/a/b /tmp/codeact-1-2-x/y:/tmp/codeact-1-2-z '/c'", "/a/b <session><session> '/c'"),
        ("/a/codeact-1/b/codeact-1-2-x/codeact-3-4-", "<session>/codeact-3-4-"),
        ("/codeact-1-2-x", "/codeact-1-2-x"),
        ("a ± b ± c per loop (mean ± std. dev. 1)\n ± d", "… per loop\n ± d"),
        (" ± per loop (mean ± std. dev. 1)", " ± per loop (mean ± std. dev. 1)"),
    ],
)
def test_what_is_normalised_is_found_wherever_it_stands(text: str, normal: str) -> None:
    assert normalise(text) == normal


MANY = 200_000
HOSTILE = {
    "paths": "/" * MANY,
    "words": "/ " * MANY + "/codeact-",
    "almost": "/codeact-1-" * MANY,
    "timeit": " ± " * MANY,
    "address": "0x" + "f" * MANY + "g",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_normalising_costs_its_length(name: str) -> None:
    """With the square of it, each of these would take minutes."""
    began = time.thread_time()
    normalise(HOSTILE[name])
    assert time.thread_time() - began < 1


def drift(old: str, new: str) -> list[str]:
    return output_diff((Stream("stdout", old),), (Stream("stdout", new),))


def test_comparing_outputs_takes_bounded_time() -> None:
    numbers = random.Random(1)
    old, new = ("\n".join(str(numbers.randrange(150)) for _ in range(40_000)) for _ in range(2))
    began = time.thread_time()
    lines = drift(old, new)
    assert time.thread_time() - began < 2
    assert len(lines) == 21
    assert int(lines[-1].split()[1]) > 39_800


def test_a_difference_far_down_is_shown_where_it_is() -> None:
    lines = [f"{n}\n" for n in range(5000)]
    new = [*lines[:3000], "new\n", *lines[3000:]]
    assert drift("".join(lines), "".join(new)) == [
        "--- recorded",
        "+++ now",
        "@@ -3000,2 +3000,3 @@",
        " stdout: 2999",
        "+stdout: new",
        " stdout: 3000",
    ]
    assert drift("".join(lines), "".join(lines[1:]))[2:] == ["@@ -1,2 +1 @@", "-stdout: 0", " stdout: 1"]
    assert drift("", "a") == ["--- recorded", "+++ now", "@@ -0,0 +1 @@", "+stdout: a"]


def test_lines_beyond_any_number_are_compared_as_a_whole() -> None:
    old = "x\n" * 400_000
    assert drift(old, old) == []
    assert "more characters" in "".join(drift(old, old[:-2] + "y\n"))
    assert len(list(shown_lines((Stream("stdout", old), Stream("stderr", old))))) < 300_000


@pytest.mark.parametrize(
    ("given", "recorded", "limit"),
    [
        (120.0, 300.0, 300.0),  # Not named by the user: a step took that long then.
        (120.0, 1e9, 1200.0),
        (120.0, float("inf"), 1200.0),
        (120.0, float("nan"), 120.0),
        (120.0, -5, 120.0),
        (120.0, 10, 120.0),
        (120.0, None, 120.0),
        (120.0, True, 120.0),
        (120.0, "9", 120.0),
        (2.0, 300.0, 2.0),
        (500.0, 1e9, 500.0),
        (None, 3.0, None),
    ],
)
def test_a_notebook_lengthens_no_limit_that_the_user_has_named(
    given: float | None, recorded: Any, limit: float | None
) -> None:
    assert Limits().step_timeout_s == 120.0
    assert limits_of(Limits(step_timeout_s=given), recorded).step_timeout_s == limit


# --- on a real kernel --------------------------------------------------------------------------

STEPS = [
    "total = fetch(1) + fetch(2)\nprint(total)",
    "import asyncio\nprint(await asyncio.gather(*(fetch(n) for n in (3, 4, 3))))",
    "fetch('many')",
    "print('about to hang')\nkept = 1\nwhile True: pass",
    "import ctypes\nprint('last words', flush=True)\nctypes.string_at(0)",
    "import pathlib\nprint(object(), pathlib.Path.cwd())\n{'total': total}",
    "final_answer(total)",
]


class Recorded:
    """A notebook, and the calls that its tool got while it was made."""

    def __init__(self, folder: Path) -> None:
        self.calls: list[int] = []
        self.path = folder / "run.ipynb"
        model = ScriptedModel([{"thought": "So.", "code": source} for source in STEPS])
        limits = Limits(step_timeout_s=1, interrupt_grace_s=5)
        profile = SandboxProfile(allow_imports=("ctypes",))
        with Agent([self.fetch], model=model, limits=limits, profile=profile, out=self.path) as agent:
            run = agent.run_sync("fetch")
        self.made = list(self.calls)
        self.statuses = [step.observation.status for step in run.trajectory.steps]

    def fetch(self, n: int) -> int:
        """Ten times n."""
        self.calls.append(n)
        return 10 * n

    def edited(self, folder: Path, old: str, new: str, kind: str) -> Path:
        """A copy in which the one cell of `kind` that has `old` has `new` instead, outputs included."""
        notebook = json.loads(self.path.read_text())
        found = 0
        for cell in notebook["cells"]:
            if cell["metadata"].get("codeact", {}).get("kind") != kind or cell["cell_type"] != "code":
                continue
            for holder in (cell, *cell["outputs"]):
                for key in ("source", "text"):
                    text = "".join(holder.get(key, ""))
                    if old in text:
                        holder[key] = text.replace(old, new)
                        found += 1
        assert found == 1
        copy = folder / "edited.ipynb"
        copy.write_text(json.dumps(notebook))
        return copy


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("recorded"))


@pytest.mark.kernel
def test_a_run_with_errors_timeouts_kills_and_gather_agrees_with_itself(recorded: Recorded) -> None:
    assert recorded.statuses == ["ok", "ok", "error", "timeout", "killed", "ok", "ok"]
    assert sorted(recorded.made) == [1, 2, 3, 3, 4]
    seen: list[tuple[StepVerdict, object]] = []
    report = replay_notebook(
        recorded.path,
        on_event=lambda verdict: seen.append((verdict, threading.current_thread())),
        strict=True,
    )
    assert [(v.index, v.drifts, v.ran) for v in report.steps] == [
        (i, (), i not in (4, 5)) for i in range(1, 8)
    ]
    assert (report.agrees, report.exit_code, report.profile) == (True, 0, ())
    assert report.remarks == (
        "step 4 timed out when it was recorded and was not run again: the state after it may differ",
        "step 5 was killed when it was recorded and was not run again: what it had done is missing",
    )
    assert seen == [(verdict, threading.main_thread()) for verdict in report.steps]
    assert recorded.calls == recorded.made  # No tool was called again.


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("old", "new", "kind", "code", "step_index", "words"),
    [
        ("print(total)", "print(total + 1)", "step", 12, 1, "+stdout: 31"),
        ("30\n", "29\n", "step", 12, 1, "-stdout: 29"),
        ("print(total)", "print(totals)", "step", 10, 1, "NameError"),
        ("print(total)", "print(total)\ntry: fetch(9)\nexcept LookupError: pass", "step", 11, 1, "fetch(9)"),
        ("total = fetch(1) + fetch(2)", "total = fetch(1) + 20", "step", 11, 1, "not called again: fetch(2)"),
        (
            '"args":[2],"kwargs":{},"returns":20',
            '"args":[2],"kwargs":{},"returns":21',
            "setup",
            11,
            1,
            "+stdout: 31",
        ),
        ('"args":[4],', '"args":[5],', "setup", 11, 2, "fetch(5): argument 1: 5 → 4"),
        ("print(object()", "import ctypes; ctypes.string_at(0)\nprint(object()", "step", 10, 6, "killed"),
    ],
    ids=["action", "output", "error", "more calls", "fewer calls", "result", "arguments", "crash"],
)
def test_an_edit_is_found(
    recorded: Recorded,
    tmp_path: Path,
    old: str,
    new: str,
    kind: str,
    code: int,
    step_index: int,
    words: str,
) -> None:
    report = replay_notebook(recorded.edited(tmp_path, old, new, kind))
    assert report.exit_code == code
    first = next(verdict for verdict in report.steps if not verdict.agrees)
    assert first.index == step_index
    assert any(words in drift.detail for drift in first.drifts), first.drifts
    assert recorded.calls == recorded.made


def test_what_is_no_notebook_of_ours_is_refused(tmp_path: Path) -> None:
    for name, text in {"a.ipynb": "{", "b.ipynb": '{"nbformat": 4, "metadata": {}, "cells": []}'}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(NotebookError, match=name):
            replay_notebook(tmp_path / name)
    with pytest.raises(NotebookError, match="missing"):
        replay_notebook(tmp_path / "missing.ipynb")


@pytest.mark.kernel
def test_the_users_limit_ends_a_step_of_a_notebook_that_asks_for_more() -> None:
    slow = step(1, "import time\ntime.sleep(30)")
    trajectory = Trajectory(
        RunInfo("r", "m", "", setup_source(SetupSpec("r")), limits={"step_timeout_s": 1e9}),
        (Turn("t", (slow,)),),
    )
    limits = Limits(step_timeout_s=0.5, interrupt_grace_s=1)
    began = time.monotonic()
    report = replay_notebook(trajectory, settings=Settings(limits=limits))
    assert time.monotonic() - began < 15
    assert [drift.kind for drift in report.steps[0].drifts] == ["code"]


@pytest.mark.kernel
def test_identical_concurrent_calls_get_their_answers_in_recorded_order() -> None:
    code = "import asyncio\nprint(await asyncio.gather(*(fetch(n) for n in (1, 2, 1, 1))))"
    answers = [(1, 10), (2, 20), (1, 11), (1, 12)]
    calls = tuple(
        ToolCall(1, i, "fetch", (n,), {}, Returned(value)) for i, (n, value) in enumerate(answers, 1)
    )
    setup = setup_source(SetupSpec("r", tools=(ToolSpec("fetch", (ToolParameter("n"),)),)))
    shown = step(1, code, Stream("stdout", "[10, 20, 11, 12]\n"), calls=calls)
    run = Trajectory(RunInfo("r", "m", "", setup), (Turn("t", (shown,)),))
    assert replay_notebook(run, strict=True).agrees
