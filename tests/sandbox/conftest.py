"""Owns the fixtures of the sandbox tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codeact_kernel.config import Settings

from .support import SLOW, Lab, OpenLab, impatient


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """One kernel without allow-lists for a whole module. Its cells must leave it usable."""
    lab = Lab(SLOW).start()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def _hurried() -> Iterator[Lab]:
    lab = Lab(impatient()).start()
    yield lab
    lab.close()


@pytest.fixture
def hurried(_hurried: Lab) -> Lab:
    """A kernel whose cells are stopped soon; restarted for a test when the one before has lost it."""
    if _hurried.session._mailbox is None:
        _hurried.restart()
    return _hurried


@pytest.fixture
def open_lab() -> Iterator[OpenLab]:
    """Opens sessions of a test's own and closes them after it."""
    opened: list[Lab] = []

    def open_one(settings: Settings = SLOW, setup: str = "pass") -> Lab:
        opened.append(Lab(settings, setup))
        return opened[-1].start()

    yield open_one
    for lab in opened:
        lab.close()
