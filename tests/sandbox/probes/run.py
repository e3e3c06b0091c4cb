"""Owns running many probes: batches in processes of their own, as root and as an ordinary user; the table.

python -m tests.sandbox.probes.run --tier A B C --user root ordinary --transport ipc tcp \\
    --poorer docker no-userns no-landlock --control --markdown
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import as_user
from ..started import STARTS
from .catalog import BY_NAME, PROBES
from .judge import Result
from .probe import GROUPS, Probe

REPOSITORY = Path(__file__).parents[3]
BATCH = 24
WORKERS = 3
CONTROL = "none"
USERS = 4000
"""Every worker is another user: some controls reach all processes of theirs."""
LANDLOCK_CREATE_RULESET = 444
PROBE_S = 30.0
CONTAINER = Path(as_user.__file__).with_name("container.py")
POORER = {"docker": "B", "no-userns": "B", "no-landlock": "C"}
"""Hosts that can be emulated (`container.LAYERS`), and the tier that each has to give by itself."""


def users() -> tuple[str, ...]:
    """As whom probes can be run here."""
    return ("ordinary",) if as_user.unavailable() else ("root", "ordinary")


def tiers(user: str) -> tuple[str, ...]:
    """Which this machine must give that user, found without the code under test."""
    around = ["bwrap", "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "true"]
    try:
        namespaces = not _as(user, around, stderr=subprocess.DEVNULL).returncode
    except FileNotFoundError:
        namespaces = False
    landlock = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0
    found = {"A": namespaces and landlock, "B": landlock, "C": namespaces}
    return tuple(tier for tier, given in found.items() if given)


def bites(probe: Probe, user: str) -> bool:
    """Whether the control of the probe can succeed as this user."""
    if probe.needs == "user":  # it reaches all processes of the user, so a user of its own
        return user == "ordinary" and not as_user.unavailable()
    return not probe.needs or user == "root"


def run_probes(
    probes: Iterable[Probe],
    tier: str,
    user: str,
    transport: str = "ipc",
    workers: int = WORKERS,
    poorer: str = "",
    start: str = "cold",
) -> list[Result]:
    """Runs the probes in cages of this tier ("none": the control), many of them in one kernel.

    `poorer`: on a host emulated to be so, one of `POORER`. What a worker that failed has not run is wrong.
    """
    wanted = [probe for probe in probes if forkable(probe, start)]
    jobs = [job(batch, tier, user, transport, poorer, start) for batch in batches(wanted)]
    return run_jobs(jobs, workers)


def job(
    batch: list[Probe], tier: str, user: str, transport: str, poorer: str = "", start: str = "cold"
) -> dict[str, object]:
    """What a worker is told."""
    names = [p.name for p in batch]
    told = {"tier": tier, "transport": transport, "user": user, "poorer": poorer, "start": start}
    return {"probes": names, **told}


def forkable(probe: Probe, start: str) -> bool:
    """Whether the kernel that this probe wants can be started so."""
    if start == "cold":
        return True
    plain = probe.provisioned and probe.transport != "tcp" and not probe.profile.get("allow_fork")
    return plain and (start == "fork" or not (probe.then or probe.drive))  # A spare has a new workspace.


def run_jobs(jobs: Sequence[dict[str, object]], workers: int = WORKERS) -> list[Result]:
    """Runs batches side by side."""
    with ThreadPoolExecutor(workers) as pool:
        return [result for results in pool.map(_work, jobs) for result in results]


def batches(probes: list[Probe], size: int = BATCH) -> list[list[Probe]]:
    """Parts of about this size; those that want a kernel of their own are spread."""
    shared = [p for p in probes if not p.alone]
    alone = [p for p in probes if p.alone]
    count = max(1, -(-len(probes) // size))
    return [batch for n in range(count) if (batch := shared[n::count] + alone[n::count])]


def _work(job: dict[str, object]) -> list[Result]:
    command = [sys.executable, "-m", f"{__package__}.worker"]
    if job["poorer"]:
        command = [sys.executable, str(CONTAINER), f"--{job['poorer']}", "--", *command]
    names = job["probes"]
    assert isinstance(names, list)
    options = {
        "input": json.dumps(job) + "\n",
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "cwd": REPOSITORY,
        "timeout": 30 + PROBE_S * len(names),
    }
    done = _as(str(job["user"]), command, {"CODEACT_TEST_START": str(job["start"])}, **options)
    results = [Result(**json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode:
        results += _never_run(job, results, f"the worker failed: {done.stderr[-3000:]}")
    bad = len(wrong(results))
    where = " ".join(
        filter(None, (str(job[name]) for name in ("tier", "start", "user", "transport", "poorer")))
    )
    told = "".join(f"\n    {r.name}: {r.escaped or 'held'} {r.last_words[-300:]!r}" for r in wrong(results))
    sys.stderr.write(f"{where}: {len(results)} probes, {bad} wrong{told}\n")
    return results


def _never_run(job: dict[str, object], results: list[Result], why: str) -> list[Result]:
    """Wrong, whatever was tried."""
    names = job["probes"]
    assert isinstance(names, list)
    return [
        Result(
            name,
            BY_NAME[name].group,
            str(job["tier"]),
            str(job["user"]),
            str(job["transport"]),
            "" if job["tier"] == CONTROL else why,
            "died",
            0.0,
            why,
            str(job["poorer"]),
            str(job["start"]),
        )
        for name in names
        if name not in {result.name for result in results}
    ]


def _as(
    user: str, command: list[str], extra: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> subprocess.CompletedProcess[str]:
    if user == "ordinary" and os.geteuid() == 0:
        return as_user.run(command, extra, uid=as_user.UID + 1 + secrets.randbelow(USERS), **options)
    with tempfile.TemporaryDirectory(prefix="probes-") as home:
        env = as_user.environment(home, extra)
        return subprocess.run(command, env=env, text=True, check=False, **options)


def table(results: list[Result]) -> list[str]:
    """Markdown: a row per run, a column per group: held / tried; of a control: bit / tried."""
    good: Counter[tuple[str, ...]] = Counter()
    tried: Counter[tuple[str, ...]] = Counter()
    for r in results:
        for group in (r.group, "all"):
            key = (r.poorer, r.tier, r.start, r.user, r.transport, group)
            tried[key] += 1
            good[key] += bool(r.escaped) == (r.tier == CONTROL)
    groups = [group for group in (*GROUPS, "all") if any(key[-1] == group for key in tried)]
    lines = [f"| run | {' | '.join(groups)} |", "|---|" + "---|" * len(groups)]
    for run in sorted({key[:-1] for key in tried}):
        poorer, tier, start, user, transport = run
        name = "control" if tier == CONTROL else f"tier {tier}"
        cells = [f"{good[(*run, group)]} / {tried[(*run, group)]}" for group in groups]
        words = (name, "" if start == "cold" else start, poorer, user, transport)
        lines.append(f"| {', '.join(filter(None, words))} | {' | '.join(cells)} |")
    return lines


def heading() -> list[str]:
    """What the table is of, when and where."""
    machine = (
        f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}"
    )
    today = datetime.now(tz=UTC).date().isoformat()
    return [
        "# The probes",
        "",
        f"{today}, {machine}. Attacks on the sandbox from inside, judged on the host "
        "(`python -m tests.sandbox.probes.run --markdown`).",
        "Tiers: held / tried. Controls, without a sandbox: bit / tried.",
        "",
    ]


def wrong(results: list[Result]) -> list[Result]:
    """Escapes from a cage, and controls that did not bite."""
    return [r for r in results if bool(r.escaped) != (r.tier == CONTROL)]


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of probes or groups; all when left out")
    parser.add_argument("--tier", nargs="*", default=["A"], choices=["A", "B", "C"])
    parser.add_argument("--user", nargs="*", default=list(users()), choices=["root", "ordinary"])
    parser.add_argument(
        "--start",
        nargs="*",
        default=["cold"],
        choices=STARTS,
        help="fork, spare: of a launcher, tiers A and B",
    )
    parser.add_argument("--transport", nargs="*", default=["ipc"], choices=["ipc", "tcp"])
    parser.add_argument(
        "--poorer", nargs="*", default=[], choices=list(POORER), help="also on hosts emulated to be poorer"
    )
    parser.add_argument(
        "--control", action="store_true", help="also with the sandbox off: the probes must bite"
    )
    parser.add_argument("--markdown", action="store_true", help="a table for the docs")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--verbose", action="store_true", help="every result")
    options = parser.parse_args(argv)
    chosen = [p for p in PROBES if not options.only or {p.name, p.group} & set(options.only)]
    results: list[Result] = []
    for tier, user, transport, start in product(options.tier, options.user, options.transport, options.start):
        if start == "cold" or (tier != "C" and transport == "ipc"):
            results += run_probes(chosen, tier, user, transport, options.workers, start=start)
    for poorer, user in product(options.poorer, options.user):
        results += run_probes(chosen, POORER[poorer], user, "ipc", options.workers, poorer)
    if options.control:
        for user in options.user:
            results += run_probes(
                [p for p in chosen if bites(p, user)], CONTROL, user, "ipc", options.workers
            )
    _report(results, options.verbose, options.markdown)
    return bool(wrong(results))


def _report(results: list[Result], verbose: bool, markdown: bool) -> None:
    for r in results if verbose else wrong(results):
        verdict = r.escaped or "held"
        print(f"{r.name:28} {r.tier:4} {r.user:8} {r.transport} {r.ended:11} {r.seconds:5.1f} s  {verdict}")  # noqa: T201  # the command's output
        if not r.escaped:
            print(f"    {r.last_words[-160:]!r}")  # noqa: T201  # the command's output
    lines = (
        [*heading(), *table(results)]
        if markdown
        else [f"{len(results)} results, {len(wrong(results))} wrong"]
    )
    print("\n".join(lines))  # noqa: T201  # the command's output


if __name__ == "__main__":
    sys.exit(main())
