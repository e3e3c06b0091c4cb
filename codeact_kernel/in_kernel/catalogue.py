"""Owns what tools a kernel knows: those of its setup cell, and those that servers have offered since."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from codeact_kernel.in_kernel.channel import Caller
from codeact_kernel.in_kernel.tools import value_of
from codeact_kernel.wire.messages import Package, Raised, Returned, ToolModule, ToolOutcome, ToolSpec
from codeact_kernel.wire.setup_modules import MAX_TOOLS, PackedTools, tools_from_value
from codeact_kernel.wire.stubs import tool_stub
from codeact_kernel.wire.values import decode, encode

UPDATES = "_updates"


class Catalogue:
    """The tools by module. Only names beforehand: what a schema means in Python is made when it is wanted.

    Args:
        tools: also those of no module, which are only to be found here.
        caller: answers `filesystem._updates()`.
        packed: further tools, read when they are asked for.
        skills: as tools, only to be found here. Kept apart: an older notebook may have a module of that name.
    """

    def __init__(
        self,
        modules: Iterable[ToolModule],
        tools: Iterable[ToolSpec],
        caller: Caller,
        packed: Iterable[PackedTools] = (),
        skills: Iterable[ToolSpec] = (),
    ) -> None:
        self.caller = caller
        self.modules: Mapping[str, ToolModule] = {module.name: module for module in modules}
        self.problems: dict[str, str] = {}
        """By module: why the host could not say what else there is."""
        self._specs: dict[str, dict[str, ToolSpec]] = {name: {} for name in ("", *self.modules)}
        self._packed = list(packed)
        self._skills = tuple(skills)
        self._whole: dict[str, ToolSpec] = {}
        self._lock = threading.RLock()
        self._keep(tools)

    def names(self, package: Package) -> tuple[str, ...]:
        """The modules of a package, sorted."""
        return tuple(sorted(name for name, module in self.modules.items() if module.package == package))

    def functions(self, module: str) -> Mapping[str, ToolSpec]:
        """The tools of a module by the name of their function. Raises ValueError where the setup cell has
        something else in their place."""
        self._read(packed for packed in [*self._packed] if packed.module == module)
        return self._specs[module]

    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools and skills; those of servers without what their schemas mean (`whole`)."""
        self._read([*self._packed])
        tools = (spec for specs in self._specs.values() for spec in list(specs.values()))
        return (*tools, *self._skills)

    def _read(self, waiting: Iterable[PackedTools]) -> None:
        for packed in waiting:
            with self._lock:
                if packed in self._packed:
                    self._keep(packed.tools())
                    self._packed.remove(packed)

    def _keep(self, tools: Iterable[ToolSpec]) -> None:
        for tool in tools:
            if not tool.module or not tool.function.startswith("_"):  # Those are ours: they are called here.
                self._specs.setdefault(tool.module, {})[tool.function] = tool

    def whole(self, spec: ToolSpec) -> ToolSpec:
        """With the parameters and the result that its schema means."""
        if spec.schema is None or spec.parameters:
            return spec
        found = self._whole.get(spec.name)
        if found is None:
            from codeact_kernel.wire.schemas import tool_spec  # 20 ms, which not all runs need.

            found = tool_spec(spec.module, spec.function, spec.schema, spec.doc)
            self._whole[spec.name] = found
        return found

    def source(self, module: str, specs: Sequence[ToolSpec]) -> str:
        """Some tools of a module as Python source, with the types that they need; "": those of none."""
        described = self.modules.get(module)
        if described is None:
            return "\n\n".join(map(tool_stub, specs))
        if described.package == "toolkits":
            stubs = "\n\n".join(map(tool_stub, specs))
            return f"# from toolkits import {module}\n\n{stubs}"
        from codeact_kernel.wire.schemas import module_source  # 20 ms, which not all runs need.

        return f"# from mcp_servers import {module}\n{module_source(described, specs)}"

    def ask(self, module: str, function: str, *args: object) -> object:
        """What one of the module's own tools answers: `filesystem._resources()`. Raises what it raises."""
        __tracebackhide__ = True
        return value_of(self._outcome(module, function, *args))

    def update(self, module: str) -> tuple[ToolSpec, ...]:
        """Asks the host what the module has got since the setup, and keeps it; what is new here.

        Raises: what the call raises; ValueError for an answer that is none.
        """
        __tracebackhide__ = True
        return self._added(module, self.ask(module, UPDATES))

    def look(self, module: str) -> None:
        """As `update`, for a name that was not found: where nothing can be had, nothing is new."""
        try:
            match self._outcome(module, UPDATES):
                case Returned(value):
                    self.problems.pop(module, None)
                    self._added(module, decode(value))
                case Raised(kind, message):
                    self.problems[module] = f"{kind}: {message}"
        except (LookupError, ValueError):  # Not on the tape: nothing was new when it was recorded.
            pass

    def _outcome(self, module: str, function: str, *args: object) -> ToolOutcome:
        encoded = tuple(encode(value, blobs=True) for value in args)
        match self.caller.call(tool := f"{module}.{function}", encoded, {}):
            case Raised(_, message) as outcome if message.startswith(f"{tool}(): "):
                # Of a name that no code has called; the server's is what says something.
                said = message.removeprefix(f"{tool}(): ")
                return replace(outcome, message=said if repr(module) in said else f"{module}: {said}")
            case outcome:
                return outcome

    def _added(self, module: str, value: object) -> tuple[ToolSpec, ...]:
        """Appends: what is known stays as it is."""
        found, known = tools_from_value(module, value), self._specs[module]
        self.functions(module)
        with self._lock:
            new = [spec for spec in found if spec.function not in known and not spec.function.startswith("_")]
            new = new[: max(MAX_TOOLS - sum(map(len, self._specs.values())), 0)]
            known.update((spec.function, spec) for spec in new)
        return tuple(new)
