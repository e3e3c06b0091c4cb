"""Owns the modules of tools as Python imports them: `from mcp_servers import filesystem`.

In memory, and before every other finder, so that no file of such a name is taken for one. The source of a
module is generated from the schemas of its tools when it is imported first, and is looked through before
it is run: it holds types and functions without bodies, nothing else.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, cast, get_args

from codeact_kernel.in_kernel.catalogue import Catalogue
from codeact_kernel.in_kernel.functions import ModuleTool, function_of
from codeact_kernel.in_kernel.tools import ToolFunction
from codeact_kernel.wire.messages import Package, ToolSpec
from codeact_kernel.wire.search import nearest

PACKAGES: tuple[Package, ...] = get_args(Package)
_LISTED = 30
_ABSENT = {
    "mcp_servers": "this run has no MCP servers (--mcp FILE gives it some)",
    "toolkits": "this run has no toolkits (--tools NAME=FILE.py gives it some)",
}


class ToolPackage(ModuleType):
    """`mcp_servers` or `toolkits`: what modules there are; each is made when it is imported."""

    def __init__(self, name: str, modules: Sequence[str]) -> None:
        super().__init__(name, f"Modules of tools: {', '.join(modules)}.")
        self.__path__: list[str] = []
        self.__all__ = [*modules]

        def absent(module: str) -> Any:
            if module in modules:
                return importlib.import_module(f"{name}.{module}")
            raise AttributeError(f"{name} has no module {module!r}{_instead(module, modules)}")

        _hooked(self, absent, lambda: [*modules])


class TellingModule(ModuleType):
    """A module in memory that says in words that help what it has not. The import statement would drop them:
    `check_import`."""


class ToolsModule(TellingModule):
    """A module of tools. `__all__`: its functions; a server may offer more, of which a name that is not there
    yet is asked for.

    Args:
        may_ask: whether that may be done now, for a module.
    """

    def __init__(self, name: str, catalogue: Catalogue, may_ask: Callable[[str], bool]) -> None:
        super().__init__(name)
        self.__all__: list[str] = []
        # Of this name the guard keeps action code away.
        self.__codeact_namespace__ = _Functions(self, catalogue, may_ask)
        names = self.__dict__
        _hooked(self, self._absent, lambda: [name for name in names if not name.startswith("_")])

    def _absent(self, name: str) -> Any:
        if name.startswith("_"):  # Display code, `copy` and their like probe for these.
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__codeact_namespace__.look()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(missing(self, name)) from None


def _hooked(module: ModuleType, absent: Callable[[str], Any], listed: Callable[[], list[str]]) -> None:
    """As PEP 562 has it: of classes that override `__getattr__` IPython does not complete arguments."""
    module.__dict__.update(__getattr__=absent, __dir__=listed)


class _Functions:
    """The functions of a module, made of what the catalogue knows."""

    def __init__(self, target: ToolsModule, catalogue: Catalogue, may_ask: Callable[[str], bool]) -> None:
        self._target = target
        self._catalogue = catalogue
        self._may_ask = may_ask
        self._lock = threading.RLock()
        self._parts = 0
        self.module = target.__name__.rpartition(".")[2]

    def look(self) -> None:
        """For a name that is not there: asks the server's host, once in a cell."""
        server = self._catalogue.modules[self.module].package == "mcp_servers"
        if server and self._may_ask(self.module):
            self._catalogue.look(self.module)
        self.make()

    @property
    def problem(self) -> str:
        """Why the server could not say what it has; "" where it could, or was not asked."""
        return self._catalogue.problems.get(self.module, "")

    def make(self) -> None:
        """All that the catalogue has. Those that are there stay the same objects."""
        with self._lock:
            there = frozenset(self._target.__all__)
            found = self._catalogue.functions(self.module)
            specs = [self._catalogue.whole(spec) for name, spec in found.items() if name not in there]
            if specs:
                self._add(specs)

    def _add(self, specs: Sequence[ToolSpec]) -> None:
        generated = [spec for spec in specs if spec.schema is not None]
        names = self._generated(generated) if generated else {}
        caller, space = self._catalogue.caller, self._target.__dict__
        for name, value in names.items():
            space.setdefault(name, value)
        for spec in specs:
            stub = names.get(spec.function)
            if isinstance(stub, FunctionType):
                space[spec.function] = function_of(ModuleTool(spec, caller), stub)
            else:
                space[spec.function] = ToolFunction(spec, caller)
        self._target.__all__ += [spec.function for spec in specs]

    def _generated(self, specs: Sequence[ToolSpec]) -> dict[str, Any]:
        """What the generated source defines. Raises ValueError where that is more than it should be."""
        from codeact_kernel.wire.schemas import check_source, module_source  # 20 ms, which not all runs need.

        source = module_source(self._catalogue.modules[self.module], specs)
        check_source(source)
        where = f"<{self._target.__name__}{f', added {self._parts}' if self._parts else ''}>"
        self._parts += 1
        # With a time of None `linecache` keeps it: `??` and `inspect.getsource` show it.
        linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)
        names: dict[str, Any] = {"__name__": self._target.__name__}
        exec(compile(source, where, "exec", dont_inherit=True), names)
        self._target.__doc__ = self._target.__doc__ or names.get("__doc__")
        own = {spec.function for spec in specs}
        return {name: value for name, value in names.items() if name in own or _is_type(value)}


