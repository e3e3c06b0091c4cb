"""Owns the package `skills`: functions of earlier runs, as Python imports them, in memory.

A skill is run when it is imported first: checked by the guard as a cell is, with the builtins of action code,
and with the tools of this kernel by their names.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

from codeact_kernel.in_kernel.awaiting import AwaitTools
from codeact_kernel.in_kernel.guard import Guard
from codeact_kernel.in_kernel.modules import TellingModule
from codeact_kernel.in_kernel.tools import ToolFunction
from codeact_kernel.wire.setup_skills import PACKAGE, Skill


class SkillPackage(TellingModule):
    """`skills`. `__all__`: what there is; each function is made when it is looked up first."""

    def __init__(self, skills: Skills) -> None:
        super().__init__(PACKAGE, f"Functions of earlier runs: {', '.join(skills.names)}.")
        self.__all__ = [*skills.names]
        self.__codeact_namespace__ = skills

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("__all__", ()):
            try:
                self.__dict__[name] = function = self.__codeact_namespace__.load(name)
            except AttributeError as problem:  # Of its code: it does not say that there is no such skill.
                raise ImportError(
                    f"the skill {name!r} cannot be imported: {problem}", name=PACKAGE
                ) from problem
            return function
        raise AttributeError(missing(self, name))

    def __dir__(self) -> list[str]:
        return [*self.__all__]


class Skills:
    """The finder and the loader of the package; and what makes the functions.

    Args:
        given: names that the code of a skill finds beside builtins: tools.
        helper: see `AwaitTools`.
        others: names that the user allowed imports of; without skills, a package of that name is theirs.
    """

    def __init__(
        self,
        skills: Iterable[Skill],
        guard: Guard,
        given: Mapping[str, object],
        helper: str,
        others: Iterable[str] = (),
    ) -> None:
        self._sources = {skill.name: skill.source for skill in skills}
        self._guard = guard
        self._given = given
        self._helper = helper
        self._others = frozenset(others)
        self._loading: set[str] = set()
        self.names = tuple(sorted(self._sources))

    def install(self) -> None:
        sys.meta_path.insert(0, cast(Any, self))

    def remove(self) -> None:
        """Also what was imported: another setup has other skills."""
        sys.meta_path.remove(cast(Any, self))
        if isinstance(sys.modules.get(PACKAGE), SkillPackage):
            for name in (PACKAGE, *(f"{PACKAGE}.{name}" for name in self.names)):
                sys.modules.pop(name, None)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Raises ImportError where there are no skills."""
        if name != PACKAGE or (not self.names and PACKAGE in self._others):
            return None
        if not self.names:
            raise ModuleNotFoundError(
                f"No module named {name!r}: this run has no skills (--skills DIR gives it some)", name=name
            )
        return ModuleSpec(name, cast(Any, self))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return SkillPackage(self)

    def exec_module(self, module: ModuleType) -> None:
        """All there is to it is in `SkillPackage`."""

    def load(self, name: str) -> Any:
        """The function of that name. Raises what its code raises, and Refused for what the guard refuses."""
        if name in self._loading:
            raise ImportError(f"the skill {name!r} imports itself, by way of others", name=PACKAGE)
        source, where = self._sources[name], f"<skill {name}>"
        # A time of None: `linecache` keeps it; tracebacks, `??` and `inspect.getsource` show it.
        linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)
        module = ModuleType(f"{PACKAGE}.{name}")
        module.__dict__.update(self._given)
        tree = self._guard.checked_file(ast.parse(source, where), module.__dict__)
        AwaitTools(lambda it: isinstance(module.__dict__.get(it), ToolFunction), self._helper).visit(tree)
        self._loading.add(name)
        sys.modules[module.__name__] = module  # Dataclasses look there for what annotations mean.
        try:
            exec(compile(tree, where, "exec", dont_inherit=True), module.__dict__)
        except BaseException:
            del sys.modules[module.__name__]
            raise
        finally:
            self._loading.discard(name)
        return module.__dict__[name]


def missing(package: SkillPackage, name: str) -> str:
    """The message for a skill that is not there."""
    return f"there is no skill {name!r}; there are: {', '.join(package.__all__)}"
