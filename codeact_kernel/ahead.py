"""Owns imports ahead of their use: a thread does those that take long, while something else is waited for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from threading import Thread


def import_ahead(*modules: str) -> None:
    """Imports them, in that order. Who needs one imports it as ever, and so waits for the thread where it has
    come that far."""
    missing = [module for module in modules if module not in sys.modules]
    if missing:
        # No daemon: the end of a process takes badly to a thread that is in the middle of native code.
        Thread(target=_import, args=(missing,), name="codeact-imports").start()


def _import(modules: Sequence[str]) -> None:
    with suppress(Exception):  # Who needs it meets the same failure, where it can be told.
        for module in modules:
            import_module(module)
