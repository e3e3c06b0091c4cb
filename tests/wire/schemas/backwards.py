"""The way back, for tests: JSON Schemas of annotations, and generated modules, run."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, ForwardRef, NotRequired

from codeact_kernel.wire.messages import Json, ToolModule, ToolSchema, ToolSpec
from codeact_kernel.wire.schemas import check_source, module_source, parameter_names, tool_spec

MODULE = ToolModule("server", "mcp_servers")
_PLAIN: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    None: "null",
}


def spec_of(schema: Json, output: Json = None, function: str = "call", doc: str = "") -> ToolSpec:
    return tool_spec("server", function, ToolSchema(function, schema, output), doc)  # type: ignore[arg-type]  # hostile


def space_of(*specs: ToolSpec) -> dict[str, Any]:
    """The names of the module with these tools: checked, run."""
    source = module_source(MODULE, specs)
    check_source(source)
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(source, "<generated>", "exec", dont_inherit=True), names)
    return names


class Backwards:
    """JSON Schemas of what a generated module has."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names
        self._defs: dict[str, Json] = {}

    def arguments(self, function: str, schema: Mapping[str, Json]) -> dict[str, Json]:
        """Of an object of the function's arguments, by the names of properties."""
        signature, hints = self._hints(function)
        properties, required = parameter_names(schema), []
        found: dict[str, Json] = {}
        more: Json = {}
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                more = self.of(hints[name])
                continue
            found[properties[name]] = self.of(hints[name])
            if parameter.default is inspect.Parameter.empty:
                assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
                required.append(properties[name])
            else:
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        made = {"type": "object", "properties": found, "required": required, "additionalProperties": more}
        return {**made, "$defs": self._defs}

    def result(self, function: str) -> dict[str, Json]:
        return {"allOf": [self.of(self._hints(function)[1]["return"])], "$defs": self._defs}

    def _hints(self, function: str) -> tuple[inspect.Signature, dict[str, Any]]:
        called = self._names[function]
        return inspect.signature(called), typing.get_type_hints(called)

    def of(self, annotation: Any) -> Json:
        if annotation is Any:
            return {}
        if annotation in _PLAIN:
            return {"type": _PLAIN[annotation]}
        if isinstance(annotation, str | ForwardRef):
            return self._named(annotation if isinstance(annotation, str) else annotation.__forward_arg__)
        if typing.is_typeddict(annotation):
            return self._named(annotation.__name__)
        arguments = typing.get_args(annotation)
        match typing.get_origin(annotation):
            case types.UnionType | typing.Union:
                return {"anyOf": [self.of(each) for each in arguments]}
            case typing.Literal:
                return {"enum": list(arguments)}
            case builtin if builtin is list:
                return {"type": "array", "items": self.of(arguments[0])}
            case builtin if builtin is dict:
                assert arguments[0] is str
                return {"type": "object", "additionalProperties": self.of(arguments[1])}
            case builtin if builtin is tuple:
                items = [self.of(each) for each in arguments]
                return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        raise AssertionError(f"no way back from {annotation!r}")

    def _named(self, name: str) -> Json:
        if name not in self._defs:
            self._defs[name] = {}
            meant = self._names[name]
            self._defs[name] = self._record(meant) if typing.is_typeddict(meant) else self.of(meant)
        return {"$ref": f"#/$defs/{name}"}

    def _record(self, kind: Any) -> Json:
        # As a person's program would ask: the names are those of the class's own module.
        hints = typing.get_type_hints(kind, dict(self._names), include_extras=True)
        found = {
            key: typing.get_args(hint)[0] if typing.get_origin(hint) is NotRequired else hint
            for key, hint in hints.items()
        }
        assert {
            key for key in hints if typing.get_origin(hints[key]) is NotRequired
        } == kind.__optional_keys__
        return {
            "type": "object",
            "properties": {key: self.of(hint) for key, hint in found.items()},
            "required": sorted(kind.__required_keys__),
        }
