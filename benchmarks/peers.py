"""Owns our peers' figures beside ours: a warm step, and the way from nothing to the first result.

Every one is held against the same baseline as ours, a stock ipykernel and a bare jupyter_client over ipc,
in interleaved pairs. nbclient and AutoGen drive the same stock ipykernel. smolagents interprets in the host's
own process, and Monty in a worker that knows a part of Python only: both take less for a step, and neither is
a Python with its libraries (`cpu.py` shows the other side of it). A start is with everything imported on the
host's side, the executor made anew; all are at their best, so there is no time limit for smolagents.
`python benchmarks/peer.py` installs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from measure import Missing, Row, paired, show
from peer import PEERS, Answer, Driven, Peer
from plain import Plain
from steps import CELLS, WARM_UP, ours

STEP, START = "Peers: a warm step", "Peers: from nothing to the first result"
STEP_PAIRS, START_PAIRS = 60, 5
FIRST = "6 * 7"
SHOWN = {"pass": ("", 0), "print(1)": ("1", 1), "'x' * 10_000": ("'xxx", 10_002), FIRST: ("42", 2)}
"""How what a peer shows must begin, and how much it must be at least: it has to have done it."""


def measure(quick: bool) -> list[Row]:
    step_pairs, start_pairs = (5, 1) if quick else (STEP_PAIRS, START_PAIRS)
    rows: list[Row] = [paired("ours, cold", _our_start, _plain_start, start_pairs, None, group=START)]
    with Plain() as plain:
        for peer in PEERS.values():
            rows += _of(peer, plain, step_pairs, start_pairs)
    return sorted(rows, key=lambda row: row.group == START)


def _of(peer: Peer, plain: Plain, step_pairs: int, start_pairs: int) -> list[Row]:
    if peer.problem is not None:
        return [Missing(peer.name, peer.problem, group) for group in (STEP, START)]
    with peer.start() as driven:
        start = _checked(driven.begin, FIRST)
        start()  # The first time anything is imported late.
        rows: list[Row] = [
            paired(peer.name, start, _plain_start, start_pairs, None, group=START, note=peer.what)
        ]
        return rows + [_step(peer, name, code, driven, plain, step_pairs) for name, code in CELLS.items()]


def _step(peer: Peer, name: str, code: str, driven: Driven, plain: Plain, pairs: int) -> Row:
    theirs = _checked(driven.step, code)
    for _ in range(WARM_UP):
        theirs()
        plain.step(code)
    return paired(
        f"{name}, {peer.name}", theirs, lambda: plain.step(code), pairs, None, group=STEP, note=peer.what
    )


def _checked(ask: Callable[[str], Answer], code: str) -> Callable[[], float]:
    def run() -> float:
        answer = ask(code)
        head, least = SHOWN[code]
        if not answer.head.startswith(head) or answer.length < least:
            raise RuntimeError(f"{code!r} showed {answer.head!r}, {answer.length} characters")
        return answer.seconds

    return run


def _our_start() -> float:
    started = time.perf_counter()
    with ours() as session:
        session.step(FIRST)
        return time.perf_counter() - started


def _plain_start() -> float:
    started = time.perf_counter()
    with Plain() as plain:
        if plain.value(f"first = {FIRST}", "first") != "42":
            raise RuntimeError("the stock kernel cannot multiply")
        return time.perf_counter() - started


if __name__ == "__main__":
    show(measure)
