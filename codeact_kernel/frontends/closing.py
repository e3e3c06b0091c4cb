"""Owns `Closing`: what has `close` and `aclose` works in `with` and `async with`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Closed when its block is left."""

    @abstractmethod
    def close(self) -> None:
        """Called when a `with` block is left, and by users."""

    @abstractmethod
    async def aclose(self) -> None:
        """Called when an `async with` block is left, and by users."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: object, tb: TracebackType | None
    ) -> None:
        await self.aclose()
