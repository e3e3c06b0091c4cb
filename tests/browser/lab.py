"""Owns a JupyterLab of the tests' own: its settings and its process."""

from __future__ import annotations

import json
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

from ..jupyter.place import CONFIG, PATIENCE, Place

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
"""Without these Lab would call home, and write at moments of its own."""


@dataclass(frozen=True)
class Lab(Place):
    """A running server."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, place: str = "lab") -> str:
        return f"{self.origin}/{place}?token={self.token}"

    def prepare(self, config: str = CONFIG) -> None:
        """And Lab's settings."""
        super().prepare(config)
        settings = self.home / "config" / "lab" / "user-settings" / "@jupyterlab"
        for name, values in SETTINGS.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(values))

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(self.url("api/status"), timeout=PATIENCE):
                return True
        except OSError:
            return False


@contextmanager
def running(folder: Path) -> Iterator[Lab]:
    """A JupyterLab below `folder`, until the end of the block."""
    lab = Lab(folder / "work", folder / "home", free_port())
    lab.prepare()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={lab.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={lab.token}"),
        *(f"--ServerApp.root_dir={lab.folder}", "--LabApp.expose_app_in_browser=True"),
        "--LabApp.extension_manager=readonly",
    ]
    log = lab.home / "lab.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            cwd=lab.folder,
            env=lab.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(lab, server, log)
            yield lab
        finally:
            end(server)


def wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not lab.is_up():
        if time.monotonic() > end or server.poll() is not None:
            raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.05)


def end(server: subprocess.Popen[bytes]) -> None:
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
