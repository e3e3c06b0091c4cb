"""Asking a person: which calls, what is shown, what may be answered, at the terminal and in a notebook."""

from __future__ import annotations

import asyncio
import codecs
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from rich.cells import cell_len
from rich.console import Console

from codeact_kernel import Agent, tool
from codeact_kernel.config import ToolLimits
from codeact_kernel.events import Event, Notice, OutputShown
from codeact_kernel.exceptions import ToolDefinitionError, UsageError
from codeact_kernel.frontends.approval_modes import Approve, Modes
from codeact_kernel.frontends.approval_text import MAX_VALUE, Question, changed, framed, question
from codeact_kernel.frontends.approving import Asker, Desk, Stopped
from codeact_kernel.frontends.approving_jupyter import StdinAsker
from codeact_kernel.frontends.approving_terminal import TerminalAsker
from codeact_kernel.frontends.cli import main
from codeact_kernel.frontends.person import PersonTools
from codeact_kernel.frontends.portal import Door, PortalRunner, SyncDoor
from codeact_kernel.inert.css import declarations
from codeact_kernel.notebook.load import load
from codeact_kernel.outputs import Display, Error, MimeBundle, Result, Stream
from codeact_kernel.tools.registry import Tool, ToolRegistry
from codeact_kernel.trajectory import Approval
from codeact_kernel.wire.messages import Returned, ToolRequest
from codeact_kernel.wire.values import encode

PATIENCE_S = 60.0


@tool
def pay(n: int, note: str = "") -> int:
    "Pays."
    return n


@tool(effect="read")
def look(n: int) -> int:
    "Looks."
    return n


@tool(approval=lambda n: n < 100 or "ask")
def lend(n: int, *, note: str = "") -> int:
    "Lends."
    return n


class Person:
    """Answers with the given lines, then not at all."""

    who = "ana"

    def __init__(self, *lines: str | Exception | None, present: bool = True) -> None:
        self._lines = list(lines)
        self._present = present
        self.asked: list[Question] = []

    def ready(self) -> bool:
        return self._present

    async def line(self, question: Question, door: Door) -> str | None:
        self.asked.append(question)
        if not self._lines:
            await asyncio.Event().wait()
        said = self._lines.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def desk(
    person: Asker | None, approve: Approve | None = "ask", *tools: Tool, seconds: float | None = PATIENCE_S
) -> Desk:
    runner = PortalRunner()
    registry = ToolRegistry(tools or (pay, look, lend), runner)
    return Desk(registry, runner, approve, person, limits=ToolLimits(approval_timeout_s=seconds))


def decided(at: Desk, *requests: ToolRequest, told: list[str] | None = None) -> list[Approval]:
    """What the desk says of calls that come at once."""
    door = SyncDoor()
    at._runner.door = door

    async def calls() -> list[Approval]:
        at.open(at.waiting, lambda text: None if told is None else told.append(text))
        return await asyncio.gather(*(at.decide(request, 1) for request in requests))

    return door.run(calls())


def call(name: str = "pay", *args: object, **kwargs: object) -> ToolRequest:
    encoded = {key: encode(value) for key, value in kwargs.items()}
    return ToolRequest(1, name, tuple(encode(arg) for arg in args or (5,)), encoded)


# --- which calls -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("approve", "expected"),
    [
        (None, {"pay": "allow", "look": "allow", "lend 5": "allow", "lend 500": "ask"}),
        ("ask", {"pay": "ask", "look": "ask", "lend 5": "ask", "lend 500": "ask"}),
        ("ask-writes", {"pay": "ask", "look": "allow", "lend 5": "ask"}),
        ("deny", {"pay": "deny", "lend 5": "deny", "lend 500": "deny"}),
        (["ask", "pay=allow", "lend=deny"], {"pay": "allow", "look": "ask", "lend 5": "deny"}),
        ({"*": "ask-writes", "pay": lambda note: note == ""}, {"pay": "allow", "look": "allow"}),
        ({"pay": lambda: False}, {"pay": "deny", "look": "allow"}),
    ],
)
def test_the_stricter_holds_and_a_name_comes_first(approve: Approve, expected: dict[str, str]) -> None:
    tools = {"pay": pay, "look": look, "lend": lend}
    modes = Modes(approve, tools.values())
    for asked, mode in expected.items():
        name, _, n = asked.partition(" ")
        assert modes.of(tools[name], {"n": int(n or 5), "note": ""})[0] == mode, asked


