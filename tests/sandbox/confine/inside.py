"""Owns how a test runs code in a fresh process that gives up its rights, and learns what came of it.

As root each test runs twice: as root, and as an ordinary user.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codeact_kernel.sandbox.confine import landlock

from .. import as_user

PRELUDE = """
import errno, json, mmap, os, resource, signal, socket, sys
from codeact_kernel.sandbox.confine import landlock, libc, paths, privileges, seccomp, selftest
from codeact_kernel.sandbox.confine.policy import MIB, Bounds, Policy, load_policy
place, *arguments = sys.argv[1:]
answers = {}
def attempt(name, action):
    try:
        action()
        answers[name] = "worked"
    except OSError as problem:
        answers[name] = errno.errorcode.get(problem.errno, str(problem))
def touch(path, flags=os.O_WRONLY | os.O_CREAT):
    os.close(os.open(path, flags, 0o600))
"""
ANSWER = """
sys.stdout.write(json.dumps(answers))
"""

needs_landlock = pytest.mark.skipif(landlock.abi() < 1, reason="no Landlock on this machine")


class Caller(NamedTuple):
    """Who runs it, and a folder of theirs: short, since sockets may be in it."""

    ordinary: bool
    place: Path

    def command(self, argv: list[str]) -> list[str]:
        return as_user.command(argv) if self.ordinary else argv

    def run(self, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(argv), capture_output=True, text=True, check=False, timeout=60, **options
        )

    def ask(self, code: str, *arguments: str) -> dict[str, Any]:
        """Runs the code after `PRELUDE`; returns its `answers`."""
        done = self.run([sys.executable, "-I", "-c", PRELUDE + code + ANSWER, str(self.place), *arguments])
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        assert isinstance(answers, dict)
        return answers

    def write(self, name: str, text: str = "text") -> Path:
        """A file of theirs in their folder."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.own(path)
        return path

    def folder(self, name: str) -> Path:
        """A folder of theirs in their folder."""
        path = self.place / name
        path.mkdir(parents=True)
        self.own(path)
        return path

    def own(self, path: Path) -> None:
        if self.ordinary:
            for part in (path, *path.parents):
                if part == self.place.parent:
                    break
                os.chown(part, as_user.UID, as_user.UID)


def callers() -> Iterator[Any]:
    """Parameters of the fixture `caller`."""
    yield pytest.param(False, id="as_who_tests")
    why_not = as_user.unavailable()
    yield pytest.param(
        True, id="as_ordinary_user", marks=[pytest.mark.skipif(bool(why_not), reason=str(why_not))]
    )


def caller_of(ordinary: bool) -> Iterator[Caller]:
    """A caller, until the test is over."""
    caller = Caller(ordinary, Path(tempfile.mkdtemp(prefix="confine-", dir="/tmp")))
    caller.own(caller.place)
    try:
        yield caller
    finally:
        shutil.rmtree(caller.place)
