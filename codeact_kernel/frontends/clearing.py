"""Owns the outputs of a step that clears them (`clear_output`): one frame, redrawn in its place.

To clear the whole cell would take the agent's own words away. So each output of the frame has a display of
ours, which the next frame uses again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..outputs import Display, DisplayUpdate, Output, Result, Stream
from ..wire.messages import Json
from .publishing import Publish

MAX_ITEMS = 50
MAX_TEXT = 100_000


@dataclass(frozen=True)
class Item:
    data: Mapping[str, Json]
    metadata: Mapping[str, Json]
    display_id: str | None = None
    text: bool = False


BLANK = Item({"text/plain": ""}, {})
STALE = Item({}, {})
"""What a display shows that was there before the frame."""


class Frame:
    """The outputs since the last clear, and the displays that show them.

    Args:
        new_id: makes a display id of ours.
        stale: displays that the step showed before its first clear.
        keep: what of an output may be shown.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        stale: Sequence[str],
        keep: Callable[[Output], Output | None],
    ) -> None:
        self._new_id = new_id
        self._keep = keep
        self._items: list[Item] = []
        self._slots = [*stale]
        self._shown: list[Item] = [STALE for _ in stale]
        self._waits = False

    def clear(self, wait: bool) -> None:
        """`wait`: when the next output comes."""
        self._waits = wait
        if not wait:
            self._items = []

    def add(self, output: Stream | Display | DisplayUpdate | Result) -> bool:
        """The next output, shown with the next `draw`; False: there are too many."""
        if isinstance(output, DisplayUpdate):
            self._items = [_updated(item, output) for item in self._items]
            return True
        if self._waits:
            self._waits, self._items = False, []
        if isinstance(output, Stream):
            return self._text(output.text)
        if len(self._items) < MAX_ITEMS:
            known = output.display_id if isinstance(output, Display) else None
            self._items.append(Item(output.data, output.metadata, known))
            return True
        return False

    def draw(self, publish: Publish) -> int:
        """Shows what has changed; how many characters that were, about."""
        blanks = [BLANK] * (len(self._slots) - len(self._items))
        sent = 0
        for place, item in enumerate([*self._items, *blanks]):
            if place == len(self._slots):
                kept = self._kept(item)
                self._slots.append(self._new_id())
                self._shown.append(item)
                publish.display(kept.data, kept.metadata, self._slots[place])
            elif item is not self._shown[place]:
                kept = self._kept(item)
                self._shown[place] = item
                publish.update(self._slots[place], kept.data, kept.metadata)
            else:
                continue
            sent += sum(len(str(value)) for value in kept.data.values())
        return sent

    def _kept(self, item: Item) -> Display:
        kept = self._keep(Display(item.data, item.metadata))
        return kept if isinstance(kept, Display) else Display(BLANK.data)

    def _text(self, text: str) -> bool:
        last = self._items[-1] if self._items else None
        if last is not None and last.text:
            text = str(last.data["text/plain"]) + text
            self._items.pop()
        if len(self._items) < MAX_ITEMS:
            self._items.append(Item({"text/plain": text[-MAX_TEXT:]}, {}, text=True))
            return True
        return False


def _updated(item: Item, update: DisplayUpdate) -> Item:
    if item.display_id is None or item.display_id != update.display_id:
        return item
    return replace(item, data=update.data, metadata=update.metadata)
