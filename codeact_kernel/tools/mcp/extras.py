"""Owns what the kernel asks of a server beside its tools: resources, prompts, tools that have come since.

They are tools too, so that their calls are on the tape; nobody is told of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

from mcp.shared.exceptions import MCPError

from ...wire.messages import Json, ToolSchema
from ...wire.schemas import tool_spec
from ...wire.setup_modules import tools_value
from ..failures import Failure
from .failing import told
from .remote import RemoteTool
from .results import ERROR, link_of, prompt_value, prompts_value, resource_value
from .running import PROBLEMS, Running

_TEXT: Mapping[str, Json] = {"type": "string"}
_TEXTS: Mapping[str, Json] = {"type": "object", "additionalProperties": _TEXT, "maxProperties": 1_000}


def extras(server: Running) -> tuple[RemoteTool, ...]:
    """The internal tools of a server's module."""
    offered = _Extras(server)
    return (
        _made(server, "_resources", offered.resources),
        _made(server, "_read_resource", offered.read_resource, uri=_TEXT),
        _made(server, "_prompts", offered.prompts),
        _made(server, "_get_prompt", offered.get_prompt, name=_TEXT, arguments=_TEXTS),
        _made(server, "_updates", offered.updates),
    )


def _made(
    server: Running, tool: str, call: Callable[[Mapping[str, Any]], Awaitable[object]], **takes: Json
) -> RemoteTool:
    schema = ToolSchema(tool, {"type": "object", "properties": takes, "required": [*takes]})
    spec = tool_spec(server.config.module, tool, schema, "")
    return RemoteTool(replace(spec, effect="read"), call)


class _Extras:
    def __init__(self, server: Running) -> None:
        self._server = server
        self._module = server.config.module

    async def resources(self, given: Mapping[str, Any]) -> object:
        """Links to all that the server lists, and its templates."""
        tool, connection = self._tool("_resources"), self._server.connection
        await self._check("resources", tool)
        async with self._server.allowed.one(tool):
            with self._told(tool):
                links = [link_of(each, self._module) for each in await connection.list_resources()]
                try:
                    templates = await connection.list_resource_templates()
                except MCPError:  # A server that has none need not know the question.
                    templates = ()
        return [*links, *(link_of(each, self._module) for each in templates)]

    async def read_resource(self, given: Mapping[str, Any]) -> object:
        tool = self._tool("_read_resource")
        await self._check("resources", tool)
        async with self._server.allowed.one(tool):
            with self._told(tool):
                result = await self._server.connection.read_resource(given["uri"])
        return resource_value(result, tool)

    async def prompts(self, given: Mapping[str, Any]) -> object:
        tool = self._tool("_prompts")
        await self._check("prompts", tool)
        async with self._server.allowed.one(tool):
            with self._told(tool):
                return prompts_value(await self._server.connection.list_prompts())

    async def get_prompt(self, given: Mapping[str, Any]) -> object:
        tool = self._tool("_get_prompt")
        await self._check("prompts", tool)
        async with self._server.allowed.one(tool):
            with self._told(tool):
                result = await self._server.connection.get_prompt(given["name"], given["arguments"])
        return prompt_value(result, tool, self._module)

    async def updates(self, given: Mapping[str, Any]) -> object:
        """What the module has got since the run began; the server is asked where that is not known. Of one
        that has failed from the start nothing is known, and it is said why."""
        failed = self._server.problem and not self._server.offers.tools
        with self._told(self._tool("_updates")) if failed else suppress(*PROBLEMS):
            await self._server.be_current()
        return tools_value(self._server.added.values())

    def _told(self, tool: str) -> AbstractContextManager[None]:
        return told(tool, self._server.config.confidential)

    def _tool(self, name: str) -> str:
        return f"{self._module}.{name}"

    async def _check(self, capability: str, tool: str) -> None:
        """Raises: Failure where the server does not offer that."""
        with self._told(tool):
            await self._server.connection.open()
        client = self._server.connection.client
        if client is None or getattr(client.server_capabilities, capability, None) is None:
            raise Failure(ERROR, f"the server {self._module} offers no {capability}")
