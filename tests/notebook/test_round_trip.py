"""Whatever a run was, the notebook and the journal give it back exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.inert.markup import inert_html
from codeact_kernel.inert.svg import inert_svg
from codeact_kernel.notebook.codec import from_json, to_json
from codeact_kernel.notebook.journal import JournalRecorder, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Error, Result, Stream, WorkspaceFile
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

NO_SECRETS = Redactor({})
# JSON writes two lone surrogates as one character; tool values guard against it, texts need not.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
floats = st.floats(0, 1e6, allow_nan=False)
counts = st.integers(0, 10**9)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
large = st.integers(2_000, 4_000).map(lambda size: ["large"] * size)
outcomes = st.none() | st.builds(Returned, values | large) | st.builds(Raised, names, texts)
bundles = st.fixed_dictionaries(
    {},
    optional={
        "text/plain": texts,
        "text/html": texts.map(lambda text: inert_html(text) or "x"),
        "image/png": st.just("iVBORw0KGgo="),
        "application/json": values,
        "image/svg+xml": st.just(inert_svg("<svg><g id='a'/></svg>")),
        "application/vnd.codeact.digest": texts,
    },
)
objects = st.dictionaries(names, values, max_size=2)
shown = st.lists(
    st.builds(Stream, st.sampled_from(["stdout", "stderr"]), texts)
    | st.builds(Display, bundles, st.just({}), st.none() | names)
    | st.builds(Result, bundles, st.integers(0, 99))
    | st.builds(Error, names, texts, st.lists(texts, max_size=2).map(tuple)),
    max_size=4,
).map(tuple)
usages = st.builds(Usage, counts, counts, counts, counts)
setups = st.builds(
    SetupSpec,
    names,
    st.lists(names, max_size=2).map(tuple),
    st.lists(
        st.builds(
            ToolSpec,
            names,
            st.lists(st.builds(ToolParameter, names), max_size=2).map(tuple),
            texts,
            texts,
            effect=st.sampled_from(["read", "write"]),
        ),
        max_size=2,
    ).map(tuple),
).map(setup_source)
parents = st.builds(Parent, names, counts, names, texts)
infos = st.builds(
    RunInfo,
    names,
    texts,
    texts,
    setups | texts,
    st.dictionaries(names, texts),
    objects,
    objects,
    parent=st.none() | parents,
    masks=st.lists(names, max_size=2).map(tuple),
)
stops = st.builds(
    Stop,
    st.sampled_from(["answer", "max_steps", "interrupted"]),
    texts,
    values,
    st.none()
    | st.builds(Reply, texts, st.none(), texts, st.none(), texts, st.none() | texts, usages, floats),
)


verdicts = st.none() | st.builds(
    Verdict,
    st.sampled_from(["identical", "drift", "unverified"]),
    st.lists(st.sampled_from(["code", "tool", "output", "profile"]), max_size=2).map(tuple),
    texts,
    st.lists(texts, max_size=2).map(tuple),
)


@st.composite
def steps(draw: st.DrawFn, index: int) -> Step:
    calls = tuple(
        ToolCall(
            *(index, number, draw(names), tuple(args), draw(objects), draw(outcomes), draw(floats)),
            approved_by=draw(st.just("") | texts),
            denied_by=draw(st.just("") | texts),
            edited=draw(st.none() | st.tuples(st.lists(values, max_size=2).map(tuple), objects)),
        )
        for number, args in enumerate(draw(st.lists(st.lists(values, max_size=2), max_size=3)), 1)
    )
    observation = draw(
        st.builds(
            Observation,
            st.sampled_from(["ok", "error", "timeout", "killed"]),
            shown,
            st.none() | texts,
            st.none() | st.integers(0, 99),
            st.lists(names, max_size=2).map(tuple),
            st.just(calls),
            st.lists(st.builds(Refusal, st.sampled_from(["import", "magic"]), texts), max_size=1).map(tuple),
            floats,
            st.booleans(),
            st.lists(st.builds(WorkspaceFile, texts, counts, names), max_size=2).map(tuple),
            st.booleans(),
        )
    )
    code = draw(st.none() | texts)
    reply = draw(
        st.builds(Reply, texts, st.just(code) | texts, st.none(), st.none() | texts, texts, usage=usages)
    )
    action = None if code is None else Action(code)
    started = draw(st.sampled_from(["", "2026-11-22T10:00:00.5+00:00", "not a time"]))
    return Step(index, reply, action, observation, draw(st.lists(texts, max_size=2).map(tuple)), started)


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    index, turns = 0, []
    for size in draw(st.lists(st.integers(0, 3), max_size=3)):
        made = tuple(draw(steps(index + number)) for number in range(1, size + 1))
        index += size
        notes = draw(st.lists(texts, max_size=1).map(tuple))
        turns.append(Turn(draw(texts), made, draw(st.none() | stops), notes))
    return Trajectory(draw(infos), tuple(turns), draw(verdicts))


def record(trajectory: Trajectory, path: Path) -> JournalRecorder:
    """The trajectory as a loop would record it, call by call."""
    recorder = JournalRecorder(path, NO_SECRETS)
    recorder.begin(trajectory.info)
    for turn in trajectory.turns:
        recorder.begin_turn(turn.task, turn.notes)
        for step in turn.steps:
            recorder.begin_step(step.index, step.reply)
            for call in step.observation.tool_calls:
                recorder.tool_intent(replace(call, outcome=None, duration_s=0.0))
            for call in reversed(step.observation.tool_calls):
                if call.outcome is not None:
                    recorder.tool_outcome(call)
            recorder.end_step(step)
        if turn.stop is not None:
            recorder.end_turn(turn.stop)
    recorder.close()
    return recorder


# A composite of many small strategies is slow to draw from, not to shrink or to run.
thorough = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@thorough
@given(trajectories())
def test_codec_is_lossless(trajectory: Trajectory) -> None:
    assert from_json(Trajectory, json.loads(json.dumps(to_json(trajectory)))) == trajectory


@thorough
@given(trajectories())
def test_notebook_is_valid_and_lossless(trajectory: Trajectory) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.ipynb"
        write(trajectory, path, NO_SECRETS)
        nbformat.validate(nbformat.read(path, as_version=4))
        assert load(path) == trajectory
        text = path.read_bytes()
        write(load(path), path, NO_SECRETS)
        assert path.read_bytes() == text


@thorough
@given(trajectories())
def test_a_notebook_saved_again_by_a_front_end_is_the_same_run(trajectory: Trajectory) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.ipynb"
        write(trajectory, path, NO_SECRETS)
        # nbformat reads and writes as jupyter_server does when JupyterLab saves.
        nbformat.write(nbformat.read(path, as_version=4), path)
        assert load(path) == trajectory


@thorough
@given(trajectories())
def test_journal_is_lossless(trajectory: Trajectory) -> None:
    # A journal is of a run that goes on, which has no verdict yet.
    settled = replace(trajectory, turns=tuple(map(with_journalled_durations, trajectory.turns)), verdict=None)
    with TemporaryDirectory() as folder:
        assert read_journal(record(settled, Path(folder) / "run.ipynb").journal) == settled


@thorough
@given(trajectories())
def test_rendering_is_a_function_of_the_trajectory(trajectory: Trajectory) -> None:
    first, second = (
        render(trajectory),
        render(from_json(Trajectory, json.loads(json.dumps(to_json(trajectory))))),
    )
    assert nbformat.writes(first) == nbformat.writes(second)
    ids = [cell.id for cell in first.cells]
    assert len(set(ids)) == len(ids)


def with_journalled_durations(turn: Turn) -> Turn:
    """A call in doubt took no time that anybody knows."""

    def known(call: ToolCall) -> ToolCall:
        return call if call.outcome is not None else replace(call, duration_s=0.0)

    def settle(step: Step) -> Step:
        calls = tuple(map(known, step.observation.tool_calls))
        return replace(step, observation=replace(step.observation, tool_calls=calls))

    return replace(turn, steps=tuple(map(settle, turn.steps)))


@pytest.mark.parametrize(
    "text", ["\ud800 alone", "\x00\x1b[31m", "\u2028\x0b\x0c\r\n", "'''\\'\"", "%%recorded {}"]
)
def test_odd_text_comes_through(text: str, tmp_path: Path) -> None:
    step = Step(1, Reply(text, text), Action(text), Observation("error", (Stream("stdout", text),), text))
    call = ToolCall(1, 1, "f", (text,), {"x": text}, Returned(text), 0.25)
    step = replace(step, observation=replace(step.observation, tool_calls=(call,)))
    info = RunInfo("r", text, "", setup_source(SetupSpec("r")))
    trajectory = Trajectory(info, (Turn(text, (step,), Stop("answer", answer=text)),))
    path = tmp_path / "run.ipynb"
    write(trajectory, path, NO_SECRETS)
    assert load(path) == trajectory
    path.unlink()
    assert read_journal(record(trajectory, path).journal) == trajectory
