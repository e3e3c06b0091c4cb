"""A home with the CodeAct kernel in it."""

from __future__ import annotations

import pytest

from .place import Place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("jupyter")
    made = Place(folder / "work", folder / "home")
    made.prepare()
    return made
