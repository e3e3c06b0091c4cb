"""Owns a host with a launcher, a session and a spare, which says what there is and closes nothing.

    launcher_host.py PRELOAD…

Then it reads lines: "fork" makes a fork of this process, which opens a session, says how that was started,
closes the launcher and waits; "exit" ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any, NoReturn

from codeact_kernel.sandbox.folders import base
from codeact_kernel.sandbox.launching import Launcher
from codeact_kernel.sandbox.session import KernelSession
from tests.sandbox.probes.measure import descendants


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201  # the answer of this process


async def started(launcher: Launcher) -> KernelSession:
    session = KernelSession(launcher=launcher)
    await session.start("pass")
    return session


def go_on(launcher: Launcher) -> NoReturn:
    """What the fork does."""
    report = asyncio.run(started(launcher)).report
    say([report.start, *report.remarks])
    launcher.close()
    while True:
        signal.pause()


async def main() -> None:
    launcher = Launcher(sys.argv[1:], spares=1)
    problem = launcher.ready()
    session = await started(launcher)
    launcher.fill()
    for spare in launcher._spares:
        await spare.report()  # Until then there are processes that only start others.
    report = session.report
    folders = [str(path) for path in base().glob(f"codeact-*-{os.getpid()}-*")]
    say([problem, report.tier, report.start, list(report.remarks), descendants(os.getpid()), folders])
    for line in sys.stdin:
        match line.strip():
            case "fork":
                if (child := os.fork()) == 0:
                    go_on(launcher)
                say(child)
            case "exit":
                sys.exit(0)


if __name__ == "__main__":
    asyncio.run(main())
