"""The magic in a real Python kernel, as a notebook front end has it, and in IPython at a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pexpect
import psutil
import pytest
from jupyter_client.manager import start_new_kernel

DEADLINE_S = 90.0
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]


class FrontEnd:
    """A Python kernel in `folder`, and what its cells show."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)
        self.answers: list[str] = []
        """What is typed where the kernel asks."""

    def run(self, cell: str, *, interrupt_at: str = "") -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """The content of the reply, and all that was shown: kinds and contents. `interrupt_at`: printed."""
        content = {"code": cell, "silent": False, "allow_stdin": bool(self.answers), "stop_on_error": True}
        request = self.client.session.msg("execute_request", content, metadata={"cellId": "one"})
        self.client.shell_channel.send(request)
        sent = request["header"]["msg_id"]
        shown: list[tuple[str, Any]] = []
        deadline = monotonic() + DEADLINE_S
        while monotonic() < deadline:
            if self.answers and self.client.stdin_channel.msg_ready():
                shown.append(("asked", self.client.get_stdin_msg(timeout=1)["content"]))
                self.client.input(self.answers.pop(0))
            if not self.client.iopub_channel.msg_ready():
                sleep(0.02)
                continue
            message = self.client.get_iopub_msg(timeout=1)
            assert message["parent_header"]["msg_id"] == sent, "shown under another cell"
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return self._reply(sent), shown
            if kind not in ("status", "execute_input"):
                shown.append((kind, content))
            if interrupt_at and kind == "stream" and interrupt_at in content["text"]:
                interrupt_at = ""
                self.manager.interrupt_kernel()
        raise TimeoutError(f"the cell did not end; shown: {shown}")

    def _reply(self, sent: str) -> dict[str, Any]:
        while True:  # Replies to what was asked while the kernel started may come first.
            message: dict[str, Any] = self.client.get_shell_msg(timeout=DEADLINE_S)
            if message["parent_header"]["msg_id"] == sent:
                return dict(message["content"])

    def descendants(self) -> list[psutil.Process]:
        return list(psutil.Process(self.manager.provisioner.pid).children(recursive=True))


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=DEADLINE_S)[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def environment(tmp_path: Path, folder: Path) -> dict[str, str]:
    own = {
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JPY_SESSION_NAME": str(folder / "my sales.ipynb"),
    }
    return {**os.environ, **own}


@pytest.fixture
def front_end(folder: Path, environment: dict[str, str]) -> Iterator[FrontEnd]:
    made = FrontEnd(folder, environment)
    yield made
    made.client.stop_channels()
    made.manager.shutdown_kernel(now=True)
    made.manager.cleanup_resources()


def script(folder: Path, *replies: dict[str, str]) -> str:
    path = folder / "script.jsonl"
    path.write_text("\n".join(map(json.dumps, replies)))
    return f"--model scripted:{path}"


def test_in_a_notebook(front_end: FrontEnd, folder: Path) -> None:
    model = script(
        folder,
        {
            "thought": "I look.",
            "code": "from IPython.display import HTML\nprint(double(len(df)))\n"
            "display(HTML('<b>x</b><script>alert(1)</script>'))",
        },
        {"answer": "It is **four**."},
        {"code": "import time\nkept = 1\nprint('asleep')\ntime.sleep(600)"},
        {"code": "final_answer(kept + 1)"},
    )
    setup = "%load_ext codeact_kernel\n%config CodeActMagics.verify = False\ndf = [1, 2]\n"
    reply, _ = front_end.run(setup + "def double(n: int) -> int:\n    print('here')\n    return 2 * n")
    assert reply["status"] == "ok"
    front_end.answers = ["y"]
    flags = f"--insert {model} --with df --tools double --approve ask"
    reply, shown = front_end.run(f"%codeact {flags} how much is it?")
    assert reply["status"] == "ok"
    [asked] = [content for kind, content in shown if kind == "asked"]
    assert "call double?" in asked["prompt"]
    texts = [json.dumps(content) for _, content in shown]
    first = next(content for kind, content in shown if kind == "display_data")
    later = [content for kind, content in shown if kind == "update_display_data"]
    assert first["transient"]["display_id"] in {content["transient"]["display_id"] for content in later}
    assert ("stream", {"name": "stdout", "text": "here\n"}) in shown
    assert ("stream", {"name": "stdout", "text": "4\n"}) in shown
    assert any("double(2) = 4" in text for text in texts)
    pages = [str(content.get("data", {}).get("text/html")) for _, content in shown]
    assert any("<b>x</b>" in page for page in pages)
    assert not any("<script" in page for page in pages)
    assert any("<a href='my%20sales-codeact-" in text for text in texts)
    result = next(content["data"] for kind, content in shown if kind == "execute_result")
    assert result == {"text/plain": "It is **four**.", "text/html": "<p>It is <strong>four</strong>.</p>\n"}
    [payload] = reply["payload"]
    assert payload["source"] == "set_next_input"
    assert "print(double(len(df)))" in payload["text"]

    reply, shown = front_end.run("x = %codeact sleep", interrupt_at="asleep")
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert reply["traceback"] == ["KeyboardInterrupt: interrupted; the agent keeps its state"]
    reply, shown = front_end.run("x = %codeact what was kept?\nx")
    assert next(content["data"]["text/plain"] for kind, content in shown if kind == "execute_result") == "2"

    # However the user's kernel goes, nothing of the agent's stays.
    left = front_end.descendants()
    assert left
    psutil.Process(front_end.manager.provisioner.pid).kill()
    assert gone(left)


def test_at_a_terminal(folder: Path, environment: dict[str, str]) -> None:
    model = script(
        folder,
        {"thought": "I add.", "code": "y = sum(df)\nprint('sum', y)\nfinal_answer(y)"},
        {"code": "import time\nprint('asleep', flush=True)\ntime.sleep(600)"},
        {"answer": "Still \x1b]0;owned\x07here."},
        {"code": "final_answer(double(y))"},
    )
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor"],
        cwd=str(folder),
        env={**environment, "TERM": "xterm", "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=DEADLINE_S,
        dimensions=(50, 120),
    )

    def run(line: str) -> None:
        terminal.expect(r"In \[\d+\]: ")
        terminal.sendline(line)

    try:
        run("%load_ext codeact_kernel")
        run("df = [1, 2, 4]")
        run("def double(n: int) -> int: return 2 * n\n")
        run(f"%codeact {model} --tools double --approve ask --with df --out y what's the sum?")
        terminal.expect("sent df: list, 3 items")
        terminal.expect("I add")
        terminal.expect("sum 7")
        terminal.expect(r"Out\[\d+\]: 7")
        run("x = %codeact sleep")
        terminal.expect("asleep")
        terminal.sendintr()
        terminal.expect("KeyboardInterrupt: interrupted; the agent keeps its state")
        run("%codeact are you there?")
        terminal.expect(r"Out\[\d+\]: \r?\n?Still here\.")
        run("y + 1")
        terminal.expect(r"Out\[\d+\]: 8")
        run("%codeact twice as much?")
        terminal.expect("Call double")
        terminal.sendline("y")
        terminal.expect(r"Out\[\d+\]: 14")
        run("%codeact_show")
        terminal.expect("Answer: 7")
        terminal.expect(r"In \[\d+\]: ")
        left = psutil.Process(terminal.pid).children(recursive=True)
        assert left
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
        assert gone(left)
    finally:
        terminal.close(force=True)
