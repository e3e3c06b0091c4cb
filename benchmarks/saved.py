"""Owns what a run of the benchmarks leaves: results.json, and what is written from it alone.

`python benchmarks/saved.py` writes that again.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from textwrap import fill

from drawing import draw
from measure import Figure, Missing, Ratio, Row, from_json, tables, to_json

FOLDER = Path(__file__).parent
RESULTS, TABLES, PLOTS = FOLDER / "results.json", FOLDER / "RESULTS.md", FOLDER / "plots"
README = FOLDER.parent / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
LIBRARIES = ("ipykernel", "ipython", "jupyter_client", "pyzmq", "numpy", "pandas", "matplotlib", "pyarrow")
WIDTH = 115
HEAD = "| measured | tier | median ratio or figure | target | |\n|---|---|---|---|---|"
CLAIMED = ("launch", "steps", "cpu", "toolcalls", "frames", "imports", "scale", "ours")
"""The parts of the README's table, in its order; of each, the rows that have a target."""


@dataclass(frozen=True)
class Machine:
    """Where it was measured, and with what."""

    cores: int
    memory_gib: int
    kind: str
    linux: str
    python: str
    versions: Mapping[str, str]

    def __str__(self) -> str:
        of = f"{self.cores} cores, {self.memory_gib} GiB, {self.kind}"
        return f"{of}, Linux {self.linux}, Python {self.python}"


@dataclass(frozen=True)
class Part:
    """What one benchmark measured. `load`: over the minute before it began; `seconds`: that it took."""

    name: str
    when: str
    load: float
    seconds: float
    machine: Machine
    rows: tuple[Row, ...]


def here() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        os.cpu_count() or 1,
        round(memory / 2**30),
        platform.machine(),
        platform.release().split("-")[0],
        platform.python_version(),
        {name: metadata.version(name) for name in LIBRARIES if _installed(name)},
    )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


# --- results.json ---


def load() -> dict[str, Part]:
    if not RESULTS.exists():
        return {}
    return {name: _part(name, saved) for name, saved in json.loads(RESULTS.read_text()).items()}


def save(parts: Mapping[str, Part]) -> None:
    saved = {}
    for name, part in parts.items():
        fields = asdict(part) | {"rows": [to_json(row) for row in part.rows]}
        del fields["name"]
        saved[name] = fields
    RESULTS.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n")


def _part(name: str, saved: Mapping[str, object]) -> Part:
    fields = dict(saved)
    rows, machine = fields.pop("rows"), fields.pop("machine")
    return Part(name, machine=Machine(**machine), rows=tuple(from_json(row) for row in rows), **fields)  # type: ignore[arg-type,attr-defined]  # as `save` wrote them


# --- what is written from it ---


def report(parts: Mapping[str, Part]) -> str:
    """All tables, and under what circumstances each was measured."""
    machines = {str(part.machine): part.machine for part in parts.values()}
    versions = {f"{k} {v}": None for m in machines.values() for k, v in m.versions.items()}
    said = [
        "# Measured by `make bench`",
        f"{'; '.join(machines)}; {', '.join(versions)}. Absolute times are this machine's; the ratios are "
        "what we claim: medians of interleaved pairs in one run, with their bootstrapped 95 % bound. "
        "[README.md](README.md) explains each table. Written by a script from results.json.",
        tables(row for part in parts.values() for row in part.rows),
        "## Which part took how long",
        "\n".join(
            ["| part | begun | load before | seconds |", "|---|---|---|---|"]
            + [f"| {p.name} | {p.when} | {p.load:.1f} | {p.seconds:.0f} |" for p in parts.values()]
            + [f"| all | | | {sum(part.seconds for part in parts.values()):.0f} |"]
        ),
    ]
    return "\n\n".join(said) + "\n"


def section(parts: Mapping[str, Part]) -> str:
    """The README's own: what we claim, and whether it holds."""
    chosen = [parts[name] for name in CLAIMED if name in parts]
    rows = [row for part in chosen for row in part.rows if not isinstance(row, Missing) and _is_told(row)]
    if not rows:
        return f"{BEGIN}\n{END}"
    dates = sorted({part.when.split()[0] for part in chosen})
    machines = dict.fromkeys(str(part.machine) for part in chosen)
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    said = (
        f"{when}, {'; '.join(machines)}; by `make bench`: ratios of interleaved pairs in one run, in "
        "brackets their 95 % bound. The baseline of starts, steps and memory is a bare "
        "`jupyter_client` with a stock ipykernel over ipc, at its best. All tables: "
        "[benchmarks/RESULTS.md](benchmarks/RESULTS.md); what each means: "
        "[benchmarks/README.md](benchmarks/README.md)."
    )
    table = "\n".join([HEAD, *(row.claim() for row in rows)])
    return f"{BEGIN}\n{fill(said, WIDTH, break_on_hyphens=False)}\n\n{table}\n{END}"


def _is_told(row: Ratio | Figure) -> bool:
    """All that has a target; that nothing was lost is told where something was."""
    return row.target is not None and (row.target > 0 or row.verdict != "met")


def written(readme: str, parts: Mapping[str, Part]) -> str:
    """The README with its section anew. Raises ValueError when it has no place for it."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} has no {BEGIN} and {END}: put both where the figures belong")
    return before + section(parts) + after


def publish(parts: Mapping[str, Part]) -> None:
    """RESULTS.md, the plot and the README's section."""
    TABLES.write_text(report(parts))
    README.write_text(written(README.read_text(), parts))
    draw(parts, PLOTS)


if __name__ == "__main__":
    publish(load())
