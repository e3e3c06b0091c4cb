"""No secret that the host knows, and nothing that a user has asked to be masked, is ever in a file."""

from __future__ import annotations

import base64
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.exceptions import UsageError
from codeact_kernel.notebook.data import record_data
from codeact_kernel.notebook.journal import JournalRecorder, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.patterns import MAX_VALUES, REACH, WINDOW
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Display, Error, Stream
from codeact_kernel.trajectory import Action, Observation, Reply, Step, Stop, Trajectory, Turn
from codeact_kernel.wire.messages import Json, Returned, ToolCall
from codeact_kernel.wire.values import decode, encode

ODD = 'pa"ss\\wörd\n€😀'


def secretive(run: Trajectory, secret: str) -> Trajectory:
    """A run that says its secret wherever text can be, also in a large result."""
    value: Json = {"key": secret, secret: [secret]}
    call = ToolCall(1, 1, "f", (value,), {"x": value}, Returned([value] * 2_000))
    shown = (
        Stream("stdout", f"n{secret}"),
        Display({"text/plain": secret, "application/json": value}),
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


# --- a user's patterns ---------------------------------------------------------------------------

EMAIL = r"email=[\w.+-]+@[\w-]+(\.[\w-]+)+"
CARD = r"card=\b\d{16}\b"


def masking(*patterns: str, **secrets: str) -> Redactor:
    return Redactor(secrets, patterns)


def test_the_same_value_has_the_same_mark_everywhere_and_numbers_go_by_first_appearance() -> None:
    redactor = masking(EMAIL, CARD)
    assert redactor.text("to bob@x.org, ann@x.org") == "to [email 1], [email 2]"
    assert redactor.text("4111111111111111 of ann@x.org") == "[card 1] of [email 2]"
    assert redactor.names == ("card", "email")
    assert redactor.summary == "card (1), email (2)"
    assert masking(EMAIL).summary == ""


def test_secrets_come_first_and_no_pattern_looks_into_a_mark() -> None:
    redactor = masking(r"word=[A-Za-z_]{3,}|\d", EMAIL, DB_TOKEN="bob@x.org")
    assert redactor.text("bob@x.org a@b.de xyz") == "[secret DB_TOKEN] [email 1] [word 1]"
    assert redactor.text("[secret DB_TOKEN] xyz xyz") == "[secret DB_TOKEN] [word 1] [word 1]"
    # A mark that was never given is a program's text: what stands in it is masked.
    assert redactor.text("[word 2] [secret Bobby]") == "[[word 2] [word 3]] [[word 4] [word 5]]"


def test_what_a_program_prints_like_a_mark_is_not_said_to_be_redacted(
    run: Trajectory, tmp_path: Path
) -> None:
    told = secretive(run, "[secret FORGED] [email 7]")
    write(told, tmp_path / "run.ipynb", masking(EMAIL, REAL_KEY="not-in-there"))
    notebook = json.loads((tmp_path / "run.ipynb").read_text())
    assert "redacted" not in notebook["metadata"]["codeact"]
    assert "* redacted" not in "".join(notebook["cells"][0]["source"])


@pytest.mark.parametrize("address", ["bob@example.org", "bob@exämple-\u0431\u043e\u0431.org"])
def test_journal_and_notebook_say_the_same_and_hold_no_value(
    run: Trajectory, address: str, tmp_path: Path
) -> None:
    redactor = masking(r"email=[^\s<'@]+@[^\s>'\"]+?\.org")
    told = secretive(run, address)
    recorder = JournalRecorder(tmp_path / "run.ipynb", redactor)
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
    recorded = read_journal(recorder.journal)
    write(told, tmp_path / "saved.ipynb", redactor)
    assert load(tmp_path / "saved.ipynb") == recorded == redactor.record(told)
    assert recorded.info.masks == ("email",)
    for path in (recorder.journal, tmp_path / "saved.ipynb"):
        text = everything_in(path)
        assert "bob@" not in text
        assert "[email 1]" in text
    notebook = json.loads((tmp_path / "saved.ipynb").read_text())
    assert notebook["metadata"]["codeact"]["redacted"] == ["email"]
    assert "* redacted: email (" in "".join(notebook["cells"][0]["source"])
    for again in recorded.steps:
        assert json.loads(again.reply.raw) == [{"type": "text", "text": "\n[email 1]"}]


def test_numbering_goes_on_after_what_stands_in_an_earlier_record(run: Trajectory, tmp_path: Path) -> None:
    first = masking(EMAIL, OLD_TOKEN="sesame-sesame")
    told = secretive(run, "bob@x.org ann@x.org sesame-sesame")
    write(told, tmp_path / "run.ipynb", first)
    earlier = load(tmp_path / "run.ipynb")
    later = masking(EMAIL)
    later.learn(earlier)
    assert (
        later.text("eve@x.org and [email 2], [secret OLD_TOKEN]")
        == "[email 4] and [email 2], [secret OLD_TOKEN]"
    )
    assert later.summary == "email (4), secret OLD_TOKEN"
    # Written again by somebody who has neither: what was redacted is still said.
    write(earlier, tmp_path / "again.ipynb")
    metadata = json.loads((tmp_path / "again.ipynb").read_text())["metadata"]["codeact"]
    assert metadata["redacted"] == ["OLD_TOKEN", "email"]
    assert load(tmp_path / "again.ipynb") == earlier


def test_words_and_bytes_of_the_format_are_left_to_secrets(run: Trajectory) -> None:
    picture = base64.b64encode(bytes(range(256)) * 4).decode()
    value: Json = {"$": "bytes", "b64": picture}
    call = ToolCall(1, 1, "refund", (value,), {}, Returned(value))
    raw = json.dumps([{"type": "thinking", "thinking": "abcdefg", "signature": picture}])
    shown = (Display({"image/png": picture, "text/plain": "abcdefg"}),)
    step = Step(
        1,
        Reply(raw=raw, call_id="abcdefg"),
        Action("abcdefg"),
        Observation("ok", shown, None, 2, (), (call,)),
    )
    told = replace(run, turns=(Turn("t", (step,)),))
    clean = masking(r"word=[A-Za-z0-9]{6,}").record(told)
    assert replace(clean.info, masks=()) == told.info
    (masked,) = clean.steps
    assert masked.action == Action("[word 1]")
    assert masked.observation.tool_calls == (call,)
    assert masked.observation.shown == (Display({"image/png": picture, "text/plain": "[word 1]"}),)
    assert json.loads(masked.reply.raw)[0]["signature"] == picture
    assert masked.reply.call_id == "abcdefg"


def test_a_value_whose_digits_are_masked_can_still_be_read() -> None:
    clean = masking(CARD).record(
        {"a": {"$": "decimal", "value": "4111111111111111"}, "b": ["4111111111111111"]}
    )
    assert clean["b"] == ["[card 1]"]
    assert "decimal" in repr(decode(clean["a"]))
    assert "[card 1]" in repr(decode(clean["a"]))
    assert str(decode(masking(EMAIL).record(encode(Path("/home/bob@x.org"))))) == "/home/[email 1]"


def test_matches_are_found_wherever_windows_end() -> None:
    redactor = masking(r"number=<\d+>")
    for before in (0, 1, WINDOW - REACH - 3, WINDOW - REACH, WINDOW - 2, WINDOW, 3 * WINDOW + 5):
        assert (
            redactor.text("x" * before + "<12>" + "\u20ac" * WINDOW)
            == "x" * before + "[number 1]" + "\u20ac" * WINDOW
        )
    assert redactor.text("<12>" * WINDOW) == "[number 1]" * WINDOW
    long = "<" + "1" * (REACH - 2) + ">"
    assert (
        redactor.text("x" * (WINDOW - REACH - 1) + long + "x") == "x" * (WINDOW - REACH - 1) + "[number 2]x"
    )
    assert masking("ends=x$").text("x" * 3 * WINDOW) == "x" * (3 * WINDOW - 1) + "[ends 1]"
    assert masking(r"begins=^x").text("x" * 3 * WINDOW) == "[begins 1]" + "x" * (3 * WINDOW - 1)


def test_colours_are_no_part_of_a_value() -> None:
    redactor = masking(EMAIL, CARD)
    text = "\x1b[38;5;28mbob@x.org\x1b[0m bob@x.org \x1b[1m4111111111111111"
    assert redactor.text(text) == "\x1b[38;5;28m[email 1]\x1b[0m [email 1] \x1b[1m[card 1]"


def test_hostile_text_costs_a_time_that_grows_with_its_length() -> None:
    """With `re`, each of these takes longer than the world has been there."""
    for pattern in (r"p=(a+)+$", r"p=(a|a)*b", r"p=(\w+\s?)*!"):
        assert masking(pattern).text("a" * 200_000 + "\ud800?") == "a" * 200_000 + "\ud800?"
    # What makes every search look to the end looks to the end of a window only.
    small, large = (_seconds(masking(r"p=a(?s:.*)z|a"), "a" * size) for size in (2 * WINDOW, 4 * WINDOW))
    assert large <= 3 * small


def _seconds(redactor: Redactor, text: str) -> float:
    start = time.process_time()
    assert redactor.text(text) == "[p 1]" * len(text)
    return time.process_time() - start


def test_many_values_are_bounded() -> None:
    redactor = masking(r"n=\d+")
    text = redactor.text(" ".join(map(str, [*range(MAX_VALUES + 2), 7])))
    assert text.endswith(f"[n {MAX_VALUES}] [n more] [n more] [n 8]")
    assert redactor.text("[n more] [n 1]") == "[n more] [n 1]"
    assert redactor.summary == f"n ({MAX_VALUES})"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("email", "needs a name"),
        ("=x", "needs a name"),
        ("e mail=x", "needs a name"),
        ("secret=x", "needs a name"),
        ("email=", "needs a name"),
        ("email=(x", r"no regular expression of RE2: missing \)"),
        ("email=(?<=x)y", "no look-around"),
        ("email=x*", "matches the empty text"),
    ],
)
def test_a_pattern_that_is_none_is_refused(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        masking(given)


def test_a_data_file_in_which_a_pattern_matches_is_not_embedded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,mail\nBob,bob@x.org\n", "utf-16")
    (tmp_path / "b.csv").write_text("name,mail\n")
    hidden, open_ = record_data([tmp_path / "a.csv", tmp_path / "b.csv"], masking(EMAIL))
    assert (hidden.packed, hidden.sha256) == ("", "")
    assert open_.packed
