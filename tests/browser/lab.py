"""Owns a JupyterLab of the tests' own: its folders, configuration and process."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

PATIENCE = 60
"""Seconds that anything may take: the machine may be slow, and shared."""
KERNEL = [sys.executable, "-P", "-m", "codeact_kernel.frontends.kernel", "-f", "{connection_file}"]
QUIET = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
    "docmanager-extension/plugin": {"autosave": False},
}
"""Settings of Lab without which it would call home, or write at moments of its own."""


@dataclass(frozen=True)
class Lab:
    """A running server, and where it keeps its things."""

    folder: Path
    """Of the notebooks, the tools and the scripts."""
    home: Path
    """Its configuration, kernelspecs and runtime files."""
    port: int
    token: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, place: str = "lab") -> str:
        return f"{self.origin}/{place}?token={self.token}"

    def environment(self) -> dict[str, str]:
        """In which Jupyter applications find this server's folders, and no others."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC", "JUPYTER", "IPYTHON", "CODEACT"))
        }
        folders = {
            f"JUPYTER_{name}_DIR": str(self.home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
        }
        return {**kept, **folders, "IPYTHONDIR": str(self.home / "ipython"), "HOME": str(self.home)}

    def script(self, name: str, *replies: dict[str, str]) -> str:
        """Writes a script for a scripted model; what names it as a model."""
        path = self.home / f"{name}.jsonl"
        path.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
        return f"scripted:{path}"

    def notebook(self, name: str, *cells: str, kernel: str = "codeact") -> str:
        """Writes a notebook with these code cells; its path as Lab has it."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        made.metadata.kernelspec = {"name": kernel, "display_name": kernel}
        nbformat.write(made, self.folder / f"{name}.ipynb")
        return f"{name}.ipynb"

    def api(self, path: str) -> object:
        """The answer of the server's own API."""
        with urllib.request.urlopen(self.url(f"api/{path}"), timeout=PATIENCE) as answer:
            return json.load(answer)


def prepare(lab: Lab, config: str) -> None:
    """Folders, Lab's settings, the kernelspec and the configuration of the kernel."""
    settings = lab.home / "config" / "lab" / "user-settings" / "@jupyterlab"
    for name, values in QUIET.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    spec = lab.home / "data" / "kernels" / "codeact"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps(
            {
                "argv": KERNEL,
                "display_name": "CodeAct",
                "language": "codeact",
                "interrupt_mode": "message",
                "metadata": {"debugger": False, "supported_encryption": ["curve"]},
            }
        )
    )
    (lab.home / "config" / "codeact_config.py").write_text(config)


@contextmanager
def running(folder: Path, config: str) -> Iterator[Lab]:
    """A JupyterLab below `folder`, until the end of the block."""
    lab = Lab(folder / "work", folder / "home", free_port())
    lab.folder.mkdir()
    prepare(lab, config)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={lab.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"),
        *(f"--ServerApp.root_dir={lab.folder}", "--LabApp.expose_app_in_browser=True"),
        "--LabApp.extension_manager=readonly",
    ]
    log = lab.home / "lab.log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            command,
            cwd=lab.folder,
            env=lab.environment(),
            stdout=written,
            stderr=written,
            stdin=subprocess.DEVNULL,
        )
        try:
            wait_for(lab, server, log)
            yield lab
        finally:
            server.terminate()  # It shuts its kernels down.
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            lab.api("status")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-4000:]}")
