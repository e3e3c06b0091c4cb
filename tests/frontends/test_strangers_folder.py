"""Opening a notebook in a stranger's folder runs nothing of it: CodeAct is started there, beside baits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec

from codeact_kernel.frontends.kernelspecs import SOURCE

MODULES = (
    "codeact_kernel/__init__",
    "sitecustomize",
    "usercustomize",
    "IPython",
    "ipykernel",
    "jupyter_client",
    "traitlets",
    "zmq",
    "anthropic",
    "numpy",
    "json",
    "asyncio",
    "tools",
)
SETTINGS = (
    "codeact_config",
    "jupyter_config",
    "jupyter_codeact_config",
    "ipython_config",
    "ipython_kernel_config",
    "profile_default/ipython_config",
    "profile_default/startup/00-first",
    ".ipython/profile_default/startup/00-first",
    ".jupyter/codeact_config",
    "conftest",
)
TOOLS = "from codeact_kernel import tool\n@tool\ndef stolen(x: int) -> int: return x\n"
MINE = "from codeact_kernel import tool\n@tool\ndef mine(x: int) -> int: return x + 1\n"
REPLIES = [{"thought": "With my tool.", "code": "print(mine(41))"}, {"answer": "42"}]


class Folders:
    """A stranger's folder full of baits, each of which writes its name when it is run; and a home."""

    def __init__(self, root: Path) -> None:
        self.stranger, self.home, self._log = root / "stranger", root / "home", root / "ran"
        for name in (*MODULES, *SETTINGS):
            path = self.stranger / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            bait = f"with open({str(self._log)!r}, 'a') as log: log.write({name!r} + '\\n')\n"
            path.write_text(bait + (TOOLS if name == "tools" else ""))
        for name in ("mcp.json", ".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json"):
            path = self.stranger / name
            path.parent.mkdir(exist_ok=True)
            server = {"command": "sh", "args": ["-c", f"echo {name} >> {self._log}"]}
            path.write_text(json.dumps({"mcpServers": {"bait": server}}))
        asked = {
            "CodeActKernel": {"model": "scripted:none.jsonl", "tools": ["tools.py"], "mcp": ["mcp.json"]}
        }
        for name in ("codeact_config", "jupyter_config"):
            (self.stranger / f"{name}.json").write_text(json.dumps(asked))
        (self.stranger / "evil.pth").write_text(f"import os; open({str(self._log)!r}, 'a').write('pth\\n')\n")
        config = self.home / "config"
        config.mkdir(parents=True)
        (config / "replies.jsonl").write_text("\n".join(map(json.dumps, REPLIES)))
        (config / "mine.py").write_text(MINE)
        (config / "codeact_config.py").write_text(
            f"c.CodeActKernel.model = 'scripted:{config / 'replies.jsonl'}'\n"
            "c.CodeActKernel.tools = ['mine.py']\n"
        )

    @property
    def ran(self) -> set[str]:
        return set(self._log.read_text().split()) if self._log.exists() else set()

    @property
    def environment(self) -> dict[str, str]:
        """Each path has entries that mean the current folder, as `export X=$X:/opt/x` makes them."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "PYTHONPATH": ":.:",
            "JUPYTER_CONFIG_PATH": ":.:",
        }


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


class Client:
    """A front end with a CodeAct kernel."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> str:
        """What a cell showed, and what its error said."""
        texts: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            content = message["content"]
            texts.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
            texts.append(content.get("evalue", ""))

        self._client.execute_interactive(code, output_hook=keep, timeout=100, allow_stdin=False)
        return "\n".join(filter(None, texts))


@pytest.fixture
def front_end(folders: Folders, tmp_path: Path) -> Iterator[Client]:
    manager = KernelManager(
        kernel_name="codeact",
        transport="ipc",
        ip=str(tmp_path / "k"),
        connection_file=str(tmp_path / "c.json"),
    )
    manager._kernel_spec = KernelSpec.from_resource_dir(str(SOURCE))  # As pip puts it there.
    manager.start_kernel(cwd=str(folders.stranger), env=folders.environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=100)
        yield Client(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


@pytest.mark.kernel
def test_nothing_of_it_runs(folders: Folders, front_end: Client) -> None:
    # Its tools, named from the notebook, which is the stranger's too.
    assert "is not trusted" in front_end.run("%tools tools.py")
    assert "stolen" not in front_end.run("%tools")
    assert "is not trusted" in front_end.run("%mcp mcp.json")
    assert "no MCP servers" in front_end.run("%mcp")
    # The user's own configuration holds, and a whole task runs: agent, model, tools, sandbox, notebook.
    assert "42" in front_end.run("Add one to 41 with my tool")
    assert "2" in front_end.run("%%python\n1 + 1")
    assert folders.ran == set()
    # Its tools run when they are trusted, and nothing else does.
    command = [sys.executable, "-E", "-P", "-m", "codeact_kernel", "trust", "tools.py"]
    subprocess.run(
        command, cwd=folders.stranger, env=folders.environment, check=True, stdout=subprocess.DEVNULL
    )
    front_end.run("%reset")
    assert "stolen" in front_end.run("%tools tools.py")
    assert folders.ran == {"tools"}


def test_the_baits_bite(folders: Folders) -> None:
    """What the flags of the kernelspec are for: without -P the folder is imported from, with -P alone too."""

    def start(*flags: str) -> set[str]:
        command = [sys.executable, *flags, "-c", "import codeact_kernel, zmq"]
        subprocess.run(
            command, cwd=folders.stranger, env=folders.environment, capture_output=True, check=False
        )
        return folders.ran

    assert start("-E", "-P") == set()
    assert start("-P") >= {"sitecustomize", "codeact_kernel/__init__", "zmq"}


def test_packages_of_this_user_are_found(tmp_path: Path) -> None:
    """`pip install --user`: what -I would take away as well."""
    python, env = str(getattr(sys, "_base_executable", sys.executable)), {**os.environ, "HOME": str(tmp_path)}
    asked = "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())"
    shown = subprocess.run([python, "-c", asked], env=env, capture_output=True, text=True, check=True).stdout
    enabled, _, folder = shown.strip().partition(" ")
    if enabled != "True" or not Path(folder).is_relative_to(tmp_path):
        pytest.skip("this Python has no packages of a user's own")
    Path(folder).mkdir(parents=True)
    (Path(folder) / "package_of_this_user.py").write_text("print('found')\n")
    flags = json.loads((SOURCE / "kernel.json").read_text())["argv"][1:3]
    for given, found in ((flags, "found\n"), (["-I"], "")):
        command = [python, *given, "-m", "package_of_this_user"]
        assert subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout == found
