"""Approvals of modules and patterns, of tools that come later; what the question says of a server's claim."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pytest

from codeact_kernel import tool
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.approval_modes import Approve, Modes
from codeact_kernel.frontends.approval_text import Question
from codeact_kernel.frontends.approving import Desk
from codeact_kernel.frontends.portal import Door, PortalRunner, SyncDoor
from codeact_kernel.tools.mcp.remote import RemoteTool
from codeact_kernel.tools.registry import Tool, ToolRegistry
from codeact_kernel.trajectory import Approval
from codeact_kernel.wire.messages import Json, ToolModule, ToolRequest, ToolSchema
from codeact_kernel.wire.schemas import tool_spec

FILES = ToolModule("files", "mcp_servers")
INPUT: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def remote(name: str, approval: Any = None, read_only: bool | None = None) -> RemoteTool:
    async def call(given: Mapping[str, Json]) -> object:
        return None

    module, _, function = name.rpartition(".")
    return RemoteTool(
        tool_spec(module, function, ToolSchema(function, INPUT, None, read_only), ""), call, approval
    )


@tool
def pay(n: int) -> int:
    "Pays."
    return n


read, write, delete = (remote(f"files.{name}") for name in ("read_text", "write_text", "delete"))
kept = remote("files.keep", approval="deny")
refund = tool(lambda n: n, name="refund").within("shop")
TOOLS: tuple[Tool, ...] = (pay, read, write, delete, kept, refund)


class Person:
    who = "ana"

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)
        self.asked: list[Question] = []

    def ready(self) -> bool:
        return True

    async def line(self, question: Question, door: Door) -> str | None:
        self.asked.append(question)
        return self._lines.pop(0)


def modes(approve: Approve) -> Modes:
    return Modes(approve, TOOLS, [FILES, ToolModule("shop", "toolkits")])


@pytest.mark.parametrize(
    ("approve", "expected"),
    [
        ("files=ask", {"read_text": "ask", "delete": "ask", "keep": "deny"}),
        (["files=ask", "files.read_*=allow"], {"read_text": "allow", "write_text": "ask"}),
        (
            ["files.*=deny", "files.*_text=ask", "files.write_text=allow"],
            {"read_text": "ask", "write_text": "allow", "delete": "deny"},
        ),
        (["deny", "files=allow"], {"read_text": "allow", "keep": "deny"}),
        (["files.keep=allow"], {"keep": "allow", "read_text": "allow"}),
        (["ask-writes"], {"read_text": "ask"}),
        ({"files": "ask-writes", "*": "deny"}, {"read_text": "ask"}),
        ({"files.*": lambda path: path == "a"}, {"read_text": "allow", "keep": "deny"}),
        ({"files.*": lambda path: path == "b"}, {"read_text": "deny"}),
    ],
)  # fmt: skip
def test_exact_before_the_longest_pattern_before_the_module_before_all(
    approve: Approve, expected: dict[str, str]
) -> None:
    known = {made.spec.function: made for made in TOOLS}
    for name, mode in expected.items():
        assert modes(approve).of(known[name], {"path": "a"})[0] == mode, name


def test_what_is_said_of_a_module_is_said_of_no_other() -> None:
    said = modes(["files=deny", "shop=ask"])
    assert [said.of(made, {"n": 1})[0] for made in (pay, refund)] == ["allow", "ask"]


@pytest.mark.parametrize(
    ("approve", "words"),
    [
        ("nope=ask", "no tool is called 'nope'; there are: pay, files.read_text"),
        ("nope.f=ask", "no tool is called 'nope.f'"),
        ("shop.pay=ask", "no tool is called 'shop.pay'"),
        ("shop.p*=ask", "no tool matches 'shop.p*'"),
        ("x*=ask", "no tool matches 'x*'"),
        ("files=never", "approval='never'"),
        ("files.later=never", "files.later='never'; use one of allow, ask, deny, ask-writes"),
        ({"files.*": lambda amount: True}, "'amount', which is no argument of it; those are path"),
    ],
)
def test_what_is_said_of_nothing_is_refused(approve: Approve, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        modes(approve)


def test_of_two_thousand_tools_the_nearest_are_named() -> None:
    many = [remote(f"files.tool_{n}") for n in range(2000)]
    with pytest.raises(UsageError, match=r"there are: files\.tool_1999.*…$") as caught:
        Modes("file.tool_1999=ask", many)
    assert len(str(caught.value)) < 1000


def test_tools_that_come_later_are_covered() -> None:
    said = modes(["files.later*=ask", "files.exact=deny", "files=ask-writes"])
    assert said.may_matter
    assert said.of(remote("files.later_1"), {})[0] == "ask"
    assert said.of(remote("files.exact"), {})[0] == "deny"
    assert said.of(remote("files.other"), {})[0] == "ask"


def decided(
    approve: Approve | None, person: Person, *names: str, later: tuple[Tool, ...] = ()
) -> list[Approval]:
    """What a desk says of calls, of a registry that has got tools since."""
    runner = PortalRunner()
    registry = ToolRegistry([read, kept], runner, [FILES])
    desk = Desk(registry, runner, approve, person)
    assert desk.approver is desk, "a server may bring tools that ask"
    registry.add(later)
    door = SyncDoor()
    runner.door = door

    async def calls() -> list[Approval]:
        return [await desk.decide(ToolRequest(1, name, (), {"path": "a"}), 1) for name in names]

    return door.run(calls())


def test_the_desk_asks_about_a_tool_that_came_meanwhile() -> None:
    person = Person("y", "a")
    late = remote("files.late")
    said = decided(["files=ask"], person, "files.late", "files.read_text", later=(late,))
    assert [one.allowed for one in said] == [True, True]
    assert [question.tool for question in person.asked] == ["files.late", "files.read_text"]


def test_always_is_said_of_one_tool() -> None:
    person = Person("a", "n")
    said = decided(
        ["files=ask"],
        person,
        "files.read_text",
        "files.read_text",
        "files.late",
        later=(remote("files.late"),),
    )
    assert [one.allowed for one in said] == [True, True, False]
    assert len(person.asked) == 2


def test_the_word_of_the_users_configuration_holds_with_nothing_else_said() -> None:
    late = remote("files.late", approval="ask")
    person = Person("n")
    said = decided(None, person, "files.read_text", "files.keep", "files.late", later=(late,))
    assert [one.allowed for one in said] == [True, False, False]
    assert said[1].by == "its approval mode"


def test_a_servers_hint_is_shown_as_its_claim_and_trusted_nowhere() -> None:
    person = Person("y")
    late = remote("files.late", read_only=True)
    (said,) = decided("ask-writes", person, "files.late", later=(late,))
    assert said.allowed
    assert person.asked[0].effect == "write; the server says that it only reads"
    assert "the server says that it only reads" in person.asked[0].asked


def test_which_tools_there_are_is_asked_without_a_person() -> None:
    hidden = [remote("files._updates"), remote("files._read_resource")]
    person = Person("y")
    said = decided(["files=ask"], person, "files._updates", "files._read_resource", later=(*hidden,))
    assert [one.allowed for one in said] == [True, True]
    assert [question.tool for question in person.asked] == ["files._read_resource"]


def test_the_model_hears_of_approvals_only_where_there_are_some() -> None:
    runner = PortalRunner()

    def note(approve: Approve | None, *tools: Tool) -> str:
        return Desk(ToolRegistry(tools, runner, [FILES]), runner, approve).note

    assert note(None, read) == ""
    assert note("files.*=ask", pay) != ""
    assert note(None, kept) != ""


def test_rules_and_changes_are_by_the_names_that_the_kernel_has() -> None:
    """The server's are `from` and `to`."""
    got: list[object] = []

    async def call(given: Mapping[str, Json]) -> object:
        got.append(dict(given))
        return None

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"from": {"type": "string"}, "to-all": {"type": "boolean"}},
        "required": ["from"],
    }
    move = RemoteTool(tool_spec("files", "move", ToolSchema("move", schema), ""), call)
    runner = PortalRunner()
    registry, seen = ToolRegistry([move], runner, [FILES]), list[tuple[object, object]]()

    def rule(from_: object, to_all: object) -> str:
        seen.append((from_, to_all))
        return "ask"

    person = Person("e from_='b', to_all=True", "y")
    desk, door = Desk(registry, runner, {"files.move": rule}, person), SyncDoor()
    runner.door = door
    request = ToolRequest(1, "files.move", (), {"from_": "a"})
    said = door.run(desk.decide(request, 1))
    assert seen == [("a", None)]
    assert person.asked[0].arguments == (("from_", "'a'"),)
    assert said.edited is not None
    args, kwargs = said.edited
    asyncio.run(registry.call(ToolRequest(1, "files.move", args, kwargs)))
    assert got == [{"from": "b", "to-all": True}]


def test_without_servers_nothing_is_decided_where_nothing_was_said() -> None:
    runner = PortalRunner()
    assert Desk(ToolRegistry([pay, refund], runner), runner).approver is None
    assert asyncio.run(
        Desk(ToolRegistry([pay], runner), runner).decide(ToolRequest(1, "pay", (1,)), 1)
    ).allowed
