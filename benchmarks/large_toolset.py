"""Owns what 2,500 tools cost: the prompt, a search, the host, and a kernel's start and memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from channels.tokens import Tokenizer, compact
from launch import Ours, Way
from many_tools import NOUNS, VERBS, Said, many_tools
from measure import Figure, Row, paired, ratio_of
from processes import below, quiet, unique

from codeact_kernel.prompt_modules import modules_section
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.wire.messages import ToolModule, ToolSpec
from codeact_kernel.wire.schemas import check_source, function_names, module_source, tool_spec
from codeact_kernel.wire.search import SearchIndex
from codeact_kernel.wire.setup import SetupSpec, setup_source

GROUP = "2,500 tools of 50 servers, made up"
SEARCH_MS = 10.0
QUESTIONS = [
    *(f"{verb} {noun}" for verb in VERBS for noun in NOUNS),
    *("refund a payment", "who is on call", "tickets of a customer", "stripe", "invioces", "sned mesage"),
    *("zzzz", "open issues assigned to me in github or gitlab", "a", "weather forecast"),
]
USE = """\
from mcp_servers import github
made = [name for name in dir(github) if not name.startswith("_")]
assert tools.search("archive candidate")
print(len(made))
"""
"""One module of the fifty, and a search: what a cell needs."""


def specs_of(said: Sequence[Said]) -> dict[ToolModule, list[ToolSpec]]:
    """As the host makes them of what servers say."""
    found: dict[ToolModule, list[Said]] = {}
    for one in said:
        found.setdefault(one.module, []).append(one)
    return {
        module: [
            tool_spec(module.name, name, one.schema, one.description)
            for name, one in zip(function_names([one.name for one in tools]), tools, strict=True)
        ]
        for module, tools in found.items()
    }


def setup_of(made: dict[ToolModule, list[ToolSpec]]) -> str:
    specs = tuple(spec for specs in made.values() for spec in specs)
    return setup_source(SetupSpec("", (), specs, (), tuple(made)))


def rows(tokens: Tokenizer, quick: bool) -> list[Row]:
    """Raises: RuntimeError when the kernel does not have the tools."""
    said = list(many_tools())
    made = specs_of(said)
    return [*_prompt(said, made, tokens), *_search(made, quick), *_host(quick), *_kernel(made, quick)]


def _prompt(said: Sequence[Said], made: dict[ToolModule, list[ToolSpec]], tokens: Tokenizer) -> list[Row]:
    section = modules_section(made, [spec for specs in made.values() for spec in specs])
    whole = [
        {
            "name": f"{one.module.name}__{one.name}",
            "description": one.description,
            "input_schema": one.schema.input,
        }
        for one in said
    ]
    prompt, definitions = tokens.count(section), sum(tokens.count(compact(one)) for one in whole)
    return [
        Figure("of the prompt: names, and how to search", prompt, "tokens", group=GROUP),
        Figure("of all definitions as JSON tools", definitions, "tokens", group=GROUP),
        Figure("JSON against the prompt", definitions / prompt, "times", direction="at least", group=GROUP),
    ]


def _search(made: dict[ToolModule, list[ToolSpec]], quick: bool) -> list[Row]:
    """By processor time: nothing is waited for, and a busy machine is not in the figures."""
    began = time.thread_time()
    index = SearchIndex(spec for specs in made.values() for spec in specs)
    built = time.thread_time() - began
    times = search_times(index, 1 if quick else 5)
    note = f"{len(QUESTIONS)} questions, processor time"
    return [
        Figure("search, median", median(times), "ms", SEARCH_MS, note=note, group=GROUP),
        Figure("search, 99th percentile", quantiles(times, n=100)[-1], "ms", SEARCH_MS, group=GROUP),
        Figure("making the index, once a kernel", built * 1e3, "ms", group=GROUP),
    ]


def search_times(index: SearchIndex, rounds: int) -> list[float]:
    """Milliseconds of processor time of each question."""
    times = []
    for _ in range(rounds):
        for question in QUESTIONS:
            began = time.thread_time()
            index.search(question)
            times.append((time.thread_time() - began) * 1e3)
    return times


def _host(quick: bool) -> list[Row]:
    """By processes of their own, so that nothing else is in the figures."""
    found = [_in_a_process() for _ in range(1 if quick else 2)]
    specs_s, source_s, growth = (median(each) for each in zip(*found, strict=True))
    return [
        Figure(
            "the host makes functions of schemas", specs_s * 1e3, "ms", note="processor time", group=GROUP
        ),
        Figure(
            "the host makes and checks all modules", source_s * 1e3, "ms", note="processor time", group=GROUP
        ),
        Figure("the host's memory grows by", growth, "MiB", note="peak, schemas included", group=GROUP),
    ]


def _in_a_process() -> tuple[float, float, float]:
    said = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    specs_s, source_s, growth = map(float, said.split())
    return specs_s, source_s, growth


def _alone() -> None:
    """Prints the seconds for specs, for sources, and MiB."""
    before = _peak_mib()
    said = list(many_tools())
    began = time.thread_time()
    made = specs_of(said)
    specs_s = time.thread_time() - began
    began = time.thread_time()
    for module, specs in made.items():
        check_source(module_source(module, specs))
    source_s = time.thread_time() - began
    print(specs_s, source_s, _peak_mib() - before)


def _peak_mib() -> float:
    """Of this program; `getrusage` would have that of the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


class _Started(Ours):
    """Sessions that start with this setup cell."""

    def __init__(self, setup: str, cell: str, runner: asyncio.Runner) -> None:
        super().__init__(Way("cold", "auto"), runner, None)
        self._setup, self._cell = setup, cell

    def begin(self) -> KernelSession:
        session = KernelSession(self.way.settings)
        self._run(session.start("pass"))
        self.cell(session, self._setup)
        return session

    def seconds(self, code: str = "pass") -> float:
        quiet()
        began = time.perf_counter()
        self.end(self.begin())
        return time.perf_counter() - began

    def weight(self) -> tuple[float, float]:
        """MiB of an idle session: after its start, and after the cell."""
        before = below()
        session = self.begin()
        try:
            quiet()
            started = unique(below() - before)
            self.cell(session, self._cell)
            quiet()
            return started, unique(below() - before)
        finally:
            self.end(session)


def _kernel(made: dict[ToolModule, list[ToolSpec]], quick: bool) -> list[Row]:
    with asyncio.Runner() as runner:
        full = _Started(setup_of(made), USE, runner)
        empty = _Started(setup_of({}), "pass", runner)
        start = paired(
            "start of a kernel with them, against one without",
            full.seconds,
            empty.seconds,
            1 if quick else 4,
            None,
            group=GROUP,
            note="cold, its end included",
        )
        weights = [(full.weight(), empty.weight()) for _ in range(1 if quick else 2)]
    after_start = [(ours[0], plain[0]) for ours, plain in weights]
    after_use = [(ours[1], plain[1]) for ours, plain in weights]
    return [
        start,
        ratio_of("memory of an idle kernel with them", after_start, None, group=GROUP, unit="MiB"),
        ratio_of("… after an import of one module and a search", after_use, None, group=GROUP, unit="MiB"),
    ]


if __name__ == "__main__":
    _alone()
