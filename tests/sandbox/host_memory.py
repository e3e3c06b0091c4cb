"""Owns a host that runs one cell and says by how many MiB its own peak memory grew meanwhile."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import aclosing

from codeact_kernel.collect import Collector
from codeact_kernel.config import OutputLimits
from codeact_kernel.outputs import Finished
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(code: str) -> dict[str, object]:
    session = KernelSession()
    await session.start("pass")
    before = peak_mib()
    collector = Collector(OutputLimits())
    finished = Finished("killed")
    async with aclosing(session.execute(Action(code), NoCalls())) as outputs:
        async for output in outputs:
            collector.add(output)
            if isinstance(output, Finished):
                finished = output
    text = "".join(getattr(shown, "text", "") for shown in collector.shown())
    growth = peak_mib() - before
    await session.aclose()
    return {
        "status": finished.status,
        "reason": finished.reason,
        "truncated": collector.truncated,
        "growth": growth,
        "kept": len(text),
        "head": text[:20],
        "tail": text[-20:],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.stdin.read()))))  # noqa: T201  # its answer
