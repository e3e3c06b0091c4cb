"""Owns what the host says of the import allow-list: its data, as far as it is installed here."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
