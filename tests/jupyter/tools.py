"""The tools of the kernel, for the tests; copied into the home, which they take for their own."""

from __future__ import annotations

import time
from pathlib import Path

from codeact_kernel import tool

HOME = Path(__file__).parent
PATIENCE = 60


@tool(effect="read")
def wait_for_bank(name: str) -> str:
    """Waits until the test says that it has seen what it waited for."""
    end = time.monotonic() + PATIENCE
    while not (HOME / f"gate-{name}").exists():
        if time.monotonic() > end:
            raise TimeoutError(f"nobody opened the gate {name!r}")
        time.sleep(0.02)
    return "open"


@tool(effect="read")
def fetch_payments(month: str) -> list[dict[str, object]]:
    """All payments of a month: order, customer, amount in EUR."""
    return [
        {"order": "A-1001", "customer": "Ada", "eur": 240.0},
        {"order": "A-1001", "customer": "Ada", "eur": 240.0},
        {"order": "A-1002", "customer": "Bea", "eur": 80.0},
        {"order": "A-1003", "customer": "Cem", "eur": 130.0},
        {"order": "A-1003", "customer": "Cem", "eur": 130.0},
        {"order": "A-1004", "customer": "Dan", "eur": 55.0},
    ]


@tool(approval="ask")
def refund(order: str, eur: float) -> str:
    """Pays a customer back."""
    return f"refunded {eur:.2f} EUR of {order}"
