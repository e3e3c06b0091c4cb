"""MCP servers in notebooks: the magics of a user's own notebook, and the CodeAct kernel, with its trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.trusting import load_trusted_servers, trust
from tests.frontends.front_end import FrontEnd
from tests.frontends.shells import a_shell
from tests.frontends.test_mcp_doors import configuration, none_is_left, processes, shop

pytestmark = pytest.mark.timeout(300)


@pytest.mark.kernel
def test_the_magic_starts_the_servers_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    configuration(tmp_path / "mcp.json", {"shop": shop(log)})
    cells = [
        {"code": "from mcp_servers import shop\nfinal_answer(shop.refund(4))"},
        {"code": "final_answer(5)"},
    ]
    (tmp_path / "script.jsonl").write_text("\n".join(map(json.dumps, cells)))
    with a_shell(tmp_path) as shell:
        shell.run_line_magic("mcp", "")
        shell.run_line_magic("mcp", "mcp.json")
        shell.run_cell("a = %codeact --model scripted:script.jsonl refund 4").raise_error()
        shell.run_line_magic("mcp", "")
        assert len(processes(log)) >= 1
        shell.run_cell(
            "b = %codeact --mcp mcp.json five"
        ).raise_error()  # The same ones: nothing starts anew.
        assert (str(shell.user_ns["a"]), shell.user_ns["b"], log.read_text()) == ("refunded 4", 5, "4\n")
        said = capsys.readouterr().out
        configuration(tmp_path / "more.json", {"later": shop(log)})
        shell.run_cell("%codeact --dry --model scripted:script.jsonl --mcp more.json six").raise_error()
        dry = capsys.readouterr().out
        assert (
            "\nModules  shop (6 tools); later: not started yet, so the prompt below lacks the tools\n" in dry
        )
        assert "  - shop: count, grow, " in dry
        assert "- later" not in dry
        wrong = shell.run_cell("%codeact --mcp nowhere.json more").error_in_exec
        assert "nowhere.json" in str(wrong)
    assert "No MCP servers; name a file: %mcp mcp.json" in said
    assert "shop  starts with the first task" in said
    assert "shop  there · 6 tools · 1 call" in said
    assert none_is_left(log)


@pytest.mark.kernel
def test_the_kernel_starts_what_its_notebook_names_only_if_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    log, file = tmp_path / "log", configuration(tmp_path / "mcp.json", {"shop": shop(tmp_path / "log")})
    front = FrontEnd(tmp_path, notebook="Mine.ipynb")
    try:
        assert "no MCP servers" in front.run("%mcp").text()
        refused = front.run("%mcp mcp.json").reply["evalue"]
        assert "is not trusted: the programs that it names would run outside the sandbox" in refused
        assert "codeact trust" in refused
        assert not processes(log)
        trust(file)
        assert "shop  starts with the first task" in front.run("%mcp mcp.json").text()
        own = front.run("%%python\nfrom mcp_servers import shop\nshop.refund(order_id=7)")
        assert own.result == {"text/plain": "'refunded 7'"}
        assert "shop  there · 6 tools · 1 call" in front.run("%mcp").text()
        assert front.run("%tools").text() == "modules of MCP servers: shop; %mcp says how they are\n"
        assert "%reset first" in front.run("%mcp mcp.json").reply["evalue"]
        front.run("%reset")
        assert none_is_left(log)
    finally:
        front.close()
    assert log.read_text() == "7\n"


def test_a_configuration_that_was_changed_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    file = configuration(tmp_path / "mcp.json", {"shop": shop(tmp_path / "log")})
    trust(file)
    assert [config.module for config in load_trusted_servers(file)] == ["shop"]
    configuration(file, {"shop": {"command": "rm"}})
    with pytest.raises(UsageError, match=r"the MCP configuration .* was changed since you trusted it"):
        load_trusted_servers(file)
    file.write_text("not JSON")
    trust(file)
    with pytest.raises(UsageError, match="is not JSON"):
        load_trusted_servers(file)