class ToolFinder:
    """The finder and the loader of the packages.

    Args:
        others: names that the user allowed imports of; where a run has no such modules, they are not ours.
        may_ask: see `ToolsModule`.
    """

    def __init__(self, catalogue: Catalogue, others: Iterable[str], may_ask: Callable[[str], bool]) -> None:
        self._catalogue = catalogue
        self._others = frozenset(others)
        self._may_ask = may_ask

    def install(self) -> None:
        sys.meta_path.insert(0, cast(Any, self))

    def remove(self) -> None:
        """Also what was imported: another setup has other modules."""
        sys.meta_path.remove(cast(Any, self))
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            if isinstance(sys.modules[name], ToolPackage | ToolsModule):
                del sys.modules[name]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Raises ImportError for a module of a package that has others."""
        top, _, module = name.partition(".")
        if top not in PACKAGES:
            return None
        modules = self._catalogue.names(top)
        if not modules:
            if top in self._others:
                return None
            raise ModuleNotFoundError(f"No module named {name!r}: {_ABSENT[top]}", name=name)
        if module and module not in modules:
            raise ImportError(f"{top} has no module {module!r}{_instead(module, modules)}", name=name)
        return ModuleSpec(name, cast(Any, self), is_package=not module)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        top, _, module = spec.name.partition(".")
        if not module:
            return ToolPackage(cast(Package, top), self._catalogue.names(cast(Package, top)))
        return ToolsModule(spec.name, self._catalogue, self._may_ask)

    def exec_module(self, module: ModuleType) -> None:
        """A second time, by `importlib.reload`, all is there and nothing changes."""
        if isinstance(module, ToolsModule):
            described = self._catalogue.modules[module.__codeact_namespace__.module]
            if described.package == "toolkits":
                module.__doc__ = described.doc or described.title or None
            module.__codeact_namespace__.make()


def make_functions(server: str) -> None:
    """Those that the catalogue has got since; only where the module has been imported."""
    module = sys.modules.get(f"mcp_servers.{server}")
    if isinstance(module, ToolsModule):
        module.__codeact_namespace__.make()


def _is_type(value: object) -> bool:
    """Whether it is a type that the source defines, not one that it imports."""
    return getattr(value, "__module__", "typing") != "typing"


def check_import(module: object, name: str) -> None:
    """For `from mcp_servers.filesystem import nope`. Raises ImportError, which says what there is."""
    if isinstance(module, TellingModule) and name != "*":
        try:
            getattr(module, name)
        except AttributeError as problem:
            raise ImportError(f"cannot import name {name!r}: {problem}", name=module.__name__) from None


def missing(module: ToolsModule, name: str) -> str:
    """The message for a function that is not there."""
    problem = "" if module.__all__ else module.__codeact_namespace__.problem
    said = f": {problem}" if problem else _instead(name, module.__all__)
    return f"{module.__name__} has no function {name!r}{said}"


def _instead(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    meant = nearest(name, known)
    listed = ", ".join(known[:_LISTED]) + (
        f" and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
    )
    said = f"; did you mean {' or '.join(map(repr, meant))}?" if meant else "."
    return f"{said} There are: {listed or 'none'}. tools.search('words') finds others."
