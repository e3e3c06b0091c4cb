"""Calls of modules where people look at them: dotted names, progress, the list of servers."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from codeact_kernel.events import (
    ActionReady,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from codeact_kernel.frontends import brief
from codeact_kernel.frontends.html_tape import call_lines, tape
from codeact_kernel.frontends.html_text import Room
from codeact_kernel.frontends.progress import Progress
from codeact_kernel.frontends.publishing import LIVE
from codeact_kernel.frontends.render import Renderer
from codeact_kernel.frontends.run_view import RunView
from codeact_kernel.frontends.server_configs import Named, ServerState, configs_of, listed
from codeact_kernel.frontends.servers import Servers
from codeact_kernel.notebook.tape_table import tape_source
from codeact_kernel.tools.mcp.server import Http, ServerConfig, Stdio
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Action, Observation, Reply, Step
from codeact_kernel.wire.messages import Raised, Returned, ToolCall
from tests.frontends.screen import Clock, Screen

LONG = "everything.trigger_long_running_operation"
CALL = ToolCall(1, 1, LONG, (), {"from_": "a"}, Returned({"ok": True}), 0.5)


def test_a_dotted_name_is_shown_whole() -> None:
    shown = f"{LONG}(from_='a') = "
    assert brief.call(CALL).startswith(shown)
    for html in (call_lines([CALL]), "".join(tape([CALL], Room()))):
        assert f"{LONG}(from_=&#x27;a&#x27;)" in html
    assert LONG.replace("_", "\\_") in tape_source([CALL])


def test_progress_in_one_line_whatever_a_server_says() -> None:
    assert brief.under_way(ToolProgress("fs.search", 30.0, 100.0)) == "in fs.search 30/100"
    assert brief.under_way(ToolProgress("fs.search", 2.5)) == "in fs.search 2.5"
    hostile = brief.under_way(ToolProgress("fs.search", 1, 2, "a\nb\x1b[31m" + "x" * 1000))
    assert hostile.startswith("in fs.search 1/2: a b")
    assert len(hostile) < 110
    assert "\x1b" not in hostile


def test_progress_is_in_the_live_line_of_a_terminal_and_leaves_nothing() -> None:
    console = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    with Renderer(console) as show:
        show(StepStarted(1))
        show(ToolStarted(CALL.tool, 1))
        show(ToolProgress(CALL.tool, 30, 100, "reading"))
        assert f"in {LONG} 30/100: reading" in _text(show._progress)
        show(ToolFinished(CALL))
    assert isinstance(console.file, io.StringIO)
    assert "30/100" not in console.file.getvalue()
    assert f"→ {LONG}" in console.file.getvalue()


OURS = (
    ToolCall(1, 1, "gone._updates", (), {}, Raised("ToolUnavailable", "gone._updates(): it has ended"), 0.1),
    ToolCall(1, 2, "everything._read_resource", ("demo://1",), {}, Returned("text"), 0.1),
)


def test_what_only_the_kernel_asks_is_no_call_to_people() -> None:
    console = Console(file=io.StringIO(), width=80, markup=False, highlight=False)
    screen = Screen()
    view = RunView(screen, lambda output: output, style=LIVE, clock=Clock())
    step = Step(1, Reply("", "look()"), Action("look()"), Observation("ok", tool_calls=(*OURS, CALL)))
    with Renderer(console) as show:
        for see in (show, view):
            see(StepStarted(1))
            see(ActionReady(1, Action("look()")))
            for call in (*OURS, CALL):
                see(ToolStarted(call.tool, call.index))
                if call in OURS and see is show:
                    assert f"in {call.tool}" not in _text(show._progress)
                see(ToolFinished(call))
            if see is show:
                assert "running · step 1 · 1 tool call" in _text(show._progress)
            see(StepFinished(step))
    assert isinstance(console.file, io.StringIO)
    shown = "\n".join((console.file.getvalue(), *screen.texts, call_lines(step.observation.tool_calls)))
    assert "_updates" not in shown
    assert "_read_resource" not in shown
    assert shown.count(f"{LONG}(") == 3
    assert shown.count(" · 1 tool call") == 2
    assert call_lines(OURS) == ""
    assert len(list(tape(OURS, Room()))) > 3, "the tape keeps them"


def _text(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(progress)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_progress_is_in_the_head_of_a_step_and_the_time_goes_on() -> None:
    screen, clock = Screen(), Clock()
    view = RunView(screen, lambda output: output, clock=clock)
    view.begin()
    view(StepStarted(1))
    view(ActionReady(1, Action("fs.search()")))
    view(ToolStarted("fs.search", 1))
    for done in range(1, 5):
        clock.now += 1.0
        view(ToolProgress("fs.search", done, 4, "file"))
    assert "in fs.search 4/4: file… 4 s" in str(screen.outputs[0][2])


def test_servers_are_listed_a_line_each_without_what_is_secret() -> None:
    local = ServerConfig("files", "files", Stdio("npx", ("--token=abcdefgh",)), source="mcp.json")
    remote = ServerConfig("web", "web", Http("https://user:pw@example.org/mcp?key=abcdefgh"))
    rows = listed([ServerState(local, "there", 14, 3), ServerState(remote, "cannot be had", 0, 0, "why")])
    assert rows.splitlines() == [
        "files  there · 14 tools · 3 calls · npx (mcp.json)",
        "web    cannot be had · 0 tools · https://example.org/mcp · why",
    ]


def test_the_same_file_named_twice_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"files": {"command": "npx"}}}')
    named = Named()
    assert named.configs == ()
    named.add([str(file)])
    named.add([str(file)])
    assert [config.module for config in named.configs] == ["files"]
    assert "starts with the first task" in listed(named.states())


def test_what_is_in_a_configuration_is_masked_but_for_what_everybody_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("SHOP_TOKEN", "tok-0123456789")
    entry = {"command": "npx", "args": ["${HOME}/data", "${SHOP_TOKEN}"], "env": {"MODE": "env-value-1"}}
    servers = Servers(configs_of({"mcpServers": {"shop": entry}}), ToolRegistry(()))
    assert set(servers.secrets.values()) == {"tok-0123456789", "env-value-1"}
    assert all(name.startswith("mcp_shop_") for name in servers.secrets)
    assert "tok-0123456789" not in repr(servers.configs)
