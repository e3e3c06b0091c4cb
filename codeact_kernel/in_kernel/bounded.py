"""Owns the size of the messages this kernel sends: what is too large for the host is shortened here.

The host ends a connection that brings a larger message; an honest cell that shows a hundred megabytes
should lose that output and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_client.session import Session

MAX_BYTES = 24 * 1024 * 1024
"""Of one message. The host takes 32 MiB."""
MAX_REPLY_BYTES = 4 * 1024 * 1024
"""Of a reply; what a cell shows is in none. The host takes 8 MiB."""
MAX_TEXT = 100_000
"""Characters kept of each text of a message that is too large."""


class BoundedSession(Session):  # type: ignore[misc]  # jupyter_client's types are partial
    """A Jupyter session whose messages have at most `MAX_BYTES`. `cut` counts those that were shortened."""

    cut = 0

    def serialize(self, msg: dict[str, Any], ident: Any = None) -> list[bytes]:
        frames: list[bytes] = super().serialize(msg, ident)
        content = msg.get("content")
        most = MAX_REPLY_BYTES if str(msg.get("msg_type")).endswith("_reply") else MAX_BYTES
        if sum(map(len, frames)) <= most or not isinstance(content, dict):
            return frames
        self.cut += 1
        shorter: list[bytes] = super().serialize({**msg, "content": shortened(content)}, ident)
        return shorter


def shortened(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same message with its long texts cut; a bundle says in `text/plain` what it has lost."""
    return {
        name: _bundle(value) if name == "data" and isinstance(value, dict) else _cut(value)
        for name, value in content.items()
    }


def _bundle(data: Mapping[str, Any]) -> dict[str, Any]:
    plain = data.get("text/plain")
    kept = {"text/plain": _cut(plain)} if isinstance(plain, str) else {}
    sizes = {kind: len(value) for kind, value in data.items() if isinstance(value, str)}
    what = ", ".join(f"{kind} {size:,} characters" for kind, size in sizes.items()) or ", ".join(data)
    note = f"[… an output too large to be sent: {what[:300]} …]"
    return {"text/plain": "\n".join(filter(None, [kept.get("text/plain"), note]))}


def _cut(value: Any) -> Any:
    match value:
        case str() if len(value) > MAX_TEXT:
            half = MAX_TEXT // 2
            return f"{value[:half]}\n[… {len(value) - 2 * half:,} characters not sent …]\n{value[-half:]}"
        case dict():
            return {name: _cut(item) for name, item in list(value.items())[:1000]}
        case list() | tuple():
            return [_cut(item) for item in value[:100]]
    return value
