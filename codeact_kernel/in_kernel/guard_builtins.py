"""Owns the builtins of action code: those of Python, with guarded ways to modules and namespaces.

They are in force through `__builtins__` of the action namespace alone, so what libraries import and
do themselves is not affected.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import ModuleType
from typing import Any, NoReturn

from codeact_kernel.in_kernel.deferring import HELPERS
from codeact_kernel.in_kernel.guard_check import SHELL_COMMANDS
from codeact_kernel.in_kernel.guard_lists import AllowLists
from codeact_kernel.in_kernel.guard_refusals import SHOWN, Kind, refusal
from codeact_kernel.in_kernel.guard_rewrite import ATTRIBUTE


class Warden:
    """Says no at run time: reports, then raises."""

    def __init__(self, lists: AllowLists, report: Callable[[str, str], None]) -> None:
        self.lists = lists
        self._report = report

    def refuse(self, kind: Kind, name: str, why: str | None = None) -> NoReturn:
        __tracebackhide__ = True
        name = name[:SHOWN]
        self._report(kind, name)
        raise refusal(self.lists, kind, name, why)

    def check_name(self, name: str) -> None:
        if name in self.lists.attributes or name in self.lists.names:
            self.refuse("attribute", name)

    def check_value(self, owner: object, name: str, value: object) -> None:
        """Refuses what attribute `name` of `owner` turned out to be."""
        if name == "__dict__" and _is_foreign(owner):
            self.refuse("attribute", "__dict__", "it opens a module or a type; dir(…) lists the names")
        if self.lists.is_refused_module(value) and not self.lists.is_submodule(owner, name, value):
            self.refuse("import", getattr(value, "__name__", name))
        denied = self.lists.denies(owner, name) or self.lists.denied_object(name, value)
        if denied is not None:
            self.refuse("attribute", denied, "it is denied in its module")


def _is_foreign(owner: object) -> bool:
    """A module, or a type that no cell defined: their dictionaries hold what `getattr` refuses."""
    if isinstance(owner, type):
        return owner.__module__ != "__main__"
    return isinstance(owner, ModuleType)


class NamespaceView(MutableMapping[str, object]):
    """What `globals()` gives: the variables, without the entries that hold the guard itself."""

    def __init__(self, namespace: MutableMapping[str, object], warden: Warden) -> None:
        self.__codeact_namespace__ = namespace, warden

    def _check(self, name: object) -> None:
        _, warden = self.__codeact_namespace__
        if name in warden.lists.names:
            warden.refuse("builtin", str(name))

    def __getitem__(self, name: str) -> object:
        self._check(name)
        return self.__codeact_namespace__[0][name]

    def __setitem__(self, name: str, value: object) -> None:
        self._check(name)
        self.__codeact_namespace__[0][name] = value

    def __delitem__(self, name: str) -> None:
        self._check(name)
        del self.__codeact_namespace__[0][name]

    def __iter__(self) -> Iterator[str]:
        namespace, warden = self.__codeact_namespace__
        return iter([name for name in namespace if name not in warden.lists.names])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, object]:
        return dict(self)


class RefusedBuiltin:
    """Stands where a refused builtin was, so that also an alias of it says why it does not work."""

    def __init__(self, name: str, warden: Warden) -> None:
        self.__name__ = name
        self._refuse = warden.refuse

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        __tracebackhide__ = True
        self._refuse("builtin", self.__name__)

    def __repr__(self) -> str:
        return f"<{self.__name__}: refused in action code>"


class ShellFacade:
    """What `get_ipython()` gives: the two methods that IPython's `%magic` syntax becomes."""

    __slots__ = ("_refuse", "run_cell_magic", "run_line_magic")

    def __init__(self, shell: Any, warden: Warden) -> None:
        def checked(kind: str, name: str, line: str) -> tuple[str, str]:
            __tracebackhide__ = True
            problem = warden.lists.magic_problem(kind, name, line)
            if problem is not None:
                warden.refuse("magic", ("%" if kind == "line" else "%%") + name, problem)
            return name, line

        def run_line_magic(magic_name: str, line: str = "", _stack_depth: int = 1) -> object:
            # One frame more than IPython expects between the magic and the code that wrote it.
            return shell.run_line_magic(*checked("line", magic_name, line), _stack_depth=2)

        def run_cell_magic(magic_name: str, line: str, cell: str) -> object:
            return shell.run_cell_magic(*checked("cell", magic_name, line), cell)

        self._refuse = warden.refuse
        self.run_line_magic = run_line_magic
        self.run_cell_magic = run_cell_magic

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)  # Display code probes for `_repr_html_` and its like.
        self._refuse("magic", SHELL_COMMANDS.get(name, f"get_ipython().{name}"))


def action_builtins(shell: Any, warden: Warden) -> dict[str, Any]:
    """The builtins of action code of one shell."""
    space = {name: value for name, value in vars(builtins).items() if name not in warden.lists.names}
    space |= {name: RefusedBuiltin(name, warden) for name in warden.lists.builtins}
    space |= _reflection(warden, shell.user_ns)
    facade = ShellFacade(shell, warden)
    space["get_ipython"] = lambda: facade
    space.update(HELPERS)
    space["allowed_imports"] = lambda: tuple(sorted(warden.lists.imports))
    return space


def _reflection(warden: Warden, namespace: dict[str, object]) -> dict[str, Callable[..., Any]]:
    """The guarded forms of getattr, vars and their like."""
    view = NamespaceView(namespace, warden)

    def guarded_getattr(obj: object, name: str, *default: object) -> object:
        __tracebackhide__ = True
        warden.check_name(name)
        value = getattr(obj, name, *default)
        warden.check_value(obj, name, value)
        return value

    def watched(obj: object, name: str) -> object:
        __tracebackhide__ = True
        value = getattr(obj, name)
        warden.check_value(obj, name, value)
        return value

    def guarded_setattr(obj: object, name: str, value: object) -> None:
        __tracebackhide__ = True
        warden.check_name(name)
        setattr(obj, name, value)

    def guarded_delattr(obj: object, name: str) -> None:
        __tracebackhide__ = True
        warden.check_name(name)
        delattr(obj, name)

    def scope() -> Mapping[str, object]:
        found = sys._getframe(2).f_locals
        return view if found is namespace else found

    def guarded_vars(*of: object) -> Any:
        __tracebackhide__ = True
        if not of:
            return scope()
        warden.check_value(of[0], "__dict__", None)
        return vars(*of)

    return {
        "getattr": guarded_getattr,
        "setattr": guarded_setattr,
        "delattr": guarded_delattr,
        ATTRIBUTE: watched,
        "vars": guarded_vars,
        "globals": lambda: view,
        "locals": lambda: scope(),
    }
