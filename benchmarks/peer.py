"""Owns the peers beside us: each in a virtual environment of its own, driven over its stdin and stdout.

`python benchmarks/peer.py` installs those that are missing, pinned, into the user's cache folder, and says
which cannot be. Measuring installs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "codeact-kernel-benchmarks")
DRIVERS = Path(__file__).with_name("drivers")
INSTALL_S = 300.0
"""For all of them together."""
ANSWER_S = 60.0
KERNEL = ("ipykernel==7.4.0", "jupyter_client==8.10.0", "ipython==9.18.1")
"""The same as ours: what differs is what is around it."""


@dataclass(frozen=True)
class Peer:
    """`module`: of its driver in benchmarks/drivers. `what`: what it is, as the tables say it."""

    name: str
    module: str
    pins: tuple[str, ...]
    what: str

    @property
    def folder(self) -> Path:
        made_of = " ".join([sys.version, *self.pins])
        return CACHE / f"{self.module}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"

    @property
    def problem(self) -> str | None:
        """Why it cannot be measured, if so."""
        if (self.folder / "installed").exists():
            return None
        refused = self.folder.with_suffix(".failed")
        if refused.exists():
            return f"it could not be installed here: {refused.read_text()}"
        return "it is not installed: `python benchmarks/peer.py` does that"

    def install(self, seconds: float) -> str | None:
        """Anew where it is not complete; the problem, if there was one."""
        if self.problem is None:
            return None
        refused = self.folder.with_suffix(".failed")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + seconds
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.pins]
        for command in ([sys.executable, "-m", "venv", str(self.folder)], [str(self._python), *pip]):
            failure = _failure(command, deadline - time.monotonic())
            if failure is not None:
                refused.write_text(failure)
                return failure
        refused.unlink(missing_ok=True)
        (self.folder / "installed").touch()
        return None

    @property
    def _python(self) -> Path:
        return self.folder / "bin" / "python"

    def start(self) -> Driven:
        return Driven([str(self._python), str(DRIVERS / f"{self.module}.py")])


PEERS = {
    peer.name: peer
    for peer in (
        Peer("nbclient", "drive_nbclient", ("nbclient==0.11.0", *KERNEL), "a stock kernel, ipc"),
        Peer(
            "AutoGen's JupyterCodeExecutor",
            "drive_autogen",
            ("autogen-ext[jupyter-executor]==0.7.5", "nbclient==0.11.0", *KERNEL),
            "a stock kernel, as it starts it",
        ),
        Peer(
            "smolagents' LocalPythonExecutor",
            "drive_smolagents",
            ("smolagents==1.26.0",),
            "an interpreter in the host's own process: no process, no kernel, no isolation",
        ),
        Peer(
            "Monty",
            "drive_monty",
            ("pydantic-monty==1.4.0",),
            "an interpreter of a part of Python in a worker: another class, no numpy, no pandas",
        ),
    )
}


@dataclass(frozen=True)
class Answer:
    """`seconds` of the clock, `cpu` seconds of the driver's own process, the first characters of what the
    code showed, and how many there are."""

    seconds: float
    cpu: float
    head: str
    length: int


class Driven:
    """A driver that runs. It takes the time itself, so that our pipe to it does not count."""

    def __init__(self, command: list[str]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked, self._answered = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asked.close()  # It ends its kernel and itself.
        try:
            self._process.wait(ANSWER_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._answered.close()

    def begin(self, code: str) -> Answer:
        """A new executor, up to the result of its first code. The one before has been ended by then."""
        return self._ask("begin", code)

    def step(self, code: str) -> Answer:
        return self._ask("step", code)

    def _ask(self, what: str, code: str) -> Answer:
        self._asked.write(json.dumps({"do": what, "code": code}).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._answered], [], [], ANSWER_S)[0]:
                raise TimeoutError(f"no answer within {ANSWER_S:.0f} s to {what} {code[:80]!r}")
            more = os.read(self._answered.fileno(), 65536)
            if not more:
                raise RuntimeError(f"the driver ended at {what} {code[:80]!r}; see what it wrote above")
            line += more
        answer = json.loads(line)
        if "problem" in answer:
            raise RuntimeError(f"{what} {code[:80]!r} failed: {answer['problem']}")
        return Answer(**answer)


def _failure(command: list[str], seconds: float) -> str | None:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # With what it has started.
        process.communicate()
        return f"stopped: all peers together may take {INSTALL_S:.0f} s; try again when the network is faster"
    if process.returncode == 0:
        return None
    errors = [line for line in said.splitlines() if line.startswith("ERROR")]
    return (errors or said.strip().splitlines() or [f"exit status {process.returncode}"])[-1][:300]


def install_all() -> None:
    deadline = time.monotonic() + INSTALL_S
    for peer in PEERS.values():
        failure = peer.install(deadline - time.monotonic())
        print(f"{peer.name}: {'ready' if failure is None else f'cannot be installed: {failure}'}", flush=True)


if __name__ == "__main__":
    install_all()
