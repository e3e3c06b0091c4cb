"""Owns how the outputs of a sandbox reach a front end: filtered, a few times a second, bounded.

A front end that gets a thousand messages a second freezes, and Jupyter's server drops what goes beyond a
megabyte a second. So outputs are put together for a moment, what nobody would see is left out, and beyond
the bounds of a cell only the end is shown, with how much is missing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import assert_never

from ..outputs import ClearOutput, Display, DisplayUpdate, Error, Finished, MimeBundle, Output, Result, Stream
from . import brief, notebook_view
from .clearing import Frame
from .publishing import Publish

PAUSE_S = 0.05
BYTES_PER_S = 700_000
MAX_UPDATES = 200
"""Displays that wait for an update at one time."""
LOOKED_AT = 1000
"""Waiting outputs among which an update looks for its display."""
TAIL = 20_000
_KEY = secrets.token_bytes(16)


@dataclass(frozen=True)
class Bounds:
    """Of one cell: characters of text, characters of everything else, displays."""

    text: int = 500_000
    rich: int = 20_000_000
    displays: int = 200


def own_name(display_id: str) -> str:
    """A display id of the sandbox, by a name that nothing of ours has, the same in every cell."""
    return hashlib.blake2b(display_id.encode("utf-8", "replace"), key=_KEY, digest_size=16).hexdigest()


def new_id() -> str:
    """A display id of ours."""
    return f"codeact-{secrets.token_hex(8)}"


class Relay:
    """The outputs of one cell of a front end.

    Args:
        keep: what of an output may reach it; None: nothing.
        narrated: the cell has words of ours, which `clear_output` must not take away.
        live: displays can be updated in their place.
    """

    def __init__(
        self,
        publish: Publish,
        keep: Callable[[Output], Output | None],
        *,
        narrated: bool,
        live: bool = True,
        bounds: Bounds = Bounds(),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._publish = publish
        self._keep = keep
        self._narrated = narrated
        self._live = live
        self._bounds = bounds
        self._clock = clock
        self._due = 0.0
        self._pending: list[Output] = []
        self._clears: ClearOutput | None = None
        self._frame: Frame | None = None
        self._ids: list[str] = []
        self._left = bounds
        self._hidden = self._hidden_text = 0
        self._tail: deque[Output] = deque(maxlen=3)

    def feed(self, output: Output) -> None:
        """One output as it comes. It is shown with the next `flush`."""
        if isinstance(output, Finished) or (isinstance(output, ClearOutput) and output.inside):
            return
        if isinstance(output, ClearOutput):
            self._clear(output)
        else:
            self._take(_named(output))

    def flush(self, *, force: bool = False) -> None:
        """Shows what waits, if it is time."""
        now = self._clock()
        if now < self._due and not force:
            return
        pending, self._pending = self._pending, []
        sent = sum(self._show(output) for output in pending)
        if self._frame is not None and (self._live or force):
            sent += self._frame.draw(self._publish)
        if sent:
            self._due = now + max(PAUSE_S, sent / BYTES_PER_S)

    def end_step(self) -> None:
        """The step is over: shows all that is left of it, and says what is not shown."""
        self.flush(force=True)
        self._frame, self._ids = None, []
        tail, self._tail = list(self._tail), deque(maxlen=3)
        for output in tail:
            self._hidden_text -= len(output.text) if isinstance(output, Stream) else 0
            self._hidden -= not isinstance(output, Stream)
        if self._hidden > 0 or self._hidden_text > 0:
            self._publish.display(notebook_view.notice(_missing(self._hidden, self._hidden_text)))
        for output in tail:
            self._show(output)
        self._hidden = self._hidden_text = 0

    # --- taking ---

    def _take(self, output: Stream | Display | DisplayUpdate | Result | Error) -> None:
        if self._frame is not None and not isinstance(output, Error):
            self._hidden += not self._frame.add(output)
            return
        if self._clears is not None:
            self._pending = [self._clears]
            self._clears, self._left = None, self._bounds
            self._hidden = self._hidden_text = 0
            self._tail.clear()
        match output:
            case Stream():
                self._text(output)
            case DisplayUpdate():
                self._update(output)
            case Display() | Result():
                self._display(output)
            case Error():
                self._pending.append(output)
            case _:
                assert_never(output)

    def _text(self, output: Stream) -> None:
        room = self._left.text
        shown, rest = output.text[:room], output.text[room:]
        self._left = replace(self._left, text=room - len(shown))
        last = self._pending[-1] if self._pending else None
        if isinstance(last, Stream) and last.name == output.name and shown:
            self._pending[-1] = replace(last, text=last.text + shown)
        elif shown:
            self._pending.append(replace(output, text=shown))
        if rest:
            self._hidden_text += len(rest)
            self._end_of(replace(output, text=rest))

    def _end_of(self, rest: Stream) -> None:
        last = self._tail[-1] if self._tail else None
        if isinstance(last, Stream) and last.name == rest.name:
            self._tail.pop()
            rest = replace(rest, text=last.text + rest.text)
        self._tail.append(replace(rest, text=rest.text[-TAIL:]))

    def _display(self, output: Display | Result) -> None:
        size = _size(output.data)
        if size > self._left.rich or not self._left.displays:
            self._hidden += 1
            if size <= TAIL:
                self._tail.append(output)
            return
        self._left = replace(self._left, rich=self._left.rich - size, displays=self._left.displays - 1)
        if isinstance(output, Display) and self._narrated:
            output = replace(output, display_id=output.display_id or new_id())
            self._ids.append(output.display_id or "")
        self._pending.append(output)

    def _update(self, output: DisplayUpdate) -> None:
        waiting = 0
        for place in range(max(0, len(self._pending) - LOOKED_AT), len(self._pending)):
            other = self._pending[place]
            if isinstance(other, Display | DisplayUpdate) and other.display_id == output.display_id:
                self._pending[place] = replace(other, data=output.data, metadata=output.metadata)
                return
            waiting += isinstance(other, DisplayUpdate)
        if waiting < MAX_UPDATES and _size(output.data) <= self._bounds.rich // 4:
            self._pending.append(output)
        else:
            self._hidden += 1

    def _clear(self, clear: ClearOutput) -> None:
        if not self._narrated:
            self._clears = clear
            if not clear.wait:
                self._pending, self._clears, self._left = [clear], None, self._bounds
            return
        if self._frame is None:
            self.flush(force=True)
            self._frame = Frame(new_id, self._ids if self._live else [], self._keep)
        self._frame.clear(clear.wait)

    # --- showing ---

    def _show(self, taken: Output) -> int:
        """How many characters that were. What may be shown is found out now: nothing is spent on the rest."""
        publish, output = self._publish, self._keep(taken)
        if output is None:
            return 0
        match output:
            case Stream(name, text):
                publish.stream(name, text)
                return len(text)
            case Display(data, metadata, display_id):
                publish.display(data, metadata, display_id)
                return _size(data)
            case DisplayUpdate(display_id, data, metadata):
                publish.update(display_id, data, metadata)
                return _size(data)
            case Result(data=data, metadata=metadata):
                if self._narrated:
                    publish.display(data, metadata)
                else:
                    publish.result(data, metadata)
                return _size(data)
            case Error():
                self._error(output)
                return sum(map(len, output.traceback))
            case ClearOutput(wait):
                publish.clear(wait)
            case Finished():
                pass
            case _:
                assert_never(output)
        return 0

    def _error(self, error: Error) -> None:
        """In a step of the agent's it is nothing that ends the cell."""
        if self._narrated:
            text = "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
            self._publish.stream("stderr", text.rstrip("\n") + "\n")
        else:
            self._publish.error(error)


def _named(
    output: Stream | Display | DisplayUpdate | Result | Error,
) -> Stream | Display | DisplayUpdate | Result | Error:
    if isinstance(output, Display | DisplayUpdate) and output.display_id is not None:
        return replace(output, display_id=own_name(output.display_id))
    return output


def _size(data: MimeBundle) -> int:
    return sum(len(value) if isinstance(value, str) else len(str(value)) for value in data.values())


def _missing(outputs: int, text: int) -> str:
    parts = [f"{text:,} characters"] if text > 0 else []
    parts += [brief.count(outputs, "output")] if outputs > 0 else []
    return f"{' and '.join(parts)} not shown here; the notebook of the run has more"