@pytest.mark.parametrize(
    ("approve", "words"),
    [
        ("never", "'never' is no mode"),
        (["ask", "deny"], "contradict"),
        (["gone=ask"], "no tool is called 'gone'; there are: pay, look, lend"),
        ({"pay": "ask-writes"}, "approval='ask-writes'"),
        ({"pay": lambda amount: True}, "'amount', which is no argument of it; those are n, note"),
        ([3], "3 is neither a mode nor"),
    ],
)
def test_what_cannot_be_is_refused_at_once(approve: Any, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        Modes(approve, (pay, look, lend))


def test_a_tool_says_what_it_can_say_only() -> None:
    async def rule(n: int) -> bool:
        return True

    for wrong in ("maybe", rule, 3):
        with pytest.raises(ToolDefinitionError, match="tool 'pay': approval="):
            tool(pay, approval=wrong)  # type: ignore[arg-type]  # that is the test
    assert tool(tool(pay, approval="deny"), name="other").approval == "deny"
    assert tool(pay, approval="ask").spec == pay.spec, "the sandbox does not learn it"


def broken(n: int) -> bool:
    raise LookupError("no such customer")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (broken, "the rule failed: LookupError: no such customer"),
        (lambda n: "perhaps", "the rule failed: ValueError: it gave 'perhaps'"),
        (lambda n: None, "it gave None"),
    ],
)
def test_a_rule_that_fails_denies_and_says_so(rule: Callable[..., Any], words: str) -> None:
    (said,) = decided(desk(None, {"pay": rule}), call())
    assert (said.allowed, said.by) == (False, "its approval rule")
    assert words in said.reason


def test_a_rule_gets_checked_arguments_by_name_and_runs_on_the_thread_of_the_caller() -> None:
    seen: list[object] = []

    def rule(**arguments: object) -> bool:
        seen.append((arguments, threading.current_thread() is threading.main_thread()))
        return True

    (said,) = decided(desk(None, {"pay": rule}), call("pay", 7.0))
    assert said == Approval(True, "its approval rule")
    assert seen == [({"n": 7, "note": ""}, True)]


def test_nobody_is_asked_about_a_call_that_does_not_fit_the_tool() -> None:
    person = Person()
    (said,) = decided(desk(person), call("pay", "many"))
    assert (said.allowed, said.error, said.by) == (False, "ValueError", "")
    assert "'n'" in said.reason
    assert person.asked == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "maybe",
            "--approve: 'maybe' cannot be used; give one of allow, ask, ask-writes, deny, or TOOL=MODE",
        ),
        ("pay=ask-writes", "--approve: 'pay=ask-writes' cannot be used"),
        ("gone=ask", "no tool is called 'gone'; there are: none"),
    ],
)
def test_the_command_line_says_what_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, words: str
) -> None:
    (tmp_path / "cell.py").write_text("1")
    assert main(["exec", str(tmp_path / "cell.py"), "--approve", said]) == 2
    assert words in capsys.readouterr().err


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["y"], Approval(True, "ana")),
        (["YES "], Approval(True, "ana")),
        (["n"], Approval(False, "ana")),
        ([""], Approval(False, "ana")),
        (["n too much,\x1b[2J \x07twice"], Approval(False, "ana", "too much, twice")),
        (["what", "y"], Approval(True, "ana")),
        (["e n=3", "y"], Approval(True, "ana", edited=((3,), {}))),
        (
            ["e", "e n='x'", "e m=1", "e (", "e n=4, note='less'", "y"],
            Approval(True, "ana", edited=((4, "less"), {})),
        ),
        (["e 3", "e note='b'", "n no"], Approval(False, "ana", "no")),
        ([None], Approval(False, "default", "as it asks for approval, and nobody answers here")),
    ],
)
def test_answers(lines: list[str | None], expected: Approval) -> None:
    person = Person(*lines)
    assert decided(desk(person), call()) == [expected]
    assert len(person.asked) == len(lines)
    assert all(bool(again.remark) for again in person.asked[1:]), "why it is asked again"


