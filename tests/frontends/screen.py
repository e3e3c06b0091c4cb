"""What a notebook shows of what is published: a `Publish` for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from codeact_kernel.frontends.publishing import NO_METADATA
from codeact_kernel.outputs import Error, MimeBundle
from codeact_kernel.wire.messages import Json


@dataclass
class Screen:
    """`outputs`: kind, display id, content, as a notebook keeps them; `sent`: how many messages."""

    outputs: list[tuple[str, str | None, Any]] = field(default_factory=list)
    sent: int = 0
    characters: int = 0
    _clears: bool = False

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None:
        self._add(name, None, text)

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None:
        self._add("display", display_id, data)

    def update(self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        self._count(data)
        self.outputs = [
            (kind, known, data if known == display_id else content) for kind, known, content in self.outputs
        ]

    def clear(self, wait: bool) -> None:
        self.sent += 1
        self._clears = wait
        if not wait:
            self.outputs = []

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        self._add("result", None, data)

    def error(self, error: Error) -> None:
        self._add("error", None, error)

    @property
    def texts(self) -> list[str]:
        """Every output that is not blank, as text."""
        found = [content if isinstance(content, str) else self.plain(content) for *_, content in self.outputs]
        return [text for text in found if text]

    @staticmethod
    def plain(content: Any) -> str:
        return content.ename if isinstance(content, Error) else str(content.get("text/plain", ""))

    def _add(self, kind: str, display_id: str | None, content: Any) -> None:
        self._count(content)
        if self._clears:
            self._clears, self.outputs = False, []
        self.outputs.append((kind, display_id, content))

    def _count(self, content: Any) -> None:
        self.sent += 1
        self.characters += len(str(content))


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
