"""Owns the test file of a skill: its calls in the run as asserts, for pytest, or for anybody who calls them.

Tools are stood for by the answers that they gave in the run, so that it runs anywhere.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..exceptions import UsageError
from ..wire.messages import Json, Raised, Returned, ToolCall, ToolSpec
from ..wire.setup_skills import UNREADABLE, parsed_source
from ..wire.values import DecodeError, decode
from . import stand_ins
from .awaited import Awaited
from .examples import MAX_EXAMPLES, Example
from .frames import comparison, holds_frame, is_frame
from .gathering import KERNEL_NAMES, TOOLS, Gathered, by_package, imports_tools
from .layout import joined
from .literals import Literals
from .names import mentioned

MAX_CALLS = 50
"""Tool calls of one example."""


@dataclass(frozen=True)
class SkillTests:
    """`tests`: the names of its functions; (): there is no such file. `refused`: why calls of the run are no
    tests -> how many."""

    source: str
    tests: tuple[str, ...]
    refused: Mapping[str, int]
    written: tuple[Example, ...]
    """The examples that its tests are."""


def tests_of(
    gathered: Gathered, source: str, examples: Sequence[Example], specs: Sequence[ToolSpec], where: str
) -> SkillTests:
    """`source`: of the skill; `where`: what it was saved from."""
    tree = parsed_source(source)
    known = {spec.name: spec for spec in specs}
    work = _Writing(gathered.function.name, gathered, known, Awaited(tree), mentioned(tree))
    inner = (node for part in tree.body for node in ast.walk(part) if node is not part)
    work.later = bool(gathered.modules) and any(map(imports_tools, inner))
    for example in examples:
        work.add(example)
    return work.result(where) if work.bodies else SkillTests("", (), work.refused, ())


@dataclass
class _Writing:
    name: str
    gathered: Gathered
    specs: Mapping[str, ToolSpec]
    awaited: Awaited
    mentioned: frozenset[str]
    literals: Literals = field(default_factory=Literals)
    bodies: dict[str, Example] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Tools."""
    errors: bool = False
    """Whether a tool raised what only a kernel knows."""
    later: bool = False
    """Whether it imports modules of tools when it is called: another test file may have made its own then."""
    refused: dict[str, int] = field(default_factory=dict)

    def add(self, example: Example) -> None:
        """One more test, unless there is such a one already, or it cannot be written."""
        try:
            if asked := self._unanswered():
                raise ValueError(f"uses {asked}, which only a kernel can answer")
            if len(example.calls) > MAX_CALLS:
                raise ValueError(f"has more than {MAX_CALLS} tool calls")
            body = self._body(example)
            if body not in self.bodies and len(self.bodies) == MAX_EXAMPLES:
                raise ValueError(f"is beyond the first {MAX_EXAMPLES}")
        except ValueError as problem:
            self.refused[str(problem)] = self.refused.get(str(problem), 0) + 1
            return
        self.bodies.setdefault(body, example)
        self.used |= {call.tool for call in example.calls}

    def _unanswered(self) -> str:
        """What it asks a kernel for beside its tools and their errors: `tools.search`; "": nothing."""
        of_tools = {f"{TOOLS}.{name}" for name in KERNEL_NAMES}
        return min(self.gathered.kernel - of_tools - KERNEL_NAMES, default="")

    def _body(self, example: Example) -> str:
        """Raises ValueError with the reason why it is no test."""
        lines = []
        if example.calls:
            lines.append("answers[:] = [")
            lines += [f"    {self._answer(call)}," for call in example.calls]
            lines.append("]")
        given = [self.literals.source(_decoded(value), 4) for value in example.args]
        for key, value in example.kwargs.items():
            if not key.isidentifier() or keyword.iskeyword(key):  # What a kernel says is not believed.
                raise ValueError("has an argument whose name is no identifier")
            given.append(f"{key}={self.literals.source(_decoded(value), 4)}")
        opening, closing = f"result = skill.{self.name}(", ")"
        if isinstance(self.gathered.function.node, ast.AsyncFunctionDef):
            opening, closing = f"result = asyncio.run(skill.{self.name}(", "))"
            self.literals.imports.add("import asyncio")
        lines.append(joined(opening, given, closing))
        result = _decoded(example.result)
        expected = self.literals.source(result)
        if is_frame(result):
            lines += [f"expected = {expected}", f"{comparison(result)}(result, expected)"]
        elif holds_frame(result):
            raise ValueError("has a frame inside another value")
        else:
            same = "is" if result is None or isinstance(result, bool) else "=="
            lines.append(f"assert result {same} {expected}")
        return "\n".join(lines)

    def _answer(self, call: ToolCall) -> str:
        spec = self.specs.get(call.tool)
        if spec is None:
            raise ValueError(f"calls {call.tool!r:.100}, which is none of the run's tools")
        if self.awaited.mixed(spec):
            raise ValueError(f"calls {spec.function}, which the code awaits in one place and not in another")
        names = [parameter.name for parameter in spec.parameters]
        if len(call.args) > len(names) or any(kind.kind == "var_positional" for kind in spec.parameters):
            raise ValueError(f"calls {call.tool} with any number of arguments")
        given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
        asked = {key: _decoded(value) for key, value in given.items()}
        asked = {key: value for key, value in asked.items() if value is not None}
        if holds_frame(asked):
            raise ValueError(f"calls {call.tool} with a frame, which a test cannot compare")
        return f"({call.tool!r}, {self.literals.source(asked, 4)}, {self._outcome(call)})"

    def _outcome(self, call: ToolCall) -> str:
        match call.outcome:
            case Returned(value):
                return self.literals.source(_decoded(value), 4)
            case Raised(kind, message) if kind in KERNEL_NAMES:
                self.errors = True
                return f"{TOOLS}.{kind}({message!r})"
            case Raised(kind, message):
                if _takes_a_message(getattr(builtins, kind, None)):
                    return f"{kind}({message!r})"
                raise ValueError(f"has a call of {call.tool} that raised {kind!r:.60}")
        raise ValueError(f"has a call of {call.tool} whose outcome is not known")

    def result(self, where: str) -> SkillTests:
        begin = "    sys.modules.update(modules)\n" if self.later else ""
        names = [f"test_{self.name}_{number}" for number in range(1, len(self.bodies) + 1)]
        tests = [
            f"def {name}():\n{begin}{textwrap.indent(body, '    ')}"
            for name, body in zip(names, self.bodies, strict=True)
        ]
        source = "\n\n\n".join([*self._head(where), *tests]) + "\n"
        try:
            parsed_source(source)
        except UNREADABLE as problem:
            raise UsageError(f"the tests of {self.name!r} cannot be written: {problem}") from None
        return SkillTests(source, tuple(names), self.refused, tuple(self.bodies.values()))

    def _head(self, where: str) -> Iterator[str]:
        """What stands before the tests: blocks with two empty lines between them."""
        blocks = [*self._blocks()]
        said = "No tool is called: what each of them answered stands here.\n" if self._has_tools() else ""
        doc = f'"""Tests of {self.name}, from its calls in a run. Run them with pytest.\n\n{said}{where}\n"""'
        needed = self.literals.imports | ({"import sys", "import types"} if self.gathered.modules else set())
        imports = sorted(needed, key=lambda line: (not line.startswith("import "), line))
        imported = f"import {self.name} as skill"
        if not blocks:
            yield "\n".join([doc, "", *imports, *([""] if imports else []), imported])
            return
        yield "\n".join([doc, *([""] if imports else []), *imports])
        yield from (block.strip() for block in blocks)
        # Only now the skill: it imports the modules that are made here.
        yield "\n".join([*self._modules(), f"{imported}  # noqa: E402", *self._flat()])

    def _has_tools(self) -> bool:
        return bool(self.gathered.tools or self.gathered.modules)

    def _blocks(self) -> Iterator[str]:
        """What stands for a kernel."""
        if self.literals.records:
            yield stand_ins.RECORDS
        if self.errors or self.gathered.kernel:
            yield stand_ins.ERRORS
        if self._has_tools():
            yield stand_ins.TOOLS
            if self.awaited.any:
                yield stand_ins.ASYNC

    def _modules(self) -> Iterator[str]:
        for package, modules in by_package(self.gathered.modules).items():
            yield f"{package} = sys.modules[{package!r}] = types.ModuleType({package!r})"
            for module in modules:
                functions = ", ".join(f"{spec.function}={self._stand_in(spec)}" for spec in self._own(module))
                yield f"{package}.{module} = types.SimpleNamespace({functions})"
                yield f"sys.modules[{f'{package}.{module}'!r}] = {package}.{module}"
        if self.later:
            made = [*by_package(self.gathered.modules), *self.gathered.modules]
            yield f"modules = {{name: sys.modules[name] for name in {made!r}}}"

    def _own(self, module: str) -> Iterator[ToolSpec]:
        """Also what no example called: it is imported by its name."""
        for name, spec in sorted(self.specs.items()):
            if spec.module == module and (name in self.used or spec.function in self.mentioned):
                yield spec

    def _flat(self) -> Iterator[str]:
        for tool in self.gathered.tools:
            yield f"skill.{tool} = {self._stand_in(self.specs[tool])}"
        for name in sorted({name.partition(".")[0] for name in self.gathered.kernel}):
            yield f"skill.{name} = {name if name == TOOLS else f'{TOOLS}.{name}'}"

    def _stand_in(self, spec: ToolSpec) -> str:
        names = "".join(f", {parameter.name!r}" for parameter in spec.parameters)
        made = f"tool({spec.name!r}{names})"
        return f"awaited({made})" if self.awaited.always(spec) else made


def _takes_a_message(known: object) -> bool:
    """Whether it is an exception that can be made of its message: UnicodeDecodeError wants more."""
    if not (isinstance(known, type) and issubclass(known, Exception)):
        return False
    try:
        known("")
    except TypeError:
        return False
    return True


def _decoded(value: Json) -> object:
    try:
        return decode(value)
    except DecodeError:
        raise ValueError("has a value that cannot be read") from None


def told(refused: Mapping[str, int]) -> Iterable[str]:
    """`2 calls are no examples: one has a value of type DataFrame`, a sentence a reason."""
    for why, times in refused.items():
        calls = "1 call is no test: it" if times == 1 else f"{times} calls are no tests: each"
        yield f"{calls} {why}"
