"""Owns the configuration of MCP servers: `mcp.json` as people have it, read into `ServerConfig`s."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from ...exceptions import UsageError
from ...wire.schemas import module_name
from .own_words import Own, kind
from .server import START_S, TIMEOUT_S, Http, Login, ServerConfig, Stdio
from .variables import Variables

__all__ = ["Http", "ServerConfig", "Stdio", "load_config", "parse_config", "together"]

MAX_BYTES = 1024 * 1024
MAX_SERVERS = 200
_HTTP = frozenset({"http", "streamable-http", "streamableHttp", "streamable_http"})


def load_config(path: str | Path, environ: Mapping[str, str] | None = None) -> tuple[ServerConfig, ...]:
    """The servers of a file; those that are disabled are left out. Raises: UsageError."""
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"cannot read the MCP configuration {str(path)!r}: {problem.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise UsageError(f"the MCP configuration {str(path)!r} has over {MAX_BYTES} bytes; is it one?")
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        # Not the text itself: there may be a secret beside the mistake.
        place = f", line {problem.lineno}: {problem.msg}" if isinstance(problem, json.JSONDecodeError) else ""
        raise UsageError(f"the MCP configuration {str(path)!r} is no JSON{place}") from None
    return parse_config(document, source=str(path), folder=file.absolute().parent, environ=environ)


def parse_config(
    document: object,
    *,
    source: str = "the MCP configuration",
    folder: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[ServerConfig, ...]:
    """The servers of a document like that of a file. `folder`: of relative paths, default: the current one.

    Raises: UsageError, which names the file, the server and the key.
    """
    here = Path(folder if folder is not None else Path.cwd())
    known = os.environ if environ is None else environ
    found = [_Entry(source, name, entry, here, known).config() for name, entry in _entries(document, source)]
    return together(config for config in found if config is not None)


def together(configs: Iterable[ServerConfig]) -> tuple[ServerConfig, ...]:
    """Servers of several files as those of one run. Raises: UsageError: two would be one module."""
    modules: dict[str, ServerConfig] = {}
    for config in configs:
        other = modules.setdefault(config.module, config)
        if other is not config:
            raise UsageError(
                f"{config.source}: server {config.name!r}: it would be the module {config.module!r}, as "
                f"server {other.name!r} of {other.source} is; rename one of them"
            )
    return tuple(modules.values())


def _entries(document: object, source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(document, Mapping):
        raise UsageError(f"{source}: an MCP configuration is an object with the key 'mcpServers'")
    key = next((key for key in ("mcpServers", "servers") if key in document), None)
    if key is None:
        close = get_close_matches("mcpServers", [name for name in document if isinstance(name, str)], 1)
        hint = f"; {close[0]!r} is not the key" if close else ""
        raise UsageError(f"{source}: there is no key 'mcpServers' (or 'servers'){hint}")
    servers = document[key]
    if not isinstance(servers, Mapping):
        raise UsageError(f"{source}: {key!r} is an object: name -> server; it is {kind(servers)}")
    if len(servers) > MAX_SERVERS:
        raise UsageError(f"{source}: {len(servers)} servers; at most {MAX_SERVERS} are taken")
    for name, entry in servers.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"{source}: {name!r:.100} is no name of a server")
        if not isinstance(entry, Mapping):
            raise UsageError(f"{source}: server {name!r:.100}: it is {kind(entry)}, not an object")
        yield name, entry


class _Entry:
    """One server of the document."""

    def __init__(
        self, source: str, name: str, entry: Mapping[str, Any], folder: Path, environ: Mapping[str, str]
    ) -> None:
        self._place = f"{source}: server {name!r:.100}"
        self._source, self._name, self._entry, self._folder = source, name, entry, folder
        self._variables = Variables(environ, folder)

    def config(self) -> ServerConfig | None:
        """None: it is disabled."""
        if self._flag("disabled") or not self._flag("enabled", True):
            return None
        module = module_name(self._name)
        launch = self._http() if self._is_http() else self._stdio()
        ours = Own(self._place, self._entry.get("codeact", {}))
        return ServerConfig(
            self._name,
            module,
            launch,
            reads=ours.texts("reads"),
            approve=ours.approve(),
            timeout_s=ours.seconds("timeout_s", TIMEOUT_S),
            start_timeout_s=ours.seconds("start_timeout_s", START_S),
            max_calls=ours.count("max_calls"),
            tools=ours.tools(),
            include=ours.texts("include"),
            exclude=ours.texts("exclude"),
            sampling=ours.sampling(),
            source=self._source,
            confidential=tuple(dict.fromkeys((*self._given(launch), *self._variables.used))),
        )

    def _wrong(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{self._place}: {f'{key!r}: ' if key else ''}{problem}")

    def _is_http(self) -> bool:
        said = self._entry.get("type", self._entry.get("transport"))
        if said is not None and said not in ("stdio", "sse", *_HTTP):
            raise self._wrong("type", f"{said!r:.100}; there are 'stdio', 'http' and 'sse'")
        has_url, has_command = "url" in self._entry, "command" in self._entry
        if has_url == has_command:
            both = "both 'command' and 'url'" if has_url else "neither 'command' nor 'url'"
            near = [key for key in map(str, self._entry) if get_close_matches(key, ("command", "url"), 1)]
            hint = f"; {near[0]!r:.100} is not the key" if near and not has_url else ""
            raise self._wrong("", f"it has {both}{hint}; a program has the one, a server elsewhere the other")
        if said is not None and (said == "stdio") == has_url:
            raise self._wrong("type", f"{said!r} goes with {'command' if said == 'stdio' else 'url'!r}")
        return has_url

    def _stdio(self) -> Stdio:
        command = self._text("command")
        if not command.strip():
            raise self._wrong("command", "it is empty; name the program")
        args = self._entry.get("args", [])
        if not isinstance(args, list | tuple):
            raise self._wrong("args", f"it is {kind(args)}, not an array of strings")
        given = tuple(self._expanded(f"args[{place}]", arg) for place, arg in enumerate(args))
        cwd = self._text("cwd", "")
        # A relative command with a folder is the file's, a name alone is looked for on PATH.
        command = os.path.expanduser(command)
        if "/" in command:
            command = str(self._folder / command)
        return Stdio(
            command,
            given,
            self._texts_by_name("env"),
            str(self._folder / os.path.expanduser(cwd)) if cwd else "",
        )

    def _http(self) -> Http:
        url = self._text("url")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not url.isprintable():
            raise self._wrong("url", "it is no http:// or https:// address")
        headers = self._texts_by_name("headers")
        for name, value in headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise self._wrong("headers", f"{name!r:.100} is no name of a header")
            if not value.isprintable() or not value.isascii():
                raise self._wrong(
                    "headers", f"the value of {name!r} has characters that a header cannot have"
                )
        sse = self._entry.get("type", self._entry.get("transport")) == "sse"
        return Http(url, headers, sse, self._login())

    def _login(self) -> Login:
        """What the user has registered with the server beforehand, as Claude Code has it."""
        said = self._texts_by_name("oauth")
        port = said.get("callbackPort", "0")
        if not port.isdecimal() or len(port) > 5 or int(port) > 65535:
            raise self._wrong("oauth", f"'callbackPort': {port!r:.100} is no port")
        scopes = said.get("scopes", said.get("scope", ""))
        return Login(said.get("clientId", ""), said.get("clientSecret", ""), scopes, int(port))

    def _given(self, launch: Stdio | Http) -> Iterator[str]:
        if isinstance(launch, Http):
            yield from _secrets_of(launch.url)
            if launch.login.client_secret:
                yield launch.login.client_secret
        values = launch.env if isinstance(launch, Stdio) else launch.headers
        for value in values.values():
            yield value
            scheme, _, token = value.partition(" ")
            if scheme.lower() in ("bearer", "basic", "token"):
                yield token

    def _flag(self, key: str, default: bool = False) -> bool:
        value = self._entry.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, f"it is {kind(value)}, not true or false")
        return value

    def _text(self, key: str, default: str | None = None) -> str:
        return self._expanded(key, self._entry.get(key, default))

    def _texts_by_name(self, key: str) -> Mapping[str, str]:
        value = self._entry.get(key) or {}
        if not isinstance(value, Mapping):
            raise self._wrong(key, f"it is {kind(value)}, not an object of strings")
        return {str(name): self._expanded(f"{key}.{name}", text) for name, text in value.items()}

    def _expanded(self, key: str, value: object) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # A port, written as a number.
        if not isinstance(value, str):
            raise self._wrong(key, f"it is {kind(value)}, not a string")
        try:
            text = self._variables.replaced(value)
        except ValueError as problem:
            raise self._wrong(key, str(problem)) from None
        if "\0" in text:
            raise self._wrong(key, "it has a NUL character")
        return text


def _secrets_of(url: str) -> Iterator[str]:
    """What of an address lets its bearer in, as it stands there and as it is meant; and the address then."""
    parts = urlsplit(url)
    words = [parts.password or parts.username or ""]  # A token is the name of a user without a password.
    for part in parts.query.split("&"):
        name, given, value = part.partition("=")
        words.append(value if given else name)
    for word in filter(None, words):
        yield from (word, unquote_plus(word), url)
