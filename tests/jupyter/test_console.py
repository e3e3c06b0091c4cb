"""`jupyter console` in a pseudo-terminal, as a person uses it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pexpect
import pytest

from .place import PATIENCE, Place

pytestmark = pytest.mark.kernel
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-B]|[=>])")
CTRL_C = "\x03"


class Console:
    """What is typed, and what has come."""

    def __init__(self, place: Place) -> None:
        # Without a terminal behind it nobody answers where the cursor is.
        environment = {**place.environment(), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "jupyter_console", "--kernel=codeact"],
            cwd=str(place.folder),
            env=environment,
            encoding="utf-8",
            dimensions=(40, 100),
            timeout=PATIENCE,
        )

    def sees(self, text: str) -> None:
        self.child.expect_exact(text)

    def types(self, line: str) -> None:
        self.child.send(line)
        self.child.send("\r")

    def asked(self, number: int) -> None:
        """The prompt for this input is there."""
        self.child.expect(rf"In \[.*{number}.*\]: ")


@pytest.fixture
def console(place: Place) -> Iterator[Console]:
    place.script(
        "default",
        {
            "thought": "I count them.",
            "code": 'payments = fetch_payments("2026-03")\nprint(len(payments), "in all")',
        },
        {"answer": "There are six."},
        {"code": "refund('A-1001', 24000)"},
        {"answer": "It is refunded."},
        {"code": "import time\nprint('be' + 'gun')\ntime.sleep(600)"},
        {"code": "print(len(payments) + 36)"},
        {"answer": "It is 42."},
    )
    made = Console(place)
    yield made
    made.child.close(force=True)


def test_a_session(console: Console) -> None:
    console.asked(1)
    console.types("How many payments are there in March?")
    console.sees("I count them.")
    console.sees("6 in all")
    console.sees("There are six.")
    console.asked(2)
    console.types("%tools")
    console.sees("fetch_payments(month: str)")
    console.asked(3)
    console.types("Refund it")
    console.sees("refund")
    console.types("y")
    console.sees("It is refunded.")
    console.asked(4)
    console.types("Take long")
    console.sees("begun")
    console.child.send(CTRL_C)
    console.asked(5)
    console.types("Go on")
    console.sees("42")
    console.sees("It is 42.")
    console.asked(6)
    console.types("exit")
    console.child.expect(pexpect.EOF)
