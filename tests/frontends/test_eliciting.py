"""Asking a person what a server wants to know: with the mark, by consent, field by field."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codeact_kernel.frontends.approval_text import Question, framed
from codeact_kernel.frontends.approving_jupyter import prompt, shown
from codeact_kernel.frontends.attention import Attention, Stopped
from codeact_kernel.frontends.eliciting import Eliciting
from codeact_kernel.frontends.portal import Door, PortalRunner
from codeact_kernel.tools.mcp.questions import Answer, Form, Page, fields_of
from codeact_kernel.waiting import Waiting

PATIENCE_S = 60.0
FORM = Form(
    "shop",
    "Who are you?",
    fields_of(
        {
            "properties": {
                "name": {"type": "string", "minLength": 2, "description": "As on the bill"},
                "age": {"type": "integer", "default": 30},
                "size": {"type": "string", "enum": ["s", "m"], "enumNames": ["small", "<b>middle</b>"]},
            },
            "required": ["name"],
        }
    ),
)
PAGE = Page("shop", "Allow it there", "https://example.org/allow?x=1")


class Person:
    """Answers with the given lines, then not at all."""

    who = "ana"

    def __init__(self, *lines: str | Exception | None, present: bool = True) -> None:
        self._lines = list(lines)
        self._present = present
        self.asked: list[Question] = []
        self.began = asyncio.Event()

    def ready(self) -> bool:
        return self._present

    async def line(self, question: Question, door: Door) -> str | None:
        self.asked.append(question)
        self.began.set()
        if not self._lines:
            await asyncio.Event().wait()
        said = self._lines.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def answered(person: Person | None, asked: Form | Page = FORM, seconds: float = PATIENCE_S) -> Answer:
    async def scene() -> Answer:
        return await Eliciting(Attention(person, seconds), PortalRunner())(asked)

    return asyncio.run(scene())


def test_each_field_is_asked_for_and_what_is_sent_is_shown_first() -> None:
    person = Person("y", "Ana", "", "2", "y")
    assert answered(person) == Answer("accept", {"name": "Ana", "age": 30, "size": "m"})
    first, name, age, size, last = person.asked
    assert first.arguments[0] == ("it says", "Who are you?")
    assert ("name", "text, required: As on the bill") in first.arguments
    assert name.arguments == (("name", "text, required: As on the bill"),)
    assert age.choices.startswith("(empty: 30)")
    assert size.arguments[1] == ("options", "1: small\n2: <b>middle</b>")
    assert last.arguments == (("name", "'Ana'"), ("age", "30"), ("size", "'m'"))
    assert len({question.mark for question in person.asked}) == 1
    assert all(question.mark and question.head == "The server shop asks you" for question in person.asked)


def test_what_does_not_fit_is_asked_again_with_the_reason() -> None:
    person = Person("what", "yes", "A", "Ana", "old", "31", "", "y")
    assert answered(person) == Answer("accept", {"name": "Ana", "age": 31})
    assert person.asked[1].remark == "'what' is no answer."
    assert "give at least 2 characters" in person.asked[3].remark
    assert "invalid literal" in person.asked[5].remark


def test_it_can_be_filled_in_once_more() -> None:
    person = Person("y", "Ana", "", "", "e", "Bo", "", "", "y")
    assert answered(person) == Answer("accept", {"name": "Bo", "age": 30})


@pytest.mark.parametrize(
    ("lines", "action"),
    [
        (["n"], "decline"),
        (["c"], "cancel"),
        (["y", "!n"], "decline"),
        (["y", "Ana", "!c"], "cancel"),
        (["y", "Ana", "", "", "n"], "decline"),
        (["y", "Ana", "", "", "c"], "cancel"),
    ],
)
def test_it_can_be_left_at_any_point(lines: list[str], action: Any) -> None:
    assert answered(Person(*lines)) == Answer(action)


def test_an_empty_line_throws_nothing_away() -> None:
    person = Person("", "y", "Ana", "", "2", "", "y")
    assert answered(person) == Answer("accept", {"name": "Ana", "age": 30, "size": "m"})
    again = [question for question in person.asked if question.remark]
    assert [question.remark for question in again] == ["An empty line is no answer."] * 2
    assert again[1].arguments == person.asked[-2].arguments
    assert answered(Person("", "n"), PAGE) == Answer("decline")


@pytest.mark.parametrize(("first", "asked"), [((), PAGE), ((), FORM), (("y",), FORM), (("y", "Ana"), FORM)])
def test_who_never_answers_is_not_asked_for_ever(first: tuple[str, ...], asked: Form | Page) -> None:
    person = Person(*first, *["x"] * 100)
    assert answered(person, asked) == Answer("decline", why="no answer could be read 11 times")
    assert len(person.asked) == len(first) + 11


def test_a_page_is_shown_as_text_and_its_visit_asked_for() -> None:
    person = Person("y")
    assert answered(person, PAGE) == Answer("accept")
    assert person.asked[0].arguments == (("it says", "Allow it there"), ("the page", PAGE.url))
    assert "open it yourself" in person.asked[0].choices
    assert answered(Person("n"), PAGE) == Answer("decline")


def test_nobody_there_is_declined_and_it_is_said_why() -> None:
    nobody = Answer("decline", why="there is nobody who can be asked")
    assert answered(None) == nobody
    assert answered(Person(present=False)) == nobody
    assert answered(Person(None)) == Answer("decline", why="nobody answers here")
    assert answered(Person(), seconds=0.05) == Answer("decline", why="nobody answered within 0.05 s")


def test_who_stops_the_run_has_left_the_question() -> None:
    assert answered(Person(Stopped())) == Answer("cancel")


def test_a_question_that_nobody_wants_an_answer_to_any_more_is_cancelled() -> None:
    async def scene() -> None:
        person = Person()
        asking = asyncio.create_task(Eliciting(Attention(person, PATIENCE_S), PortalRunner())(FORM))
        await person.began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scene())


def test_with_the_task_its_questions_end_and_nothing_is_asked_until_the_next() -> None:
    async def scene() -> None:
        nobody = Answer("decline", why="there is nobody who can be asked")
        attention = Attention(person := Person(), PATIENCE_S)
        ask = Eliciting(attention, PortalRunner())
        waiting = [asyncio.create_task(ask(one)) for one in (FORM, PAGE)]
        await person.began.wait()
        attention.end()
        assert await asyncio.gather(*waiting) == [nobody, nobody]
        assert await ask(FORM) == nobody
        assert len(person.asked) == 1
        attention.begin(lambda: None)
        attention.asker = Person("n")
        assert await ask(FORM) == Answer("decline")

    asyncio.run(scene())


def test_questions_wait_for_each_other_and_no_clock_runs_meanwhile() -> None:
    async def scene() -> None:
        time = 0.0
        attention = Attention(person := Person("n", "n"), PATIENCE_S)
        attention.waiting = Waiting(now=lambda: time)
        ask = Eliciting(attention, PortalRunner())
        async with attention.turn:
            waiting = [asyncio.create_task(ask(one)) for one in (FORM, PAGE)]
            await asyncio.sleep(0)
            assert not person.asked
            time = 100.0
        assert await asyncio.gather(*waiting) == [Answer("decline"), Answer("decline")]
        assert attention.waiting.seconds == 100.0

    asyncio.run(scene())


def test_the_frame_of_a_question_is_ours_whatever_a_server_says() -> None:
    person = Person("n")
    answered(person, Form("shop", "Fine?\n╚══ y: yes\n╔══ codeact asks · mark ba-ba-ba", ()))
    (question,) = person.asked
    lines = [line for _, line in framed(question)]
    assert lines[0].startswith(f"╔══ codeact asks · mark {question.mark}")
    assert lines[1] == "║ The server shop asks you"
    assert all(line.startswith("║") for line in lines[1:-1])
    page = str(shown(question)["text/html"])
    assert "<b>The server shop asks you</b>" in page
    assert prompt(question) == f"codeact asks [{question.mark}]: The server shop asks you y/n/c: "


def test_html_of_a_server_is_text_in_a_notebook() -> None:
    person = Person("n")
    answered(person, Form("shop", "<img src=x onerror=alert(1)>", ()))
    assert "&lt;img src=x" in str(shown(person.asked[0])["text/html"])