def test_always_is_for_that_tool_and_the_life_of_the_agent() -> None:
    person = Person("a", "n", "y")
    at = desk(person)
    said = decided(at, call("pay", 1), call("look", 2), call("pay", 3), call("look", 4))
    assert [one.allowed for one in said] == [True, False, True, True]
    assert said[2].by == "ana (always)"
    at.begin()
    assert decided(at, call("pay", 5))[0].allowed
    assert len(person.asked) == 3


def test_calls_at_once_are_asked_about_one_by_one_in_order() -> None:
    open_now = most = 0

    class Slow(Person):
        async def line(self, question: Question, door: Door) -> str | None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0)
            open_now -= 1
            return await super().line(question, door)

    person = Slow(*"yyyyy")
    decided(desk(person), *(call("pay", n) for n in range(1, 6)))
    assert most == 1
    assert [one.arguments[0] for one in person.asked] == [("n", str(n)) for n in range(1, 6)]


def test_nobody_there_is_a_denial_that_is_told_once() -> None:
    told: list[str] = []
    for person in (None, Person(present=False)):
        told.clear()
        said = decided(desk(person), call(), call(), told=told)
        why = "as it asks for approval, and there is nobody who can be asked"
        assert said == [Approval(False, "default", why)] * 2
        assert [text for text in told if "denied" in text] == [f"pay() was denied by default, {why}"]


def test_who_does_not_answer_is_not_asked_again_in_that_step() -> None:
    person = Person()
    said = decided(desk(person, seconds=0.05), *(call("pay", n) for n in (1, 2, 3)))
    assert [one.reason for one in said] == [
        "as nobody answered within 0.05 s",
        "as nobody has answered the last question",
        "as nobody has answered the last question",
    ]
    assert len(person.asked) == 1


def test_who_stops_is_asked_no_more_until_the_next_task() -> None:
    person = Person("y", Stopped(), "y")
    at, door = desk(person), SyncDoor()

    async def calls() -> list[bool]:
        deciding = [asyncio.ensure_future(at.decide(call("pay", n), 1)) for n in range(5)]
        await asyncio.wait(deciding)
        return [task.cancelled() for task in deciding]

    assert door.run(calls()) == [False, True, True, True, True]
    assert len(person.asked) == 2
    at.begin()
    assert decided(at, call())[0].allowed


def test_a_call_that_is_cancelled_leaves_the_others_to_be_asked() -> None:
    person = Person("y")
    at, door = desk(person), SyncDoor()

    async def calls() -> Approval:
        await at.turn.acquire()
        first = asyncio.ensure_future(at.decide(call("pay", 1), 1))
        second = asyncio.ensure_future(at.decide(call("pay", 2), 1))
        await asyncio.sleep(0)
        first.cancel()
        at.turn.release()
        return await second

    assert door.run(calls()).allowed
    assert person.asked[0].arguments[0] == ("n", "2")


