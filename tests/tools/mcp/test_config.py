"""`mcp.json` as people have it, and what is said of one that is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.tools.mcp.config import Http, ServerConfig, Stdio, load_config, parse_config, together
from codeact_kernel.tools.mcp.server import Login, ToolLimit

ENVIRON = {"TOKEN": "t0ken-of-the-host", "EMPTY": "", "PORT": "8000"}


def parsed(entry: Any, folder: Path | str = "/work") -> ServerConfig:
    (config,) = parse_config({"mcpServers": {"one": entry}}, source="f.json", folder=folder, environ=ENVIRON)
    return config


def launched(entry: Any, folder: str = "/work") -> Stdio:
    launch = parsed(entry, folder).launch
    assert isinstance(launch, Stdio)
    return launch


def test_a_file_of_claude_desktop(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    servers = {
        "filesystem": {
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-filesystem", "${TOKEN}/files"],
            "env": {"DEBUG": "1", "LEVEL": 3},
            "autoApprove": ["whatever"],
        },
        "my-web.api": {
            "type": "http",
            "url": "https://example.com/mcp",
            "headers": {"X-Key": "Bearer ${TOKEN}"},
        },
        "off": {"command": "no", "disabled": True},
        "off too": {"command": "no", "enabled": False},
    }
    file.write_text(json.dumps({"mcpServers": servers, "other": 1}), encoding="utf-8-sig")
    files, web = load_config(file, ENVIRON)
    assert (files.name, files.module, files.source) == ("filesystem", "filesystem", str(file))
    args = ("-y", "@modelcontextprotocol/server-filesystem", "t0ken-of-the-host/files")
    assert files.launch == Stdio("npx", args, {"DEBUG": "1", "LEVEL": "3"})
    assert web.module == "my_web_api"
    assert web.launch == Http("https://example.com/mcp", {"X-Key": "Bearer t0ken-of-the-host"})


def test_a_file_of_vs_code(tmp_path: Path) -> None:
    folder = tmp_path / ".vscode"
    folder.mkdir()
    file = folder / "mcp.json"
    entry = {"type": "stdio", "command": "uvx", "args": ["x", "${workspaceFolder}/src", "${env:PORT}"]}
    file.write_text(json.dumps({"inputs": [], "servers": {"one": entry}}))
    (config,) = load_config(file, ENVIRON)
    assert config.launch == Stdio("uvx", ("x", f"{tmp_path}/src", "8000"))


@pytest.mark.parametrize("kind", ["http", "streamable-http", "streamableHttp", "sse", None])
def test_kinds_of_servers_that_are_elsewhere(kind: str | None) -> None:
    entry = {"url": "http://127.0.0.1:${PORT}/mcp"} | ({} if kind is None else {"type": kind})
    assert parsed(entry).launch == Http("http://127.0.0.1:8000/mcp", sse=kind == "sse")


def test_a_client_for_a_login() -> None:
    said = {"clientId": "me", "clientSecret": "${TOKEN}", "callbackPort": 8080, "scopes": "a b"}
    launch = parsed({"url": "http://x", "oauth": said}).launch
    assert isinstance(launch, Http)
    assert launch.login == Login("me", "t0ken-of-the-host", "a b", 8080)


def test_where_programs_are_looked_for() -> None:
    assert launched({"command": "npx"}).command == "npx"
    assert launched({"command": "./bin/server"}, "/project").command == "/project/bin/server"
    assert launched({"command": "/usr/bin/env"}).command == "/usr/bin/env"
    assert launched({"command": "~/server"}).command == os.path.expanduser("~/server")
    assert launched({"command": "x", "cwd": "data"}, "/project").cwd == "/project/data"
    assert launched({"command": "x"}).cwd == ""


def test_variables() -> None:
    args = [
        "${TOKEN}",
        "${env:TOKEN}",
        "${NONE:-other}",
        "${EMPTY:-other}",
        "${EMPTY}",
        "$TOKEN",
        "${a-b}",
        "{TOKEN}",
    ]
    assert launched({"command": "x", "args": args}).args == (
        *("t0ken-of-the-host", "t0ken-of-the-host", "other", "other", "", "$TOKEN", "${a-b}", "{TOKEN}"),
    )


def test_what_the_user_says_of_a_server() -> None:
    said = {
        "reads": ["read_*"],
        "approve": {"write_file": "ask", "*": "allow"},
        "timeout_s": 5,
        "start_timeout_s": 120,
        "max_calls": 100,
        "tools": {"write_*": {"max_calls": 5}, "write_file": {"timeout_s": 9}},
        "include": ["read_*", "write_file"],
        "exclude": ["read_media"],
        "sampling": "ask",
    }
    config = parsed({"command": "x", "codeact": said})
    assert (config.reads, config.approve) == (("read_*",), {"write_file": "ask", "*": "allow"})
    assert (config.timeout_s, config.start_timeout_s, config.max_calls) == (5.0, 120.0, 100)
    assert (config.include, config.exclude) == (("read_*", "write_file"), ("read_media",))
    assert config.sampling == "ask"
    assert config.limit_of("write_file") == ToolLimit(timeout_s=9.0)
    assert (config.limit_of("write_all"), config.limit_of("read")) == (ToolLimit(max_calls=5), ToolLimit())
    assert parsed({"command": "x", "codeact": {"approve": "deny"}}).approve == {"*": "deny"}


COMMAND = {"command": "x"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "f.json: an MCP configuration is an object with the key 'mcpServers'"),
        ({}, "f.json: there is no key 'mcpServers' (or 'servers')"),
        (
            {"mcpServer": {}},
            "f.json: there is no key 'mcpServers' (or 'servers'); 'mcpServer' is not the key",
        ),
        ({"mcpServers": []}, "f.json: 'mcpServers' is an object: name -> server; it is an array"),
        ({"mcpServers": {"": COMMAND}}, "f.json: '' is no name of a server"),
        ({"mcpServers": {"a": "npx"}}, "f.json: server 'a': it is a string, not an object"),
        ({"mcpServers": {str(n): COMMAND for n in range(201)}}, "f.json: 201 servers; at most 200 are taken"),
        (
            {"mcpServers": {"a-b": COMMAND, "a_b": COMMAND}},
            "f.json: server 'a_b': it would be the module 'a_b', "
            "as server 'a-b' of f.json is; rename one of them",
        ),
    ],
)
def test_a_document_that_is_wrong(document: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_config(document, source="f.json")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "it has neither 'command' nor 'url'; a program has the one, a server elsewhere the other"),
        (
            {"comand": "x", "args": []},
            "it has neither 'command' nor 'url'; 'comand' is not the key; "
            "a program has the one, a server elsewhere the other",
        ),
        (
            {"command": "x", "url": "y"},
            "it has both 'command' and 'url'; a program has the one, a server elsewhere the other",
        ),
        ({"command": " "}, "'command': it is empty; name the program"),
        ({"command": ["x"]}, "'command': it is an array, not a string"),
        ({"command": "x", "args": "-y"}, "'args': it is a string, not an array of strings"),
        ({"command": "x", "args": ["a", None]}, "'args[1]': it is null, not a string"),
        ({"command": "x", "args": ["a\0b"]}, "'args[0]': it has a NUL character"),
        ({"command": "x", "env": ["A=1"]}, "'env': it is an array, not an object of strings"),
        ({"command": "x", "env": {"A": True}}, "'env.A': it is a boolean, not a string"),
        (
            {"command": "x", "env": {"A": "${NOPE}-${TOKEN}"}},
            "'env.A': the environment variable NOPE is not set; set it, or write ${NOPE:-default}",
        ),
        (
            {"command": "${input:key}"},
            "'command': ${input:…} cannot be filled in; use ${NAME}, of the environment",
        ),
        ({"command": "x", "disabled": "no"}, "'disabled': it is a string, not true or false"),
        ({"command": "x", "type": "http"}, "'type': 'http' goes with 'url'"),
        ({"url": "http://x", "type": "stdio"}, "'type': 'stdio' goes with 'command'"),
        (
            {"url": "http://x", "type": "websocket"},
            "'type': 'websocket'; there are 'stdio', 'http' and 'sse'",
        ),
        ({"url": "ftp://${TOKEN}"}, "'url': it is no http:// or https:// address"),
        ({"url": "http://[::1"}, "'url': it is no http:// or https:// address"),
        ({"url": "http://x", "headers": {"a b": "c"}}, "'headers': 'a b' is no name of a header"),
        (
            {"url": "http://x", "headers": {"a": "${TOKEN}\r\nb: c"}},
            "'headers': the value of 'a' has characters that a header cannot have",
        ),
        ({"url": "http://x", "oauth": {"callbackPort": "x"}}, "'oauth': 'callbackPort': 'x' is no port"),
        (
            {"url": "http://x", "oauth": {"callbackPort": "9" * 5000}},
            f"'oauth': 'callbackPort': '{'9' * 99} is no port",
        ),
        ({"url": "http://x", "oauth": "me"}, "'oauth': it is a string, not an object of strings"),
        ({"command": "x", "codeact": []}, "'codeact': it is an array, not an object"),
        ({"command": "x", "codeact": {"read": []}}, "'codeact': 'read' is not known; did you mean 'reads'?"),
        (
            {"command": "x", "codeact": {"reads": "read_*"}},
            "'codeact': 'reads': 'read_*'; give an array of tool names or patterns, as ['read_*']",
        ),
        (
            {"command": "x", "codeact": {"approve": {"f": "maybe"}}},
            "'codeact': 'approve': 'f': 'maybe'; use one of ('allow', 'ask', 'deny')",
        ),
        (
            {"command": "x", "codeact": {"timeout_s": 0}},
            "'codeact': 'timeout_s': 0; give seconds, more than 0 and at most a day",
        ),
        (
            {"command": "x", "codeact": {"timeout_s": 10**400}},
            f"'codeact': 'timeout_s': 1{'0' * 99}; give seconds, more than 0 and at most a day",
        ),
        (
            {"command": "x", "codeact": {"timeout_s": float("nan")}},
            "'codeact': 'timeout_s': nan; give seconds, more than 0 and at most a day",
        ),
        (
            {"command": "x", "codeact": {"timeout_s": float("inf")}},
            "'codeact': 'timeout_s': inf; give seconds, more than 0 and at most a day",
        ),
        (
            {"command": "x", "codeact": {"max_calls": 1.5}},
            "'codeact': 'max_calls': 1.5; give a whole number, 0 or more",
        ),
        (
            {"command": "x", "codeact": {"tools": {"f": {"max_calls": -1}}}},
            "'codeact': 'tools': 'f': 'max_calls': -1; give a whole number, 0 or more",
        ),
        (
            {"command": "x", "codeact": {"tools": {"f": {"timeout": 1}}}},
            "'codeact': 'tools': 'f': 'timeout' is not known; did you mean 'timeout_s'?",
        ),
        (
            {"command": "x", "codeact": {"tools": ["f"]}},
            "'codeact': 'tools': it is an array, not an object: tool or pattern -> its limits",
        ),
        (
            {"command": "x", "codeact": {"sampling": "allow"}},
            "'codeact': 'sampling': 'allow'; use one of ('decline', 'ask')",
        ),
    ],
)
def test_a_server_that_is_wrong(entry: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(entry)
    assert str(caught.value) == f"f.json: server 'one': {said}"
    assert ENVIRON["TOKEN"] not in str(caught.value)


def test_a_key_that_nobody_comes_near_to_is_told_the_keys() -> None:
    with pytest.raises(
        UsageError, match=r"'xyz' is not known; there are approve, exclude, include, max_calls"
    ):
        parsed({"command": "x", "codeact": {"xyz": 1}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"mcpServers": {"a": {"env": {"KEY": "s3cret",}}}}', "is no JSON, line 1: "),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b" " * 1_100_000, "has over 1048576 bytes; is it one?"),
    ],
)
def test_a_file_that_is_none(text: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        load_config(file)
    assert f"{str(file)!r} {said}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the MCP configuration .*: No such file or directory"):
        load_config(tmp_path / "none.json")
    with pytest.raises(UsageError, match=r"cannot read the MCP configuration .*: Is a directory"):
        load_config(tmp_path)


def test_servers_of_several_files() -> None:
    one = parse_config({"mcpServers": {"a": COMMAND}}, source="one.json")
    two = parse_config({"mcpServers": {"b": COMMAND}}, source="two.json")
    assert [config.name for config in together((*one, *two))] == ["a", "b"]
    again = parse_config({"mcpServers": {"a": COMMAND}}, source="two.json")
    with pytest.raises(UsageError, match=r"two.json: server 'a': .*'a', as server 'a' of one.json is"):
        together((*one, *again))


def test_credentials_are_shown_nowhere() -> None:
    entry = {"command": "x", "args": ["--key", "arg-s3cret"], "env": {"KEY": "env-s3cret"}}
    web = {
        "url": "https://me:url-s3cret@example.com/mcp?key=query-s3cret",
        "headers": {"Authorization": "Bearer header-s3cret"},
    }
    document = {"mcpServers": {"program": entry, "web": web}}
    program, elsewhere = parse_config(document)
    assert "s3cret" not in f"{program!r}{elsewhere!r}{program.where}{elsewhere.where}"
    assert elsewhere.where == "https://example.com/mcp"
    assert program.confidential == ("env-s3cret",)
    assert set(elsewhere.confidential) == {
        "Bearer header-s3cret",
        "header-s3cret",
        "url-s3cret",
        "query-s3cret",
        web["url"],
    }
    assert parsed({"command": "x", "args": ["${TOKEN}"]}).confidential == ("t0ken-of-the-host",)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://example.com/mcp", set()),
        ("https://t0ken@example.com/mcp", {"t0ken"}),
        ("https://example.com/mcp?a%2Bb+c", {"a%2Bb+c", "a+b c"}),
        ("https://example.com/mcp?a=1&b=&c=2=3", {"1", "2=3"}),
    ],
)
def test_what_of_an_address_is_a_secret(url: str, secrets: set[str]) -> None:
    assert set(parsed({"url": url}).confidential) == secrets | ({url} if secrets else set())


def test_a_digest_is_of_what_decides_the_catalogue() -> None:
    base: dict[str, Any] = {"command": "x", "args": ["a"], "env": {"A": "1"}, "cwd": "d"}
    others = [
        base | {"command": "y"},
        base | {"args": ["a", ""]},
        base | {"env": {"A": "2"}},
        base | {"cwd": "e"},
        base | {"codeact": {"include": ["a"]}},
        base | {"codeact": {"exclude": ["a"]}},
        {"url": "http://x"},
        {"url": "http://x", "type": "sse"},
        {"url": "http://x", "headers": {"A": "1"}},
        {"url": "http://x", "oauth": {"clientId": "me"}},
    ]
    digests = {parsed(entry).digest(b"key") for entry in (base, *others)}
    assert len(digests) == 11
    assert parsed(base | {"codeact": {"timeout_s": 5, "reads": ["a"]}}).digest(b"key") == parsed(base).digest(
        b"key"
    )
    assert parsed(base).digest(b"other") not in digests


def test_reading_a_configuration_needs_no_library() -> None:
    dear = {"mcp", "mcp_types", "pydantic"}
    code = f"import sys, codeact_kernel.tools.mcp.config; print({dear} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
