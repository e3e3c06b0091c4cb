"""Owns a host for tests: a program that starts a server, says that it has, and waits to be killed.

python -m tests.tools.mcp.host MODE MARK
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .reach import connected, raw


async def main(mode: str, mark: str) -> None:
    async with connected(raw(mode, Path(mark))) as connection:
        await connection.open()
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await asyncio.sleep(1000)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
