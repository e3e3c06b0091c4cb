"""Owns the sandboxes that a CodeAct kernel keeps ready, where that is configured."""

from __future__ import annotations

from collections.abc import Callable

from ..config import SandboxProfile
from ..sandbox.launching import Launcher


class Spares:
    """The launcher of a kernel. `configured`: how many, and for which profile; raises UsageError."""

    def __init__(self, configured: Callable[[], tuple[int, SandboxProfile]]) -> None:
        self._configured = configured
        self._launcher: Launcher | None = None

    def launcher(self) -> Launcher | None:
        """Begins to make them, when first asked. Raises: UsageError."""
        if self._launcher is None:
            spares, profile = self._configured()
            self._launcher = Launcher(spares=spares, profile=profile) if spares else None
        return self._launcher

    def close(self) -> None:
        if self._launcher is not None:
            self._launcher.close()
