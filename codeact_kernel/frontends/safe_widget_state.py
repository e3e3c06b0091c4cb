"""Owns the state of the widgets that are open: what of a message's state may pass, with ids of this gate."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..outputs import CommMessage
from ..wire.lines import dump_line, writable
from ..wire.messages import Json
from .safe_outputs import safe_outputs
from .safe_widget_models import Model
from .safe_widget_tree import Tree
from .safe_widget_values import MAX_ITEMS, Unfit, fit

REFERENCE = "IPY_MODEL_"
_LINKED = frozenset({"bool", "number"})
"""What a link may copy in the browser, past this gate: nothing that could be HTML where it arrives."""


@dataclass(eq=False)
class Known:
    """A model that is open at the front end, and the size of each value of its state."""

    model: Model
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Passed:
    """What may pass of a state."""

    state: Mapping[str, Json]
    buffers: tuple[bytes, ...] = ()


class States:
    """The models that are open, by their ids in the sandbox.

    Args:
        most: bytes of all of their state.
        capture: called with an Output widget's id and whether what is shown now is shown in it.
    """

    def __init__(self, most: int, capture: Callable[[str, bool], None]) -> None:
        self.prefix = f"sandbox-{secrets.token_hex(8)}-"
        self.known: dict[str, Known] = {}
        self.tree = Tree()
        self._most = most
        self._capture = capture
        self._bytes = 0

    def view(self, model_id: str) -> str | None:
        """The id at the front end; None: it is not open there."""
        return self.prefix + model_id if model_id in self.known else None

    def forget(self, model_id: str) -> None:
        """A model is closed."""
        self._bytes -= sum(self.known.pop(model_id).sizes.values())
        self.tree.remove(model_id)

    def passed(self, message: CommMessage, *, whole: bool = False) -> Passed | None:
        """What of the message's state may pass; None for one that says it is another model than it is.

        `whole`: it is the first one, which says which model it is.
        """
        given = message.data.get("state")
        known = self.known[message.comm_id]
        if not isinstance(given, Mapping):
            return None
        names = known.model.names
        said = {key: given[key] for key in names if key in given}
        if any(value != names[key] for key, value in said.items()) or (whole and len(said) < len(names)):
            return None
        state: dict[str, Json] = dict(said)
        for key, kind in known.model.kinds.items():
            if key in given and kind != "bytes":
                try:
                    value = self._value(message.comm_id, kind, key, given[key])
                except Unfit:
                    if kind == "end":
                        return None  # Half a link is none.
                    continue
                if self.counted(message.comm_id, key, len(dump_line(value))):
                    state[key] = value
        return Passed(state, self._buffers(message))

    def counted(self, model_id: str, key: str, size: int) -> bool:
        """Whether there is room for a value of that size in place of the one before."""
        sizes = self.known[model_id].sizes
        more = size - sizes.get(key, 0)
        if self._bytes + more > self._most:
            return False
        sizes[key] = size
        self._bytes += more
        return True

    def returned(self, value: Json) -> Json:
        """What the front end says, with the sandbox's own ids."""
        match writable(value):
            case str() as text:
                return text.replace(f"{REFERENCE}{self.prefix}", REFERENCE, 1)
            case Mapping() as inner:
                return {key: self.returned(item) for key, item in inner.items()}
            case list() | tuple() as items:
                return [self.returned(item) for item in items]
            case other:
                return other

    def _buffers(self, message: CommMessage) -> tuple[bytes, ...]:
        """The bytes of a picture, a film or a sound; there are no others."""
        kinds = self.known[message.comm_id].model.kinds
        one = message.buffers if message.data.get("buffer_paths") == [["value"]] else ()
        if len(one) != 1 or kinds.get("value") != "bytes":
            return ()
        return one if self.counted(message.comm_id, "value", len(one[0])) else ()

    def _value(self, model_id: str, kind: str, key: str, value: Json) -> Json:
        match kind:
            case "model":
                return None if value is None else self._reference(self._named(value))
            case "models":
                return self._children(model_id, value)
            case "end":
                return self._link_end(value)
            case "message":
                # The browser is not told: it would take our own words into the widget as well.
                self._capture(model_id, bool(value))
                return ""
            case "outputs":
                given = value[:MAX_ITEMS] if isinstance(value, list | tuple) else []
                return safe_outputs(given, self.view)
        return fit(kind, key, value)

    def _named(self, value: Json) -> str:
        """The model of the sandbox that a reference names."""
        if isinstance(value, str) and value.startswith(REFERENCE):
            model_id = value[len(REFERENCE) :]
            if model_id in self.known:
                return model_id
        raise Unfit

    def _reference(self, model_id: str) -> str:
        return f"{REFERENCE}{self.prefix}{model_id}"

    def _children(self, model_id: str, value: Json) -> Json:
        """One that may not be shown is left out; its neighbours are not."""
        if not isinstance(value, list | tuple) or len(value) > MAX_ITEMS:
            raise Unfit
        names = [
            item[len(REFERENCE) :] for item in value if isinstance(item, str) and item.startswith(REFERENCE)
        ]
        names = [name for name in names if name in self.known]
        if not self.tree.put(model_id, names):
            raise Unfit
        return [self._reference(name) for name in names]

    def _link_end(self, value: Json) -> Json:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise Unfit
        name, key = self._named(value[0]), value[1]
        if not isinstance(key, str) or self.known[name].model.kinds.get(key) not in _LINKED:
            raise Unfit
        return [self._reference(name), key]
