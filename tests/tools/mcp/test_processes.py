"""The processes of a server: nothing of them is left, however the connection, or the host, ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel.tools.mcp.connection import Connection
from codeact_kernel.tools.mcp.problems import Unavailable
from tests.sandbox import as_user

from .reach import alive, connected, descriptors, marked, raw, until

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A file for process ids. What of them is left after the test is ended."""
    mark = tmp_path / "mark"
    yield mark
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def gone(mark: Path) -> bool:
    pids = marked(mark)
    return len(pids) >= 4 and not any(map(alive, pids))


async def closed(mark: Path) -> None:
    async with connected(raw("deaf", mark)) as connection:
        await connection.open()
        assert all(map(alive, marked(mark)))
        assert len(marked(mark)) == 4


async def a_cancelled_start(mark: Path) -> None:
    async with connected(raw("slow", mark)) as connection:
        opening = asyncio.create_task(connection.open())
        await until(lambda: marked(mark))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def closed_while_it_started(mark: Path) -> None:
    connection = Connection(raw("slow", mark))
    opening = asyncio.create_task(connection.open())
    await until(lambda: marked(mark))
    await connection.aclose()
    with pytest.raises(Unavailable, match="it was stopped"):
        await opening


async def a_cancelled_close(mark: Path) -> None:
    connection = Connection(raw("deaf", mark))
    await connection.open()
    closing = asyncio.create_task(connection.aclose())
    await until(lambda: not connection.running)
    closing.cancel()
    await asyncio.wait([closing])
    await connection.aclose()


def test_after_the_close_nothing_is_left(tmp_path: Path) -> None:
    """Not of a server that ignores SIGTERM and the end of its stdin, nor a child in a session of its own."""
    ways = (closed, a_cancelled_start, closed_while_it_started, a_cancelled_close)
    marks = [tmp_path / way.__name__ for way in ways]

    async def run() -> None:
        await asyncio.gather(*(way(mark) for way, mark in zip(ways, marks, strict=True)))

    asyncio.run(run())
    assert [mark.name for mark in marks if not gone(mark)] == []


def test_a_server_that_ends_takes_all_with_it(mark: Path) -> None:
    async def run() -> None:
        async with connected(raw("family", mark)) as connection:
            with pytest.raises(Unavailable, match="exit code 3"):
                await connection.call_tool("die", {})
            assert gone(mark)

    asyncio.run(run())


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20])
def test_a_start_that_is_cancelled_at_once_leaves_nothing(turns: int, mark: Path) -> None:
    async def run() -> None:
        connection = Connection(raw("family", mark))
        opening = asyncio.create_task(connection.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        await connection.aclose()
        assert not any(map(alive, children()))
        assert not any(map(alive, marked(mark)))

    asyncio.run(run())


def test_a_loop_that_ends_leaves_nothing(mark: Path) -> None:
    async def run() -> None:
        await Connection(raw("family", mark)).open()

    asyncio.run(run())
    asyncio.run(until(lambda: gone(mark)))


def test_a_guardian_that_is_killed_takes_its_server_with_it(mark: Path) -> None:
    async def run() -> None:
        async with connected(raw("family", mark)) as connection:
            await connection.open()
            os.kill(parent(marked(mark)[0]), signal.SIGKILL)
            with pytest.raises(Unavailable, match="signal SIGKILL"):
                await connection.call_tool("hang", {})
            await until(lambda: not any(map(alive, marked(mark)[:3])))  # The fourth has left the group.

    asyncio.run(run())


def test_a_host_that_is_killed_leaves_nothing(mark: Path) -> None:
    killed([sys.executable], mark)


@pytest.mark.skipif(bool(as_user.unavailable()), reason=str(as_user.unavailable()))
def test_an_ordinary_users_host_that_is_killed_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, as_user.UID, as_user.UID)
        killed(as_user.command([sys.executable]), Path(folder) / "mark")


def killed(python: list[str], mark: Path) -> None:
    """Starts a host, kills it, and waits until its server is gone."""
    command = [*python, "-m", "tests.tools.mcp.host", "deaf", str(mark)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment, cwd=REPOSITORY, text=True
    ) as host:
        assert host.stdout is not None
        try:
            assert host.stdout.readline() == "open\n"
            assert all(map(alive, marked(mark)))
        finally:
            host.kill()
        assert host.wait() == -signal.SIGKILL
    asyncio.run(until(lambda: gone(mark)))


def test_nothing_is_kept_open() -> None:
    async def run() -> None:
        for _ in range(2):
            async with connected(raw("old")) as connection:
                await connection.open()
        before = descriptors()
        for _ in range(3):
            async with connected(raw("old")) as connection:
                await connection.open()
            with pytest.raises(Unavailable):
                await Connection(raw("poor")).open()
        assert descriptors() == before
        assert not children()

    asyncio.run(run())


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children() -> list[int]:
    """Of this process, guardians of servers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if parent(int(path.name)) == os.getpid() and b"guardian.py" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            pass  # It has ended meanwhile.
    return found
