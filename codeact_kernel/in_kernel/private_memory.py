"""Owns what `mmap.mmap(-1, n)` is in the cage: memory of this process alone. For one process it is the same.

Python shares such memory with processes that are forked later; the system-call filter allows none that is
shared and has no file, since nobody outside could tell its size.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from codeact_kernel.in_kernel.denials import Denials
from codeact_kernel.in_kernel.denials_words import SHARED

ANONYMOUS = -1


def make_private(denials: Denials, module: ModuleType) -> None:
    """Puts another class in the place of `mmap.mmap`. `module`: mmap."""
    original = module.mmap

    class mmap(original):  # type: ignore[misc,valid-type]  # noqa: N801  # it stands for that class
        __doc__ = original.__doc__
        __module__ = "mmap"

        def __new__(cls, fileno: int, length: int, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().__new__(cls, fileno, length, *args, **kwargs)
            except PermissionError as error:
                if fileno != ANONYMOUS:
                    raise
                if denials.may_fork:
                    denials.of_call(error, "system", "mmap of shared memory", SHARED)
                    raise
            only_read = kwargs.get("access") == module.ACCESS_READ
            default = module.PROT_READ | (0 if only_read else module.PROT_WRITE)
            protection = kwargs.get("prot", args[1] if len(args) > 1 else default)
            private = module.MAP_PRIVATE | module.MAP_ANONYMOUS
            return super().__new__(cls, ANONYMOUS, length, private, protection)

    mmap.__qualname__ = "mmap"
    module.mmap = mmap  # type: ignore[attr-defined]  # modules are open to this
