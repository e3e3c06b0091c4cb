"""The tools of the tours: a little shop. `refund` asks a person first."""

from codeact_kernel import tool

PAYMENTS = [
    {"order": "A-1001", "customer": "Ada", "eur": 240.0},
    {"order": "A-1001", "customer": "Ada", "eur": 240.0},
    {"order": "A-1002", "customer": "Bea", "eur": 80.0},
    {"order": "A-1003", "customer": "Cem", "eur": 130.0},
    {"order": "A-1003", "customer": "Cem", "eur": 130.0},
    {"order": "A-1004", "customer": "Dan", "eur": 55.0},
]


@tool(effect="read")
def fetch_payments(month: str) -> list[dict[str, object]]:
    """All payments of a month, as 2026-03: order, customer, eur."""
    return PAYMENTS if month == "2026-03" else []


@tool(approval="ask")
def refund(order: str, eur: float) -> str:
    """Pays a customer back."""
    return f"refunded {eur:.2f} EUR of {order}"
