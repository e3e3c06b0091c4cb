"""No secret that the host knows is ever in a file."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.notebook.journal import JournalRecorder, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Error, Stream
from codeact_kernel.trajectory import Action, Observation, Reply, Step, Stop, Trajectory, Turn
from codeact_kernel.wire.messages import Json, Returned, ToolCall

ODD = 'pa"ss\\wörd\n€😀'


def secretive(run: Trajectory, secret: str) -> Trajectory:
    """A run that says its secret wherever text can be, also in a large result."""
    value: Json = {"key": secret, secret: [secret]}
    call = ToolCall(1, 1, "f", (value,), {"x": value}, Returned([value] * 2_000))
    shown = (
        Stream("stdout", f"n{secret}"),
        Display({"text/plain": secret, "application/json": value}, {"m": value}),
        Error("E", secret, (secret,)),
    )
    raw = json.dumps([{"type": "text", "text": f"\n{secret}"}], ensure_ascii=False)
    reply = Reply(f"<{secret}>", f"print('{secret}')", raw=raw)
    observation = Observation("error", shown, f"because {secret}", 2, (), (call,))
    step = Step(1, reply, Action(f"print('{secret}')"), observation, (secret,))
    info = replace(run.info, profile={"env": secret})
    return Trajectory(info, (Turn(f"use {secret}", (step,), Stop("answer", answer=value)),))


def everything_in(path: Path) -> str:
    """The file's text, what is escaped in it and what is compressed in it."""
    text = path.read_text()
    packed = [part.split('"')[0].rstrip("\\") for part in text.replace('\\"', '"').split('"zlib":"')[1:]]
    assert packed or path.suffix != ".ipynb"
    return text + "".join(zlib.decompress(base64.b64decode(part)).decode() for part in packed)


@pytest.mark.parametrize("secret", ["sesame-sesame", ODD, "postgres", "n" * 8])
def test_a_secret_is_in_no_file(run: Trajectory, secret: str, tmp_path: Path) -> None:
    redactor = Redactor({"DB_PASSWORD": secret})
    told = secretive(run, secret)
    write(told, tmp_path / "run.ipynb", redactor)
    recorder = JournalRecorder(tmp_path / "other.ipynb", redactor)
    recorder.begin(told.info)
    recorder.begin_turn(told.turns[0].task)
    (step,) = told.steps
    recorder.begin_step(1, step.reply)
    recorder.tool_intent(step.observation.tool_calls[0])
    recorder.tool_outcome(step.observation.tool_calls[0])
    recorder.end_step(step)
    assert told.stop is not None
    recorder.end_turn(told.stop)
    recorder.close()
    for path in (tmp_path / "run.ipynb", recorder.journal):
        text = everything_in(path)
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
            assert form not in text
            assert json.dumps(form)[1:-1] not in text
    assert load(tmp_path / "run.ipynb") == read_journal(recorder.journal) == redactor.record(told)
    metadata = json.loads((tmp_path / "run.ipynb").read_text())["metadata"]["codeact"]
    assert metadata["redacted"] == ["DB_PASSWORD"]


def test_what_a_model_said_stays_json_whatever_stands_before_the_secret(run: Trajectory) -> None:
    told = Redactor({"KEY": "nsesame-sesame"}).record(secretive(run, "sesame-sesame"))
    for step in told.steps:
        assert json.loads(step.reply.raw) == [{"type": "text", "text": "\nsesame-sesame"}]
    hidden = Redactor({"KEY": "sesame-sesame"}).record(secretive(run, "sesame-sesame"))
    for step in hidden.steps:
        assert json.loads(step.reply.raw) == [{"type": "text", "text": "\n[secret KEY]"}]


def test_the_environment_is_known_by_its_names(run: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_api_Key", "sesame-sesame")
    monkeypatch.setenv("MY_TOKEN", "short")
    monkeypatch.setenv("HARMLESS", "not-a-secret-at-all")
    redactor = Redactor.of_host({"given": "swordfish!"})
    text = redactor.text("sesame-sesame short not-a-secret-at-all swordfish!")
    assert text == "[secret SOME_api_Key] short not-a-secret-at-all [secret given]"
    assert redactor.names == ("SOME_api_Key", "given")
    assert redactor.summary == "secret SOME_api_Key, secret given"


def test_words_of_the_format_survive_a_password_that_is_one() -> None:
    step = Step(1, Reply("interrupted"), None, Observation("ok", (Stream("stdout", "interrupted"),)))
    turn = Turn("t", (step,), Stop("interrupted", "interrupted"))
    clean = Redactor({"PASSWORD": "interrupted"}).record(turn)
    assert clean.stop == Stop("interrupted", "[secret PASSWORD]")
    assert clean.steps[0].observation.shown == (Stream("stdout", "[secret PASSWORD]"),)


def test_a_run_without_secrets_is_left_as_it_is(run: Trajectory) -> None:
    assert Redactor({}).record(run) is run
    assert Redactor({"KEY": "sesame-sesame"}).record(run) is run


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.text(min_size=8, max_size=12).filter(lambda text: not text.isspace()), st.text())
def test_a_line_with_a_secret_is_always_noticed(secret: str, around: str) -> None:
    redactor = Redactor({"KEY": secret})
    assert redactor.hits(json.dumps({"x": around + secret + around}))
    assert secret not in redactor.text(around + secret)
