"""Owns what a task costs through the model's context: JSON tool calls against code, in the same loop.

Seven tasks over N = 1 to 1,000, each through JSON with one call a turn, JSON with parallel calls, and code
actions. The loop, the tools, their checks, limits and the record are the same code; what differs is the
policy and the executor (`channels.running`). All policies are perfect and scripted: they decide on what they
saw, make no mistake and write no word too many. Every run is checked: the answer, and what the tools changed,
are right, and so the same in all three.

Fair to JSON: a short system prompt against our real one, definitions by the `anthropic` package, compact
results, small records, no thought beside a call (ours has one), up to 1,000 calls in a reply, arithmetic over
3,000 rows without a slip, no time for reading a long prompt, and nothing is condensed away that it must see.
Our code takes a second turn to answer, and each of its runs is charged with the cold start of a kernel. Tools
take no time of their own. Tokens are those of a public tokenizer, not of your model: the ratios are the
claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from channels.plot import draw
from channels.running import CHANNELS, TOKENS_S, TURN_S, Measured, kernel_for, run
from channels.tables import COLUMNS, INPUT, JSON, WALL, figures, runs_of, verdicts
from channels.tasks import KINDS
from channels.tokens import ESTIMATED, READ, WRITTEN, Tokenizer, tokenizer
from measure import Figure, Missing, Row, show

GROUP = "What a task costs through the model's context"
TABLES = Path(__file__).with_name("CONTEXT.md")
PLOT = Path(__file__).with_name("plots") / "context.svg"
QUICK, FULL = 10, 1000
"""The largest N."""
SEED, SEED_N = KINDS[0], 100
"""What is told in full: the issue's own example."""


def measure(quick: bool) -> list[Row]:
    """Rows of the largest N; a full run also writes all tables (CONTEXT.md) and draws the plot.

    Raises: RuntimeError when a run is not right.
    """
    tokens = tokenizer()
    runs = conversations(QUICK if quick else FULL, tokens)
    rows = [*_seed(runs), *_largest(runs)]
    if tokens.said == ESTIMATED:
        rows.append(Missing("tokens of a public tokenizer", ESTIMATED, GROUP))
    if not quick:
        TABLES.write_text(report(runs, tokens))
        try:
            draw(runs, PLOT)
        except ImportError as problem:
            rows.append(Missing("the plot over N", f"{problem}; it comes with the extra `dev`", GROUP))
    return rows


def conversations(largest: int, tokens: Tokenizer) -> list[Measured]:
    """All runs up to that N. Raises RuntimeError when one is not right."""
    return asyncio.run(_conversations(largest, tokens))


async def _conversations(largest: int, tokens: Tokenizer) -> list[Measured]:
    wanted = [(kind, size) for kind in KINDS for size in kind.sizes if size <= largest]
    async with kernel_for(KINDS) as kernel:
        return [
            await run(kind, size, channel, kernel, tokens) for kind, size in wanted for channel in CHANNELS
        ]


def _seed(runs: Sequence[Measured]) -> Iterator[Row]:
    """Turns, tokens and time of the seed example, for all three."""
    for channel in CHANNELS:
        for one in runs_of(runs, SEED.name, channel):
            if one.size == SEED_N:
                for name in ("turns", INPUT, WALL):
                    label = f"{SEED.name}, N = {SEED_N}, {channel}: {name}"
                    yield Figure(label, COLUMNS[name](one), "", group=GROUP)


def _largest(runs: Sequence[Measured]) -> Iterator[Row]:
    """How much more JSON reads than code, at the largest N of each task."""
    for kind in KINDS:
        for channel in JSON:
            code, json = runs_of(runs, kind.name, "code")[-1], runs_of(runs, kind.name, channel)[-1]
            times = json.spent.input / code.spent.input
            note = f"with a prompt cache {json.spent.cached / code.spent.cached:,.1f} times, "
            note += f"wall time {json.wall_s / code.wall_s:,.1f} times"
            name = f"{kind.name}, N = {code.size:,}: what JSON, {channel}, reads against code"
            yield Figure(name, times, "times", direction="at least", note=note, group=GROUP)


def report(runs: Sequence[Measured], tokens: Tokenizer) -> str:
    """Both tables, and what they rest on."""
    return (
        f"# {GROUP}\n\nMeasured by `benchmarks/context.py` on {date.today()}. In each cell: "
        f"{' / '.join(CHANNELS)}. Tokens {tokens.said}; a cached one costs {READ:g}, one that is put into "
        f"the cache {WRITTEN:g}. Wall time: what the run took here, {TURN_S:g} s a turn, and a second for "
        f"{TOKENS_S:g} output tokens.\n\n{figures(runs)}\n\n"
        f"What that comes to; in each cell against one call a turn / parallel calls:\n\n{verdicts(runs)}\n"
    )


if __name__ == "__main__":
    show(measure)
