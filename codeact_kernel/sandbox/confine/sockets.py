"""Owns the listening sockets of a kernel, bound outside of the cage and handed in.

So the kernel never needs `socket`, `bind` or `listen`, and there is no moment after start-up at which a
filter would have to be tightened.
"""

from __future__ import annotations

import _socket  # `socket` costs the supervisor 10 ms more
import json
import os
from typing import Any, NamedTuple

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
BACKLOG = 100  # libzmq's own


class Bound(NamedTuple):
    """Descriptors of listening sockets, by channel; not inheritable yet."""

    descriptors: dict[str, int]
    tcp: bool


def bind(connection_file: str) -> Bound:
    """Binds what the connection file names.

    Ports that are 0 or missing are chosen and written back. Raises: OSError, ValueError.
    """
    with open(connection_file, encoding="utf-8") as file:
        info: dict[str, Any] = json.load(file)
    transport, ip = info.get("transport", "tcp"), info["ip"]
    if transport not in ("tcp", "ipc"):
        raise ValueError(f"transport {transport!r} in {connection_file!r}; known: tcp, ipc")
    taken = {info.get(f"{channel}_port", 0) for channel in CHANNELS}
    found: dict[str, int] = {}
    chosen = False
    for channel in CHANNELS:
        port = info.get(f"{channel}_port", 0)
        if transport == "ipc":
            if not port:
                port = next(n for n in range(1, 100) if n not in taken)
            found[channel] = _listen_unix(f"{ip}-{port}")
        else:
            found[channel], port = _listen_tcp(ip, port)
        taken.add(port)
        chosen = chosen or port != info.get(f"{channel}_port")
        info[f"{channel}_port"] = port
    if chosen:
        _rewrite(connection_file, info)
    return Bound(found, transport == "tcp")


def _listen_unix(path: str) -> int:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    try:
        os.unlink(path)  # Of a kernel that was restarted with the same connection file.
    except FileNotFoundError:
        pass
    sock.bind(path)
    sock.listen(BACKLOG)
    return sock.detach()


def _listen_tcp(ip: str, port: int) -> tuple[int, int]:
    family = _socket.AF_INET6 if ":" in ip else _socket.AF_INET
    sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    sock.bind(("" if ip == "*" else ip, port))
    sock.listen(BACKLOG)
    port = sock.getsockname()[1]
    return sock.detach(), port


def _rewrite(path: str, info: dict[str, Any]) -> None:
    new = f"{path}.{os.getpid()}"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(info, file)
    os.replace(new, path)
