"""Owns a server of the SDK with a tool of each kind, for tests. Arguments: stdio, or http PORT."""

from __future__ import annotations

import asyncio
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("plain", instructions="For tests.")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def boom() -> str:
    """Raises."""
    raise ToolError("boom")


_here: list[int] = []
_all_here = asyncio.Event()


@server.tool()
async def meet(count: int) -> str:
    """Returns when so many calls of it are there at once."""
    _here.append(1)
    if len(_here) == count:
        _all_here.set()
    await _all_here.wait()
    return f"{len(_here)} were here"


@server.tool()
async def steps(count: int, context: Context) -> str:
    """Reports progress."""
    for done in range(count):
        await context.report_progress(done + 1, count, f"step {done + 1}")
    return "done"


@server.tool()
async def grow(context: Context) -> str:
    """Has one tool more from now on."""
    server.add_tool(lambda: "new", name="grown", description="It was not there before.")
    await context.notify_tools_changed()
    return "grown"


@server.resource("memo://one")
def memo() -> str:
    """A memo."""
    return "a memo"


@server.resource("memo://of/{name}")
def memos(name: str) -> str:
    """A memo of somebody's."""
    return f"a memo of {name}"


@server.prompt()
def greet(name: str) -> str:
    """Greets."""
    return f"Say hello to {name}."


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
