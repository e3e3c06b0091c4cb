"""Real servers, from the registries: listed, called, killed; and a notebook that re-runs without them."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp import Client, StdioServerParameters

from .conftest import Documents
from .installed import SERVERS

TOOLS = {
    "time": 2,
    "git": 12,
    "fetch": 1,
    "sqlite": 6,
    "everything": 13,
    "filesystem": 14,
    "memory": 9,
    "sequential-thinking": 1,
}


async def listed(entry: dict[str, Any]) -> int:
    async with Client(StdioServerParameters(**entry)) as client:
        return len((await client.list_tools()).tools)


def test_all_of_them_start_and_list_their_tools(servers: Documents) -> None:
    entries = servers()["mcpServers"]

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*map(listed, entries.values()))

    assert dict(zip(entries, asyncio.run(all_of_them()), strict=True)) == TOOLS
    assert set(entries) == set(SERVERS)
