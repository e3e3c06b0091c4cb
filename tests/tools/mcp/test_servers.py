"""The servers of a run: their tools called, limited, asked for more; what they change and tell meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.events import ToolProgress
from codeact_kernel.tools.mcp.asking import MAX_A_MINUTE
from codeact_kernel.tools.mcp.config import parse_config
from codeact_kernel.tools.mcp.limits import AT_ONCE
from codeact_kernel.tools.mcp.offers import MAX_DEPTH, MAX_SCHEMA, bounded, way
from codeact_kernel.tools.mcp.questions import Answer, Elicit, Field, Form, Page
from codeact_kernel.tools.mcp.server import ServerConfig, ToolLimit
from codeact_kernel.tools.mcp.servers import McpServers
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire import media
from codeact_kernel.wire.messages import Raised, Returned, ToolRequest
from codeact_kernel.wire.pictures import Picture
from codeact_kernel.wire.setup_modules import tools_from_value
from codeact_kernel.wire.values import decode, encode

from .reach import SERVERS, hostile, program, until
from .serving import served


def calls(**more: Any) -> ServerConfig:
    return program(SERVERS / "calls.py", **more)


class Host:
    """Servers and a registry, as a run has them."""

    def __init__(self, *configs: ServerConfig, ask: Elicit | None = None, cache: Path | None = None) -> None:
        self.told: list[str] = []
        self.news: list[str] = []
        self.progress: list[ToolProgress] = []
        self.servers = McpServers(configs, ask=ask, cache=cache)
        self.servers.on_change = self._changed
        self.servers.on_progress = self.progress.append
        self.registry = ToolRegistry(())

    async def __aenter__(self) -> Host:
        await self.servers.open(self.told.append)
        self.registry.add(self.servers.tools(), self.servers.modules())
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.servers.aclose()

    def _changed(self, tools: tuple[Any, ...], said: str) -> None:
        self.registry.add(tools)
        self.news.append(said)

    async def call(self, tool: str, **kwargs: Any) -> Any:
        """What the code in the kernel gets: a value, or a `Raised`."""
        request = ToolRequest(1, tool, (), {name: encode(value) for name, value in kwargs.items()})
        outcome = await self.registry.call(request)
        return decode(outcome.value) if isinstance(outcome, Returned) else outcome


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def host(runner: asyncio.Runner) -> Iterator[Host]:
    """One for all tests that leave the server as it is."""
    host = Host(calls(reads=("read-*",), approve={"boom": "deny", "read*": "ask"}))
    runner.run(host.__aenter__())
    yield host
    runner.run(host.__aexit__())


def test_a_server_becomes_a_module_in_its_own_clean_words(host: Host) -> None:
    (module,) = host.servers.modules()
    assert (module.name, module.package, module.title) == ("calls", "mcp_servers", "Calls")
    assert module.doc == "Ask me."
    assert host.told == []


def test_what_the_user_says_of_tools_is_on_them(host: Host) -> None:
    tools = host.registry.tools
    assert tools["calls.read_all"].spec.effect == "read"
    assert tools["calls.order"].spec.effect == "write"
    ways = {name: tools[f"calls.{name}"].approval for name in ("boom", "read_all", "order")}
    assert ways == {"boom": "deny", "read_all": "ask", "order": None}


def test_nobody_is_told_of_the_tools_that_only_the_kernel_calls(host: Host) -> None:
    names = [spec.name for spec in host.registry.specs()]
    assert "calls.order" in names
    assert not [name for name in names if "._" in name]
    assert host.registry.has("calls._read_resource")


def test_values_come_back_as_what_they_are(host: Host, runner: asyncio.Runner) -> None:
    assert runner.run(host.call("calls.order", from_id=7)) == {"id": 7, "total": 1.5}
    assert runner.run(host.call("calls.read_all", count=2)) == [0, 1]
    assert isinstance(runner.run(host.call("calls.picture")), Picture)
    before, picture, sound, link = runner.run(host.call("calls.mixed"))
    assert (before, type(picture)) == ("before", Picture)
    assert sound == media.Media(b"RIFF", "audio/wav")
    assert link == media.ResourceLink("calls", "calls://stock", "stock")


def test_failures_have_a_type_clean_words_and_the_parameters(host: Host, runner: asyncio.Runner) -> None:
    said = "Error executing tool boom: no such order\ncalls.boom: Parameters (* = required): how*"
    assert runner.run(host.call("calls.boom", how="tool")) == Raised("ToolError", said)
    protocol = Raised("ToolProtocolError", "calls.boom(): no way (code -32050)")
    assert runner.run(host.call("calls.boom", how="protocol")) == protocol
    wrong = runner.run(host.call("calls.order", from_id="x"))
    assert wrong == Raised("TypeError", "calls.order(): argument 'from_id': 'x' is not of type 'integer'")
    unknown = runner.run(host.call("calls.nope"))
    assert unknown.type == "NameError"


def test_so_many_calls_run_at_once_and_the_others_wait(host: Host, runner: asyncio.Runner) -> None:
    async def crowd() -> list[int]:
        return await asyncio.gather(*(host.call("calls.crowd") for _ in range(3 * AT_ONCE)))

    assert 1 < max(runner.run(crowd())) <= AT_ONCE


def test_progress_is_told_in_clean_words_and_its_end_always(host: Host, runner: asyncio.Runner) -> None:
    host.progress.clear()
    assert runner.run(host.call("calls.steps", count=500)) == "done"
    assert host.progress[-1] == ToolProgress("calls.steps", 500, 500, "step 500")
    assert len(host.progress) < 400


def test_resources_and_prompts(host: Host, runner: asyncio.Runner) -> None:
    stock, of = runner.run(host.call("calls._resources"))
    assert (stock.uri, stock.name, stock.template) == ("calls://stock", "stock", False)
    assert (of.uri, of.template) == ("calls://stock/{name}", True)
    assert runner.run(host.call("calls._read_resource", uri="calls://stock/nails")) == "nails: 3"
    assert runner.run(host.call("calls._read_resource", uri="calls://gone")).type == "ToolProtocolError"
    (greet,) = runner.run(host.call("calls._prompts"))
    assert greet["arguments"] == [{"name": "name", "description": "", "required": True}]
    (message,) = runner.run(host.call("calls._get_prompt", name="greet", arguments={"name": "Bo"}))
    assert message == {"role": "user", "content": "Say hello to Bo."}
    wrong = runner.run(host.call("calls._get_prompt", name="greet", arguments={"name": 3}))
    assert wrong.type == "TypeError"


def test_a_question_to_nobody_is_declined_and_told(host: Host, runner: asyncio.Runner) -> None:
    host.told.clear()
    assert runner.run(host.call("calls.sign_up")) == "decline"
    assert host.told == ["a question of the server calls was declined: there is nobody who can be asked"]


# --- with servers of their own ------------------------------------------------------------------


def within(host: Host, work: Callable[[Host], Any]) -> Any:
    async def run() -> Any:
        async with host:
            return await work(host)

    return asyncio.run(run())


def test_a_persons_answers_reach_the_server_and_a_page_is_visited_before_the_call_is_made() -> None:
    asked: list[Form | Page] = []

    async def person(question: Form | Page) -> Answer:
        asked.append(question)
        willing = isinstance(question, Form) or question.url.endswith("1")
        return Answer("accept" if willing else "decline", {"name": "Ana", "plan": "full"})

    async def work(host: Host) -> Any:
        pages = [await host.call("calls.needs_page", number=number) for number in (1, 2)]
        return await host.call("calls.sign_up"), *pages

    signed, visited, declined = within(Host(calls(), ask=person), work)
    assert (signed, visited) == ("Ana 30 full False", "allowed")
    assert declined == Raised(
        "ToolError", "calls.needs_page(): the person did not visit the page that it needs"
    )
    assert declined.made == "no"  # To compare two of them leaves that out.
    page, _, form = asked
    assert isinstance(form, Form)
    names = [(field.name, field.kind, field.required, field.default) for field in form.fields]
    assert names == [
        ("name", "text", True, None),
        ("age", "integer", False, 30),
        ("plan", "choice", False, "basic"),
        ("news", "yes or no", False, False),
    ]
    assert page == Page("calls", "Allow it there", "https://example.org/allow?x=1")


def test_servers_of_the_old_era_ask_by_callback_and_cannot_flood_the_person() -> None:
    asked: list[Form | Page] = []

    async def person(question: Form | Page) -> Answer:
        asked.append(question)
        return Answer("decline")

    async def work(host: Host) -> Any:
        await host.call("hostile_server.elicits", n=1)
        host.told.clear()
        return await host.call("hostile_server.elicits", n=50), host.told

    said, told = within(Host(hostile("calls"), ask=person), work)
    assert len(asked) == MAX_A_MINUTE
    assert isinstance(asked[0], Form)
    assert asked[0].message == "Your password, please? (0)"
    assert f"a question of the server hostile_server was declined: more than {MAX_A_MINUTE}" in told[0]
    assert len(told) == 1
    assert "were not answered" in said


def test_what_a_server_changes_is_appended_and_told() -> None:
    async def work(host: Host) -> Any:
        before = host.registry.tools["calls.read_all"].spec
        for what in ("add", "redefine", "remove"):
            assert await host.call("calls.change", what=what) == what
        await until(lambda: "picture" in " ".join(host.news))
        assert await host.call("calls.added") == "new"
        assert await host.call("calls.read_all", count="words") == "words"
        assert host.registry.tools["calls.read_all"].spec == before, "what the run began with stays"
        gone = await host.call("calls.picture")
        assert gone.type in ("ToolError", "ToolProtocolError")
        updates = tools_from_value("calls", await host.call("calls._updates"))
        assert [spec.name for spec in updates] == ["calls.added", "calls.read_all"]
        return " ".join(host.news)

    news = within(Host(calls()), work)
    assert "calls has new tools: added." in news
    assert "calls has changed: read_all." in news
    assert "calls does not offer any more: picture." in news


def test_a_catalogue_from_the_cache_starts_nothing_and_is_looked_at_again_with_the_first_call(
    tmp_path: Path,
) -> None:
    server = tmp_path / "calls.py"
    text = (SERVERS / "calls.py").read_text()
    server.write_text(text)
    config = program(server)

    async def names(host: Host) -> list[str]:
        return [spec.name for spec in host.registry.specs()]

    first = within(Host(config, cache=tmp_path), names)
    server.write_text(text.replace("async def crowd", "async def throng"))

    async def work(host: Host) -> list[str]:
        assert not host.servers._servers[0].connection.running
        assert await names(host) == first
        assert await host.call("calls.order", from_id=3) == {"id": 3, "total": 1.5}
        await until(lambda: host.news)
        assert (await host.call("calls.throng")) == 1
        return host.news

    (said,) = within(Host(config, cache=tmp_path), work)
    assert said == "calls has new tools: throng. calls does not offer any more: crowd."


def test_a_server_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    config = program(tmp_path / "gone.py")

    async def work(host: Host) -> Any:
        assert list(host.servers.failed) == ["gone"]
        assert [module.name for module in host.servers.modules()] == ["gone", "hostile_server"]
        unavailable = await host.call("gone._updates")
        assert (unavailable.type, unavailable.made) == ("ToolUnavailable", "no")
        assert (await host.call("gone._resources")).type == "ToolUnavailable"
        return host.told, await host.call("hostile_server.fine")

    (told,), value = within(Host(config, hostile("calls")), work)
    assert value == "fine"
    assert "gone" in told
    assert "No such file" in told, "with its stderr"
    assert told.endswith("the run goes on without its tools")


@pytest.mark.parametrize("kind", ["sse", "mcp"])
def test_the_secrets_of_an_address_are_told_to_nobody(kind: str) -> None:
    async def work(host: Host) -> Any:
        (failed,) = host.servers.failed.values()
        return [*host.told, failed, str(await host.call("web._resources"))]

    with served(kind, token="another") as url:
        address = url.replace("//", "//ana:passw0rd@") + "?key=s3cret-key"
        entry = {"url": address, "type": "sse" if kind == "sse" else "http"}
        said = within(Host(*parse_config({"mcpServers": {"web": entry}})), work)
    for text in said:
        assert "HTTP 403 Forbidden" in text
        assert not [secret for secret in ("passw0rd", "s3cret-key") if secret in text]


def test_a_server_that_dies_in_a_call_is_unavailable_then_and_there_again_afterwards() -> None:
    async def work(host: Host) -> Any:
        died = await host.call("hostile_server.die")
        assert (died.type, "out of …" in died.message) == ("ToolUnavailable", True), "no secrets"
        assert died.made == "unknown"
        return await host.call("hostile_server.fine")

    config = hostile("calls", confidential=("cheese", "of"))
    assert within(Host(config), work) == "fine"


def test_calls_of_a_run_are_limited_by_server() -> None:
    async def work(host: Host) -> Any:
        made = [await host.call("hostile_server.fine") for _ in range(3)]
        refused = await host.call("hostile_server.lines", n=1)
        assert (await host.call("hostile_server._updates")) == []
        return made, refused, host.servers.calls

    made, refused, counted = within(Host(hostile("calls", max_calls=3)), work)
    assert made == ["fine"] * 3
    assert (refused.type, refused.made) == ("ToolError", "no")
    assert "hostile_server may be called 3 times in a run (max_calls)" in refused.message
    assert counted == {"hostile_server": 3}


def test_calls_of_a_run_are_limited_by_tool() -> None:
    async def work(host: Host) -> Any:
        made = [await host.call("hostile_server.fine") for _ in range(2)]
        refused = await host.call("hostile_server.fine")
        other = await host.call("hostile_server.lines", n=1)
        return made, refused, other

    config = hostile("calls", tools={"f*": ToolLimit(max_calls=2)})
    made, refused, other = within(Host(config), work)
    assert (made, isinstance(other, str)) == (["fine"] * 2, True)
    assert "it may be called 2 times in a run (max_calls)" in refused.message


def test_a_call_has_the_time_that_its_tool_is_given() -> None:
    config = hostile("calls", tools={"hang": ToolLimit(timeout_s=0.3)})
    outcome = within(Host(config), lambda host: host.call("hostile_server.hang"))
    assert (outcome.type, "0.3 s" in outcome.message) == ("TimeoutError", True)


def test_a_call_has_the_time_that_its_server_is_given() -> None:
    config = hostile("calls", timeout_s=0.3)
    outcome = within(Host(config), lambda host: host.call("hostile_server.hang"))
    assert outcome.type == "TimeoutError"
    assert "0.3 s" in outcome.message


def test_only_what_is_asked_for_is_offered() -> None:
    async def names(host: Host) -> list[str]:
        return [spec.function for spec in host.registry.specs()]

    config = hostile("calls", include=("l*", "no_*", "fine"), exclude=("logs",))
    assert within(Host(config), names) == ["fine", "lines", "no_utf8"]


# --- of themselves ------------------------------------------------------------------------------


def test_the_exact_name_comes_before_the_longest_pattern() -> None:
    approve: dict[str, Any] = {"*": "deny", "read_*": "allow", "read_mail": "ask"}
    assert [way(name, approve) for name in ("x", "read_x", "read_mail")] == ["deny", "allow", "ask"]
    assert way("x", {}) is None


def test_a_schema_that_is_too_large_to_travel_says_nothing() -> None:
    deep: Any = {}
    for _ in range(MAX_DEPTH):
        deep = {"items": deep}
    anything = {"type": "object", "additionalProperties": True}
    assert bounded(deep) == anything
    assert bounded({"title": "x" * MAX_SCHEMA}) == anything
    fine = {"type": "object", "properties": {"a": {"enum": ["x"] * 100}}}
    assert bounded(fine) == fine
    assert Field("a", "text").value(" x ") == "x"
