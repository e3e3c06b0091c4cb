"""Owns what becomes of a server's answer: values for the kernel, and failures with a type.

Text is text (several parts: joined), an image a `Picture`, other bytes are `Media`, resources are links or
come embedded; several parts are a `Contents`, in order. A structured result is that value, unwrapped where
the output schema wraps it. What came beside it is not lost: text that only says it again is dropped, anything
else stands in `Structured.beside`, or, where the result is no object, after it in a `Contents`.

All of it is data of somebody else: bounded here, and not understood any further.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    Prompt,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from ...inert.text import clean
from ...wire import media
from ...wire.messages import Json
from ...wire.schemas import wraps_result
from ..failures import MAX_MESSAGE, Failure
from .pictures import picture_of
from .words import said

MAX_PARTS = 5_000
"""Of one result."""
MAX_DEPTH = 90
"""Levels of a structured result."""
MAX_TEXT = 2_000
"""Characters of a name, a title, a description."""
ERROR, SCHEMA, PROTOCOL = "ToolError", "ToolSchemaError", "ToolProtocolError"


def value_of(result: CallToolResult, tool: str, module: str, output: Mapping[str, Json] | None) -> object:
    """What a call returns.

    Args:
        tool: its name, for messages.
        output: the output schema.

    Raises: Failure: the tool says that it failed, or the result cannot be taken.
    """
    if result.is_error:
        raise Failure(ERROR, said(failure_text(result)) or f"{tool}() failed, and does not say why")
    parts = [_part(block, module) for block in _bounded(result.content, tool)]
    structured = result.structured_content
    if structured is None:
        return _together(parts)
    _check_depth(structured, tool)
    if output is not None and wraps_result(output) and isinstance(structured, Mapping):
        structured = structured.get("result")
    if not isinstance(structured, dict):
        beside = [part for part in parts if not isinstance(part, str)]
        return media.Contents([structured, *beside]) if beside else structured
    beside = [part for part in parts if not (isinstance(part, str) and _says_again(part, structured))]
    return media.Structured(structured, beside) if beside else structured


def failure_text(result: CallToolResult) -> str:
    """What the tool says of its failure: only as much as is shown of it is looked at."""
    texts = (block.text for block in result.content[:MAX_PARTS] if isinstance(block, TextContent))
    return "\n".join(text[: 4 * MAX_MESSAGE] for text in texts)


def _together(parts: Sequence[object]) -> object:
    if not parts:
        return None
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "\n".join(texts)
    return parts[0] if len(parts) == 1 else media.Contents(parts)


def _bounded(blocks: Sequence[ContentBlock], tool: str) -> Sequence[ContentBlock]:
    if len(blocks) > MAX_PARTS:
        raise Failure(
            PROTOCOL, f"{tool}(): a result of {len(blocks):,} parts; at most {MAX_PARTS:,} are taken"
        )
    return blocks


def _check_depth(value: object, tool: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Failure(PROTOCOL, f"{tool}(): a result of more than {MAX_DEPTH} levels")


def _says_again(text: str, value: Mapping[str, object]) -> bool:
    """Whether a text beside a structured result holds nothing else: the protocol asks for that, in JSON."""
    if text in (each for each in value.values() if isinstance(each, str)):
        return True
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


# --- parts ---------------------------------------------------------------------------------------


def _part(block: ContentBlock, module: str) -> object:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return bytes_value(_data(block.data), block.mime_type)
        case AudioContent():
            return media.Media(_data(block.data), media.media_type_of(block.mime_type))
        case EmbeddedResource():
            return _embedded(block.resource)
        case _:
            return link_of(block, module)


def bytes_value(data: bytes, media_type: str | None) -> object:
    """A picture where it is one that shows itself, else media."""
    return picture_of(data) or media.Media(data, media.media_type_of(media_type))


def _data(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Failure(PROTOCOL, "a part of the result is no base64") from None


def _embedded(resource: TextResourceContents | BlobResourceContents) -> media.EmbeddedResource:
    kind = "" if resource.mime_type is None else media.media_type_of(resource.mime_type)
    if isinstance(resource, TextResourceContents):
        return media.EmbeddedResource(resource.uri, kind, resource.text)
    return media.EmbeddedResource(resource.uri, kind, data=_data(resource.blob))


def link_of(resource: Resource | ResourceTemplate, module: str) -> media.ResourceLink:
    """A resource, or a template of some, as a handle."""
    texts = map(_short, (resource.name, resource.title, resource.description, resource.mime_type))
    name, title, description, kind = texts
    if isinstance(resource, ResourceTemplate):
        return media.ResourceLink(
            module, resource.uri_template, name, title, description, kind, template=True
        )
    return media.ResourceLink(module, resource.uri, name, title, description, kind, resource.size)


def _short(text: str | None) -> str:
    return clean((text or "")[: 2 * MAX_TEXT])[:MAX_TEXT]


# --- resources and prompts ------------------------------------------------------------------------


def resource_value(result: ReadResourceResult, tool: str) -> object:
    """What a resource holds: text, a picture, media; a list of embedded resources where it has several."""
    contents = result.contents
    if len(contents) > MAX_PARTS:
        raise Failure(PROTOCOL, f"{tool}(): a resource of {len(contents):,} parts; at most {MAX_PARTS:,}")
    if len(contents) != 1:
        return media.Contents(map(_embedded, contents))
    (only,) = contents
    return (
        only.text if isinstance(only, TextResourceContents) else bytes_value(_data(only.blob), only.mime_type)
    )


def prompts_value(prompts: Iterable[Prompt]) -> list[dict[str, object]]:
    """The prompts of a server, each with its arguments."""
    return [
        {
            "name": prompt.name,
            "title": _short(prompt.title),
            "description": _short(prompt.description),
            "arguments": [
                {"name": one.name, "description": _short(one.description), "required": bool(one.required)}
                for one in (prompt.arguments or [])[:MAX_PARTS]
            ],
        }
        for prompt in prompts
    ]


def prompt_value(result: GetPromptResult, tool: str, module: str) -> list[dict[str, object]]:
    """The messages of a prompt: role and content."""
    if len(result.messages) > MAX_PARTS:
        raise Failure(PROTOCOL, f"{tool}(): a prompt of {len(result.messages):,} messages")
    return [{"role": each.role, "content": _part(each.content, module)} for each in result.messages]
