"""Owns content blocks: the pieces of a message as the API sends and takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from codeact_kernel.events import Image, Part, Text
from codeact_kernel.trajectory import Reply
from codeact_kernel.wire.messages import Json

Block: TypeAlias = dict[str, Json]
"""Unknown ones are kept and sent back untouched."""

TOOL_NAME = "execute_python"
NOTHING = "(nothing)"
"""Stands where the API would refuse an empty content."""


def text_block(text: str) -> Block:
    return {"type": "text", "text": text.encode("utf-8", "replace").decode("utf-8")}


def content_blocks(parts: Iterable[Part]) -> list[Block]:
    """Parts as API blocks. The API refuses blank text and empty content, so neither is sent."""
    blocks: list[Block] = []
    for part in parts:
        match part:
            case Text(text=text):
                blocks += [text_block(text)] if text.strip() else []
            case Image(media_type=media_type, data=data):
                source: Block = {"type": "base64", "media_type": media_type, "data": data}
                blocks.append({"type": "image", "source": source})
    return blocks or [text_block(NOTHING)]


def foreign_blocks(reply: Reply, *, with_tool: bool) -> list[Block]:
    """An earlier reply of another model or dialect, in this one's terms."""
    said = [text_block(t) for t in (reply.thought, reply.answer or "") if t.strip()]
    if reply.code is None:
        return said or [text_block(NOTHING)]
    if with_tool and reply.call_id:
        return [
            *said,
            {"type": "tool_use", "id": reply.call_id, "name": TOOL_NAME, "input": {"code": reply.code}},
        ]
    return [*said, text_block(f"<code>\n{reply.code}\n</code>")]
