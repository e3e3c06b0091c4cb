"""Owns what MCP servers cost through the model's context: as code, as this project does it, and as JSON.

Four tasks with eight real servers (pinned, `make servers`; sixty tools), each through JSON with one call a
turn, JSON with parallel calls, and cells: the loop, the servers, the checks and the record are the same code.
All policies are scripted and perfect; each run is checked: the answer, and what the servers hold in the end.
JSON has all definitions loaded, as clients of MCP do it, without the schemas of results, and gets results
compact. Code pays for our whole prompt, for a first cell that looks up what it calls (`tools.describe`), and
for a last turn that only answers. One task is a single call, which code cannot earn back: with all servers
loaded, and with none but the one that it needs. Models that search for tools themselves would load less.

Then 2,500 tools that are made up: see `large_toolset`. Tokens are those of a public tokenizer, not of your
model: the ratios are the claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import large_toolset
from channels.mcp_running import CACHE, DATA, Servers, measured, missing, served
from channels.mcp_tasks import KINDS
from channels.running import Measured
from channels.tokens import ESTIMATED, Tokenizer, compact, tokenizer
from measure import Figure, Missing, Row, show

from codeact_kernel.prompt_modules import modules_section

TASKS = "Tasks with eight real MCP servers: what passes through the model's context"
PROMPT = "What of the tools of eight real MCP servers is in the prompt"


def measure(quick: bool) -> list[Row]:
    """Raises: RuntimeError when a run is not right."""
    tokens = tokenizer()
    rows: list[Row] = []
    if problem := missing():
        rows += [Missing("real servers", problem, group) for group in (TASKS, PROMPT)]
    else:
        rows += asyncio.run(_real(tokens, quick))
    rows += large_toolset.rows(tokens, quick)
    if tokens.said == ESTIMATED:
        rows.append(Missing("tokens of a public tokenizer", ESTIMATED, TASKS))
    return rows


async def _real(tokens: Tokenizer, quick: bool) -> list[Row]:
    """First all servers are asked what they offer; then they start when they are called."""
    with TemporaryDirectory(prefix="mcp-") as folder:
        top = Path(folder)
        async with served(top / DATA, cache=top / CACHE) as servers:
            prompt = _prompt(servers, tokens)
        return [*_tasks(await measured(KINDS[-2:] if quick else KINDS, top, tokens)), *prompt]


def _tasks(runs: Sequence[Measured]) -> Iterator[Row]:
    for one in runs:
        note = f"{one.spent.turns} turns, {one.spent.output:,} tokens written, {one.wall_s:,.0f} s"
        name = f"{one.task}, N = {one.size}, {_said(one)}: read"
        yield Figure(name, one.spent.input, "tokens", note=note, group=TASKS)
    for code in (one for one in runs if one.channel == "code"):
        for json in (one for one in runs if one.task == code.task and one is not code):
            note = f"with a prompt cache {json.spent.cached / code.spent.cached:,.2f} times, "
            note += f"wall time {json.wall_s / code.wall_s:,.2f} times"
            name = f"{code.task}: what {_said(json)} reads against code"
            times = json.spent.input / code.spent.input
            yield Figure(name, times, "times", direction="at least", note=note, group=TASKS)


def _said(one: Measured) -> str:
    return "code" if one.channel == "code" else f"JSON, {one.channel}"


def _prompt(servers: Servers, tokens: Tokenizer) -> list[Row]:
    tools, modules = servers.specs, servers.registry.modules()
    called = sum(tokens.count(compact(one)) for one in servers.definitions())
    whole = sum(tokens.count(compact(one)) for one in servers.definitions(with_results=True))
    section = modules_section(modules, tools)
    lines = "\n".join(line for line in section.splitlines() if line.startswith("- ") and "`" not in line)
    note = f"{len(tools)} tools"
    return [
        Figure("names of servers and tools", tokens.count(lines), "tokens", note=note, group=PROMPT),
        Figure("names, and how to learn more", tokens.count(section), "tokens", group=PROMPT),
        Figure("all definitions, as an API takes them", called, "tokens", group=PROMPT),
        Figure("all definitions, with the schemas of results", whole, "tokens", group=PROMPT),
    ]


if __name__ == "__main__":
    show(measure)
