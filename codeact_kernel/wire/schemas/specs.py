"""Owns an MCP tool as a Python function: its parameters, what it returns, its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..messages import Json, ToolParameter, ToolSchema, ToolSpec
from .describing import described
from .documents import Document, Schema, items_of, mapping_of, types_of
from .kinds import ANY, Table, Type
from .literals import literal
from .names import parameter_namer
from .rendering import Renderer
from .texts import SAID, plain, quoted
from .translating import TOOL_NODES, Budget, Translator

PARAMETERS = 1_000
"""Of a function; further ones are given as `**more`."""
OWN_DOCUMENTATION = 20_000
"""Characters of what the user's own Python functions say."""
NOT_GIVEN = "..."
"""The default of a parameter which has none in the schema: it is left out of the call."""


@dataclass(frozen=True)
class Argument:
    """A parameter of a function, and the property that it stands for."""

    name: str
    property: str
    schema: Json
    required: bool


@dataclass(frozen=True)
class Shape:
    """The arguments of a tool, required ones first. `more`: the schema of further ones; None: none."""

    arguments: tuple[Argument, ...]
    more: Json


@dataclass(frozen=True)
class Types:
    """The types of a tool: of its arguments, of further ones, of its result."""

    arguments: tuple[Type, ...]
    more: Type
    result: Type


def shape_of(schema: Mapping[str, Json]) -> Shape:
    """What an input schema says of the arguments."""
    properties, required, more = _view(Document(schema))
    needed = list(dict.fromkeys(each for each in required if isinstance(each, str)))
    properties = {**properties, **{each: more or {} for each in needed if each not in properties}}
    needing = set(needed)
    ordered = [each for each in properties if each in needing] + [
        each for each in properties if each not in needing
    ]
    namer = parameter_namer()
    names = {each: namer.give(each) for each in list(properties)[:PARAMETERS]}
    found = [
        Argument(names[each], each, properties[each], each in needing) for each in ordered if each in names
    ]
    return Shape(tuple(found), {} if len(properties) > PARAMETERS else more)


def parameter_names(schema: Mapping[str, Json]) -> Mapping[str, str]:
    """Python parameter to property."""
    return {each.name: each.property for each in shape_of(schema).arguments}


def types_of_tool(spec: ToolSpec, shape: Shape, schema: ToolSchema, table: Table, budget: Budget) -> Types:
    """The types, of which those with names are in the table now."""
    own = Budget(min(TOOL_NODES, max(budget.left, 0)))
    given = own.left
    reader = Translator(Document(schema.input), table, own)
    arguments = tuple(reader.type(each.schema, each.property) for each in shape.arguments)
    more = reader.type(shape.more, "value")
    result: Type = ANY
    if schema.output is not None:
        wrapped = mapping_of(mapping_of(schema.output).get("properties")).get("result")
        output = wrapped if wraps_result(schema.output) else schema.output
        result = Translator(Document(schema.output), table, own).type(output, f"{spec.function} result")
    budget.take(given - max(own.left, 0))
    return Types(arguments, more, result)


def tool_spec(module: str, function: str, schema: ToolSchema, description: str) -> ToolSpec:
    """What is told of an MCP tool.

    `doc` is the server's description, made harmless and cut; the docstring is `documentation`.
    """
    spec = ToolSpec(f"{module}.{function}", schema=schema)
    table, shape = Table([function]), shape_of(schema.input)
    types = types_of_tool(spec, shape, schema, table, Budget())
    renderer = Renderer(table)
    return replace(
        spec,
        parameters=parameters(shape, types, renderer),
        returns=renderer.text(types.result),
        doc=plain(description),
    )


def parameters(shape: Shape, types: Types, renderer: Renderer) -> tuple[ToolParameter, ...]:
    """Required parameters by place or name, optional ones by name."""
    found = [
        ToolParameter(
            each.name,
            "positional_or_keyword" if each.required else "keyword_only",
            renderer.text(meant),
            None if each.required else literal(mapping_of(each.schema).get("default", ...)) or NOT_GIVEN,
        )
        for each, meant in zip(shape.arguments, types.arguments, strict=True)
    ]
    if shape.more is not None:
        name = _free("more", {each.name for each in shape.arguments})
        found.append(ToolParameter(name, "var_keyword", renderer.text(types.more)))
    return tuple(found)


def documentation(spec: ToolSpec) -> str:
    """The docstring: the server's words as a quotation, and a line for each parameter that is described."""
    if spec.schema is None:
        return plain(spec.doc, OWN_DOCUMENTATION)
    arguments = shape_of(spec.schema.input).arguments
    lines = described({each.name: each.schema for each in arguments})
    said = "\n\n".join(filter(None, [quoted(spec.doc), "\n".join(lines)]))
    return f"{SAID}\n{said}" if said else ""


def wraps_result(output_schema: Mapping[str, Json]) -> bool:
    """Whether the object is a wrapping of a plain result, `{"result": …}`."""
    output_schema = mapping_of(output_schema)
    properties = mapping_of(output_schema.get("properties"))
    if output_schema.get("x-fastmcp-wrap-result") is True:
        return "result" in properties
    return list(properties) == ["result"] and items_of(output_schema.get("required")) == ["result"]


def _view(document: Document) -> tuple[Schema, list[Json], Json]:
    """Properties, required ones and the schema of further ones; of alternatives, what any of them has."""
    root = document.folded(document.root)
    variants = [document.folded(each) for each in document.variants(root)]
    if variants in ([], [{}]):
        # A single alternative that says nothing: there were too many of them.
        more = {} if variants else _more(root)
        return mapping_of(root.get("properties")), items_of(root.get("required")), more
    found: dict[str, list[Json]] = {}
    for each in variants:
        for key, schema in mapping_of(each.get("properties")).items():
            found.setdefault(key, []).append(schema)
    properties = {key: said[0] if _all_same(said) else {"anyOf": said} for key, said in found.items()}
    first = items_of(variants[0].get("required"))
    return (
        properties,
        [key for key in first if all(key in items_of(v.get("required")) for v in variants)],
        {} if any(map(_takes_more, variants)) else None,
    )


def _more(schema: Schema) -> Json:
    """The schema of further properties; None: there are none."""
    others, patterns = schema.get("additionalProperties"), mapping_of(schema.get("patternProperties"))
    if patterns:
        return {"anyOf": list(patterns.values())} if others is False else {}
    return {} if others is True else others if isinstance(others, Mapping) else None


def _takes_more(variant: Schema) -> bool:
    """Whether an alternative has further properties, or names none and forbids none."""
    if "type" in variant and "object" not in types_of(variant):
        return False
    silent = "properties" not in variant and "additionalProperties" not in variant
    return silent or _more(variant) is not None


def _all_same(schemas: list[Json]) -> bool:
    try:
        return all(_same(each, schemas[0]) for each in schemas)
    except RecursionError:
        return False


def _same(one: Json, other: Json) -> bool:
    """Not by `==`: 1, 1.0 and True are different values of JSON."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
