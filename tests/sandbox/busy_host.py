"""Owns a host that dies: starts a session, a grandchild in a session of its own, a busy cell; reports."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing

from codeact_kernel.outputs import Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action

CELL = """
import json, os, subprocess
child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
print(json.dumps({'kernel': os.getpid(), 'supervisor': os.getppid(), 'child': child.pid}), flush=True)
while True: pass
"""


async def main() -> None:
    session = KernelSession()
    await session.start("pass")
    async with aclosing(session.execute(Action(CELL), NoCalls())) as outputs:
        async for output in outputs:
            if isinstance(output, Stream):
                sys.stdout.write(json.dumps({**json.loads(output.text), "work": session.workspace}) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
