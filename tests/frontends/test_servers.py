"""The servers of a run: opened once, whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from codeact_kernel.exceptions import ToolDefinitionError
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
            names = ["first", "second"][:lists]
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
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


def servers(folder: Path) -> tuple[Servers, ToolRegistry]:
    """Two; the second starts when the first has told that it has one more tool, and listed it."""
    script = folder / "server.py"
    script.write_text(SERVER)
    document = {
        "mcpServers": {
            role: {"command": sys.executable, "args": [str(script), role, str(folder / "mark")]}
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
