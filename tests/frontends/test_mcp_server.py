"""`codeact mcp-server`: other agents run cells in our sandbox, over stdio, with the client of the SDK."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.frontends.cli import main
from tests.sandbox import as_user

pytest.importorskip("mcp")
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import ElicitResult

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "codeact_kernel", "mcp-server"]
DEADLINE_S = 180.0
SHOP = """
from codeact_kernel import tool

@tool(approval="ask")
def refund(order: int) -> str:
    '''Gives it back.'''
    print("a word of the host on stdout")
    return f"refunded {order}"
"""


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await work()

    asyncio.run(within())


@asynccontextmanager
async def client(out: Path, *options: str, **given: Any) -> AsyncIterator[Client]:
    """A client whose server it has started; its words on stderr go to `out`/errors.txt."""
    parameters = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "--out", str(out), *options], env=dict(os.environ)
    )
    async with Client(parameters, read_timeout_seconds=DEADLINE_S, **given) as made:
        yield made


async def cell(at: Client, code: str) -> Any:
    return await at.call_tool("run_cell", {"code": code})


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


def notebooks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ipynb"))


PICTURE = """
import base64
from IPython.display import Image, display
display(Image(base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")))
"""


def test_a_session_and_its_notebook(tmp_path: Path) -> None:
    async def work() -> None:
        async with client(tmp_path) as at:
            listed = (await at.list_tools()).tools
            assert [one.name for one in listed] == ["run_cell", "list_variables", "reset", "save_trajectory"]
            assert all(one.output_schema and one.annotations and one.description for one in listed)
            assert "numpy" in str(listed[0].description)
            both = asyncio.gather(cell(at, "x = 20\nprint('<stdout>hi')\nx + 1"), cell(at, PICTURE))
            first, shown = await both
            assert not first.is_error
            assert "21" in text(first)
            assert "<\\stdout>hi" in text(first)  # What a program prints looks like no tag of ours.
            facts = first.structured_content
            assert (facts["status"], facts["execution_count"], facts["error"]) == ("ok", 2, None)
            assert facts["output"] == text(first)
            assert [(block.type, block.mime_type) for block in shown.content[1:]] == [("image", "image/png")]
            failed = await cell(at, "open('out.csv', 'w').write('a')\n1 / 0")
            assert failed.is_error
            assert "ZeroDivisionError" in text(failed)
            assert failed.structured_content["error"]["name"] == "ZeroDivisionError"
            assert [file["name"] for file in failed.structured_content["files"]] == ["out.csv"]
            long = await cell(at, "print('y' * 100_000)")
            assert len(text(long)) < 15_000
            assert "_obs[5]" in text(long)
            variables = (await at.call_tool("list_variables", {})).structured_content["variables"]
            assert {"name": "x", "type": "int"} in variables
            saved = await at.call_tool("save_trajectory", {"name": "my run"})
            assert saved.structured_content == {"path": str(tmp_path / "my run.ipynb"), "steps": 5}
            for name in ("my run", "../x", "/etc/x", ".x", "", "a/b", "x\n", "a" * 120):
                refused = await at.call_tool("save_trajectory", {"name": name})
                assert refused.is_error, name
            ended = await at.call_tool("reset", {})
            assert ended.structured_content["saved"].endswith(".ipynb")
            assert "NameError" in text(await cell(at, "x"))

    run(work)
    assert len(notebooks(tmp_path)) == 3
    assert main(["replay", str(tmp_path / "my run.ipynb")]) == 0
    assert main(["verify", *map(str, tmp_path.glob("*.ipynb"))]) == 0


def test_progress_a_cell_that_hangs_and_one_that_is_cancelled(tmp_path: Path) -> None:
    async def work() -> None:
        seen: list[str] = []
        told = asyncio.Event()

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            seen.append(message or "")
            told.set()

        async with client(tmp_path, "--step-timeout", "4", mode="legacy") as at:
            code = "import time\nx = 1\nprint('at work', flush=True)\ntime.sleep(60)"
            hung = await at.call_tool("run_cell", {"code": code}, progress_callback=heard)
            assert hung.is_error
            assert hung.structured_content["status"] == "timeout"
            assert "at work" in seen
            told.clear()
            call = at.call_tool("run_cell", {"code": code}, progress_callback=heard)
            running = asyncio.create_task(call)
            await told.wait()
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            after = await cell(at, "x + 1")
            assert "2" in text(after)
            assert after.structured_content["execution_count"] == 4

    run(work)


def test_calls_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)

    async def work() -> None:
        async with client(tmp_path, "--tools", f"{tmp_path}/shop.py") as at:
            for arguments in ({}, {"code": 7}, {"code": "1", "more": 1}, {"code": "x" * 1_000_001}):
                assert (await at.call_tool("run_cell", arguments)).is_error
            nothing = await at.call_tool("save_trajectory", {"name": "x"})
            assert "nothing has been run yet" in text(nothing)
            assert (await at.call_tool("list_variables", {})).structured_content == {"variables": []}
            assert (await at.call_tool("reset", {})).structured_content == {"saved": None}
            with pytest.raises(MCPError, match="Unknown tool"):
                await at.call_tool("nope", {})
            assert notebooks(tmp_path) == []
            # This client speaks 2026-07-28, where a server cannot ask anybody.
            assert "ToolDenied" in text(await cell(at, "refund(7)"))

    run(work)


def test_tools_inside_and_who_is_asked(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    asked: list[str] = []

    async def answer(context: object, given: Any) -> ElicitResult:
        asked.append(given.message)
        return ElicitResult(action="accept", content={"decision": "yes" if len(asked) == 1 else "no"})

    async def work() -> None:
        options = ("--tools", f"shop={tmp_path}/shop.py")
        async with client(tmp_path, *options, mode="legacy", elicitation_callback=answer) as at:
            run_cell: Any = (await at.list_tools()).tools[0]
            assert "- shop: refund" in run_cell.description
            assert run_cell.annotations.open_world_hint
            done = await cell(at, "from toolkits import shop\nshop.refund(7)")
            assert "refunded 7" in text(done)
            assert done.structured_content["tool_calls"] == 1
            denied = await cell(at, "shop.refund(8)")
            assert "ToolDenied" in text(denied)

    run(work)
    assert len(asked) == 2
    assert "Call shop.refund in step 1?" in asked[0]
    assert "order = 7" in asked[0]


def test_our_own_agent_calls_our_own_sandbox(tmp_path: Path) -> None:
    server = {"command": COMMAND[0], "args": [*COMMAND[1:], "--out", str(tmp_path)]}
    agent = Agent(
        model=ScriptedModel([]),
        mcp={"mcpServers": {"python": server}},
        out=tmp_path / "outer.ipynb",
        verify=False,
    )
    with agent:
        done = agent.run_cell_sync(
            "from mcp_servers import python\nprint(python.run_cell('x = 6 * 7')['status'])\n"
            "print(python.run_cell('x')['output'])"
        )
        failed = agent.run_cell_sync("python.run_cell('1 / 0')")
    assert "ok\n" in done.trajectory.steps[-1].observation.text("stdout")
    assert "42" in done.trajectory.steps[-1].observation.text("stdout")
    error = failed.trajectory.steps[-1].observation.error
    assert error is not None
    assert (error.ename, "ZeroDivisionError" in error.evalue) == ("ToolError", True)
    assert main(["replay", str(tmp_path / "outer.ipynb")]) == 0


# --- the end -----------------------------------------------------------------------------------

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@contextmanager
def started(out: Path, code: str, argv: list[str] = COMMAND, **given: Any) -> Iterator[subprocess.Popen[str]]:
    """A server whose client has sent a cell, and reads nothing yet."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*argv, "--out", str(out)], text=True, **pipes, **given) as process:
        assert process.stdin is not None
        try:
            call = {"name": "run_cell", "arguments": {"code": code}, "_meta": {"progressToken": 1}}
            for message in (
                HELLO,
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
            ):
                process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def answers(process: subprocess.Popen[str], until: str) -> list[str]:
    """Lines of the protocol, up to one with this text."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        json.loads(line)  # Nothing but the protocol is there.
        lines.append(line)
        if until in line:
            return lines
        assert '"id":2' not in line, line
    raise AssertionError(lines)


def descendants(pid: int) -> set[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    found = {int(child) for path in lists for child in path.read_text().split()}
    return found.union(*map(descendants, found))


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("how", ["SIGTERM", "end of stdin"])
def test_at_the_end_the_notebook_is_saved_and_nobody_is_left(tmp_path: Path, how: str) -> None:
    with started(tmp_path, "import time\nprint('at work', flush=True)\ntime.sleep(600)") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        answers(process, "at work")
        children = descendants(process.pid)
        assert children
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        said = process.stderr.read()
        assert process.wait(DEADLINE_S) == 0, said
    (name,) = notebooks(tmp_path)
    assert f"saved {tmp_path / name}" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert main(["verify", str(tmp_path / name)]) == 0
    deadline = time.monotonic() + DEADLINE_S
    while any(map(alive, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(bool(as_user.unavailable()), reason=str(as_user.unavailable()))
def test_an_ordinary_user_has_it_too() -> None:
    with tempfile.TemporaryDirectory(prefix="mcp-server-") as name:
        folder = Path(name)
        os.chown(folder, as_user.UID, as_user.UID)
        env = as_user.environment(name, {"PYTHONDONTWRITEBYTECODE": "1"})
        with started(folder / "runs", "6 * 7", as_user.command(COMMAND), env=env, cwd="/") as process:
            assert process.stdin is not None
            found = answers(process, '"id":2')
            process.stdin.close()
            assert process.wait(DEADLINE_S) == 0
        assert "<result>\\n42\\n</result>" in found[-1]
        (saved,) = (folder / "runs").glob("*.ipynb")
        assert saved.stat().st_uid == as_user.UID


def test_plain_files_are_streams_too(tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked", tmp_path / "answered"
    asked.write_text(json.dumps(HELLO) + "\nno JSON\n")
    with asked.open() as stdin, answered.open("w") as stdout:
        argv = [*COMMAND, "--out", str(tmp_path)]
        done = subprocess.run(
            argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "Isolated Python kernel" in answered.read_text()


def test_what_cannot_be_had_is_said_at_once(command: Command, folder: Path) -> None:
    (folder / "file").touch()
    done = command("mcp-server", "--out", "file/runs")
    assert (done.returncode, done.stdout) == (2, "")
    assert "name a folder for notebooks: --out DIR" in done.stderr
