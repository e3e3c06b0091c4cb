"""How a CodeAct kernel ends: nothing stays behind, however that came. And what configures it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.notebook.load import load
from tests.frontends.front_end import DEADLINE_S, FrontEnd, gone
from tests.models.endpoint import Endpoint, sse_text

pytestmark = pytest.mark.kernel
TOOLS = '''from codeact_kernel import tool

@tool
def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"
'''
PLANTED = ("codeact_config.py", "jupyter_config.py", "ipython_config.py", "ipykernel.py", "nh3.py")


def test_restart_and_sigkill_leave_no_process(tmp_path: Path) -> None:
    front = FrontEnd(tmp_path)
    try:
        front.run("%%python\nx = 1")
        first = front.processes()
        front.client.execute("%%python\nimport time\ntime.sleep(600)")
        front.restart()
        assert gone(first) == []
        cell = front.run("%%python\nx")
        assert (cell.reply["execution_count"], cell.reply["ename"]) == (1, "NameError")
        second = front.processes()
        assert len(second) > 1
        second[0].kill()
        assert gone(second) == []
    finally:
        front.close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """A model that falls silent in the middle of its reply."""
    reply = sse_text("Half a thought")
    with Endpoint([replace(reply, cut=reply.body.index(b"content_block_stop"), ending="hang")]) as served:
        yield served


@pytest.fixture(scope="module")
def configured(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """In a folder where a stranger has planted files; the user's own configuration lies elsewhere."""
    folder = tmp_path_factory.mktemp("strangers")
    for name in PLANTED:
        (folder / name).write_text(f"open({str(folder / 'was-here')!r}, 'a').write({name!r})\n")
    config = tmp_path_factory.mktemp("config")
    (config / "bank.py").write_text(TOOLS)
    (config / "codeact_config.py").write_text(
        "c.CodeActKernel.tools = ['bank.py']\nc.CodeActKernel.approve = 'ask'\nc.Limits.max_steps = 3\n"
    )
    keys = {"ANTHROPIC_API_KEY": "of-a-test", "ANTHROPIC_BASE_URL": endpoint.url}
    front = FrontEnd(folder, env={"PYTHONPATH": "", "JUPYTER_CONFIG_DIR": str(config), **keys})
    yield front
    front.close()


def test_the_users_configuration_counts(configured: FrontEnd) -> None:
    assert "def pay(amount: int) -> str:" in configured.run("%tools").text()
    assert "max_steps = 3\n" in configured.run("%limits").text()


def test_a_person_is_asked_before_a_call(configured: FrontEnd) -> None:
    cell = configured.run("%%python\npay(5)", answers=["y"])
    assert cell.result == {"text/plain": "'paid 5'"}
    assert any("Call <code>pay</code>" in data.get("text/html", "") for data in cell.shown())
    assert "call pay?" in configured.asked[0]["prompt"]
    assert configured.run("%%python\npay(6)").reply["ename"] == "ToolDenied", "nobody can be asked"


def test_an_interrupt_takes_the_question_back(configured: FrontEnd) -> None:
    async def at_question(message: dict[str, Any]) -> None:
        if "Call <code>pay</code>" in str(message["content"].get("data")):
            await configured.interrupt()

    cell = configured.run("%%python\npay(7)", allow_stdin=True, during=at_question)
    assert cell.reply["ename"] == "KeyboardInterrupt"
    undone = configured.run("%undo").text()
    assert "pay(7)" in undone
    again = configured.run("%%python\npay(8)", answers=["y", "y"])
    assert again.result == {"text/plain": "'paid 8'"}


def test_what_lies_in_the_folder_is_not_run(configured: FrontEnd) -> None:
    assert configured.run("%%python\n1 + 1").result == {"text/plain": "2"}
    assert not (configured.folder / "was-here").exists()


def test_an_interrupt_ends_the_reply_of_the_model(configured: FrontEnd, endpoint: Endpoint) -> None:
    configured.run("%%python\nkept = 9")

    async def at_thought(message: dict[str, Any]) -> None:
        if "Half a thought" in str(message["content"]):
            os.kill(configured.pid, signal.SIGINT)  # As a terminal does; Jupyter sends a message.

    cell = configured.run("think", during=at_thought)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
    assert endpoint.closed_early.wait(DEADLINE_S)
    os.kill(configured.pid, signal.SIGINT)  # Nothing runs: nothing happens.
    assert configured.run("%%python\nkept").result == {"text/plain": "9"}


def test_the_polite_end_saves_the_run_and_leaves_no_process(configured: FrontEnd) -> None:
    configured.run("%%python\nlast = 1")
    processes = configured.processes()
    configured.shut_down()
    assert gone(processes) == []
    saved = [load(path) for path in configured.folder.glob("codeact-*.ipynb")]
    last = [trajectory.steps[-1].action for trajectory in saved]
    assert any(action is not None and "last = 1" in action.code for action in last)


def test_wrong_configuration_is_said_in_place_of_the_first_task(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "codeact_config.py").write_text("c.CodeActKernel.tools = [\n")
    front = FrontEnd(tmp_path)
    try:
        failed = front.run("do it").reply
        assert failed["ename"] == "UsageError"
        assert "codeact_config.py" in failed["evalue"]
    finally:
        front.close()
