"""Eight real servers: their lists of tools as they send them, and what becomes of these.

The lists were taken with `tools/list` of mcp 2.3 from mcp-server-time 2026.10.19, -git 2026.10.19,
-fetch 2026.10.24, -sqlite 2025.4.25 (PyPI) and server-everything, -filesystem, -memory,
-sequential-thinking 2026.8.31 (npm).
"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from codeact_kernel.wire.messages import ToolModule, ToolSchema, ToolSpec
from codeact_kernel.wire.schemas import (
    check_source,
    function_names,
    module_source,
    parameter_names,
    tool_spec,
)

from .backwards import Backwards, space_of
from .schemas import Values, erased

FOLDER = Path(__file__).parent / "servers"
SERVERS = sorted(path.stem for path in FOLDER.glob("*.json"))


def tools_of(server: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{server}.json").read_text())  # type: ignore[no-any-return]  # a fixture


def specs_of(server: str) -> list[ToolSpec]:
    tools = tools_of(server)
    return [
        tool_spec(
            server,
            function,
            ToolSchema(tool["name"], tool["inputSchema"], tool.get("outputSchema")),
            tool["description"],
        )
        for function, tool in zip(function_names(tool["name"] for tool in tools), tools, strict=True)
    ]


def test_there_are_eight() -> None:
    assert len(SERVERS) == 8
    assert sum(len(tools_of(server)) for server in SERVERS) == 58


@pytest.mark.parametrize("server", SERVERS)
def test_modules_compile_and_their_types_are_there(server: str) -> None:
    specs = specs_of(server)
    names = space_of(*specs)
    for spec in specs:
        hints = typing.get_type_hints(names[spec.function])
        assert Any not in [hints[parameter.name] for parameter in spec.parameters]


@pytest.mark.parametrize("server", SERVERS)
def test_signatures_mean_what_the_schemas_mean(server: str) -> None:
    specs = specs_of(server)
    backwards = Backwards(space_of(*specs))
    for spec, tool in zip(specs, tools_of(server), strict=True):
        assert spec.schema is not None
        meant = erased(tool["inputSchema"])
        back = backwards.arguments(spec.function, spec.schema.input)
        made, here, there = Values(7), *map(jsonschema.Draft202012Validator, (back, meant))
        taken = 0
        for _ in range(30):
            value = made.of(meant, meant)
            for tried in (value, made.changed(value)):
                assert here.is_valid(tried) == there.is_valid(tried), tried
                taken += there.is_valid(tried)
        assert taken
        assert set(parameter_names(spec.schema.input).values()) == set(
            tool["inputSchema"].get("properties", ())
        )


@pytest.mark.parametrize("server", ["filesystem", "memory"])
def test_modules_are_as_they_were(server: str) -> None:
    """After a change that is meant: write `source` there, and read the difference."""
    source = module_source(ToolModule(server, "mcp_servers"), specs_of(server))
    check_source(source)
    assert source == (FOLDER / f"{server}.txt").read_text()
