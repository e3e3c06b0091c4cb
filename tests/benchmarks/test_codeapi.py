"""MCP servers as code: what the benchmark claims of tokens and of a large toolset still holds."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from statistics import quantiles

import pytest
from channels.mcp_running import CACHE, DATA, measured, missing, served
from channels.mcp_tasks import KINDS, McpKind
from channels.running import Measured
from channels.tokens import Tokenizer, compact
from large_toolset import SEARCH_MS, search_times, specs_of
from many_tools import many_tools

from codeact_kernel.prompt_modules import modules_section
from codeact_kernel.wire.messages import ToolModule, ToolSpec
from codeact_kernel.wire.search import SearchIndex

SLACK = 1.5
CHARACTERS = Tokenizer(len, "")
PROMPT, PROMPT_LARGE, TIMES = 2300, 8000, 3.0
"""Claims, in characters: a tokenizer is loaded in a second, and changes nothing of the ratios. And what JSON
reads against code where there is something to compose."""


@pytest.fixture(scope="module")
def made() -> dict[ToolModule, list[ToolSpec]]:
    """2,500 tools."""
    return specs_of(list(many_tools()))


def test_the_prompt_of_2500_tools_is_bounded(made: dict[ToolModule, list[ToolSpec]]) -> None:
    specs = [spec for specs in made.values() for spec in specs]
    assert len(specs) == 2500
    section = modules_section(made, specs)
    assert len(section) < SLACK * PROMPT_LARGE
    assert "50 functions; tools.search finds them" in section


def test_a_search_of_2500_tools_is_fast_and_finds(made: dict[ToolModule, list[ToolSpec]]) -> None:
    """By processor time; the least of some rounds, since noise only adds."""
    index = SearchIndex(spec for specs in made.values() for spec in specs)
    slowest = min(quantiles(search_times(index, 1), n=100)[-1] for _ in range(3))
    assert slowest <= SLACK * SEARCH_MS
    for spec in list(index.search("archive candidate", 5)):
        assert "candidate" in spec.function
    assert index.search("github archive candidate")[0].name == "github.archive_candidate"


@pytest.mark.kernel
def test_code_reads_less_than_json_and_says_where_it_does_not(tmp_path: Path) -> None:
    problem = missing()
    if problem and not os.environ.get("SERVERS_REQUIRED"):
        pytest.skip(problem)
    *_, zones, _, alone = KINDS

    async def runs() -> tuple[int, int, list[Measured]]:
        async with served(tmp_path / DATA, cache=tmp_path / CACHE) as servers:
            prompt = len(modules_section(servers.registry.modules(), servers.specs))
            whole = sum(len(compact(one)) for one in servers.definitions())
        few = McpKind(zones.name, 6, zones.make)
        return prompt, whole, await measured([few, alone], tmp_path, CHARACTERS)

    prompt, whole, (one, parallel, code, single, coded) = asyncio.run(runs())
    assert prompt < SLACK * PROMPT < whole / 5
    assert one.spent.input > parallel.spent.input > TIMES / SLACK * code.spent.input
    assert (one.spent.turns, parallel.spent.turns, code.spent.turns) == (7, 2, 3)
    assert single.spent.input < coded.spent.input, "a single call cannot earn back what code has around it"