def test_input_of_the_sandbox_waits_until_the_question_is_answered() -> None:
    said: list[str] = []

    class Front(Person):
        async def line(self, question: Question, door: Door) -> str | None:
            said.append("question")
            for _ in range(20):
                await asyncio.sleep(0)
            said.append("answer")
            return "y"

        async def input(self, prompt: str, password: bool) -> str | None:
            said.append(prompt)
            return "typed"

        def comm(self, message: object) -> None: ...
        def late(self, output: object, token: object) -> None: ...

    front = Front()
    at, door = desk(front), SyncDoor()
    tools = PersonTools(ToolRegistry([]), lambda secret: secret, at.turn)
    tools.attendant = front

    async def both() -> object:
        asking = asyncio.ensure_future(at.decide(call(), 1))
        await asyncio.sleep(0)
        typed = await tools.call(ToolRequest(2, "input", ("your password?",)))
        await asking
        return typed

    assert door.run(both()) == Returned("typed")
    assert said == ["question", "answer", "your password?"]


# --- what is shown -----------------------------------------------------------------------------


def test_arguments_are_shown_as_python_writes_them_and_bounded() -> None:
    @tool
    def send(to: str, *parts: int, **more: object) -> None:
        "Sends."

    hostile = "a\u202eb\x1b[2J\u200b"
    given = ToolRequest(1, "send", (hostile, 1, 2), {"text": "é" * 9000})
    shown = question("m", send, given, 1, "")
    assert shown.arguments[0] == ("to", repr(hostile))
    assert shown.arguments[1] == ("parts", "1, 2")
    assert len(shown.arguments[2][1]) < MAX_VALUE + 50
    assert "characters" in shown.arguments[2][1]
    assert "\x1b" not in "".join(text for _, text in framed(shown))
    large = question("m", send, ToolRequest(1, "send", ("x", ["y"] * 500_000)), 1, "")
    assert "too much to show" in large.arguments[1][1]
    folded = framed(question("m", send, call("send", "漢" * 90 + "╚══ y: yes"), 1, ""))
    assert all(text[0] in "╔║╚" and cell_len(text) <= 80 for _, text in folded)


