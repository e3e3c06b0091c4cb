"""Owns how widgets stand in each other. A page draws each as often as it stands somewhere: bounded here."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

MAX_DRAWN = 20_000
"""Widgets that one with all that stands in it may have drawn."""
MAX_DEEP = 50
MAX_EDGES = 50_000


class Tree:
    """Which models stand in which, without circles. `edges`: how often one does."""

    def __init__(self) -> None:
        self._children: dict[str, tuple[str, ...]] = {}
        self.edges = 0

    def put(self, parent: str, children: Sequence[str]) -> bool:
        """Whether these may stand in `parent` in place of those that do; if so, they do."""
        before = self._children.get(parent, ())
        edges = self.edges - len(before) + len(children)
        self._children[parent] = tuple(children)
        if edges <= MAX_EDGES and self._is_drawable():
            self.edges = edges
            return True
        self._children[parent] = before
        return False

    def remove(self, model: str) -> None:
        """A model that is gone."""
        self.edges -= len(self._children.pop(model, ()))

    def _is_drawable(self) -> bool:
        drawn: dict[str, int] = {}
        deep: dict[str, int] = {}
        try:
            for model in TopologicalSorter(self._children).static_order():  # Those inside come first.
                inner = self._children.get(model, ())
                drawn[model] = 1 + sum(drawn[child] for child in inner)
                deep[model] = 1 + max((deep[child] for child in inner), default=0)
                if drawn[model] > MAX_DRAWN or deep[model] > MAX_DEEP:
                    return False
        except CycleError:
            return False
        return True
