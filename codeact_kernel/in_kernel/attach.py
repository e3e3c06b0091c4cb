"""Owns what this kernel is attached to: the tool channel that the launcher inherited, if any."""

from __future__ import annotations

import os
import socket

from codeact_kernel.in_kernel.channel import Channel

CHANNEL_FD = "CODEACT_CHANNEL_FD"
"""Environment variable with the number of the inherited socket; removed as soon as it is read."""

channel: Channel | None = None


def attach_from_environment() -> None:
    """Takes over the inherited socket, where there is one."""
    global channel
    number = os.environ.pop(CHANNEL_FD, None)
    if number is None:
        return
    sock = socket.socket(fileno=int(number))
    sock.set_inheritable(False)
    channel = Channel(sock)
