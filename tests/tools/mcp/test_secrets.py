"""Secrets are in no words of a server that are shown: whole, nor the part that a cut would leave."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import LoggingMessageNotificationParams

from codeact_kernel.tools.failures import MAX_MESSAGE, Failure
from codeact_kernel.tools.mcp.callbacks import Callbacks, Handlers
from codeact_kernel.tools.mcp.failing import told
from codeact_kernel.tools.mcp.patience import Patience
from codeact_kernel.tools.mcp.problems import MAX_WORDS
from codeact_kernel.tools.mcp.server import ServerConfig, Stdio
from codeact_kernel.tools.mcp.servers import McpServers
from codeact_kernel.tools.mcp.tail import Tail

SECRET = "sk-verysecret-0123456789"
HALF = len(SECRET) // 2


def parts(text: str) -> list[str]:
    """Of the secret, what of four characters is in `text`."""
    return [SECRET[n : n + 4] for n in range(len(SECRET) - 3) if SECRET[n : n + 4] in text]


def test_the_last_words_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    said = f"import sys; sys.stderr.write('{SECRET} ' + 'z' * {MAX_WORDS - HALF}); sys.exit(1)"
    config = ServerConfig("x", "x", Stdio(sys.executable, ("-c", said)), confidential=(SECRET,))
    heard: list[str] = []

    async def work() -> str:
        servers = McpServers([config], cache=tmp_path)
        await servers.open(heard.append)
        await servers.aclose()
        return servers.failed["x"]

    heard.append(asyncio.run(work()))
    for text in heard:
        assert "zzz" in text
        assert not parts(text)


def test_the_log_of_a_server() -> None:
    async def work() -> str:
        tail = Tail()
        handlers = Handlers(Callbacks(secrets=(SECRET,)), Patience(), tail)
        await handlers._log(LoggingMessageNotificationParams(level="info", data="a" * (1000 - HALF) + SECRET))
        await handlers._message(ValueError("b" * (500 - HALF) + SECRET))
        return tail.words()

    words = asyncio.run(work())
    assert "aaa…\n" in words
    assert not parts(words)


def test_the_error_that_a_call_is_answered_with() -> None:
    with pytest.raises(Failure) as caught, told("x.f", (SECRET,)):
        raise MCPError(code=1, message="a" * (MAX_MESSAGE - HALF) + SECRET)
    assert "aaa" in str(caught.value)
    assert not parts(str(caught.value))
