"""The servers of a run: opened once, whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from codeact_kernel.exceptions import ToolDefinitionError, UsageError
from codeact_kernel.frontends.approval_modes import Approve, Modes
from codeact_kernel.frontends.servers import Servers
from codeact_kernel.tools.mcp.config import parse_config
from codeact_kernel.tools.registry import Tool, ToolRegistry

from ..tools.mcp.reach import until

SERVER = """
import json, sys, time
from pathlib import Path

role, mark = sys.argv[1], Path(sys.argv[2])
lists = 0
while role == "late" and not mark.exists():
    time.sleep(0.01)
for line in sys.stdin:
    asked = json.loads(line)
    match asked["method"]:
        case "initialize":
            info = {"name": role, "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            lists += 1
            names = ["first", "second"][:lists] + ["later"] * mark.with_name("later").exists()
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
        case _ if "id" in asked:
            error = {"code": -32601, "message": "Method not found"}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
            continue
        case _:
            continue
    answers = [{"id": asked["id"], "result": result}]
    if role == "early" and asked["method"] == "tools/list" and lists == 1:
        answers.append({"method": "notifications/tools/list_changed"})
    for answer in answers:
        print(json.dumps({"jsonrpc": "2.0", **answer}), flush=True)
    if role == "early" and lists == 2:
        mark.touch()
"""


def servers(folder: Path, own: Mapping[str, object] = {}) -> tuple[Servers, ToolRegistry]:
    """Two; the second starts when the first has told that it has one more tool, and listed it. `own`: what
    the file says to this program of both."""
    script = folder / "server.py"
    script.write_text(SERVER)
    document = {
        "mcpServers": {
            role: {
                "command": sys.executable,
                "args": [str(script), role, str(folder / "mark")],
                "codeact": {**own},
            }
            for role in ("early", "late")
        }
    }
    registry = ToolRegistry(())
    return Servers(parse_config(document), registry), registry


def test_a_server_may_change_its_tools_while_another_still_starts(tmp_path: Path) -> None:
    made, registry = servers(tmp_path)

    async def work() -> None:
        try:
            await made.open(lambda text: None)
            await until(lambda: registry.has("early.second"))
        finally:
            await made.aclose()

    asyncio.run(work())
    names = {spec.name for spec in registry.specs()}
    assert names == {"early.first", "early.second", "late.first"}


def test_servers_whose_tools_cannot_be_had_are_opened_anew(tmp_path: Path) -> None:
    made, registry = servers(tmp_path)

    def refused(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        raise ToolDefinitionError("no")

    async def work() -> None:
        made.offered = refused
        with pytest.raises(ToolDefinitionError):
            await made.open(lambda text: None)
        made.offered = lambda tools: tools
        await made.open(lambda text: None)
        await made.aclose()

    asyncio.run(work())
    names = [spec.name for spec in registry.specs() if spec.function == "first"]
    assert names == ["early.first", "late.first"]


def opened(folder: Path, approve: Approve | None = None, own: Mapping[str, object] = {}) -> list[str]:
    """What is told when they are opened. Raises: UsageError."""
    made, registry = servers(folder, own)
    made.modes = Modes(approve, (), registry.modules())
    told: list[str] = []

    async def work() -> None:
        try:
            await made.open(told.append)
        finally:
            await made.aclose()

    asyncio.run(work())
    return told


@pytest.mark.parametrize(
    ("approve", "own", "words"),
    [
        ("early.frist=deny", {}, "'early.frist' is no tool of early now; did you mean 'early.first'?"),
        ({"late.frist": lambda: True}, {}, "approve: 'late.frist' is no tool of late now"),
        (None, {"approve": {"frist": "ask"}}, "'approve': 'frist' is no tool of early now"),
        ("early.frist=ask", {"exclude": ["sec*"]}, "approve: 'early.frist' is no tool of early now"),
        ("early.gone-1=ask", {"include": ["first", "gone*"]}, "approve: 'early.gone-1' is no tool of early"),
    ],
)  # fmt: skip
def test_who_denies_a_tool_that_there_is_not_is_told_before_anything_runs(
    tmp_path: Path, approve: Approve | None, own: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        opened(tmp_path, approve, own)


@pytest.mark.parametrize(
    ("approve", "own", "words"),
    [
        ("early.x*=deny", {}, "approve: 'early.x*' matches no tool of early now; there are: early.first"),
        ("early.frist=allow", {}, "approve: 'early.frist' is no tool of early now"),
        (None, {"reads": ["x*"]}, "'reads': 'x*' matches no tool of early now"),
        (None, {"tools": {"frist": {"max_calls": 1}}}, "'tools': 'frist' is no tool of early now"),
        (None, {"approve": {"gone": "deny"}, "include": ["first"]}, "'approve': 'gone' is no tool of early"),
        (
            "early.gone=deny",
            {"include": ["fir*"]},
            "approve: 'early.gone' is no tool of early now; there are",
        ),
    ],
)
def test_other_words_about_tools_that_there_are_not_are_told(
    tmp_path: Path, approve: Approve | None, own: dict[str, object], words: str
) -> None:
    assert [text for text in opened(tmp_path, approve, own) if words in text]


@pytest.mark.parametrize(
    ("approve", "own"),
    [
        (["early.first=deny", "early.f*=ask", "late=deny", "ask"], {}),
        (None, {"approve": {"first": "ask", "*": "allow", "second": "deny"}, "exclude": ["sec*"]}),
        (["early.second=deny", "late.second_one=ask"], {"exclude": ["second", "second-*"]}),
    ],
)
def test_nothing_is_told_of_rules_for_tools_that_there_are(
    tmp_path: Path, approve: Approve | None, own: dict[str, object]
) -> None:
    assert not [text for text in opened(tmp_path, approve, own) if "no tool" in text]


def test_who_denies_a_tool_that_came_since_the_list_was_kept_is_not_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "later").touch()
    assert not [text for text in opened(tmp_path, "early.later=deny") if "no tool" in text]
