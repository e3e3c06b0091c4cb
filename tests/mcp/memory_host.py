"""Owns a host that makes calls of a hostile server, and says by how many MiB its peak grew with each.

`python -m tests.mcp.memory_host TOOL=N …`
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from codeact_kernel.wire.messages import Raised

from .hosting import hosted

SERVER = Path(__file__).with_name("hostile_server.py")


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


async def main(calls: list[str]) -> dict[str, tuple[str, float]]:
    """By call: how it ended, and the growth."""
    bad = {"command": sys.executable, "args": ["-S", str(SERVER), "calls"], "codeact": {"timeout_s": 600}}
    found = {}
    async with hosted({"mcpServers": {"bad": bad}}) as host:
        for call in calls:
            tool, _, number = call.partition("=")
            before = peak_mib()
            outcome = await host.call(f"bad.{tool}", n=int(number))
            found[call] = outcome.type if isinstance(outcome, Raised) else "", peak_mib() - before
            del outcome
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1:]))))