def test_values_of_the_wire_can_be_given() -> None:
    @tool
    def bill(amount: Decimal) -> None:
        "Bills."

    given = call("bill", Decimal("12.50"))
    assert question("m", bill, given, 1, "").arguments == (("amount", "Decimal('12.50')"),)
    text = json.dumps(encode(Decimal("3.20")))
    assert changed(bill, given, f"amount={text}").args == (encode(Decimal("3.20")),)
    with pytest.raises(UsageError, match="cannot be read as arguments"):
        changed(bill, given, "amount={'$': 'nothing'}")
    with pytest.raises(UsageError, match="cannot be read"):
        changed(bill, given, "amount=__import__('os')")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("note=zz", "a text needs quotes: note='zz'"),
        ("note=docs/a.txt", "a text needs quotes: note='docs/a.txt'"),
        ("3, notes.txt", "a text needs quotes: 'notes.txt'"),
        ("n=true", "true is written True"),
        ("note=open('é')", "open('é') is no plain value, such as 40, 'late' or [1, 2]"),
        ("note=[zz]", "[zz] is no plain value"),
    ],
)
def test_what_is_no_value_is_told_in_words(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        changed(pay, call("pay", 5), text)
    assert "<ast." not in str(refused.value)


def test_lines_break_at_blanks_and_within_words_only_where_these_are_longer() -> None:
    sentence = "Favorite first line of a story, " * 4
    shown = [line for _, line in framed(Question("m", "", 0, (("it says", sentence),), "", head="Asks"))]
    assert shown[2].endswith(("first ", "line ", "story, ", "of ", "a ", "Favorite "))
    whole = "".join(line.removeprefix("║       ").removeprefix("║   ") for line in shown[2:-1])
    assert whole == f"it says = {sentence}", "nothing is lost"
    word = "x" * 100
    first, second = framed(Question("m", "", 0, (("text", word),), "", head="Asks"))[2:-1]
    assert first[1] == f"║   text = {'x' * 61}"
    assert second[1] == f"║       {'x' * 39}"
    blanks = framed(Question("m", "", 0, (("text", " " * 500 + "╚══ y: yes"),), "", head="Asks"))
    assert all(text[0] in "╔║╚" and cell_len(text) <= 76 + 2 for _, text in blanks)


OUTPUTS = [
    Stream("stdout", "say {mark}"),
    Display({"text/html": "<b>{mark}</b>", "application/json": {"a": ["{mark}"]}}),
    Result({"text/plain": "{mark}"}, 1),
    Error("E", "{mark}", ("{mark}",)),
]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: type(output).__name__)
def test_what_the_sandbox_shows_never_has_the_mark(output: Any) -> None:
    at = desk(None)

    def marked(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{mark}", at.mark)
        if isinstance(value, dict):
            return {key: marked(item) for key, item in value.items()}
        return type(value)(marked(item) for item in value) if isinstance(value, list | tuple) else value

    shown = type(output)(*(marked(getattr(output, name)) for name in output.__dataclass_fields__))
    assert at.mark in repr(shown)
    masked = at.masked(OutputShown(shown))
    assert isinstance(masked, OutputShown)
    assert at.mark not in repr(masked)
    assert repr(masked.output).count("…") == repr(shown).count(at.mark)


def test_marks_are_of_one_session_and_not_short() -> None:
    marks = {desk(None).mark for _ in range(50)}
    assert len(marks) == 50
    assert all(re.fullmatch(r"(?:[a-z]{4}-){2}[a-z]{4}", mark) for mark in marks)


def test_a_notebook_gets_a_box_with_everything_escaped() -> None:
    shown: list[MimeBundle] = []
    prompts: list[str] = []

    async def ask(prompt: str) -> str | None:
        prompts.append(prompt)
        return "y"

    at = desk(StdinAsker(ask, shown.append))
    (said,) = decided(at, call("pay", 5, note="<script>alert(1)</script>'\""))
    assert said == Approval(True, "a person in the notebook")
    assert at.mark in prompts[0]
    page = str(shown[0]["text/html"])
    assert at.mark in page
    styles = re.findall(r"style='([^']*)'", page)
    assert declarations(styles[0]) != styles[0], "no HTML of the sandbox keeps such a style"
    assert "gradient" not in declarations(styles[0])
    assert "<script" not in page
    assert at.mark in str(shown[0]["text/plain"])


# --- the terminal ------------------------------------------------------------------------------


class Shown(io.StringIO):
    """What a terminal shows; answers with `lines` as soon as each question is there."""

    def __init__(self, keyboard: int, lines: Iterable[bytes]) -> None:
        super().__init__()
        self._keyboard = keyboard
        self._lines = list(lines)

    def write(self, text: str) -> int:
        done = super().write(text)
        if "╚══" in text and self._lines:
            os.write(self._keyboard, self._lines.pop(0))
        return done


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterable[int]:
    """A terminal as standard input; its other end."""
    master, slave = pty.openpty()
    with open(slave, closefd=True) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield master
    os.close(master)


def test_the_terminal_asks_and_takes_nothing_that_was_typed_before(keyboard: int) -> None:
    os.write(keyboard, b"y\n")
    shown = Shown(keyboard, [b"n wrong one\n"])
    asker = TerminalAsker(Console(file=shown, force_terminal=True, width=200, no_color=True))
    (said,) = decided(desk(asker), call())
    assert said == Approval(False, "a person at the terminal", "wrong one")
    lines = shown.getvalue()
    for words in ("codeact asks", "Call pay in step 1?", "n = 5", "q: stop the run"):
        assert words in lines


def test_q_at_the_terminal_stops_the_run(keyboard: int) -> None:
    shown = Shown(keyboard, [b"q\n"])
    asker = TerminalAsker(Console(file=shown, force_terminal=True, width=200))
    with pytest.raises(KeyboardInterrupt, match="stopped before pay was called"):
        decided(desk(asker), call(), call())
    assert shown.getvalue().count("codeact asks") == 1


def test_a_question_that_does_not_stand_any_more_lets_the_caller_go(keyboard: int) -> None:
    shown = Shown(keyboard, [])
    asker = TerminalAsker(Console(file=shown, force_terminal=True, width=200))
    (said,) = decided(desk(asker, seconds=0.3), call())
    assert said.reason == "as nobody answered within 0.3 s"
    assert "does not stand any more" in shown.getvalue()


def test_without_a_terminal_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert not TerminalAsker(Console(file=io.StringIO(), force_terminal=True)).ready()


TOOLS = """\
from codeact_kernel import tool

@tool
def pay(n: int) -> int:
    "Pays."
    return n
"""
SPOOF = """\
print("╔══ codeact asks · mark tavo-miku-resa ══")
print("║ Call pay in step 1?")
try:
    print("first", pay(500))
except ToolDenied as problem:
    print("caught", isinstance(problem, PermissionError), problem)
print("second", pay(400))
"""


def in_a_terminal(command: list[str], folder: Path, answers: list[tuple[str, str]]) -> str:
    """What a `command` showed in a terminal. Types each answer ("": Ctrl-C) when its words are there."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "JUPYTER_CONFIG_DIR": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    shown, seen, deadline = "", 0, time.monotonic() + 100
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while time.monotonic() < deadline:
            try:
                part = decoder.decode(os.read(master, 65536))
            except OSError:  # It has ended.
                return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", shown)
            shown += part
            if answers and (at := shown.find(answers[0][0], seen)) >= 0:
                seen = at + len(answers[0][0])
                if typed := answers.pop(0)[1]:
                    os.write(master, typed.encode())
                else:
                    process.send_signal(signal.SIGINT)
        raise AssertionError(f"no end; shown was: {shown[-2000:]}")
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.kernel
def test_a_program_cannot_look_like_a_question_and_ctrl_c_ends_one(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(TOOLS)
    replies = [{"code": SPOOF}, {"code": "x = 1\npay(1)"}]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    command = [sys.executable, "-m", "codeact_kernel", "run", "pay", "--tools", "tools.py", "--no-verify"]
    command += ["--model", "scripted:s.jsonl", "--out", "run.ipynb"]
    answers = [("q: stop the run", typed) for typed in ("n wrong\n", "e n=4\n", "y\n", "")]
    shown = in_a_terminal([*command, "--approve", "ask"], tmp_path, answers)
    assert not answers, shown
    lines = re.split(r"[\r\n]+", shown)
    (mark,) = {found for line in lines for found in re.findall(r"carry the mark (\S+);", line)}
    ours = [line for line in lines if mark in line]
    assert len(ours) == 5, "where it is told, and in each question"
    assert sum(line.startswith("╔══ codeact asks") for line in lines) == 4
    assert any(line.startswith("  ╔══ codeact asks · mark tavo-miku-resa") for line in lines), "indented"
    assert shown.index('print("second"') < shown.index("q: stop the run"), "the code is shown before"
    assert mark not in (tmp_path / "run.ipynb").read_text()
    assert "the run up to here is in" in shown
    told = load(tmp_path / "run.ipynb")
    assert told.stop is not None
    assert told.stop.reason == "interrupted"
    assert [len(step.observation.tool_calls) for step in told.steps] == [2, 0], "that call was not made"
    assert "caught True pay(): denied by a person at the terminal: wrong" in shown
    assert "second 4" in shown


# --- a whole run -------------------------------------------------------------------------------


@pytest.mark.kernel
def test_a_run_with_decisions_replays_identically_and_the_model_is_told(tmp_path: Path) -> None:
    code = (
        "try:\n    pay(1)\nexcept ToolDenied as problem:\n    print(problem)\n"
        "print(pay(2), pay(3))\nawait asyncio.gather(pay(4), pay(5))"
    )
    script = tmp_path / "s.jsonl"
    replies = [{"code": f"import asyncio\n{code}"}, {"code": "pay(6)"}, {"answer": "done"}]
    script.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    person = Person("n too much", "e n=20", "y", "y", "y", "y", "n never")
    events: list[Event] = []
    with Agent(
        [pay], model=f"scripted:{script}", out=tmp_path / "run.ipynb", approve="ask", asker=person
    ) as agent:
        run = agent.run_sync("pay", on_event=events.append)
        verdict = run.verified_sync()
    first, second = run.trajectory.steps
    assert first.observation.text("stdout") == "pay(): denied by ana: too much\n20 3\n"
    calls = first.observation.tool_calls
    assert [(c.args, c.approved_by, c.denied_by, c.edited) for c in calls[:3]] == [
        ((1,), "", "ana", None),
        ((2,), "ana", "", ((20,), {})),
        ((3,), "ana", "", None),
    ]
    assert first.notes == ("Before pay(2) was called, a person changed it to pay(20).",)
    assert second.observation.error is not None
    assert second.observation.error.ename == "ToolDenied"
    assert second.observation.error.evalue == "pay(): denied by ana: never"
    assert verdict.text == "identical"
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert person.asked[0].mark in notice
    assert person.asked[0].mark not in (tmp_path / "run.ipynb").read_text()
    saved = tmp_path / "run.ipynb"
    assert main(["verify", str(saved)]) == 0
    for old, new in (('denied_by\\":\\"ana', 'denied_by\\":\\"bob'), ('args\\":[20]', 'args\\":[21]')):
        assert old in saved.read_text()
        (tmp_path / "other.ipynb").write_text(saved.read_text().replace(old, new))
        assert main(["verify", str(tmp_path / "other.ipynb")]) == 20, old
    notebook = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "".join(output.get("text", "") for output in outputs) == first.observation.text("stdout")
    assert [output.ename for output in outputs if output.output_type == "error"] == ["ToolDenied"]


NOTEBOOK = """\
import asyncio
from codeact_kernel.frontends.approving import Desk
from codeact_kernel.frontends.approving_jupyter import asker_here
from codeact_kernel.frontends.portal import AsyncDoor, PortalRunner, SyncDoor
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire.messages import ToolRequest

def pay(n: int) -> int:
    return n

runner = PortalRunner()
desk = Desk(ToolRegistry([pay], runner), runner, "ask", asker_here())
runner.door = SyncDoor()
print(runner.door.run(desk.decide(ToolRequest(1, "pay", (5,)), 1)).reason)
runner.door = AsyncDoor()
print((await runner.door.run(desk.decide(ToolRequest(1, "pay", (6,)), 1))).allowed)
"""


@pytest.mark.kernel
def test_an_agent_in_a_notebook_asks_there() -> None:
    """Also with `await`: in both cases the cell is what waits."""
    manager, client = start_new_kernel(kernel_name="python3")
    shown: list[dict[str, Any]] = []
    prompts: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        shown.append({"type": message["msg_type"], **message["content"]})

    def answer(message: dict[str, Any]) -> None:
        prompts.append(message["content"]["prompt"])
        client.input("n not today" if len(prompts) == 1 else "y")

    try:
        client.execute_interactive(
            NOTEBOOK,
            allow_stdin=True,
            timeout=PATIENCE_S,
            stdin_hook=answer,
            output_hook=keep,
        )
        client.execute_interactive(
            "print(desk.attention.asker.ready())", allow_stdin=False, timeout=PATIENCE_S, output_hook=keep
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    texts = "".join(one["text"] for one in shown if one["type"] == "stream" and one["name"] == "stdout")
    assert texts == "not today\nTrue\nFalse\n", shown
    boxes = [one["data"]["text/html"] for one in shown if one["type"] == "display_data"]
    mark = prompts[0].partition("[")[2].partition("]")[0]
    assert [mark in box for box in boxes] == [True, True] == [mark in prompt for prompt in prompts]
