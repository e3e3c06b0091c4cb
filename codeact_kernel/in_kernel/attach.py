"""Owns what this kernel got from its launcher: the tool channel, if any, and the ceiling of imports."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codeact_kernel.in_kernel.channel import Channel

CHANNEL_FD = "CODEACT_CHANNEL_FD"
"""Environment variable with the number of the inherited socket; removed as soon as it is read."""

IMPORT_CEILING = "CODEACT_IMPORT_CEILING"
"""Environment variable: the modules that a notebook may ask for beside the default list, comma
separated; not set: any. Removed as soon as it is read."""

channel: Channel | None = None
import_ceiling: tuple[str, ...] | None = None


def attach_from_environment() -> None:
    """Takes over the inherited socket, where there is one, and reads the ceiling."""
    global channel, import_ceiling
    modules = os.environ.pop(IMPORT_CEILING, None)
    if modules is not None:
        import_ceiling = tuple(filter(None, (name.strip() for name in modules.split(","))))
    number = os.environ.pop(CHANNEL_FD, None)
    if number is None:
        return
    from codeact_kernel.in_kernel.channel import Channel  # 10 ms, which a stock Jupyter need not wait for.

    sock = socket.socket(fileno=int(number))
    sock.set_inheritable(False)
    channel = Channel(sock)
