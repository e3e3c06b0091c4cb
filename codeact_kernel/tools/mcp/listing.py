"""Owns the lists of a server: all pages of one, as far as they end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from mcp import Client

from .problems import Violation

MAX_PAGES = 100
MAX_ITEMS = 10_000
MAX_BYTES = 32 * 1024 * 1024


def listed(
    which: Literal["tools", "resources", "resource_templates", "prompts"],
) -> Callable[[Client], Awaitable[tuple[Any, ...]]]:
    """Asks for all pages. Raises: Violation when there is no end of them."""

    async def ask(client: Client) -> tuple[Any, ...]:
        found: list[Any] = []
        cursor: str | None = None
        seen: set[str] = set()
        size = 0
        while True:
            page = await getattr(client, f"list_{which}")(cursor=cursor)
            found += getattr(page, which)
            size += len(page.model_dump_json(by_alias=True))
            cursor = page.next_cursor
            if len(seen) >= MAX_PAGES or len(found) > MAX_ITEMS or size > MAX_BYTES:
                raise Violation(
                    f"the list of its {which} is too long: over {MAX_ITEMS} entries, {MAX_PAGES} pages, or "
                    f"{MAX_BYTES} bytes"
                )
            if cursor is None:
                return tuple(found)
            if cursor in seen:
                raise Violation(f"the list of its {which} comes back to a page that was there: it has no end")
            seen.add(cursor)

    return ask
