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
from .awaited import Awaited
from .examples import MAX_EXAMPLES, Example
from .frames import comparison, is_frame
from .gathering import KERNEL_NAMES, Gathered, by_package
from .layout import joined
from .literals import RECORD, Literals

MAX_CALLS = 50
"""Tool calls of one example."""
_RECORD = f'''
class {RECORD}(dict):
    """A value with fields: order.total and order["total"] are one."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
'''
_TOOLS = '''
answers = []
"""Of the test that runs: tool, arguments, and what it returned or raised."""


def tool(name, *parameters):
    """Stands for a tool: answers as it did in the run."""

    def call(*args, **kwargs):
        given = {**dict(zip(parameters, args)), **kwargs}
        given = {key: value for key, value in given.items() if value is not None}
        for place, (called, asked, answer) in enumerate(answers):
            if called == name and asked == given:
                del answers[place]
                if isinstance(answer, Exception):
                    raise answer
                return answer
        raise AssertionError(f"{name} was not called like this in the run: {given!r}")

    return call
'''
_ASYNC = """
def awaited(call):
    async def acall(*args, **kwargs):
        return call(*args, **kwargs)

    return acall
"""


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
    work = _Writing(gathered.function.name, gathered, {spec.name: spec for spec in specs}, Awaited(source))
    for example in examples:
        work.add(example)
    return work.result(where) if work.bodies else SkillTests("", (), work.refused, ())


@dataclass
class _Writing:
    name: str
    gathered: Gathered
    specs: Mapping[str, ToolSpec]
    awaited: Awaited
    literals: Literals = field(default_factory=Literals)
    bodies: dict[str, Example] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Tools."""
    refused: dict[str, int] = field(default_factory=dict)

    def add(self, example: Example) -> None:
        """One more test, unless there is such a one already, or it cannot be written."""
        try:
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
        else:
            same = "is" if result is None or isinstance(result, bool) else "=="
            lines.append(f"assert result {same} {expected}")
        return "\n".join(lines)

    def _answer(self, call: ToolCall) -> str:
        spec = self.specs.get(call.tool)
        if spec is None:
            raise ValueError(f"calls {call.tool!r:.100}, which is none of the run's tools")
        if self.awaited.mixed(spec.function):
            raise ValueError(f"calls {spec.function}, which the code awaits in one place and not in another")
        names = [parameter.name for parameter in spec.parameters]
        if len(call.args) > len(names) or any(kind.kind == "var_positional" for kind in spec.parameters):
            raise ValueError(f"calls {call.tool} with any number of arguments")
        given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
        asked = {key: _decoded(value) for key, value in given.items()}
        asked = {key: value for key, value in asked.items() if value is not None}
        return f"({call.tool!r}, {self.literals.source(asked, 4)}, {self._outcome(call)})"

    def _outcome(self, call: ToolCall) -> str:
        match call.outcome:
            case Returned(value):
                return self.literals.source(_decoded(value), 4)
            case Raised(kind, message):
                known = getattr(builtins, kind, None)
                if isinstance(known, type) and issubclass(known, Exception):
                    return f"{kind}({message!r})"
                raise ValueError(f"has a call of {call.tool} that raised {kind!r:.60}")
        raise ValueError(f"has a call of {call.tool} whose outcome is not known")

    def result(self, where: str) -> SkillTests:
        names = [f"test_{self.name}_{number}" for number in range(1, len(self.bodies) + 1)]
        tests = [
            f"def {name}():\n{textwrap.indent(body, '    ')}"
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
        tools = bool(self.gathered.tools or self.gathered.modules)
        said = "No tool is called: what each of them answered stands here.\n" if tools else ""
        doc = f'"""Tests of {self.name}, from its calls in a run. Run them with pytest.\n\n{said}{where}\n"""'
        needed = self.literals.imports | ({"import sys", "import types"} if self.gathered.modules else set())
        imports = sorted(needed, key=lambda line: (not line.startswith("import "), line))
        imported = f"import {self.name} as skill"
        if not tools and not self.literals.records:
            yield "\n".join([doc, "", *imports, *([""] if imports else []), imported])
            return
        yield "\n".join([doc, *([""] if imports else []), *imports])
        if self.literals.records:
            yield _RECORD.strip()
        if tools:
            yield _TOOLS.strip()
            if self.awaited.any:
                yield _ASYNC.strip()
        # Only now the skill: it imports the modules that are made here.
        yield "\n".join([*self._modules(), f"{imported}  # noqa: E402", *self._flat()])

    def _modules(self) -> Iterator[str]:
        for package, modules in by_package(self.gathered.modules).items():
            yield f"{package} = sys.modules[{package!r}] = types.ModuleType({package!r})"
            for module in modules:
                own = sorted(tool for tool in self.used if tool.startswith(f"{module}."))
                functions = ", ".join(f"{tool.partition('.')[2]}={self._stand_in(tool)}" for tool in own)
                yield f"{package}.{module} = types.SimpleNamespace({functions})"
                yield f"sys.modules[{f'{package}.{module}'!r}] = {package}.{module}"

    def _flat(self) -> Iterator[str]:
        for tool in self.gathered.tools:
            yield f"skill.{tool} = {self._stand_in(tool)}"
        needed = self.awaited.names & KERNEL_NAMES
        yield from (f"skill.{name} = type({name!r}, (Exception,), {{}})" for name in sorted(needed))

    def _stand_in(self, tool: str) -> str:
        spec = self.specs[tool]
        names = "".join(f", {parameter.name!r}" for parameter in spec.parameters)
        made = f"tool({tool!r}{names})"
        return f"awaited({made})" if self.awaited.always(spec.function) else made


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
