"""Owns what the host says of the import allow-list: its data, as far as it is installed here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.util import find_spec


def allowed_imports(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Modules that action code may import and that exist on this machine, sorted.

    The list is data of the sandbox side, `in_kernel/allowlist.json`; the kernel has the host's
    interpreter and packages.
    """
    data = json.loads(files("codeact_kernel").joinpath("in_kernel", "allowlist.json").read_text("utf-8"))
    science = [name for name in data["imports"]["science"] if find_spec(name.partition(".")[0])]
    return tuple(sorted({*data["imports"]["standard"], *science, *extra}))


def refused_imports(names: Iterable[str], extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Those dotted names that action code may not import, installed or not: neither a module on the list, nor
    something in one."""
    data = json.loads(files("codeact_kernel").joinpath("in_kernel", "allowlist.json").read_text("utf-8"))
    ours = {*extra}
    allowed = {*data["imports"]["standard"], *data["imports"]["science"], *ours}
    denied = {name for name in data["denied"] if not ours.intersection(_prefixes(name))}
    return tuple(name for name in names if not _allows(name, allowed, denied))


def _allows(name: str, allowed: set[str], denied: set[str]) -> bool:
    """As the kernel's own `AllowLists.allows`: the longest prefix that is on a list decides."""
    listed = next((prefix for prefix in _prefixes(name) if prefix in allowed or prefix in denied), None)
    return listed is not None and listed not in denied


def _prefixes(dotted: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while dotted:
        yield dotted
        dotted = dotted.rpartition(".")[0]
