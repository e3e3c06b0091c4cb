"""Owns `recovery.ipynb`: a step fails, the error is read, the next one does better."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from codeact_kernel import tool

from .support import record, step


@dataclass(frozen=True)
class Invoice:
    """An invoice that is due; `note` is free text of the supplier."""

    number: str
    amount: Decimal
    currency: str
    note: str


@tool(effect="read")
def open_invoices() -> list[Invoice]:
    """All invoices that are due, by number."""
    return [
        Invoice("2025-041", Decimal("1200.00"), "EUR", ""),
        Invoice("2025-042", Decimal("880.50"), "USD", ""),
        Invoice("2025-043", Decimal("64900"), "GBX", "Prices in pence (100 GBX = 1 GBP)"),
        Invoice("2025-044", Decimal("310.00"), "GBP", ""),
    ]


@tool(effect="read")
def exchange_rates() -> dict[str, Decimal]:
    """What one unit of a currency is worth in EUR."""
    return {"EUR": Decimal(1), "USD": Decimal("0.92"), "GBP": Decimal("1.18")}


TASK = "How much do we owe in EUR, over all open invoices?"
REPLIES = (
    step(
        "I fetch the invoices and the exchange rates, and look at both before I add anything up.",
        """
        invoices = open_invoices()
        rates = exchange_rates()
        for invoice in invoices:
            print(f"{invoice.number}  {invoice.amount:>10} {invoice.currency}")
        rates
        """,
    ),
    step(
        "Each amount times the rate of its currency.",
        """
        owed = {}
        for invoice in invoices:
            owed[invoice.number] = invoice.amount * rates[invoice.currency]
        sum(owed.values())
        """,
    ),
    step(
        """There is no rate for GBX. I do not guess what that is: first I look at the invoices in currencies
        that have no rate, with all that they say.""",
        """
        unknown = [invoice for invoice in invoices if invoice.currency not in rates]
        unknown
        """,
    ),
    step(
        """The supplier says it: GBX is pence, a hundredth of a pound. So its rate follows from that of GBP.
        I add it up again from the start, for the failed cell left `owed` half filled.""",
        """
        rates["GBX"] = rates["GBP"] / 100
        owed = {invoice.number: invoice.amount * rates[invoice.currency] for invoice in invoices}
        for number, amount in owed.items():
            print(f"{number}  {amount:>10.2f} EUR")
        final_answer(f"We owe {sum(owed.values()):.2f} EUR on {len(owed)} invoices.")
        """,
    ),
)


def write(path: Path) -> None:
    record(path, TASK, REPLIES, [open_invoices, exchange_rates])
