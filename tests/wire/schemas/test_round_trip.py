"""Random JSON Schemas: the module compiles, and its annotations mean what the schema means.

*Means the same*: take what no annotation can say out of the schema (`schemas.erased`); go back from the
annotations, as `typing.get_type_hints` gives them, to a schema (`backwards`). Both take the same
values: values made for the schema, such values with one thing changed, and any others.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from codeact_kernel.wire.messages import ToolSchema
from codeact_kernel.wire.schemas import function_names, module_source, tool_spec

from .backwards import MODULE, Backwards, space_of, spec_of
from .schemas import Values, documents, erased_document, schemas

# The same examples each time: what a search finds is to be found by who searches, with a larger number.
FEW = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])


def accepts(schema: Any) -> Any:
    return jsonschema.Draft202012Validator(schema).is_valid


def disagreements(schema: Any, other: Any, start: Any, seed: int) -> list[Any]:
    """Values that one of two schemas takes and the other does not; `start`: of which values are made."""
    here, there, made = accepts(schema), accepts(other), Values(seed)
    found = []
    for _ in range(12):
        value = made.of(start, other)
        for tried in (value, made.changed(value), made.any()):
            event(f"taken: {there(tried)}")
            if here(tried) != there(tried):
                found.append(tried)
    return found


@FEW
@given(documents(), st.integers(0, 1000))
def test_arguments_mean_what_the_schema_means(document: dict[str, Any], seed: int) -> None:
    back = Backwards(space_of(spec_of(document))).arguments("call", document)
    meant = erased_document(document)
    own = {word: said for word, said in meant.items() if word not in ("$defs", "definitions")}
    assert not disagreements(back, meant, own, seed)


@FEW
@given(documents(), st.integers(0, 1000))
def test_results_mean_what_the_schema_means(document: dict[str, Any], seed: int) -> None:
    # An object, as MCP demands; and not one that is a wrapping of its only key.
    output = {**document, "properties": {**document["properties"], "other": {"type": "string"}}}
    back = Backwards(space_of(spec_of({"type": "object"}, output))).result("call")
    root = {"$ref": "#/$defs/the root"}
    defined = {w: said for w, said in erased_document(output).items() if w in ("$defs", "definitions")}
    assert not disagreements(back, {**root, **defined}, root, seed)


@FEW
@given(documents(apart=False), st.integers(0, 1000))
def test_annotations_take_whatever_the_schema_takes(document: dict[str, Any], seed: int) -> None:
    """Where parts of a schema say different things of one key, annotations may be wider, never narrower."""
    back = Backwards(space_of(spec_of(document))).arguments("call", document)
    meant = erased_document(document)
    own = {word: said for word, said in meant.items() if word not in ("$defs", "definitions")}
    assert not [value for value in disagreements(back, meant, own, seed) if accepts(meant)(value)]


anything = schemas(apart=False).filter(lambda schema: isinstance(schema, dict))
tools = st.tuples(st.text(max_size=10), documents(apart=False) | anything, anything, st.text(max_size=50))


@FEW
@given(st.lists(tools, max_size=3))
def test_modules_of_any_schemas_compile_and_run(offered: list[tuple[str, Any, Any, str]]) -> None:
    functions = function_names(name for name, *_ in offered)
    specs = [
        tool_spec("server", function, ToolSchema(name, schema, output), doc)
        for function, (name, schema, output, doc) in zip(functions, offered, strict=True)
    ]
    backwards = Backwards(space_of(*specs))
    for function, (_, schema, _, _) in zip(functions, offered, strict=True):
        json.dumps(backwards.arguments(function, schema))
        json.dumps(backwards.result(function))
    assert module_source(MODULE, specs) == module_source(MODULE, specs)
