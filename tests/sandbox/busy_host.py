"""Owns a host that dies: starts a session, a grandchild in a session of its own, a busy cell; reports."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.outputs import Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action

CELL = """
print('busy', flush=True)
while True: pass
"""
DAEMON = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"


async def main(sandbox: str) -> None:
    session = KernelSession(Settings(profile=SandboxProfile(sandbox=sandbox)))
    await session.start("pass")
    supervisor = session._process.supervisor
    code = (DAEMON if sandbox == "none" else "") + CELL
    async with aclosing(session.execute(Action(code), NoCalls())) as outputs:
        async for output in outputs:
            if isinstance(output, Stream):
                sys.stdout.write(json.dumps({"supervisor": supervisor, "work": session.workspace}) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
