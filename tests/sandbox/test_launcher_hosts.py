"""All that a launcher started ends with its host; on poorer hosts it forks less, or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .launched import PATIENT_S, gone
from .support import until

pytestmark = pytest.mark.kernel

HERE = Path(__file__).parent


class Host:
    """A process with a launcher, a session and a spare."""

    def __init__(self, *command: str, modules: tuple[str, ...] = (), **environment: str) -> None:
        self.process = subprocess.Popen(
            [*command, sys.executable, str(HERE / "launcher_host.py"), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **environment},
        )
        self.problem, self.tier, self.start, self.remarks, self.pids, self.folders = self.heard()

    def heard(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def host(*command: str, modules: tuple[str, ...] = (), **environment: str) -> Iterator[Host]:
    found = Host(*command, modules=modules, **environment)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("how", ["SIGKILL", "exit"])
def test_all_ends_with_the_host(how: str) -> None:
    with host() as found:
        assert (found.problem, found.start) == ("", "spare")
        assert len(found.pids) >= 5
        if how == "exit":
            found.tell("exit")
        else:
            found.process.kill()
        found.process.wait(PATIENT_S)
        assert gone(*found.pids)
        assert until(lambda: not any(map(os.path.exists, found.folders)), PATIENT_S)


def test_a_fork_of_the_host_has_no_launcher_and_takes_none_away() -> None:
    with host() as found:
        found.tell("fork")
        child = found.heard()
        start, *why = found.heard()
        try:
            assert (start, "belongs to" in why[0]) == ("cold", True)
            assert [pid for pid in found.pids if not Path(f"/proc/{pid}").exists()] == []
            found.process.kill()
            found.process.wait(PATIENT_S)
            assert gone(found.pids[0]), "the launcher, although the fork has its descriptors still"
        finally:
            os.kill(child, signal.SIGKILL)
        assert gone(*found.pids), "sessions last as long as anybody has their lifeline, as cold ones do"


# --- poorer hosts ---


@pytest.mark.parametrize(
    ("poorer", "expected"),
    [
        ("docker", ("B", "spare", "")),
        ("no-userns", ("B", "spare", "")),
        ("no-landlock", ("C", "cold", "Landlock")),
    ],
)
def test_on_a_poorer_host(poorer: str, expected: tuple[str, str, str]) -> None:
    tier, start, why = expected
    with host(sys.executable, str(HERE / "container.py"), f"--{poorer}", "--") as found:
        assert (found.tier, found.start) == (tier, start), found.remarks
        assert why in "; ".join(found.remarks)


def test_without_the_program_that_keeps_namespaces(tmp_path: Path) -> None:
    for name in ("bwrap", "rm", "chmod"):
        if path := next((p for p in map(Path, ("/usr/bin", "/bin")) if (p / name).exists()), None):
            (tmp_path / name).symlink_to(path / name)
    with host(PATH=str(tmp_path)) as found:
        assert found.start in ("spare", "cold")
        if found.tier == "A":
            assert "there is no `cat`" in "; ".join(found.remarks)
