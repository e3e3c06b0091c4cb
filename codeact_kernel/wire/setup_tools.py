"""Owns a tool as a line of a setup cell: its name, its signature, its documentation; never its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from .messages import Effect, Json, Package, ParameterKind, ToolModule, ToolParameter, ToolSchema, ToolSpec
from .setup_lines import text_field

_PACKAGES: tuple[Package, ...] = get_args(Package)
_KINDS: tuple[ParameterKind, ...] = get_args(ParameterKind)


def tool_to_json(tool: ToolSpec) -> dict[str, Json]:
    parameters = [_parameter_to_json(parameter) for parameter in tool.parameters]
    entry: dict[str, Json] = {"tool": tool.name}
    if tool.schema is None:
        entry |= {"parameters": parameters, "returns": tool.returns}
    else:
        entry["schema"] = _schema_to_json(tool.schema)
    entry["doc"] = tool.doc
    entry |= {"async": True} if tool.is_async else {}
    return entry | ({"effect": tool.effect} if tool.effect != "write" else {})


def module_to_json(module: ToolModule) -> dict[str, Json]:
    return {"module": module.name, "package": module.package, "title": module.title, "doc": module.doc}


def module_from_json(entry: Mapping[str, Json]) -> ToolModule:
    """Raises ValueError for what `module_to_json` does not write."""
    package = text_field(entry, "package")
    for known in _PACKAGES:
        if package == known:
            texts = (text_field(entry, "title", ""), text_field(entry, "doc", ""))
            return ToolModule(text_field(entry, "module"), known, *texts)
    raise ValueError(f"{package!r:.100} is no package of tools; known: {', '.join(_PACKAGES)}")


def tool_from_json(entry: Mapping[str, Json]) -> ToolSpec:
    """Raises ValueError for what `tool_to_json` does not write."""
    parameters = entry.get("parameters", [])
    if not isinstance(parameters, list):
        raise ValueError(f"'parameters' is a list, not {parameters!r:.100}")
    return ToolSpec(
        text_field(entry, "tool"),
        tuple(_parameter_from_json(parameter) for parameter in parameters),
        text_field(entry, "returns", ""),
        text_field(entry, "doc", ""),
        entry.get("async") is True,
        _effect(text_field(entry, "effect", "write")),
        _schema_from_json(entry["schema"]) if "schema" in entry else None,
    )


def _schema_to_json(schema: ToolSchema) -> dict[str, Json]:
    entry: dict[str, Json] = {"name": schema.tool, "input": schema.input}
    entry |= {"output": schema.output} if schema.output is not None else {}
    return entry | ({"read_only": schema.read_only} if schema.read_only is not None else {})


def _schema_from_json(entry: Json) -> ToolSchema:
    if not isinstance(entry, dict):
        raise ValueError(f"a schema is an object, not {entry!r:.100}")
    given, output, hint = entry.get("input"), entry.get("output"), entry.get("read_only")
    if (
        not isinstance(given, dict)
        or not isinstance(output, dict | None)
        or not isinstance(hint, bool | None)
    ):
        raise ValueError(f"no schema of a tool: {entry!r:.100}")
    return ToolSchema(text_field(entry, "name"), given, output, hint)


def _effect(word: str) -> Effect:
    if word in ("read", "write"):
        return "read" if word == "read" else "write"
    raise ValueError(f"{word!r:.100} is no effect of a tool; known: read, write")


def _parameter_to_json(parameter: ToolParameter) -> dict[str, Json]:
    entry: dict[str, Json] = {"name": parameter.name}
    if parameter.kind != "positional_or_keyword":
        entry["kind"] = parameter.kind
    if parameter.annotation:
        entry["annotation"] = parameter.annotation
    if parameter.default is not None:
        entry["default"] = parameter.default
    return entry


def _parameter_from_json(entry: Json) -> ToolParameter:
    if not isinstance(entry, dict):
        raise ValueError(f"a parameter is an object, not {entry!r:.100}")
    kind = text_field(entry, "kind", "positional_or_keyword")
    default = text_field(entry, "default") if "default" in entry else None
    for known in _KINDS:
        if kind == known:
            return ToolParameter(
                text_field(entry, "name"), known, text_field(entry, "annotation", ""), default
            )
    raise ValueError(f"{kind!r:.100} is no kind of parameter; known: {', '.join(_KINDS)}")
