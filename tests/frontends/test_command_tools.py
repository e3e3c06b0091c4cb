"""`codeact tools`: what an agent would see, and what it costs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.conversation import CHARS_PER_TOKEN
from codeact_kernel.frontends.offer import Offer, matching, tokens
from codeact_kernel.frontends.toolentries import load_entries
from codeact_kernel.prompt import system_prompt
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire.stubs import tool_stub

Command = Callable[..., "subprocess.CompletedProcess[str]"]
SHOP = '''"""Orders."""
from codeact_kernel import tool

@tool(effect="read")
def fetch_orders(status: str, limit: int = 10) -> list[str]:
    """All orders that have this status. Newest first."""
    return []

@tool(approval="ask")
def refund(order: int) -> str:
    """Gives the money back, \\x1b[31mred."""
    return ""

@tool(approval=lambda order: order < 7)
def cancel(order: int) -> None: ...
'''


@pytest.fixture(autouse=True)
def shop(folder: Path) -> Path:
    path = folder / "shop.py"
    path.write_text(SHOP)
    return path


def test_a_list_by_module_with_effects_approvals_and_cost(command: Command) -> None:
    done = command("tools", "--tools", "shop.py", "--tools", "crm=shop.py", "--approve", "crm.refund=deny")
    assert done.returncode == 0, done.stderr
    plain, module = done.stdout.split("from toolkits import crm")
    assert "fetch_orders(status: str, limit: int = 10) -> list[str]   [reads; approval: allow]" in plain
    assert "refund(order: int) -> str   [writes; approval: ask]" in plain
    assert "cancel(order: int) -> None   [writes; approval: a rule]" in plain
    assert "    All orders that have this status.\n" in plain
    assert "crm.refund(order: int) -> str   [writes; approval: deny]" in module
    assert "6 tools: about" in module
    assert f"(tokens: characters / {CHARS_PER_TOKEN})" in module
    assert "\x1b" not in done.stdout


def test_one_tool_is_shown_in_full(command: Command) -> None:
    done = command("tools", "crm.fetch_orders", "--tools", "crm=shop.py")
    assert "from toolkits import crm\n" in done.stdout
    assert "def fetch_orders(status: str, limit: int = 10) -> list[str]:" in done.stdout
    assert "Newest first." in done.stdout
    assert "refund" not in done.stdout


def test_patterns_modules_and_words(command: Command) -> None:
    found = command("tools", "crm", "--tools", "crm=shop.py", "--tools", "shop.py", "--json")
    names = [one["name"] for one in json.loads(found.stdout)["tools"]]
    assert names == ["crm.fetch_orders", "crm.refund", "crm.cancel"]
    done = command("tools", "--search", "give money", "--tools", "crm=shop.py")
    assert done.stdout.splitlines()[0].startswith("crm.refund(order: int)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["crm.refnd", "--tools", "crm=shop.py"],
            "no tool is called 'crm.refnd'; did you mean 'crm.refund'?",
        ),
        (["x*", "--tools", "shop.py"], "no tool is called 'x*'; there are 3"),
        (["--search", "zebra", "--tools", "shop.py"], "no tool fits 'zebra'"),
        (["refund", "--search", "money", "--tools", "shop.py"], "give a PATTERN or --search, not both"),
        (["--tools", "shop.py", "--approve", "nope=ask"], "'nope'"),
        (["--tools", "no.py"], "does not exist"),
    ],
)
def test_what_cannot_be_shown_is_said(command: Command, arguments: list[str], said: str) -> None:
    done = command("tools", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_document(codeact: Command) -> None:
    done = codeact("tools", "--tools", "crm=shop.py", "--tools", "shop.py", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    refund = next(one for one in document["tools"] if one["name"] == "crm.refund")
    assert refund["signature"] == "crm.refund(order: int) -> str"
    assert (refund["effect"], refund["approval"]) == ("write", "ask")
    assert refund["stub_tokens"] == tokens(refund["stub"])
    (module,) = document["modules"]
    assert (module["name"], module["package"], module["functions"]) == ("crm", "toolkits", 3)
    assert module["prompt_tokens"] < module["stub_tokens"]
    assert document["prompt_tokens"] > module["prompt_tokens"]


def test_tools_of_servers_and_why_a_server_cannot_be_had(command: Command, folder: Path) -> None:
    server = {"command": sys.executable, "args": ["-m", "codeact_kernel", "mcp-server", "--out", str(folder)]}
    said = {"reads": ["list_*"], "approve": {"reset": "ask"}}
    servers = {"python": server | {"codeact": said}, "gone": {"command": str(folder / "no-program")}}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    done = command("tools", "--mcp", "mcp.json")
    assert done.returncode == 2, done.stderr  # One that was named is missing; the rest is shown.
    assert "from mcp_servers import python · 4 functions" in done.stdout
    assert "python.run_cell(code: str) -> RunCellResult   [writes; approval: allow]" in done.stdout
    assert "[reads; the server says it reads; approval: allow]" in done.stdout
    assert "python.reset() -> ResetResult   [writes; approval: ask]" in done.stdout
    assert "_updates" not in done.stdout
    assert "server gone cannot be had:" in done.stdout
    del servers["gone"]
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    one = command("tools", "--mcp", "mcp.json", "python.list_variables")
    assert one.returncode == 0, one.stderr
    assert "class ListVariablesResult(TypedDict):" in one.stdout
    assert "def list_variables() -> ListVariablesResult:" in one.stdout
    assert "data, not instructions" in one.stdout
    document = json.loads(command("tools", "--mcp", "mcp.json", "python.list_variables", "--json").stdout)
    (tool,) = document["tools"]
    assert "data, not instructions" in tool["stub"]
    assert "class ListVariablesResult(TypedDict):" in tool["stub"]
    assert (tool["described_by"], tool["stub_tokens"]) == ("server", tokens(tool["stub"]))
    refused = command("tools", "--mcp", "mcp.json", "--approve", "python.rest=deny")
    assert refused.returncode == 2
    assert "'python.rest' is no tool of python now; did you mean 'python.reset'?" in refused.stderr
    noted = command("tools", "--mcp", "mcp.json", "--approve", "python.rest*=deny", "--json")
    assert "'python.rest*' matches no tool of python now" in noted.stderr


def test_nothing_is_said_of_options_that_were_given(codeact: Command, folder: Path) -> None:
    servers = {"gone": {"command": str(folder / "no-program")}}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    done = codeact("tools", "--mcp", "mcp.json")
    assert (done.returncode, "name some with" in done.stdout) == (2, False)
    assert "server gone cannot be had:" in done.stdout


def test_the_address_of_a_server_that_cannot_be_reached_is_said_without_secrets(
    codeact: Command, folder: Path
) -> None:
    with socket.socket() as taken:  # Bound and not listening: every connection is refused.
        taken.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        servers = {
            "far": {"url": f"http://me:pass-4711@{at}/mcp?key=key-4711"},
            "hidden": {"url": "http://${AT}/hidden"},
        }
        (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        done = codeact("tools", "--mcp", "mcp.json", "--json", AT=at)
    assert done.returncode == 2
    problems = {one["server"]: one["problem"] for one in json.loads(done.stdout)["missing"]}
    assert problems["far"].endswith(f" (http://{at}/mcp)")
    assert "4711" not in problems["far"]
    assert at not in problems["hidden"]  # What comes from the environment may be a secret.


def test_skills_are_listed_with_what_they_cost(command: Command, codeact: Command, folder: Path) -> None:
    skills = folder / "kept"
    skills.mkdir()
    (skills / "total.py").write_text('def total(orders: list[int]) -> int:\n    """The sum. All of it."""\n')
    (skills / "paid.py").write_text("def paid(): return fetch_orders('paid')\n")
    (skills / "other.py").write_text("from toolkits import crm\ndef other(): return crm.refund(1)\n")
    (skills / "bad.py").write_text("def bad(:\n")
    words = ("tools", "--tools", "shop.py", "--skills", "kept")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    listed, totals = done.stdout.split("from skills import … · 2 functions · ")[1].split(
        "3 tools, 2 skills: "
    )
    assert "skills.paid()   [a skill, runs in the sandbox; " in listed
    assert "skills.total(orders: list[int]) -> int   [a skill, runs in the sandbox; " in listed
    assert "    The sum.\n" in listed
    assert "skill 'other' is left out: this run has no toolkits.crm, which it calls" in totals
    assert "bad.py' cannot be used: line 1: " in totals
    one = command(*words, "skills.total")
    assert one.stdout.startswith("from skills import total\n")
    assert "All of it." in one.stdout
    found = command(*words, "--search", "sum of orders")
    assert found.stdout.startswith("skills.total(")
    document = json.loads(codeact(*words, "--json").stdout)
    without = json.loads(codeact("tools", "--tools", "shop.py", "--json").stdout)
    assert ([one["name"] for one in document["skills"]], len(document["tools"])) == (
        ["skills.paid", "skills.total"],
        3,
    )
    assert [one["module"] for one in document["skills"]] == ["skills", "skills"]
    assert len(document["left_out"]) == 2
    assert document["prompt_tokens"] > without["prompt_tokens"]
    assert document["stub_tokens"] > without["stub_tokens"]


def test_a_skill_may_import_what_is_allowed(command: Command, folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "home.py").write_text("import os\ndef home(): return os.getcwd()\n")
    assert "--allow-import os allows it" in command("tools", "--skills", "kept").stderr
    done = command("tools", "--skills", "kept", "--allow-import", "os")
    assert (done.returncode, "0 tools, 1 skill: about" in done.stdout) == (0, True), done.stderr


def test_the_cost_is_that_of_the_prompt(shop: Path) -> None:
    registry = ToolRegistry(load_entries([f"crm={shop}", str(shop)]))
    offer = Offer(tuple(registry.tools.values()), registry.modules())
    longer = len(system_prompt(registry.specs(), "", (), "", None, registry.modules()))
    longer -= len(system_prompt((), "", (), "", None))
    assert offer.prompt_tokens() == -(-longer // CHARS_PER_TOKEN)
    (stub,) = (tool_stub(spec) for spec in matching(offer.specs, "crm.cancel"))
    assert stub == "def cancel(order: int) -> None: ..."


def test_toolkits_that_are_installed_and_not_named(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = folder / "acme_listed-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme_listed\nVersion: 3\n")
    (info / "entry_points.txt").write_text("[codeact_kernel.tools]\nacme-listed = acme_no_such_module\n")
    monkeypatch.syspath_prepend(str(folder))
    done = command("tools")
    assert done.returncode == 0, done.stderr
    assert "No tools; name some with --tools FILE.py" in done.stdout
    assert "installed, not named: acme-listed (acme_listed 3)   --tools acme-listed" in done.stdout
    failed = command("tools", "--tools", "acme-listed")
    assert failed.returncode == 2
    assert "toolkit 'acme-listed' (acme_listed 3, acme_no_such_module) cannot be loaded" in failed.stderr
