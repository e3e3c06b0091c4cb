"""Owns `forked.ipynb`: a branch of `refunds.ipynb`, from before the money went out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.frontends.demo.folder import TOOLS, prepare
from codeact_kernel.frontends.toolsfile import load_tools

from .support import step

AT = 3
"""The orders are known, nothing is refunded yet."""
TASK = "Change of plan: refund only those over 200 EUR now, and list the others for a person to look at."
REPLIES = (
    step(
        """The four orders of the step before are still here, and nothing has been refunded in this branch.
        Two lists, so that nothing gets lost between them.""",
        """
        now = [order for order in twice if order.total > 200]
        later = [order for order in twice if order.total <= 200]
        print("now:  ", [(order.id, str(order.total)) for order in now])
        print("later:", [(order.id, str(order.total)) for order in later])
        assert len(now) + len(later) == len(twice)
        """,
    ),
    step(
        "Both lists are right. I refund the first one only.",
        """
        refunds = [refund(order.id, order.total) for order in now]
        final_answer({
            "refunded": [f"order {r.order_id}: {r.amount} EUR" for r in refunds],
            "for a person": [f"order {order.id}: {order.total} EUR" for order in later],
        })
        """,
    ),
)


def write(path: Path) -> None:
    """Needs `refunds.ipynb` beside it. The database is a fresh one: the branch begins before the refunds."""
    with TemporaryDirectory() as name:
        folder = Path(name, "shop")
        prepare(folder)
        with Agent(load_tools(folder / TOOLS), model=ScriptedModel(REPLIES), out=path) as agent:
            agent.fork(path.with_name("refunds.ipynb"), AT)
            agent.run_sync(TASK)
