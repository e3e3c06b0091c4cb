"""Owns the baseline: a stock ipykernel over ipc and a bare jupyter_client, both at their best."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from jupyter_client import BlockingKernelClient, KernelManager

CHANNELS = 5
PATIENCE_S = 60.0


class Plain:
    """One kernel. Its client connects when all sockets are there: zmq waits 100 ms before it tries again."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bk-"))
            manager = KernelManager(
                kernel_name="python3", transport="ipc", ip=f"{folder}/k", connection_file=f"{folder}/c.json"
            )
            stack.callback(manager.cleanup_resources)
            manager.start_kernel(cwd=folder)
            stack.callback(manager.shutdown_kernel, now=True)
            _wait_for_sockets(folder)
            self.client: BlockingKernelClient = manager.client()
            stack.callback(self.client.stop_channels)
            self.client.start_channels(hb=False)
            self._stack = stack.pop_all()
        self._heard = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def value(self, code: str, name: str) -> str:
        """Runs a cell; the repr of a variable comes with the reply."""
        asked = self.client.execute(code, user_expressions={name: name})
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE_S)
            if reply["parent_header"].get("msg_id") == asked:
                return str(reply["content"]["user_expressions"][name]["data"]["text/plain"])

    def step(self, code: str) -> float:
        if not self._heard:  # What it publishes comes only when it knows of us.
            self.client.wait_for_ready(timeout=PATIENCE_S)
            self._heard = True
        return step(self.client, code)


def _wait_for_sockets(folder: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while sum(name.startswith("k-") for name in os.listdir(folder)) < CHANNELS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the stock kernel made no sockets in {PATIENCE_S:.0f} s")
        time.sleep(0.001)


def step(client: BlockingKernelClient, code: str) -> float:
    """Seconds until the reply and the idle status of one cell are in."""
    started = time.perf_counter()
    asked = client.execute(code)
    while True:
        # Of the channels themselves: the client's own methods run an event loop for each message.
        message = client.iopub_channel.get_msg(timeout=PATIENCE_S)
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    client.shell_channel.get_msg(timeout=PATIENCE_S)
    return time.perf_counter() - started
