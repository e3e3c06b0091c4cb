"""Owns the kernels a stock Jupyter client has in one scene, and how a probe is run in one of them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from queue import Empty
from typing import Any, Literal

from . import kernels, prelude
from .measure import Sampler, descendants, is_over
from .probe import Outcome, Probe, Usage
from .scene import Scene
from .victims import LIVING

PRELUDE = Path(prelude.__file__).read_text().replace("from __future__ import annotations\n", "")
LAYERS_OFF = {"A": [], "B": ["namespaces"], "C": ["landlock"], "none": []}
GRACE_S = 2.0
END_S = 3.0
HOLDERS = ("bwrap", "cat")
"""Processes of the session that are no kernels."""
KEPT_TEXT = 8 * 1024 * 1024
Ended = Literal["ok", "error", "interrupted", "killed", "died"]


class Cage:
    """A scene and, one after the other, the kernels that are run in it."""

    def __init__(self, tier: str, transport: str, probe: Probe, poorer: str = "") -> None:
        self.tier = tier
        self._without = [] if poorer else LAYERS_OFF[tier]  # A poorer host gives no more than that by itself.
        self._transport = transport
        self._wanted = probe
        self.scene = Scene()
        self.gone = True
        try:
            self._start()
        except BaseException:
            self.scene.close()
            raise

    def run(self, probe: Probe) -> Outcome:
        """Runs one probe, its second session included."""
        sampler = Sampler(self._supervisor, self.scene.work) if probe.measured else None
        began = time.monotonic()
        text, ended = self._cell(probe.code, probe.seconds)
        seconds = time.monotonic() - began
        usage = sampler.stop() if sampler else Usage()
        answered = not self.gone and self._cell("1 + 1", 2.0)[1] == "ok"
        then_text = ""
        if probe.then:
            self.end(probe)
            self._start()
            then_text = self._cell(probe.then, probe.seconds)[0]
        return Outcome(text, ended, seconds, usage, then_text, answered)

    def end(self, probe: Probe) -> str | None:
        """Ends the session; what is left of it that should not be."""
        problem = None
        if not self.gone:
            self.gone = True
            if probe.end == "kill supervisor":
                self._kernel.kill()
            else:
                problem = self._supervisor_harm()
            self._client.stop_channels()
            self._kernel.stop()
        return problem or self._survivors()

    def close(self) -> None:
        """Removes the scene."""
        self.scene.close()

    def harm(self) -> str | None:
        """What was done to the host so far."""
        return self.scene.disturbed() or (None if self.gone else self._supervisor_harm() or self._tampered())

    def _start(self) -> None:
        self._kernel = kernels.start(self.scene, self.tier, self._without, self._transport, self._wanted)
        self.gone = False
        self._client = self._kernel.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=30)
        self._supervisor = self._kernel.supervisor
        self._targets = self.scene.targets(self._supervisor)
        self._runtime = self._sockets()
        self._check_tier()

    def _check_tier(self) -> None:
        """That the cage is the one the table will name."""
        kernel = next(pid for pid in reversed(descendants(self._supervisor)) if _name(pid) not in HOLDERS)
        status = Path(f"/proc/{kernel}/status").read_text()
        namespaces = _namespace(kernel) != _namespace("self")
        found = ("Seccomp:\t2" in status, namespaces)
        wanted = {"A": (True, True), "B": (True, False), "C": (True, True), "none": (False, False)}[self.tier]
        if found != wanted:
            raise RuntimeError(f"asked for tier {self.tier!r}, got (seccomp, namespaces) = {found}")

    def _cell(self, code: str, seconds: float) -> tuple[str, Ended]:
        """All text of one cell, and how it ended."""
        given = f"T = {self._targets!r}\n{PRELUDE}\n{code}\n"
        parent = self._client.execute(given, store_history=False, allow_stdin=False)
        pieces: list[str] = []
        ended = self._listen(parent, pieces, time.monotonic() + seconds)
        if ended is not None:
            return "".join(pieces), ended
        if self._alive():
            self._kernel.interrupt()
            if self._listen(parent, pieces, time.monotonic() + GRACE_S) is not None:
                return "".join(pieces), "interrupted"
        alive = self._alive()
        harm = self._supervisor_harm()
        self.gone = True
        self._client.stop_channels()
        self._kernel.stop()
        return "".join(pieces) + (self._supervisor_word(harm) if harm else ""), "killed" if alive else "died"

    def _listen(self, parent: str, pieces: list[str], until: float) -> Ended | None:
        """Collects until the cell is done; None when it is not by then, or the kernel is gone."""
        failed = False
        size = 0
        while time.monotonic() < until:
            try:
                message = self._client.get_iopub_msg(timeout=0.1)
            except Empty:
                if not self._alive():
                    return None
                continue
            except Exception:  # a forged or broken message: the stock client's affair, not ours
                continue
            text, failed_now, idle = _read(message, parent)
            failed = failed or failed_now
            if size < KEPT_TEXT:
                pieces.append(text)
                size += len(text)
            if idle:
                return "error" if failed else "ok"
        return None

    def _alive(self) -> bool:
        return self._kernel.code() is None

    def _supervisor_harm(self) -> str | None:
        """Whether the process that watches was hit by that which it watches."""
        code = self._kernel.code()
        if code is not None:
            return f"the supervisor was killed ({code})" if code < 0 else None
        stat = Path(f"/proc/{self._supervisor}/stat").read_text().rpartition(")")[2].split()
        return f"the supervisor is stopped ({stat[0]})" if stat[0] in "Tt" else None

    def _sockets(self) -> dict[str, tuple[int, ...]]:
        """Connection file and sockets of the running kernel."""
        found = {path.name: path.lstat() for path in self._kernel.runtime.iterdir()}
        return {name: (f.st_mode, f.st_ino, f.st_size, f.st_mtime_ns) for name, f in found.items()}

    def _tampered(self) -> str | None:
        changed = self._sockets().items() ^ self._runtime.items()
        return f"runtime file changed: {min(name for name, _ in changed)}" if changed else None

    def _supervisor_word(self, harm: str) -> str:
        return f"\n{self.scene.claim}-host: {harm}\n"

    def _survivors(self) -> str | None:
        """What this process, a subreaper, has inherited; it is ended here."""
        until = time.monotonic() + END_S
        left = self._left()
        while left and time.monotonic() < until:
            time.sleep(0.01)
            left = self._left()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return f"processes outlived the session: {left}" if left else None

    def _left(self) -> list[int]:
        return [pid for pid in descendants(os.getpid()) if pid not in LIVING and not is_over(pid)]


def _read(message: dict[str, Any], parent: str) -> tuple[str, bool, bool]:
    """(text, whether it is an error, whether it ends the cell)."""
    content = message.get("content") or {}
    mine = (message.get("parent_header") or {}).get("msg_id") == parent
    kind = message.get("msg_type")
    if kind == "execute_input":
        return "", False, False  # the probe itself
    idle = kind == "status" and mine and content.get("execution_state") == "idle"
    return json.dumps(content, ensure_ascii=False, default=repr), kind == "error" and mine, idle


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _namespace(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/user")
