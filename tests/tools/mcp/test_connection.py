"""One server: asked over stdio and HTTP, in both eras of the protocol, slow, dying, wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import tracemalloc
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from codeact_kernel.tools.mcp.callbacks import QUESTIONS, Callbacks
from codeact_kernel.tools.mcp.connection import Connection
from codeact_kernel.tools.mcp.event_weight import EventWeight
from codeact_kernel.tools.mcp.lives import STARTS
from codeact_kernel.tools.mcp.messages import MAX_MESSAGE, MAX_SKIPPED, Lines, TooLong, is_heavy
from codeact_kernel.tools.mcp.patience import Patience
from codeact_kernel.tools.mcp.problems import Unavailable, Violation
from codeact_kernel.tools.mcp.server import Http, ServerConfig, Stdio

from .reach import PATIENCE_S, connected, hostile, plain, raw, until, within
from .serving import served

ACCEPTED = types.ElicitResult(action="accept", content={})


def text(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


async def everything(connection: Connection, at_once: int = 100) -> None:
    await connection.open()
    assert connection.client is not None
    assert connection.client.server_info is not None
    assert connection.client.server_info.name == "plain"
    assert connection.client.instructions == "For tests."
    tools = {tool.name: tool for tool in await connection.list_tools()}
    assert tools["add"].input_schema["required"] == ["a"]
    added = await connection.call_tool("add", {"a": 2}, output=tools["add"].output_schema)
    assert added.structured_content == {"result": 3}
    failed = await connection.call_tool("boom", {})
    assert failed.is_error
    assert [resource.uri for resource in await connection.list_resources()] == ["memo://one"]
    assert [template.name for template in await connection.list_resource_templates()] == ["memos"]
    read = await connection.read_resource("memo://one")
    assert isinstance(read.contents[0], types.TextResourceContents)
    assert read.contents[0].text == "a memo"
    assert [prompt.name for prompt in await connection.list_prompts()] == ["greet"]
    assert "Say hello to Ann." in str((await connection.get_prompt("greet", {"name": "Ann"})).messages)
    heard: list[tuple[float, float | None, str | None]] = []
    await connection.call_tool("steps", {"count": 3}, lambda *said: heard.append(said))
    await until(lambda: (3.0, 3.0, "step 3") in heard)
    together = await asyncio.gather(
        *(connection.call_tool("meet", {"count": at_once}) for _ in range(at_once))
    )
    assert {text(one) for one in together} == {f"{at_once} were here"}
    with pytest.raises(MCPError, match="nope"):
        await connection.read_resource("nope://")


def test_over_stdio() -> None:
    within(plain(), everything)


def test_over_http() -> None:
    with served() as url:
        within(ServerConfig("plain", "plain", Http(url)), everything)


def test_over_http_of_2024() -> None:
    with served("sse") as url:
        within(ServerConfig("plain", "plain", Http(url, sse=True)), partial(everything, at_once=10))


def test_headers_are_sent_and_an_error_says_its_status() -> None:
    with served(token="letmein") as url:

        async def one(connection: Connection) -> None:
            assert text(await connection.call_tool("add", {"a": 1})) == "2"

        within(ServerConfig("plain", "plain", Http(url, {"Authorization": "Bearer letmein"})), one)
        with pytest.raises(Unavailable, match=r"HTTP 403 Forbidden"):
            within(ServerConfig("plain", "plain", Http(url, {"Authorization": "Bearer wrong"})), one)


def test_nobody_answers_at_the_address() -> None:
    with pytest.raises(Unavailable, match=r"MCP server 'web'.*ConnectError"):
        within(ServerConfig("web", "web", Http("http://127.0.0.1:9/mcp")), Connection.list_tools)


def test_changes_of_the_list_are_told_over_http() -> None:
    told: list[str] = []

    async def one(connection: Connection) -> None:
        before = len(await connection.list_tools())
        while not told:  # What was changed before somebody listened is told to nobody.
            await connection.call_tool("grow", {})
            await asyncio.sleep(0.05)
        assert len(await connection.list_tools()) == before + 1

    with served() as url:
        within(ServerConfig("plain", "plain", Http(url)), one, Callbacks(on_changed=told.append))


@pytest.mark.parametrize("kind", ["bomb", "big", "heavy", "events"])
def test_answers_over_http_are_bounded(kind: str) -> None:
    async def one(connection: Connection) -> None:
        with pytest.raises(
            (Unavailable, MCPError), match=r"compressed|over 67108864 bytes|over 2000000 values"
        ):
            await connection.call_tool(kind, {})

    with served(bad=kind) as url:
        within(ServerConfig("plain", "plain", Http(url)), one)


# --- what a server gets of the host ------------------------------------------------------------


def test_a_server_sees_its_own_environment_and_not_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    config = ServerConfig("raw", "raw", Stdio(sys.executable, raw("").launch.args, {"TOKEN": "t0ken"}))
    seen = json.loads(text(within(config, lambda connection: connection.call_tool("environment", {}))))
    assert seen["TOKEN"] == "t0ken"
    assert seen["PATH"] == os.environ["PATH"]
    assert not {"HOST_SECRET", "PYTHONPATH"} & seen.keys()


# --- time ---------------------------------------------------------------------------------------


def test_a_call_takes_its_time_at_most_and_the_server_hears_of_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def one(connection: Connection) -> None:
        await connection.open()
        with pytest.raises(TimeoutError, match=r"MCP server 'raw': no answer to 'call hang' in 0.3 s"):
            await connection.call_tool("hang", {})
        await until(mark.exists)
        assert mark.read_text() == "cancelled\n"

    within(raw("old", mark, timeout_s=0.3), one)


def test_a_call_that_is_cancelled_is_cancelled_there(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def one(connection: Connection) -> None:
        await connection.open()
        call = asyncio.create_task(connection.call_tool("begin", {}))
        await until(mark.exists)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: mark.read_text() == "begun\ncancelled\n")

    within(raw("old", mark), one)


@pytest.mark.parametrize("tool", ["questions", "modern question"])
def test_no_limit_runs_while_a_person_is_asked(tool: str) -> None:
    patience: list[Patience] = []
    waits: list[bool] = []

    async def elicit(params: types.ElicitRequestParams) -> types.ElicitResult:
        waits.append(patience[0].waits)
        return ACCEPTED

    async def one(connection: Connection) -> str:
        await connection.open()
        patience.append(connection._patience)
        return text(await connection.call_tool(tool, {"count": 1}))

    config = raw("modern" if tool == "modern question" else "old")
    assert within(config, one, Callbacks(elicit=elicit)) in ('["accept"]', "accept")
    assert waits == [True]
    assert not patience[0].waits


def test_limits_go_on_where_they_were_when_the_person_has_answered() -> None:
    async def run() -> None:
        patience = Patience()
        loop = asyncio.get_running_loop()
        async with patience.limit(1.0):
            with patience.a_person():
                with patience.a_person():
                    await asyncio.sleep(0.6)
                async with patience.limit(0.5):
                    await asyncio.sleep(0.6)
        begun = loop.time()
        with pytest.raises(TimeoutError):
            async with patience.limit(0.2):
                with patience.a_person():
                    await asyncio.sleep(0.5)
                await asyncio.sleep(1000)
        assert loop.time() - begun >= 0.6

    asyncio.run(run())


# --- questions and changes ----------------------------------------------------------------------


def test_more_questions_at_once_than_anybody_answers_are_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    refused = asyncio.Event()

    async def elicit(params: types.ElicitRequestParams) -> types.ElicitResult:
        await refused.wait()
        return ACCEPTED

    async def one(connection: Connection) -> list[str]:
        call = asyncio.create_task(connection.call_tool("questions", {"count": 3 * QUESTIONS}))
        await until(lambda: mark.exists() and mark.read_text().count("refused") == 2 * QUESTIONS)
        refused.set()
        return list(json.loads(text(await call)))

    answers = within(raw("old", mark), one, Callbacks(elicit=elicit))
    assert sorted(answers) == ["accept"] * QUESTIONS + ["error"] * 2 * QUESTIONS


def test_without_anybody_to_ask_a_server_is_told_that_it_cannot() -> None:
    async def one(connection: Connection) -> str:
        return text(await connection.call_tool("questions", {"count": 1}))

    assert within(raw("old"), one) == '["error"]'


@pytest.mark.parametrize("era", ["old", "modern"])
def test_changes_of_the_list_are_told_and_put_together(era: str) -> None:
    told: list[str] = []

    async def one(connection: Connection) -> None:
        await connection.open()
        if era == "old":
            await connection.call_tool("changed", {})
        await until(lambda: told)
        await connection.list_tools()
        assert set(told) == {"tools"}
        assert len(told) < 10  # Fifty were sent.

    within(raw(era), one, Callbacks(on_changed=told.append))


# --- death --------------------------------------------------------------------------------------


def test_a_server_that_dies_in_a_call_says_why_and_is_started_again() -> None:
    async def one(connection: Connection) -> None:
        calls = [connection.call_tool(name, {}) for name in ("hang", "hang", "die")]
        for problem in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(problem, Unavailable)
            assert "whether it did is not known (exit code 3)" in str(problem)
            assert "out of cheese" in str(problem)
        assert text(await connection.call_tool("fine", {})) == "fine"

    within(raw("old"), one)


def test_a_server_that_always_dies_is_not_started_for_ever() -> None:
    async def one(connection: Connection) -> None:
        for _ in range(STARTS):
            with pytest.raises(Unavailable, match=r"it ended before it had answered.*\x1b?.*out of cheese"):
                await connection.call_tool("die", {})
        with pytest.raises(
            Unavailable, match=rf"started {STARTS} times within 60 s.*exit code 3.*out of cheese"
        ) as one:
            await connection.call_tool("die", {})
        assert "\x1b" not in str(one.value)

    within(raw("old"), one)


def test_a_server_that_closes_its_stdout_is_gone() -> None:
    async def one(connection: Connection) -> None:
        with pytest.raises(Unavailable, match=r"had answered to: call close; .* not known$"):
            await connection.call_tool("close", {})

    within(raw("old"), one)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (raw("poor"), r"'raw': it ended before it had answered \(exit code 4\).*no licence key: set LICENCE"),
        (hostile("hangs", start_timeout_s=0.5), "did not answer within 0.5 s of its start$"),
        (hostile("floods-stdout"), "did not answer|without an end"),
        (ServerConfig("x", "x", Stdio("no-such-program")), "'no-such-program' is not on the PATH"),
        (ServerConfig("x", "x", Stdio("/no/such/program")), "'/no/such/program' is not there, or no program"),
        (
            ServerConfig("x", "x", Stdio("sh", cwd="/no/such/folder")),
            "its folder '/no/such/folder' is not there",
        ),
    ],
)
def test_a_server_that_does_not_start(config: ServerConfig, said: str) -> None:
    with pytest.raises(Unavailable, match=rf"(?s){said}"):
        within(config, Connection.list_tools)


def test_after_the_end_nothing_is_started_any_more() -> None:
    async def run() -> None:
        async with connected(raw("old")) as connection:
            await connection.open()
            assert connection.running
        assert not connection.running
        with pytest.raises(Unavailable, match="it was stopped"):
            await connection.call_tool("fine", {})

    asyncio.run(run())


# --- wrong answers ------------------------------------------------------------------------------


def test_what_is_no_message_is_read_over() -> None:
    assert len(within(raw("banner"), Connection.list_tools)) == 1
    assert text(within(hostile("calls"), lambda one: one.call_tool("lines", {"n": 3000}))) == "fine"


@pytest.mark.parametrize(
    ("tool", "given", "problem"),
    [
        ("big", {"n": 70}, "over 67108864 bytes"),
        ("deep_result", {"n": 5000}, "no message of the protocol"),
        ("numbers", {}, "no message of the protocol"),
    ],
)
def test_an_answer_that_is_not_taken_fails_its_call_and_no_other(
    tool: str, given: dict[str, int], problem: str
) -> None:
    async def one(connection: Connection) -> None:
        with pytest.raises(MCPError, match=problem):
            await connection.call_tool(tool, given)
        assert text(await connection.call_tool("fine", {})) == "fine"

    within(hostile("calls"), one)


def test_an_answer_of_too_many_values_is_not_taken() -> None:
    async def one(connection: Connection) -> None:
        with pytest.raises(MCPError, match="over 2000000 values"):
            await connection.call_tool("heavy", {})
        assert text(await connection.call_tool("fine", {})) == "fine"

    within(raw("old"), one)


def test_fifty_megabytes_are_taken() -> None:
    assert len(text(within(hostile("calls"), lambda one: one.call_tool("big", {"n": 50})))) == 50_000_000


def test_what_is_no_text_is_marked() -> None:
    async def one(connection: Connection) -> tuple[str, str]:
        return text(await connection.call_tool("surrogate", {})), text(
            await connection.call_tool("no_utf8", {})
        )

    lonely, bytes_ = within(hostile("calls"), one)
    assert lonely == "lone \ufffd one"
    assert set(bytes_) == {"\ufffd"}


def test_answers_for_nobody_are_dropped() -> None:
    async def one(connection: Connection) -> None:
        for _ in range(20):
            assert text(await connection.call_tool("wrong_id", {})) == "wrong"  # As a string, it is its own.
            assert text(await connection.call_tool("fine", {})) == "fine"

    within(hostile("calls"), one)


def test_an_answer_of_another_shape_is_a_violation() -> None:
    async def one(connection: Connection) -> None:
        with pytest.raises(Violation, match=r"its answer is none to 'call no content': at content") as caught:
            await connection.call_tool("no content", {})
        assert len(str(caught.value)) < 300
        number = {"type": "object", "properties": {"n": {"type": "integer"}}}
        with pytest.raises(Violation, match=r"no structured content"):
            await connection.call_tool("shapeless", {}, output=number)
        with pytest.raises(Violation, match=r"is not what its schema says\.n: 'x' is not of type 'integer'"):
            await connection.call_tool("wrong shape", {}, output=number)
        for_ever = {"properties": {"n": {"pattern": "^(a+)+$"}}}
        assert (await connection.call_tool("slow pattern", {}, output=for_ever)).structured_content

    within(raw("old"), one)


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["endless", "circle", "crowd"])
def test_a_list_has_an_end(mode: str) -> None:
    with pytest.raises(Violation, match=r"no end|too long"):
        within(raw(mode), Connection.list_tools)


def test_all_pages_are_asked_for() -> None:
    assert [tool.name for tool in within(raw("pages"), Connection.list_tools)] == [
        f"tool_{n}" for n in range(5)
    ]


def test_what_is_wrong_in_a_list_is_left_out_of_it() -> None:
    async def one(connection: Connection) -> tuple[list[str], tuple[str, ...]]:
        return [tool.name for tool in await connection.list_tools()], connection.remarks

    names, remarks = within(raw("odd"), one)
    assert names == ["tool_0", "typeless"]
    assert len(remarks) == 4
    assert remarks[0] == "tools: 'no schema' is left out: inputSchema: Field required"


# --- floods -------------------------------------------------------------------------------------


def test_progress_reaches_nobody_faster_than_ten_times_a_second() -> None:
    heard: list[float] = []

    async def one(connection: Connection) -> float:
        await connection.open()
        begun = time.monotonic()
        await connection.call_tool("progress", {"n": 3000}, lambda done, total, word: heard.append(done))
        return time.monotonic() - begun

    seconds = within(hostile("calls"), one)
    assert 1 <= len(heard) <= 10 * seconds + 3


@pytest.mark.parametrize("modes", [["flood"], ["lines", "logs", "changes"]])
def test_floods_hold_up_nobody_else(modes: list[str]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            other = await stack.enter_async_context(connected(raw("old")))
            floods = [await stack.enter_async_context(connected(hostile("calls"))) for _ in modes]
            await asyncio.gather(other.open(), *(each.open() for each in floods))
            flooding = [
                asyncio.create_task(each.call_tool(mode, {"n": 100_000}))
                for each, mode in zip(floods, modes, strict=True)
            ]
            for _ in range(100):
                assert text(await other.call_tool("fine", {})) == "fine"
            for each in flooding:
                each.cancel()
            await asyncio.wait(flooding)
            await asyncio.gather(*(each.aclose() for each in floods))

    asyncio.run(asyncio.wait_for(run(), 2 * PATIENCE_S))


def test_a_line_without_an_end() -> None:
    lines, chunk = Lines(), b"x" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(OverflowError):
            for _ in range(2 + (MAX_MESSAGE + MAX_SKIPPED) // len(chunk)):
                assert not lines.feed(chunk)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * MAX_MESSAGE
    finally:
        tracemalloc.stop()


def test_of_a_long_line_the_ends_are_kept_and_the_next_is_whole() -> None:
    lines = Lines()
    assert not lines.feed(b'{"id":1,' + b"x" * MAX_MESSAGE)
    long, short = lines.feed(b'"jsonrpc":"2.0"}\n{"id":2}\n')
    assert isinstance(long, TooLong)
    assert long.head.startswith(b'{"id":1,x')
    assert long.end.endswith(b'x"jsonrpc":"2.0"}')
    assert short == b'{"id":2}'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 65_536])
def test_events_are_weighed_while_they_come(size: int) -> None:
    """Text counts for one value, wherever the chunks are cut."""
    weight = EventWeight()
    string = b'"' + b",[{" * (200 if size < 10 else 2_000_000) + b'\\\\\\"' + b"," * 40 + b'\\\\"'
    event = b'data: {"text": ' + string + b', "more": ["\\\\", "", "[,"]}\r\n\r\n'
    for at in range(0, len(event), size):
        assert weight.feed(event[at : at + size])
    assert weight.values == 0
    for at in range(0, len(event) - 4, size):
        assert weight.feed(event[at : min(at + size, len(event) - 4)])
    assert weight.values == 5
    assert weight.feed(b"\r\n\r\n")
    assert all(weight.feed(b"data: " + b"1," * 1_500_000 + b"\n\n") for _ in range(2))
    assert weight.feed(b"data: " + b"1," * 1_500_000 + b"\n")
    assert not weight.feed(b"data: " + b"1," * 1_500_000 + b"\n")  # Of the same event.


def test_many_short_strings_are_weighed_in_no_time() -> None:
    assert not EventWeight().feed(b'data: ["a\\\\"' + b',"a\\\\"' * 2_000_001)


def test_weight_is_of_values_not_of_text() -> None:
    assert not is_heavy(b'{"text": "' + b"," * 3_000_000 + b'"}')
    assert not is_heavy(b'{"text": "\\"' + b"[" * 3_000_000 + b'"}')
    assert is_heavy(b"[" + b"1," * 2_000_001 + b"1]")
