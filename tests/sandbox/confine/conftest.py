"""Owns the fixtures of the tests of the boundary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .inside import Caller, caller_of, callers


@pytest.fixture(params=callers())
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Root and an ordinary user; only the latter where the tests run as one."""
    yield from caller_of(request.param)
