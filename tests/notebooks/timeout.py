"""Owns `timeout.ipynb`: a cell that hangs is stopped; the kernel lives, and the run goes on."""

from __future__ import annotations

from pathlib import Path

from codeact_kernel import Limits

from .support import record, step

TASK = "Which start below 10,000 has the longest Collatz chain, and how long is it?"
REPLIES = (
    step(
        """A chain halves even numbers and takes odd ones times three plus one, until it is at 1. I count
        the steps of each, keep the longest, and print now and then how far it is.""",
        """
        limit = 10_000
        longest = (0, 0)
        for start in range(limit):
            if start % 1000 == 0:
                print("at", start)
            number, length = start, 1
            while number != 1:
                number = number // 2 if number % 2 == 0 else 3 * number + 1
                length += 1
            longest = max(longest, (length, start))
        longest
        """,
    ),
    step(
        """Stopped after two seconds, and it never got past the first number: half of 0 is 0, so that chain
        has no end. Chains begin at 1. The kernel still has the names of the stopped cell, but that cell is
        not run again when this notebook is, so I rely on none of them and set anew what I need.""",
        """
        def chain(number):
            length = 1
            while number != 1:
                number = number // 2 if number % 2 == 0 else 3 * number + 1
                length += 1
            return length

        limit = 10_000
        longest = max((chain(start), start) for start in range(1, limit))
        longest
        """,
    ),
    step(
        "A known value to compare with: the chain of 27 has 112 numbers.",
        """
        assert chain(27) == 112
        final_answer({"start": longest[1], "length": longest[0]})
        """,
    ),
)


def write(path: Path) -> None:
    record(path, TASK, REPLIES, limits=Limits(step_timeout_s=2.0))
