"""Owns dear imports: without looking for garbage meanwhile, and ahead of their use, by a thread."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from threading import Thread
from types import ModuleType


def import_dear(module: str) -> ModuleType:
    """The module. The classes of thousands of modules stay; to look for garbage among them at each thousand
    takes a seventh of their import."""
    looks = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        if looks:
            gc.enable()


def import_ahead(*modules: str) -> None:
    """Imports them in that order, while something else is waited for. Who needs one imports it as ever, and
    so waits for the thread where it has come that far."""
    missing = [module for module in modules if module not in sys.modules]
    if missing:
        # No daemon: the end of a process takes badly to a thread that is in the middle of native code.
        Thread(target=_import, args=(missing,), name="codeact-imports").start()


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):  # Who needs it meets the same failure, where it can be told.
            import_dear(module)
