"""Sources are checked in threads, several at once: some Pythons notice that, and fail (gh-106905)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from codeact_kernel.wire.schemas import check_source

FUNCTION = "def f{}(a: dict[str, list[int]], *, b: str = ...) -> dict[str, int]:\n    ...\n"
SOURCE = "".join(FUNCTION.format(number) for number in range(200))


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns wherever they can: at each collection of garbage, in the middle of a tree."""
    interval = sys.getswitchinterval()

    def busy(phase: str, info: object) -> None:
        sum(range(50))

    gc.callbacks.append(busy)
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
    gc.callbacks.remove(busy)


@pytest.mark.usefixtures("switching")
def test_threads_that_check_at_once_do_not_spoil_each_other() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(check_source, [SOURCE] * 24)) == [None] * 24
