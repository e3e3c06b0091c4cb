"""Owns the model whose SDK is imported while the sandbox kernel starts: either takes a second or two."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

from codeact_kernel.ahead import import_ahead, import_dear
from codeact_kernel.events import ModelRequest
from codeact_kernel.interfaces import Emit, Model
from codeact_kernel.trajectory import Reply, Usage

from . import catalog
from .dialects import TextDialect, ToolDialect

ADAPTER = "codeact_kernel.models.anthropic"
KEY = "ANTHROPIC_API_KEY"
Way = Literal["tool", "text"]


class ComingModel:
    """An `AnthropicModel`, made at the first request or when a cost is asked for; both wait for the import.

    Args:
        api_key: one that `sendable` takes.
        base_url: a URL, as `AnthropicModel` takes it; default: Anthropic's.
    """

    def __init__(self, name: str, dialect: Way, api_key: str, base_url: str | None = None) -> None:
        self.name = name
        self.context_window = catalog.facts(name).context_window
        self.instructions = (TextDialect if dialect == "text" else ToolDialect).instructions
        self._making = {"dialect": dialect, "api_key": api_key, "base_url": base_url}
        self._model: Model | None = None
        import_ahead(ADAPTER)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def cost(self, usage: Usage) -> float | None:
        return self._made().cost(usage)

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        model = await asyncio.to_thread(self._made)  # It waits for the import, and reads certificates.
        return await model.respond(request, emit)

    async def aclose(self) -> None:
        if self._model is not None:
            await self._model.aclose()

    def _made(self) -> Model:
        if self._model is None:
            module: Any = import_dear(ADAPTER)
            self._model = module.AnthropicModel(self.name, **self._making)
        return self._model


def plain_key() -> str | None:
    """The key of the environment where it is all that there is to be said of the API, and can be sent: then
    nothing is left that an `AnthropicModel` could object to."""
    said = [name for name, value in os.environ.items() if name.startswith("ANTHROPIC_") and value]
    key = os.environ.get(KEY, "")
    return key if said == [KEY] and sendable(key) else None


def sendable(secret: str) -> bool:
    return secret.isascii() and secret.isprintable() and secret == secret.strip()
