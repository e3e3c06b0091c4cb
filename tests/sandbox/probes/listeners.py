"""Owns the sockets of the host that nothing in the cage may reach.

No thread: a finished connection waits in the kernel's queue, and the host looks when it judges.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

IPV4, IPV6 = "127.0.0.1", "::1"


class Listeners:
    """One listener of every kind."""

    def __init__(self, folder: Path, mark: str, name: str) -> None:
        stream, dgram, unix = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_UNIX
        self._sockets = {
            "tcp": _bound(socket.AF_INET, stream, (IPV4, 0)),
            "tcp6": _bound(socket.AF_INET6, stream, (IPV6, 0)),
            "udp": _bound(socket.AF_INET, dgram, (IPV4, 0)),
            "unix": _bound(unix, stream, str(folder / "s")),
            "unix_dgram": _bound(unix, dgram, str(folder / "d")),
            "abstract": _bound(unix, stream, f"\0{mark}-s"),
            "abstract_dgram": _bound(unix, dgram, f"\0{mark}-d"),
        }
        self._named = _bound(unix, stream, f"\0{name}")  # its name is a secret, and nobody is to connect
        for path in (folder / "s", folder / "d"):
            path.chmod(0o777)

    def targets(self) -> dict[str, object]:
        """For `T`."""
        names = {name: s.getsockname() for name, s in self._sockets.items()}
        for name in ("tcp", "tcp6", "udp"):
            names[name] = list(names[name][:2])
        for name in ("abstract", "abstract_dgram"):
            names[name] = os.fsdecode(names[name][1:])
        return {**names, "url": f"http://{IPV4}:{names['tcp'][1]}/"}

    def contacts(self) -> list[str]:
        """The kinds that got a connection or a datagram since the last look."""
        return [name for name, listening in self._sockets.items() if _contacted(listening)]

    def close(self) -> None:
        """Closes them all."""
        for listening in (*self._sockets.values(), self._named):
            listening.close()


def _bound(family: int, kind: int, address: object) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)  # type: ignore[arg-type]  # as the family takes it
    made.setblocking(False)
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made


def _contacted(listening: socket.socket) -> bool:
    found = False
    while True:
        try:
            if listening.type == socket.SOCK_STREAM:
                listening.accept()[0].close()
            else:
                listening.recv(1)
        except BlockingIOError:
            return found
        found = True
