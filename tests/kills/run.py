"""Kills hosts by the hundred, and makes the table of what was left.

python -m tests.kills.run --kills 200 --seed 1 --markdown
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from datetime import UTC, datetime
from itertools import count

from .case import Kill, Outcome, run_case
from .moments import drawn

WORKERS = 2


def outcomes(seed: int, kills: int, workers: int = WORKERS) -> Iterator[Outcome]:
    """Cases until so many kills were made; those that are under way then are waited for."""
    made, numbers = 0, count()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        going = {pool.submit(_run, seed, next(numbers)) for _ in range(workers)}
        while going:
            done, going = wait(going, return_when=FIRST_COMPLETED)
            for outcome in (future.result() for future in done):
                made += len(outcome.kills)
                if made < kills:
                    going.add(pool.submit(_run, seed, next(numbers)))
                yield outcome


def _run(seed: int, number: int) -> Outcome:
    return run_case(drawn(seed, number), seed)


def told(outcome: Outcome) -> str:
    """A line on a case."""
    kinds = ", ".join(f"{kill.kind}{' (resumed)' * kill.again}" for kill in outcome.kills) or "not killed"
    problems = [*(p for kill in outcome.kills for p in kill.problems), *outcome.problems]
    return f"case {outcome.number}, {outcome.in_doubt}: {kinds}: {'; '.join(problems) or 'good'}"


def table(found: Iterable[Outcome]) -> list[str]:
    """Markdown: a row per kind of kill."""
    cases = list(found)
    rows: dict[str, list[tuple[Kill, Outcome]]] = {}
    for case in cases:
        for kill in case.kills:
            rows.setdefault(kill.kind, []).append((kill, case))
    everything = [pair for kind in sorted(rows) for pair in rows[kind]]
    lines = [
        "| killed at | kills | of a resumed run | record whole and valid | calls missing | in doubt, most "
        "| done twice unasked | completed | identical |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return lines + [_row(kind, rows[kind]) for kind in sorted(rows)] + [_row("all", everything)]


def _row(kind: str, pairs: list[tuple[Kill, Outcome]]) -> str:
    kills, cases = [kill for kill, _ in pairs], {case.number: case for _, case in pairs}
    whole = sum(not kill.problems for kill in kills)
    completed = sum(not case.problems for case in cases.values())
    cells = [
        kind,
        len(kills),
        sum(kill.again for kill in kills),
        f"{whole} / {len(kills)}",
        sum(kill.missing for kill in kills),
        max((kill.in_doubt for kill in kills), default=0),
        sum(case.duplicates for case in cases.values()),
        f"{completed} / {len(cases)}",
        f"{sum(case.identical for case in cases.values())} / {len(cases)}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def heading(seed: int, found: list[Outcome]) -> list[str]:
    machine = (
        f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}"
    )
    today = datetime.now(tz=UTC).date().isoformat()
    kills = sum(len(case.kills) for case in found)
    modes = [sum(case.in_doubt == mode for case in found) for mode in ("skip", "retry", "look")]
    return [
        "# The kills",
        "",
        f"{today}, {machine}. {kills} kills (SIGKILL) of {len(found)} runs, seed {seed}",
        "(`python -m tests.kills.run --kills 200 --seed N --markdown`).",
        "A run has 18 calls that change something, in loops, five at once, failing ones and ones that ask",
        "the same; it is killed, recovered and resumed, some two or three times, until it has completed.",
        f"Calls in doubt were skipped in {modes[0]} runs, made again in {modes[1]}, and in {modes[2]} made",
        "again where a look at the effects showed that they had not been done.",
        "",
    ]


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns 1 when anything was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--case", type=int, help="this one only")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args(argv)
    found = []
    jobs = [_run(given.seed, given.case)] if given.case is not None else None
    for outcome in jobs or outcomes(given.seed, given.kills, given.workers):
        found.append(outcome)
        sys.stderr.write(f"{told(outcome)}\n")
    if given.markdown:
        sys.stdout.write("\n".join([*heading(given.seed, found), *table(found), ""]))
    return 0 if all(case.good for case in found) else 1


if __name__ == "__main__":
    sys.exit(main())
