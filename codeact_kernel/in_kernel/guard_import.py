"""Owns the `__import__` of action code: what the import statement does, within the allow-lists."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from codeact_kernel.in_kernel.guard_builtins import Warden
from codeact_kernel.in_kernel.guard_lists import AllowLists
from codeact_kernel.in_kernel.modules import check_import


def guarded_import(warden: Warden) -> Callable[..., Any]:
    """The function for the import statements of action code.

    A refused module raises ImportRefused; an allowed one that is not installed the ordinary
    ModuleNotFoundError. Where only a submodule is allowed, as `urllib.parse`, the name `urllib`
    stands for a module object that has nothing else.
    """
    lists = warden.lists
    gateways: dict[str, ModuleType] = {}

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  # as `__import__` names it  # the names of the builtin
        locals: Mapping[str, object] | None = None,  # noqa: A002  # as `__import__` names it
        fromlist: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> Any:
        __tracebackhide__ = True
        if not isinstance(name, str):
            raise TypeError(f"__import__() argument 1 must be str, not {type(name).__name__}")
        names = tuple(fromlist or ())
        if level == 0 and not lists.allows(name):
            if not names or not all(lists.allows(f"{name}.{part}") for part in names):
                warden.refuse("import", name)
            for part in names:  # from urllib import parse
                builtins.__import__(f"{name}.{part}")
                _gateway(lists, gateways, f"{name}.{part}")
            return gateways[name]
        with _workspace_modules(name.partition(".")[0] in lists.extra):
            module = builtins.__import__(name, globals, locals, names, level)
        if not names:
            return module if lists.allows(module.__name__) else _gateway(lists, gateways, name)
        for part in names:
            check_import(module, part)
            _check_member(warden, module, part)
        return _public_part(warden, module) if "*" in names else module

    return import_


@contextmanager
def _workspace_modules(allowed: bool) -> Iterator[None]:
    """The guard takes the working folder off the import path; a module the user named may be there."""
    if not allowed:
        yield
        return
    sys.path.append("")
    try:
        yield
    finally:
        sys.path.remove("")


def _check_member(warden: Warden, module: ModuleType, name: str) -> None:
    __tracebackhide__ = True
    warden.check_name(name)
    if name != "*":
        warden.check_value(module, name, getattr(module, name, None))


def _gateway(lists: AllowLists, gateways: dict[str, ModuleType], dotted: str) -> ModuleType:
    """A stand-in for the first part of `dotted`, which leads to the allowed module and nowhere else."""
    name, *path = dotted.split(".")
    top = where = gateways.setdefault(name, ModuleType(name))
    for part in path:
        name = f"{name}.{part}"
        if lists.allows(name):
            setattr(where, part, sys.modules[name])
            break
        following = gateways.setdefault(name, ModuleType(name))
        setattr(where, part, following)
        where = following
    return top


def _public_part(warden: Warden, module: ModuleType) -> ModuleType:
    """What `from module import *` may bind: not the refused modules that a module imports itself."""
    public = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    kept = ModuleType(module.__name__)
    for name in public:
        value = getattr(module, name, None)
        known = name in warden.lists.denied_owners and warden.lists.denied_object(name, value)
        if not warden.lists.is_refused_module(value) and not known:
            setattr(kept, name, value)
    return kept
