"""Owns the types that mean the same on both sides of the boundary: tools, calls, outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

ParameterKind: TypeAlias = Literal[
    "positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"
]

Effect: TypeAlias = Literal["read", "write"]
"""read: asking twice does no harm. write: it changes something outside."""


Arguments: TypeAlias = tuple[tuple["Json", ...], Mapping[str, "Json"]]
"""Of a call: by place, by name; encoded."""


@dataclass(frozen=True)
class ToolParameter:
    """One parameter. `annotation` and `default` are source text, for people; the host validates.

    `default` is None for a required parameter.
    """

    name: str
    kind: ParameterKind = "positional_or_keyword"
    annotation: str = ""
    default: str | None = None


@dataclass(frozen=True)
class ToolSchema:
    """What an MCP server says of a tool. Data of somebody else: no instructions, no trust.

    `tool`: its name there. `input`, `output`: JSON Schemas of the arguments and of the structured result.
    `read_only`: the server's hint that a call changes nothing; None: it does not say.
    """

    tool: str
    input: Mapping[str, Json] = field(default_factory=dict)
    output: Mapping[str, Json] | None = None
    read_only: bool | None = None


@dataclass(frozen=True)
class ToolSpec:
    """What the sandbox kernel and the model are told of a tool. Never its source.

    `name`: "refund", a function in the kernel's namespace; or "shop.refund", a function of the module `shop`,
    of which there is a `ToolModule`. `is_async`: defined with `async def`, so that the stub can be awaited.
    `schema`: of an MCP tool; `parameters`, `returns` and `doc` are made of it (`wire.schemas`).
    """

    name: str
    parameters: tuple[ToolParameter, ...] = ()
    returns: str = ""
    doc: str = ""
    is_async: bool = False
    effect: Effect = "write"
    schema: ToolSchema | None = None

    @property
    def module(self) -> str:
        """The module it is in; "": none."""
        return self.name.rpartition(".")[0]

    @property
    def function(self) -> str:
        """Its name within the module."""
        return self.name.rpartition(".")[2]


Package: TypeAlias = Literal["mcp_servers", "toolkits"]
"""Where a module of tools is imported from: `from mcp_servers import filesystem`."""


@dataclass(frozen=True)
class ToolModule:
    """A module of tools. Its name is unique in both packages. `title`, `doc`: of a server, its own words."""

    name: str
    package: Package
    title: str = ""
    doc: str = ""


@dataclass(frozen=True)
class ToolRequest:
    """A call as it came from the sandbox: untrusted, values encoded (`wire.values`), not validated."""

    call_id: int
    tool: str
    args: tuple[Json, ...] = ()
    kwargs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Returned:
    """The tool returned; `value` is encoded."""

    value: Json


Made: TypeAlias = Literal["yes", "no", "unknown"]
"""Whether a call was made. no: it never reached its tool. unknown: it may or may not have been done."""


@dataclass(frozen=True)
class Raised:
    """The call raised. `type` is the builtin's name where it is one, else the class name.

    `made`: what the host knows of it; nothing that the code gets.
    """

    type: str
    message: str
    made: Made = field(default="yes", compare=False)


ToolOutcome: TypeAlias = Returned | Raised


@dataclass(frozen=True)
class ToolCall:
    """A recorded call: one entry of the tape. `index` counts the calls of a step from 1.

    `outcome` None: in doubt, the intent is on disk and the outcome is not. `approved_by`: who allowed
    it; "" when nobody was asked. `denied_by`: who did not, so that it was not made; what the code got is
    the outcome. `edited`: what it was called with, where a person changed what the code had asked for.
    """

    step: int
    index: int
    tool: str
    args: tuple[Json, ...]
    kwargs: Mapping[str, Json]
    outcome: ToolOutcome | None
    duration_s: float = 0.0
    approved_by: str = ""
    denied_by: str = ""
    edited: Arguments | None = None

    def with_outcome(self, outcome: ToolOutcome, seconds: float) -> ToolCall:
        """The same call, over. (`dataclasses.replace` takes as long again to find the fields.)"""
        asked = (self.step, self.index, self.tool, self.args, self.kwargs)
        return ToolCall(*asked, outcome, seconds, self.approved_by, self.denied_by, self.edited)
