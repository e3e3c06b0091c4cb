"""Owns the guard: switches the allow-lists on and off for the action code of one shell.

They are the policy with the clear message; the boundary is the operating system. Three parts:
`guard_check` reads a cell before it runs, `guard_builtins` and `guard_import` watch while it runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from IPython.core.error import InputRejected

from codeact_kernel.in_kernel.guard_builtins import Warden, action_builtins
from codeact_kernel.in_kernel.guard_check import CellCheck
from codeact_kernel.in_kernel.guard_import import guarded_import
from codeact_kernel.in_kernel.guard_lists import load_lists
from codeact_kernel.in_kernel.guard_refusals import Refused, cell_refusal
from codeact_kernel.in_kernel.guard_rewrite import rewrite_attributes

_OWNED = ("__builtins__", "__builtin__", "get_ipython")
_OWN_ROOT = Path(__file__).parents[2]
_GONE = ("exit", "quit")
_ABSENT = object()


class Guard:
    """Refuses what the allow-lists do not allow to the cells of one IPython shell.

    Args:
        shell: the InteractiveShell.
        allow_imports: dotted names of modules allowed on top of the default list.
        report: called with ("import" | "builtin" | "magic" | "attribute", name) for every refusal,
            also when the code catches the exception.
        ours: packages in memory that cells import tools from.
        instead: by the name of a module that is refused, what to write in its place.
    """

    def __init__(
        self,
        shell: Any,
        allow_imports: Iterable[str],
        report: Callable[[str, str], None],
        ours: Iterable[str] = (),
        instead: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._shell = shell
        self._lists = load_lists(allow_imports, ours, instead)
        self._report = report
        self._before: dict[str, object] = {}
        self._path: list[str] = []
        warden = Warden(self._lists, report)
        space = action_builtins(shell, warden)
        space["__import__"] = guarded_import(warden)
        self._owned = {"__builtins__": space, "__builtin__": space, "get_ipython": space["get_ipython"]}

    def install(self) -> None:
        """In force from the next cell on. The workspace stops being a place that imports look in."""
        names = self._shell.user_ns
        self._before = {name: names.get(name, _ABSENT) for name in (*_OWNED, *_GONE)}
        for name in _GONE:
            names.pop(name, None)
        names.update(self._owned)
        self._shell.user_ns_hidden["get_ipython"] = self._owned["get_ipython"]  # not listed by %who
        self._shell.ast_transformers.insert(0, self)
        self._path = sys.path[:]
        # A planted json.py would run outside the guard, and libraries would pick it up as well.
        sys.path[:] = [entry for entry in sys.path if not _is_workspace(entry)]

    def remove(self) -> None:
        """Puts back what `install` changed."""
        self._shell.ast_transformers.remove(self)
        for name, value in self._before.items():
            if value is _ABSENT:
                self._shell.user_ns.pop(name, None)
            else:
                self._shell.user_ns[name] = value
        sys.path[:] = self._path

    def allowed_imports(self) -> tuple[str, ...]:
        """What action code may import, sorted; dotted where only a submodule is allowed."""
        return tuple(sorted(self._lists.imports))

    def visit(self, tree: ast.AST) -> ast.AST:
        """Called by IPython with each parsed cell. Raises Refused, and nothing else: any other
        exception would make IPython run the cell and drop this check for good."""
        self._shell.user_ns.update(self._owned)
        return self._checked(tree, self._shell.user_ns)

    def checked_file(self, tree: ast.Module, namespace: dict[str, Any]) -> ast.Module:
        """As `visit`, for code that is not a cell: `namespace`, in which it runs, gets the builtins of action
        code. Raises Refused."""
        namespace.update(self._owned)
        self._checked(tree, namespace)
        return tree

    def _checked(self, tree: ast.AST, namespace: dict[str, Any]) -> ast.AST:
        try:
            return self._looked_through(tree, namespace)
        except InputRejected:
            raise
        except RecursionError:
            raise Refused("the cell is nested too deeply to be checked; split it up.") from None
        except Exception as problem:
            raise Refused(f"the cell cannot be checked ({problem!r}); write it differently.") from problem

    def _looked_through(self, tree: ast.AST, namespace: dict[str, Any]) -> ast.AST:
        nodes = list(ast.walk(tree))
        check = CellCheck(self._lists, namespace, self._shell.transform_cell)
        check.check(nodes)
        if check.found:
            for kind, name in dict.fromkeys((finding.kind, finding.name) for finding in check.found):
                self._report(kind, name)
            raise cell_refusal(check.found)
        rewrite_attributes(nodes, self._lists)
        return ast.fix_missing_locations(tree)


def _is_workspace(entry: str) -> bool:
    """Whether an entry of the import path is the working folder, which action code writes to."""
    return not entry or (Path(entry) == Path.cwd() and Path(entry) != _OWN_ROOT)
