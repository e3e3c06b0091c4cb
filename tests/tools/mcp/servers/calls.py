"""Owns a server of the SDK whose tools return, ask, limit and change what there is to test of calls."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Literal

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, ElicitationResult, Resolve
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import (
    AudioContent,
    CallToolResult,
    ElicitRequestURLParams,
    ImageContent,
    ResourceLink,
    TextContent,
)
from pydantic import BaseModel, Field

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
server = MCPServer("calls", title="Calls\x1b[31m", instructions="Ask \u202eme.")


class Order(BaseModel):
    id: int
    total: float = 1.5


@server.tool()
def order(from_id: int, note: str | None = None) -> Order:
    """An order."""
    return Order(id=from_id)


@server.tool(name="read-all")
def read_all(count: int = 3) -> list[int]:
    """Numbers."""
    return [*range(count)]


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=base64.b64decode(PNG), format="png")


@server.tool()
def mixed() -> CallToolResult:
    """Of each kind one."""
    return CallToolResult(
        content=[
            TextContent(text="before"),
            ImageContent(data=PNG, mime_type="image/png"),
            AudioContent(data=base64.b64encode(b"RIFF").decode(), mime_type="audio/wav"),
            ResourceLink(uri="calls://stock", name="stock"),
        ]
    )


@server.tool()
def boom(how: Literal["tool", "protocol"]) -> str:
    """Fails."""
    if how == "tool":
        raise ToolError("\x1b[31mno such order")
    raise MCPError(code=-32050, message="no\x07 way")


_there = 0
_most = 0


@server.tool()
async def crowd() -> int:
    """How many of its calls there were at once, at most."""
    global _there, _most
    _there += 1
    _most = max(_most, _there)
    await asyncio.sleep(0.01)
    _there -= 1
    return _most


@server.tool()
async def steps(count: int, context: Context) -> str:
    """Reports progress."""
    for done in range(count):
        await context.report_progress(done + 1, count, f"\x1b[1mstep {done + 1}")
    return "done"


class Who(BaseModel):
    name: str = Field(description="As on the bill", min_length=2)
    age: int = Field(default=30, ge=18)
    plan: Literal["basic", "full"] = "basic"
    news: bool = False


async def who() -> Elicit[Who]:
    return Elicit("Who are you?", Who)


@server.tool()
async def sign_up(answer: Annotated[ElicitationResult[Who], Resolve(who)]) -> str:
    """Asks the person."""
    if answer.action != "accept":
        return answer.action
    return f"{answer.data.name} {answer.data.age} {answer.data.plan} {answer.data.news}"


_asked: set[int] = set()


@server.tool()
def needs_page(number: int) -> str:
    """Wants the person to visit a page first."""
    if number not in _asked:
        _asked.add(number)
        page = ElicitRequestURLParams(
            message="Allow it there", url=f"https://example.org/allow?x={number}", elicitation_id="1"
        )
        raise UrlElicitationRequiredError([page])
    return "allowed"


@server.tool()
async def change(what: Literal["add", "redefine", "remove"], context: Context) -> str:
    """Changes what there is."""
    if what == "add":
        server.add_tool(lambda: "new", name="added", description="It was not there before.")
    elif what == "remove":
        server.remove_tool("picture")
    else:
        server.remove_tool("read-all")

        def wider(count: str = "x") -> str:
            return count

        server.add_tool(wider, name="read-all", description="Takes words now.")
    await context.session.send_tool_list_changed()
    return what


@server.resource("calls://stock")
def stock() -> str:
    """What there is."""
    return "all of it"


@server.resource("calls://stock/{name}")
def stock_of(name: str) -> str:
    """What there is of it."""
    return f"{name}: 3"


@server.prompt()
def greet(name: str) -> str:
    """Greets."""
    return f"Say hello to {name}."


if __name__ == "__main__":
    server.run("stdio")
