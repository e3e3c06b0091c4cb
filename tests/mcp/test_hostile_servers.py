"""Servers that mean harm, or are broken: what the user and the model see, what it costs, what is left.

Beside each there is a good one, which notices nothing. All that is bounded is bounded on the host: how the
kernel takes what is left over is in `test_hostile_run`.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from codeact_kernel.prompt_modules import modules_section
from codeact_kernel.tools.mcp.callbacks import BETWEEN_S
from codeact_kernel.wire.messages import Raised, Returned, ToolOutcome
from codeact_kernel.wire.schemas import check_source, module_source

from .hostile_offers import DESCRIPTIONS, NAMES, SCHEMAS
from .hosting import DEADLINE_S, hosted, left, marked, new_mark, none_left

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
SERVER = Path(__file__).with_name("hostile_server.py")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What no terminal and no model should get: controls, turned text, halves of characters."""


def entry(mode: str, **settings: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-S", str(SERVER), mode], "codeact": settings}


def document(**entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """With a good one."""
    return {"mcpServers": {**entries, "good": entry("calls", include=["fine"])}}


def about(told: list[str], server: str) -> str:
    """The one sentence about it, which can be shown."""
    (said,) = [each for each in told if f"'{server}'" in each]
    assert not UNSAFE.search(said)
    assert len(said) < 3000
    return said


# --- at the start ------------------------------------------------------------------------------


async def test_servers_that_do_not_start_or_end_are_told_and_nothing_is_left_of_them() -> None:
    slow = {"start_timeout_s": 2}  # They never answer.
    servers = {
        "dies": entry("dies"),
        "hangs": entry("hangs", **slow),
        "floods_stdout": entry("floods-stdout", start_timeout_s=600),
        "floods_lines": entry("floods-lines", **slow),
        "floods_stderr": entry("floods-stderr", start_timeout_s=600),
        "none": {"command": "no-such-program-of-the-test"},
        "stays": entry("stays"),  # It starts, and does not want to end.
    }
    mark = new_mark()
    async with hosted(marked(document(**servers), mark)) as host:
        assert await host.call("good.fine") == Returned("fine")
        assert "exit code 3" in about(host.told, "dies")
        assert "no licence key found" in about(host.told, "dies")
        assert "did not answer within 2 s" in about(host.told, "hangs")
        assert "268435456 bytes, without an end" in about(host.told, "floods_stdout")
        assert "did not answer within 2 s" in about(host.told, "floods_lines")
        assert "exit code 4" in about(host.told, "floods_stderr")
        assert "'no-such-program-of-the-test' is not on the PATH" in about(host.told, "none")
        assert {spec.module for spec in host.registry.specs()} == {"good", "stays"}
        gone = await host.call("dies._updates")
        assert isinstance(gone, Raised)
        assert (gone.type, "no licence" in gone.message) == ("ToolUnavailable", True)
        assert await host.call("stays.fine") == Returned("fine")
        assert len(left(mark)) >= 5, "two servers, a guardian each, and a child"
    assert none_left(mark)


# --- what it offers ----------------------------------------------------------------------------


async def test_names_become_functions_that_call_what_was_meant() -> None:
    async with hosted(document(names=entry("names"))) as host:
        specs = host.specs("names")
        assert host.told == []
        assert {spec.schema.tool for spec in specs if spec.schema} == set(NAMES)
        assert len({spec.function for spec in specs}) == len(specs)
        assert all(re.fullmatch(r"[^\W\d_]\w{0,63}", spec.function) for spec in specs)
        (module,) = [one for one in host.registry.modules() if one.name == "names"]
        check_source(module_source(module, specs))
        prompt = modules_section([module], specs)
        assert not UNSAFE.search(prompt)
        assert len(prompt) < 6000
        for spec in specs:
            called = await host.call(spec.name)
            assert isinstance(called, Returned)
            assert spec.schema is not None
            assert json.loads(str(called.value)) == [spec.schema.tool, {}]


async def test_descriptions_stay_words(tmp_path: Path) -> None:
    """A module with them is run in a Python of its own: it defines functions and does nothing."""
    async with hosted(document(bad=entry("descriptions"))) as host:
        specs = host.specs("bad")
        modules = [one for one in host.registry.modules() if one.name == "bad"]
    assert len(specs) == len(DESCRIPTIONS)
    assert not any(
        word in modules_section(modules, specs) for word in ("instructions and", "SYSTEM", "delete_")
    )
    source = module_source(modules[0], specs)
    check_source(source)
    assert not UNSAFE.search(source)
    assert len(source) < 100_000, "half a megabyte of description was cut"
    assert run_alone(source, tmp_path) == sorted(spec.function for spec in specs)
    assert not (tmp_path / "owned").exists()


def run_alone(source: str, folder: Path) -> list[str]:
    """What functions a module has, in a Python of its own."""
    (folder / "made.py").write_text(source)
    code = (
        "import made, types; print(*(k for k, v in vars(made).items() if isinstance(v, types.FunctionType)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split())


async def test_schemas_that_are_none_cost_the_tool_and_not_the_server() -> None:
    async with hosted(document(bad=entry("schemas"))) as host:
        specs = host.specs("bad")
        found = {spec.schema.tool: spec for spec in specs if spec.schema}
        allowed = {"no_type", "not_an_object", "properties_no_mapping", "required_no_list", "true_false"}
        assert set(SCHEMAS) - set(found) <= allowed, "these are no schemas as the protocol has them"
        (module,) = [one for one in host.registry.modules() if one.name == "bad"]
        check_source(module_source(module, specs))
        assert await host.call("good.fine") == Returned("fine")
        outcomes = [await host.call(found[name].name, x="y") for name in sorted(found) if name != "wide"]
        assert all(
            isinstance(each, Returned) or each.type in ("TypeError", "ValueError", "ToolSchemaError")
            for each in outcomes
        ), outcomes
        odd = found["odd_keys"]
        arguments = {parameter.name: "v" for parameter in odd.parameters if parameter.default is None}
        called = await host.call(odd.name, **arguments)
    assert isinstance(called, Returned)
    assert json.dumps({"from": "v", "a b": "v", "self": "v"}) in json.dumps(called.value)


async def test_catalogues_without_end_are_refused() -> None:
    modes = ("pages", "same-page", "many", "no-tools-at-all")
    names = {mode: mode.replace("-", "_") for mode in modes}
    async with hosted(document(**{names[mode]: entry(mode) for mode in modes})) as host:
        assert "too long" in about(host.told, "pages")
        assert "it has no end" in about(host.told, "same_page")
        assert "too long" in about(host.told, "many")
        assert "tools" in about(host.told, "no_tools_at_all")
        assert await host.call("good.fine") == Returned("fine")


async def test_half_a_character_in_a_list_costs_nothing_else() -> None:
    bad = {"name": entry("surrogate-name"), "text": entry("surrogate-text")}
    async with hosted(document(**bad)) as host:
        assert host.told == []
        for module in bad:
            assert await host.call(f"{module}.good") == Returned('["good", {}]')
            assert not any(UNSAFE.search(f"{spec.name} {spec.doc}") for spec in host.specs(module))


# --- what a call does --------------------------------------------------------------------------

FINE = (Returned, "fine")
ANSWERS: Mapping[str, tuple[int, type, str]] = {
    "fine": (0, *FINE),
    "lines": (2000, *FINE),
    "logs": (800, *FINE),
    "progress": (800, *FINE),
    "odd_progress": (0, *FINE),
    "bad_structure": (0, Raised, r"ToolSchemaError.*not of type 'integer'"),
    "big": (70, Raised, r"ToolProtocolError.*67108864 bytes is not taken"),
    "many": (6000, Raised, r"ToolProtocolError.*5,001 parts; at most 5,000"),
    "surrogate": (0, Returned, "lone \ufffd one"),
    "no_utf8": (0, Returned, "\ufffd+"),
    "deep_result": (100_000, Raised, r"ToolProtocolError.*deep_result\(\)"),
    "numbers": (0, Raised, r"ToolProtocolError.*numbers\(\)"),
    "odd_content": (0, Raised, r"Tool\w+Error.*odd_content\(\)"),
    "active_content": (0, Returned, r"javascript:alert\(1\)"),
    "ansi_error": (0, Raised, r"ToolError.*no e+"),
    "wrong_id": (0, Returned, ""),
    "changes": (100, *FINE),
    "elicits": (50, Returned, "50 questions were not answered"),
    "samples": (0, Returned, "refused"),
    "roots": (0, Returned, "refused"),
}


def text_of(outcome: ToolOutcome) -> str:
    if isinstance(outcome, Raised):
        return f"{outcome.type}: {outcome.message}"
    return json.dumps(outcome.value, ensure_ascii=False)


async def test_each_bad_answer_has_its_own_error_and_the_next_call_is_fine() -> None:
    async with hosted(document(bad=entry("calls", timeout_s=600))) as host:
        for tool, (number, kind, said) in ANSWERS.items():
            outcome, good = await asyncio.gather(host.call(f"bad.{tool}", n=number), host.call("good.fine"))
            text = text_of(outcome)
            assert isinstance(outcome, kind), f"{tool}: {text:.300}"
            assert re.search(said, text, re.DOTALL), f"{tool}: {text:.300}"
            assert good == Returned("fine"), tool
            if isinstance(outcome, Raised):
                assert not UNSAFE.search(text), tool
                assert len(text) < 5000, tool
        assert await host.call("bad.fine") == Returned("fine"), "it was the same server all the time"
        declined = "a question of the server bad was declined: "
        assert [each.removeprefix(declined) for each in host.told] == [
            "there is nobody who can be asked",
            "more than 10 questions in a minute",
        ]
        assert 1 <= len(host.progress) < 200
        assert not any(UNSAFE.search(each.message) or len(each.message) > 300 for each in host.progress)
        assert host.news == []


async def test_a_call_that_is_not_answered_ends_in_time_and_holds_nobody_up() -> None:
    async with hosted(document(bad=entry("calls", timeout_s=5))) as host:
        hung, *fine = await asyncio.gather(
            host.call("bad.hang"), *(host.call("bad.fine") for _ in range(50)), host.call("good.fine")
        )
        assert isinstance(hung, Raised)
        assert (hung.type, "in 5 s" in hung.message) == ("TimeoutError", True)
        assert set(map(text_of, fine)) == {'"fine"'}
        assert await host.call("bad.fine") == Returned("fine")


async def test_a_server_that_ends_in_a_call_is_started_again() -> None:
    ends = {"die": "exit code 5.*out of cheese", "flood": "without an end"}
    bad = {tool: entry("calls", timeout_s=600) for tool in ends}
    mark = new_mark()
    async with hosted(marked(document(**bad), mark)) as host:
        outcomes = await asyncio.gather(
            *(host.call(f"{tool}.{tool}") for tool in ends), host.call("good.fine")
        )
        assert outcomes.pop() == Returned("fine")
        for outcome, said in zip(outcomes, ends.values(), strict=True):
            assert isinstance(outcome, Raised)
            assert outcome.type == "ToolUnavailable"
            assert re.search(f"whether it did is not known.*{said}", outcome.message, re.DOTALL)
        assert [await host.call(f"{tool}.fine") for tool in ends] == [Returned("fine")] * 2
    assert none_left(mark)


async def test_a_server_that_ends_again_and_again_is_given_up() -> None:
    async with hosted(document(bad=entry("calls"))) as host:
        outcomes = [await host.call("bad.die") for _ in range(6)]
        assert all(isinstance(each, Raised) and each.type == "ToolUnavailable" for each in outcomes)
        assert "was started 3 times" in text_of(outcomes[-1])
        assert await host.call("good.fine") == Returned("fine")


async def test_a_list_that_always_changes_is_looked_at_now_and_then() -> None:
    """Two thousand changes, and a catalogue that is longer each time."""
    async with hosted(document(grows=entry("grows"))) as host:
        before, began = len(host.specs("grows")), time.monotonic()
        assert await host.call("grows.changes", n=2000) == Returned("fine")
        with anyio.fail_after(DEADLINE_S):
            while not host.news:  # noqa: ASYNC110 -- it is told by a callback of the registry's.
                await anyio.sleep(0.05)
        assert await host.call("grows.changes", n=2000) == Returned("fine")
        looks = 2 + (time.monotonic() - began) / BETWEEN_S
        assert 1 <= len(host.news) <= looks
        assert re.fullmatch(r"grows has new tools: new_\d+(, new_\d+)*\.", host.news[0])
        new = host.specs("grows")[before:]
        assert 0 < len(new) <= 10 + looks, "a new one for each request that the server got"
        assert await host.call(new[-1].name) == Returned(f'["{new[-1].function}", {{}}]')
        assert await host.call("good.fine") == Returned("fine")
