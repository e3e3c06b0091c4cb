"""What a server may ask the person: which forms, which answers fit, and what is declined unasked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp_types import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult

from codeact_kernel.tools.mcp.asking import MAX_A_MINUTE, Asking
from codeact_kernel.tools.mcp.questions import Answer, Field, Form, Page, fields_of

SAID = Answer("accept", {"a": "x"})


def form(**properties: Any) -> ElicitRequestFormParams:
    schema = {"type": "object", "properties": properties, "required": [*properties][:1]}
    return ElicitRequestFormParams(message="Well?", requested_schema=schema)


def field(**rules: Any) -> Field:
    (found,) = fields_of({"properties": {"a": rules}, "required": ["a"]})
    return found


def asked(
    *params: Any, answer: Answer | None = SAID
) -> tuple[list[ElicitResult], list[Form | Page], list[str]]:
    """What the server gets, what the person was asked, what the user was told."""
    shown: list[Form | Page] = []
    told: list[str] = []

    async def person(question: Form | Page) -> Answer:
        shown.append(question)
        assert answer is not None
        return answer

    async def scene() -> list[ElicitResult]:
        asking = Asking("shop", None if answer is None else person, told.append)
        return [await asking.elicitation(one) for one in params]

    return asyncio.run(scene()), shown, told


@pytest.mark.parametrize(
    ("rules", "text", "value"),
    [
        ({"type": "string"}, " two words ", "two words"),
        ({"type": "string", "format": "email"}, "a@b.de", "a@b.de"),
        ({"type": "string", "format": "uri"}, "https://b.de", "https://b.de"),
        ({"type": "string", "format": "date"}, "2026-02-28", "2026-02-28"),
        ({"type": "string", "format": "date-time"}, "2026-02-28T10:00:00", "2026-02-28T10:00:00"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, "3", 3),
        ({"type": "number"}, "-1.5e3", -1500.0),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "string", "enum": ["s", "m"]}, "m", "m"),
        ({"type": "string", "enum": ["s", "m"], "enumNames": ["small", "middle"]}, "2", "m"),
        ({"type": "string", "enum": ["s", "m"], "enumNames": ["small", "middle"]}, "small", "s"),
        ({"type": "string", "oneOf": [{"const": "s", "title": "small"}]}, "small", "s"),
        ({"type": "array", "items": {"enum": ["s", "m", "l"]}, "maxItems": 2}, "1, l, 1", ["s", "l"]),
        ({"type": "array", "items": {"anyOf": [{"const": "s", "title": "small"}]}}, "small", ["s"]),
    ],
)
def test_answers_that_fit(rules: Any, text: str, value: Any) -> None:
    found = field(**rules).value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("rules", "text", "words"),
    [
        ({"type": "string", "minLength": 2, "maxLength": 3}, "x", "2 to 3 characters"),
        ({"type": "string"}, "x" * 20_000, "more than 10,000"),
        ({"type": "string", "format": "email"}, "ana", "e-mail"),
        ({"type": "string", "format": "uri"}, "ana", "no URI"),
        ({"type": "string", "format": "date"}, "28.2.", "Invalid isoformat"),
        ({"type": "integer"}, "1.5", "invalid literal"),
        ({"type": "integer"}, "9" * 5000, "no number"),
        ({"type": "integer", "maximum": 3}, "4", "at most 3"),
        ({"type": "number"}, "nan", "a number, any"),
        ({"type": "integer", "minimum": 10**400}, "5", "at least 1.79769e"),
        ({"type": "number", "maximum": -(10**400)}, "5", "at most -1.79769e"),
        ({"type": "string", "minLength": 10**400}, "5", "at least 1.79769e"),
        ({"type": "boolean"}, "perhaps", "y or n"),
        ({"type": "string", "enum": ["s", "m"]}, "3", "a number from 1 to 2"),
        ({"type": "array", "items": {"enum": ["s", "m"]}, "minItems": 2}, "1", "choose at least 2"),
    ],
)
def test_answers_that_do_not_fit_say_why(rules: Any, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        field(**rules).value(text)


def test_a_regular_expression_of_a_server_is_not_run() -> None:
    assert field(type="string", pattern="^(a+)+$").value("a" * 100 + "!")


def test_an_empty_line_is_the_default_or_leaves_the_field_out() -> None:
    assert field(type="integer", default=3).left_out() == 3
    assert field(type="string").left_out() == ""
    with pytest.raises(ValueError, match="required"):
        field(type="integer").left_out()
    (optional,) = fields_of({"properties": {"a": {"type": "integer"}}})
    assert optional.left_out() is None
    assert field(type="string", default={"not": "plain"}).default is None
    assert field(type="boolean", default=False).default is False
    assert field(type="integer", default=10**5000).default is None


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "object"}}},
        {"properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"properties": {"a": "text"}},
        {"properties": {"a": {"enum": [1, 2]}}},
        {"properties": {"a": {"enum": ["x"] * 51}}},
        {"properties": {f"a{n}": {"type": "string"} for n in range(21)}},
        {"properties": []},
        {"required": "a"},
    ],
)
def test_forms_that_are_none_are_declined_unasked_and_told(schema: Any) -> None:
    params = ElicitRequestFormParams(message="Well?", requested_schema=schema)
    (result,), shown, told = asked(params)
    assert (result.action, result.content, shown) == ("decline", None, [])
    assert told[0].startswith("a question of the server shop was declined: it cannot be shown: ")


def test_words_of_a_server_are_shown_clean_and_bounded() -> None:
    rules = {"type": "string", "title": "\x1b[31mName\x1b[0m", "description": "\u202e" + "x" * 10_000}
    params = form(a=rules)
    params = params.model_copy(update={"message": "\x1b]0;x\x07Your name? " + "y" * 100_000})
    _, (shown,), _ = asked(params)
    assert isinstance(shown, Form)
    assert shown.message.startswith("Your name? yyy")
    assert len(shown.message) < 3_000
    assert shown.fields[0].title == "Name"
    assert shown.fields[0].description == "x" * 500


def test_what_the_person_says_is_what_the_server_gets() -> None:
    answers = [Answer("accept", {"a": ["x"], "b": 1.5, "c": True}), Answer("decline"), Answer("cancel")]
    for answer in answers:
        (result,), _, told = asked(form(a={"type": "string"}), answer=answer)
        assert (result.action, result.content) == (answer.action, answer.values)
        assert told == []


def test_nobody_there_is_declined_and_told_once() -> None:
    question = form(a={"type": "string"})
    for answer in (None, Answer("decline", why="there is nobody who can be asked")):
        results, _, told = asked(question, question, answer=answer)
        assert [result.action for result in results] == ["decline", "decline"]
        assert told == ["a question of the server shop was declined: there is nobody who can be asked"]


def test_a_flood_of_questions_does_not_reach_the_person() -> None:
    results, shown, told = asked(*[form(a={"type": "string"})] * (3 * MAX_A_MINUTE))
    assert len(shown) == MAX_A_MINUTE
    assert [result.action for result in results].count("decline") == 2 * MAX_A_MINUTE
    assert len(told) == 1


def page(url: str) -> ElicitRequestURLParams:
    return ElicitRequestURLParams(message="Please", url=url, elicitation_id="1")


def test_a_page_is_shown_as_its_address() -> None:
    (result,), shown, _ = asked(page("https://example.org/a?b=c"), answer=Answer("accept"))
    assert shown == [Page("shop", "Please", "https://example.org/a?b=c")]
    assert (result.action, result.content) == ("accept", None)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://b\u0430nk.example",
        "https://a/\x1b[31m",
        "https://a b",
    ],
)
def test_addresses_that_are_none_are_not_shown(url: str) -> None:
    (result,), shown, told = asked(page(url))
    assert (result.action, shown, len(told)) == ("decline", [], 1)
