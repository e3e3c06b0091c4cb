"""An MCP server as a user would write one, for the doors: run as a program, over its standard streams.

`python mcp_shop.py [LOG [VERSION]]`: each call of `refund` is a line of the file LOG; of version 2 it takes
something else.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

from mcp.server.mcpserver import Context, Image, MCPServer

WIDTH, HEIGHT = 240, 120
BARS = (30, 70, 110, 90)
server = MCPServer("shop", instructions="Sells things.")


def png() -> bytes:
    """A chart of bars: a file without a library for it."""
    rows = (bytes([0, *(colour for x in range(WIDTH) for colour in _colour(x, y))]) for y in range(HEIGHT))
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _colour(x: int, y: int) -> tuple[int, int, int]:
    bar, inside = divmod(x, WIDTH // len(BARS))
    return (70, 120, 190) if 10 <= inside < 50 and HEIGHT - y <= BARS[bar] else (245, 245, 245)


@server.tool()
def orders(status: str = "paid") -> list[dict[str, int]]:
    """Orders of a status: an amount each."""
    return [{"id": number, "amount": 10 * number} for number in (1, 2, 3)] if status == "paid" else []


def refund(order_id: int) -> str:
    """Refunds an order."""
    for log in sys.argv[1:2]:
        with Path(log).open("a") as file:
            file.write(f"{order_id}\n")
    return f"refunded {order_id}"


def refund_of_now(order_id: int, reason: str = "") -> str:
    """Refunds an order, for a reason."""
    return refund(order_id)


server.add_tool(refund_of_now if sys.argv[2:] == ["2"] else refund, name="refund")


@server.tool()
def whoami() -> str:
    """Says what it should not."""
    return os.environ.get("SHOP_KEY", "nobody")


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=png(), format="png")


@server.tool()
async def count(to: int, ctx: Context) -> int:
    """Counts, and says how far it is."""
    for number in range(to):
        await ctx.report_progress(number + 1, to, f"number {number + 1}")
    return to


def late(x: int) -> int:
    """Was not there at first."""
    return x + 1


@server.tool()
async def grow(ctx: Context) -> str:
    """Adds a tool."""
    server.add_tool(late)
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "grown"


if __name__ == "__main__":
    server.run()
