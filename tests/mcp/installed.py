"""Owns the real MCP servers of tests and benchmarks: pinned, installed apart, and named as in an mcp.json.

`python -m tests.mcp.installed` (`make servers`) installs those that are missing, from the registries, and
says which cannot be had. Tests and benchmarks install nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINS = Path(__file__).with_name("servers")
CACHE = Path(__file__).parents[2] / ".venv" / "servers"
INSTALL_S = 600.0
"""For one of them: registries may be slow."""


@dataclass(frozen=True)
class Place:
    """Where some are installed together. `pinned`: the files with their versions; the first is the list."""

    name: str
    pinned: tuple[str, ...]
    commands: Callable[[Path], Sequence[Sequence[str]]]

    @property
    def folder(self) -> Path:
        """Its own for these versions, so that new ones are installed anew."""
        made_of = b"".join((PINS / name).read_bytes() for name in self.pinned) + sys.version.encode()
        return CACHE / f"{self.name}-{hashlib.sha256(made_of).hexdigest()[:12]}"

    @property
    def problem(self) -> str | None:
        """Why they cannot be used, if so."""
        if (self.folder / "installed").exists():
            return None
        refused = self.folder.with_suffix(".failed")
        if refused.exists():
            return f"the servers of {self.pinned[0]} could not be installed here: {refused.read_text()}"
        return f"the servers of {self.pinned[0]} are not installed: make servers"

    def install(self) -> str | None:
        """Anew where they are not complete; the problem, if there was one."""
        if self.problem is None:
            return None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        refused = self.folder.with_suffix(".failed")
        for command in self.commands(self.folder):
            failure = _failure(command)
            if failure is not None:
                refused.write_text(failure)
                return failure
        refused.unlink(missing_ok=True)
        (self.folder / "installed").touch()
        return None


def _pip(requirements: str) -> Callable[[Path], Sequence[Sequence[str]]]:
    def commands(folder: Path) -> Sequence[Sequence[str]]:
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r")
        return (
            (sys.executable, "-m", "venv", str(folder)),
            (str(folder / "bin" / "python"), *install, str(PINS / requirements)),
        )

    return commands


def _npm(folder: Path) -> Sequence[Sequence[str]]:
    for name in NPM.pinned:
        shutil.copyfile(PINS / name, folder / name)
    return (("npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"),)


PYTHON = Place("python", ("requirements.txt",), _pip("requirements.txt"))
SQLITE = Place("sqlite", ("requirements-sqlite.txt",), _pip("requirements-sqlite.txt"))
"""Apart: it needs mcp < 2."""
NPM = Place("npm", ("package.json", "package-lock.json"), _npm)
PLACES = (PYTHON, SQLITE, NPM)


def _python(module: str, *arguments: str, place: Place = PYTHON) -> Sequence[str]:
    return (str(place.folder / "bin" / "python"), "-m", module, *arguments)


def _node(server: str, *arguments: str) -> Sequence[str]:
    index = NPM.folder / "node_modules" / "@modelcontextprotocol" / f"server-{server}" / "dist" / "index.js"
    return ("node", str(index), *arguments)


@dataclass(frozen=True)
class Server:
    """`start`: the command of one whose data is in a folder; `env`: its environment."""

    place: Place
    start: Callable[[Path], Sequence[str]]
    env: Callable[[Path], Mapping[str, str]] = lambda folder: {}

    def entry(self, folder: Path) -> dict[str, Any]:
        """As `mcpServers` of an mcp.json has it. The folder is made."""
        folder.mkdir(parents=True, exist_ok=True)
        command, *arguments = self.start(folder)
        return {"command": command, "args": arguments, "env": dict(self.env(folder))}


SERVERS: Mapping[str, Server] = {
    "time": Server(PYTHON, lambda folder: _python("mcp_server_time", "--local-timezone", "UTC")),
    "git": Server(PYTHON, lambda folder: _python("mcp_server_git")),
    "fetch": Server(PYTHON, lambda folder: _python("mcp_server_fetch", "--ignore-robots-txt")),
    "sqlite": Server(
        SQLITE,
        lambda folder: (
            str(SQLITE.folder / "bin" / "mcp-server-sqlite"),
            "--db-path",
            str(folder / "data.db"),
        ),
    ),
    "everything": Server(NPM, lambda folder: _node("everything")),
    "filesystem": Server(NPM, lambda folder: _node("filesystem", str(folder))),
    "memory": Server(
        NPM, lambda folder: _node("memory"), lambda folder: {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}
    ),
    "sequential-thinking": Server(NPM, lambda folder: _node("sequential-thinking")),
}


def why_not(*names: str) -> str | None:
    """Why these servers cannot be used here, if so."""
    problems = (SERVERS[name].place.problem for name in names)
    return next(filter(None, problems), None)


def document(folder: Path, *names: str) -> dict[str, Any]:
    """An mcp.json of these servers, or of all; the data of each is in a folder of its name."""
    return {"mcpServers": {name: SERVERS[name].entry(folder / name) for name in names or SERVERS}}


def _failure(command: Sequence[str]) -> str | None:
    """What went wrong, if something did. A command that takes too long is stopped, with its children."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as problem:
        return f"{command[0]}: {problem}"
    try:
        _, said = process.communicate(timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"{command[0]} was stopped after {INSTALL_S:.0f} s"
    if process.returncode == 0:
        return None
    errors = [line for line in said.splitlines() if line.startswith(("ERROR", "npm error", "npm ERR!"))]
    return (errors or said.strip().splitlines() or [f"exit status {process.returncode}"])[0][:300]


@contextmanager
def _alone() -> Iterator[None]:
    """One installation at a time, of all who use this checkout."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_all() -> bool:
    """Whether all are there."""
    with _alone():
        failures = {place: place.install() for place in PLACES}
    for place, failure in failures.items():
        said = "ready" if failure is None else f"cannot be installed: {failure}"
        sys.stdout.write(f"servers of {place.pinned[0]}: {said}\n")
    return not any(failures.values())


if __name__ == "__main__":
    sys.exit(0 if install_all() else 1)
