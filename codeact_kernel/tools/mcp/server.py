"""Owns the value objects of a configuration: one server, how it is reached, what the user says of it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

Mode: TypeAlias = Literal["allow", "ask", "deny"]
Sampling: TypeAlias = Literal["decline", "ask"]
TIMEOUT_S = 60.0
START_S = 60.0


@dataclass(frozen=True)
class Stdio:
    """A server that is a program: it is started, and talks over its standard streams."""

    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str = ""

    @property
    def where(self) -> str:
        """For people; arguments may be secrets."""
        return self.command


@dataclass(frozen=True)
class Login:
    """The client for a login to a server that registers none by itself. `port`: to come back to; 0: any."""

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    port: int = 0


@dataclass(frozen=True)
class Http:
    """A server that answers at a URL. `sse`: by the transport of 2024, of which there still are some."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sse: bool = False
    login: Login = Login()

    @property
    def where(self) -> str:
        """For people, without what may be a secret: the query, user and password."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))


@dataclass(frozen=True)
class ToolLimit:
    """Of one tool, or of each that a pattern names. None: what holds for the server."""

    timeout_s: float | None = None
    max_calls: int | None = None


@dataclass(frozen=True)
class ServerConfig:
    """One server.

    Attributes:
        name: as in the file.
        module: what it is imported as: `from mcp_servers import MODULE`.
        launch: how it is reached.
        reads: patterns of tool names, as the server has them, whose calls change nothing: the user's word.
        approve: pattern -> whether its calls are made, also the user's word.
        timeout_s: of one call.
        start_timeout_s: until it must have answered for the first time.
        max_calls: of a run; None: as many as it likes.
        tools: pattern -> further limits of each tool that it names.
        include, exclude: patterns of the tools that are offered; include empty: all.
        sampling: whether a person may be asked to let the model answer the server.
        source: the file it is from.
        confidential: values that must not be seen anywhere: of env, headers, and from the environment.
    """

    name: str
    module: str
    launch: Stdio | Http
    reads: tuple[str, ...] = ()
    approve: Mapping[str, Mode] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    start_timeout_s: float = START_S
    max_calls: int | None = None
    tools: Mapping[str, ToolLimit] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sampling: Sampling = "decline"
    source: str = field(default="", compare=False)
    confidential: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def where(self) -> str:
        """The command or the URL, for people."""
        return self.launch.where

    def limit_of(self, tool: str) -> ToolLimit:
        """Of a tool, by its name at the server: its own, else that of the longest pattern."""
        if tool in self.tools:
            return self.tools[tool]
        patterns = [pattern for pattern in self.tools if fnmatchcase(tool, pattern)]
        return self.tools[max(patterns, key=len)] if patterns else ToolLimit()

    def digest(self, key: bytes) -> str:
        """Of all that decides what the server offers. Without `key` nobody can try a guess of a secret."""
        match self.launch:
            case Stdio(command, args, env, cwd):
                how = ["stdio", command, list(args), sorted(env.items()), cwd]
            case Http(url, headers, sse, login):
                how = ["sse" if sse else "http", url, sorted(headers.items()), login.client_id, login.scope]
        text = json.dumps([how, self.include, self.exclude], ensure_ascii=True)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
