"""Owns the process that is attacked: it keeps secrets, and tells the host which signals it got.

Run as a script by `Victim`; speaks lines of JSON over its standard streams.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

FOREIGN = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
IOPRIO_GET = 252
LIVING: set[int] = set()
"""Pids of the victims of all scenes of this process."""


def main() -> None:
    """Handles every signal there is, keeps two secrets, answers questions until its input ends."""
    got: list[int] = []
    for number in signal.valid_signals() - FOREIGN:
        try:
            signal.signal(number, lambda number, _: got.append(number))
        except (OSError, ValueError):
            pass  # those the C library keeps to itself
    in_memory, in_file = json.loads(sys.stdin.readline())
    buffer = ctypes.create_string_buffer(in_memory.encode())
    fd = os.open("deleted", os.O_CREAT | os.O_RDWR, 0o600)
    os.unlink("deleted")
    os.write(fd, in_file.encode())
    _say({"address": ctypes.addressof(buffer), "length": len(in_memory), "fd": fd})
    while sys.stdin.readline():
        _say({"signals": got, "memory": buffer.value.decode("latin-1")})


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Victim:
    """The host's hold on one victim."""

    def __init__(self, secrets: dict[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, secrets["argv of the victim"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=folder,
            env={"VICTIM_PASSWORD": secrets["environment of the victim"]},
        )
        self.pid = self._process.pid
        LIVING.add(self.pid)
        kept = [secrets["memory of the victim"], secrets["open file of the victim"]]
        self.told = self._ask(json.dumps(kept))
        self._before = self._state()
        self._answer = self._ask("state")

    def harm(self) -> str | None:
        """What happened to it, compared with its beginning."""
        code = self._process.poll()
        if code is not None:
            return f"the victim died ({code})"
        now = self._state()
        for what, value in self._before.items():
            if now[what] != value:
                return f"{what} of the victim: {value!r} became {now[what]!r}"
        answer = self._ask("state")
        return None if answer == self._answer else f"the victim was reached: {answer!r}"

    def end(self) -> None:
        """Ends the process, stopped or not."""
        self._process.kill()
        self._process.communicate()
        LIVING.discard(self.pid)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline() or '{"gone": true}')  # type: ignore[no-any-return]  # ours
        except BrokenPipeError:
            return {"gone": True}

    def _state(self) -> dict[str, Any]:
        """Without asking it: it may be stopped."""
        folder = Path(f"/proc/{self.pid}")
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        return {
            "halt": status["State"][0] in "Tt",
            "tracer": status["TracerPid"].strip(),
            "priority": (stat[15], stat[16], stat[37], stat[38]),  # priority, nice, rt_priority, policy
            "processors": sorted(os.sched_getaffinity(self.pid)),
            "I/O priority": ctypes.CDLL(None).syscall(IOPRIO_GET, 1, self.pid),
            **{
                name: (folder / name).read_text()
                for name in ("limits", "oom_score_adj", "comm", "coredump_filter")
            },
        }


if __name__ == "__main__":
    main()
