"""An agent with MCP servers, from the first prompt to the last process: real servers, real kernels."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.events import Event, Image, Notice, ToolProgress
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.profiling import Timings
from codeact_kernel.frontends.server_configs import ServerState, configs_of
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Observation, Step, Verdict

SHOP = Path(__file__).with_name("mcp_shop.py")
SECRET = "sk-of-the-shop-4711"
DEADLINE_S = 60.0
Command = Callable[..., "CompletedProcess[str]"]


def shop(log: Path, **more: Any) -> dict[str, Any]:
    """The server's entry of a configuration; `log` marks its process."""
    return {"command": sys.executable, "args": [str(SHOP), str(log)], "env": {"SHOP_KEY": SECRET}, **more}


def configuration(path: Path, servers: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


def processes(mark: Path) -> list[psutil.Process]:
    """Those that have `mark` in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(mark) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass  # It has ended meanwhile.
    return found


def none_is_left(mark: Path) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while processes(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes(mark)


def code(*cells: str) -> ScriptedModel:
    return ScriptedModel([*({"code": cell} for cell in cells), {"answer": "done"}])


def said(observation: Observation) -> str:
    return "".join(shown.text for shown in observation.shown if isinstance(shown, Stream))


# --- one run, seen from all sides -----------------------------------------------------------------

CELLS = (
    "from mcp_servers import shop\nfor order in shop.orders():\n    print(shop.refund(order['id']))",
    "print(shop.whoami())\nshop.picture()",
    "print(shop.count(to=3), shop.grow())",
    "import asyncio\nprint(await asyncio.gather(*(shop.late(x=n) for n in range(3))))",
    "from mcp_servers import broken\nbroken.anything()",
)


@dataclass
class Made:
    """The run, when its agent was closed."""

    path: Path
    log: Path
    model: ScriptedModel
    events: list[Event]
    steps: tuple[Step, ...]
    states: tuple[ServerState, ...]
    while_running: int
    verdict: Verdict
    timings: Timings

    @property
    def notices(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Notice))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("doors")
    path, log, events = folder / "run.ipynb", folder / "log", list[Event]()
    broken = {"command": sys.executable, "args": ["-c", "raise SystemExit('no licence')"]}
    file = configuration(folder / "mcp.json", {"shop": shop(log), "broken": broken})
    model = code(*CELLS)
    with Agent(model=model, mcp=file, out=path, timings=True) as agent:
        run = agent.run_sync("Refund all.", on_event=events.append)
        running, states = len(processes(log)), agent.servers()
        verdict = run.verified_sync()
    assert run.timings is not None
    return Made(path, log, model, events, run.trajectory.steps, states, running, verdict, run.timings)


@pytest.mark.kernel
def test_servers_are_called_like_modules_and_end_with_the_agent(made: Made) -> None:
    assert [step.observation.status for step in made.steps] == ["ok"] * 4 + ["error"]
    assert said(made.steps[0].observation) == "refunded 1\nrefunded 2\nrefunded 3\n"
    assert made.log.read_text() == "1\n2\n3\n"
    assert made.while_running >= 1
    assert none_is_left(made.log)


@pytest.mark.kernel
def test_the_prompt_names_what_there_is_and_stays_the_same(made: Made) -> None:
    (system,) = {request.system for request in made.model.requests}
    assert "\n- shop: count, grow, orders, picture, refund, whoami\n" in system
    assert "not available in this run, do without them: broken." in system
    assert "_updates" not in system
    assert "Sells things" not in system, "what a server says of itself is asked for in the kernel"


@pytest.mark.kernel
def test_a_server_that_fails_is_told_with_its_last_words(made: Made) -> None:
    assert "MCP server 'broken'" in made.notices
    assert "no licence" in made.notices
    error = made.steps[4].observation.error
    assert error is not None
    assert "no licence" in error.evalue, "who uses it learns why"


@pytest.mark.kernel
def test_tools_that_come_are_told_by_a_note_and_can_be_called(made: Made) -> None:
    notes = [note for step in made.steps for note in step.notes]
    assert "shop has new tools: late." in notes
    assert "shop has new tools: late." in str(made.model.requests[-1].messages)
    assert said(made.steps[3].observation) == "[1, 2, 3]\n"


@pytest.mark.kernel
def test_an_image_reaches_the_model_and_progress_the_user(made: Made) -> None:
    seen = [part for message in made.model.requests[2].messages for part in getattr(message, "parts", ())]
    assert [part.media_type for part in seen if isinstance(part, Image)] == ["image/png"]
    last = [event for event in made.events if isinstance(event, ToolProgress)][-1]
    assert (last.tool, last.done, last.total, last.message) == ("shop.count", 3, 3, "number 3")


@pytest.mark.kernel
def test_what_is_in_the_configuration_stays_on_the_host(made: Made) -> None:
    text = made.path.read_text()
    assert SECRET not in text
    assert "[secret mcp_shop_" in text, "the server said it, and it is masked"
    assert str(SHOP) not in text
    assert SECRET not in repr(made.states)


@pytest.mark.kernel
def test_the_servers_can_be_looked_at(made: Made) -> None:
    shown = {state.config.name: state for state in made.states}
    assert (shown["shop"].state, shown["shop"].tools) == ("there", 7)
    assert shown["shop"].calls >= 10
    assert shown["broken"].state == "cannot be had"
    assert "no licence" in shown["broken"].problem


@pytest.mark.kernel
def test_the_time_of_calls_is_measured(made: Made) -> None:
    assert {name: took.calls for name, took in made.timings.tools.items() if "_" not in name} == {
        "shop.orders": 1,
        "shop.refund": 3,
        "shop.whoami": 1,
        "shop.picture": 1,
        "shop.count": 1,
        "shop.grow": 1,
        "shop.late": 3,
    }


@pytest.mark.kernel
def test_the_run_is_verified_without_any_server(made: Made) -> None:
    assert made.verdict.status == "identical", made.verdict


@pytest.mark.kernel
def test_stock_jupyter_runs_the_notebook_with_the_servers_gone(made: Made, tmp_path: Path) -> None:
    notebook = nbformat.read(made.path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=DEADLINE_S, allow_errors=True)
    client.execute(cwd=str(tmp_path))
    printed = [
        "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert "refunded 1\nrefunded 2\nrefunded 3\n" in printed
    assert "[1, 2, 3]\n" in printed
    assert made.log.read_text() == "1\n2\n3\n"


# --- a run goes on --------------------------------------------------------------------------------


@pytest.mark.kernel
def test_a_run_goes_on_without_its_servers(made: Made, tmp_path: Path) -> None:
    model = code("print(len(shop.orders()))", "shop.refund(9)")
    with Agent(model=model, out=tmp_path / "on.ipynb", verify=False) as agent:
        agent.resume(made.path)
        run = agent.run_sync("Go on.")
    steps = run.trajectory.steps[-2:]
    assert [step.observation.error.ename for step in steps if step.observation.error] == [
        "ToolUnavailable"
    ] * 2
    assert "shop is not there now" in str(steps[1].observation.error)
    assert "--mcp" in str(steps[1].observation.error)
    first = str(model.requests[0].messages)
    assert "These modules of tools are not there any more: broken, shop." in first
    assert made.log.read_text() == "1\n2\n3\n", "nothing was called twice"


@pytest.mark.kernel
def test_a_run_goes_on_with_its_servers(made: Made, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = code("print(shop.refund(9))")
    mcp = {"mcpServers": {"shop": shop(log)}}
    with Agent(model=model, mcp=mcp, out=tmp_path / "on.ipynb", verify=False) as agent:
        agent.resume(made.path)
        run = agent.run_sync("Go on.")
    assert said(run.trajectory.steps[-1].observation) == "refunded 9\n"
    assert log.read_text() == "9\n", "the earlier steps were answered from the record"
    assert "- shop: count" in model.requests[0].system


@pytest.mark.kernel
def test_a_live_replay_calls_the_servers_and_says_what_has_changed(
    tmp_path: Path, command: Command, folder: Path
) -> None:
    log = tmp_path / "log"
    server = shop(log)
    configuration(folder / "mcp.json", {"shop": server})
    replies = ({"code": "from mcp_servers import shop\nshop.refund(8)"}, {"answer": "done"})
    (folder / "script.jsonl").write_text("\n".join(map(json.dumps, replies)))
    how = ("--model", "scripted:script.jsonl", "--out", "run.ipynb", "--no-verify")
    ran = command("run", "Refund 8.", "--mcp", "mcp.json", *how)
    assert (ran.returncode, "shop.refund(order_id=8) = 'refunded 8'" in ran.stdout) == (0, True), (
        ran.stdout + ran.stderr
    )
    assert log.read_text() == "8\n"
    assert command("replay", "run.ipynb", "--live", "--yes").returncode == 2, "nobody is there to be called"
    configuration(folder / "mcp.json", {"shop": {**server, "args": [*server["args"], "2"]}})
    again = command("replay", "run.ipynb", "--live", "--yes", "--mcp", "mcp.json")
    assert again.returncode == 0, again.stdout + again.stderr
    said = "shop.refund: its server says something else now of its arguments"
    assert f"what it ran on differs (not counted): {said}" in again.stdout
    assert log.read_text() == "8\n8\n"
    assert none_is_left(log)


# --- other doors ----------------------------------------------------------------------------------


@pytest.mark.kernel
def test_cells_without_a_model_have_servers_too(command: Command, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    configuration(folder / "mcp.json", {"shop": shop(log)})
    (folder / "cells.py").write_text("from mcp_servers import shop\nprint(shop.refund(order_id=5))\n")
    shown = command("exec", "cells.py", "--mcp", "mcp.json")
    assert shown.returncode == 0, shown.stderr
    assert "refunded 5" in shown.stdout
    assert "shop.refund(order_id=5)" in shown.stdout
    assert none_is_left(log)


def test_a_file_that_lies_there_is_not_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mcp.json", ".mcp.json"):
        configuration(folder / name, {"shop": shop(tmp_path / "log")})
    monkeypatch.chdir(folder)
    with Agent(model=code()) as agent:
        assert agent.servers() == ()


def test_ctrl_c_while_a_server_starts_leaves_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    hangs = {"command": sys.executable, "args": ["-c", "import time; time.sleep(600)", str(mark)]}

    def stop() -> None:
        if processes(mark):
            raise KeyboardInterrupt

    with (
        Agent(model=code(), mcp={"mcpServers": {"slow": hangs}}, out=tmp_path / "run.ipynb") as agent,
        pytest.raises(KeyboardInterrupt),
    ):
        agent.run_sync("go", on_tick=stop)
    assert none_is_left(mark)
    assert not (tmp_path / "run.ipynb").exists()


# --- what is named wrongly -------------------------------------------------------------------------


def test_what_names_no_servers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json"):
        Agent(model=code(), mcp=tmp_path / "nowhere.json")
    with pytest.raises(UsageError, match="mcp=7: give a file such as"):
        Agent(model=code(), mcp=7)  # type: ignore[arg-type]  # That is the point.
    with pytest.raises(UsageError, match="shop"):
        configs_of([{"mcpServers": {"shop": shop(tmp_path)}}, {"mcpServers": {"shop": shop(tmp_path / "b")}}])


def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)  # As where it is not installed.
    with pytest.raises(UsageError, match=r"pip install 'codeact_kernel\[mcp\]'"):
        Agent(model=code(), mcp={"mcpServers": {"shop": shop(tmp_path)}})
    assert configs_of(None) == configs_of([]) == ()


def test_approvals_know_the_modules_before_their_servers_are_asked(tmp_path: Path) -> None:
    mcp = {"mcpServers": {"shop": shop(tmp_path)}}
    with Agent(model=code(), mcp=mcp, approve=["shop=ask", "shop.refund=deny"]) as agent:
        assert [state.state for state in agent.servers()] == ["starts with the first task"]
    with pytest.raises(UsageError, match="shap"):
        Agent(model=code(), mcp=mcp, approve=["shap=ask"])


@pytest.mark.kernel
def test_what_comes_between_two_tasks_is_told_with_the_next(tmp_path: Path) -> None:
    log = tmp_path / "log"
    grow = "from mcp_servers import shop\nshop.grow()"
    model = ScriptedModel([{"code": grow}, {"answer": "1"}, {"code": "shop.late(x=1)"}, {"answer": "2"}])
    with Agent(
        model=model, mcp={"mcpServers": {"shop": shop(log)}}, out=tmp_path / "r.ipynb", verify=False
    ) as agent:
        agent.run_sync("Grow.")
        deadline = time.monotonic() + DEADLINE_S
        while agent.servers()[0].tools != 7 and time.monotonic() < deadline:
            time.sleep(0.02)
        run = agent.run_sync("Use it.")
    assert run.trajectory.turns[1].notes == ("shop has new tools: late.",)
    assert run.trajectory.steps[-1].observation.status == "ok"
    assert len({request.system for request in model.requests}) == 1
