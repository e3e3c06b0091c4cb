"""Real servers, or the reason why they are not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .installed import document, why_not

Documents = Callable[..., Mapping[str, Any]]


def servers_at(folder: Path, *names: str) -> Mapping[str, Any]:
    """An mcp.json, parsed, of the real servers with these names (or of all), whose data is below the folder.

    Without them a test is skipped, and fails where SERVERS_REQUIRED is set: in CI.
    """
    found = document(folder, *names)
    problem = why_not(*found["mcpServers"])
    if problem and not os.environ.get("SERVERS_REQUIRED"):
        pytest.skip(problem)
    assert problem is None
    return found


@pytest.fixture
def servers(tmp_path: Path) -> Documents:
    """`servers_at` a temporary folder."""
    return partial(servers_at, tmp_path / "servers")


@pytest.fixture
def anyio_backend() -> str:
    """Of the tests that are coroutines."""
    return "asyncio"
