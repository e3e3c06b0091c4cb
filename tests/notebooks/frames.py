"""Owns `frames.ipynb`: a data file and a frame from a tool, grouped and plotted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from codeact_kernel import SandboxProfile, tool

from .support import record, step

DATA = "sales.csv"
REGIONS = ("North", "South", "West")
SLIPS = {5: "north", 16: "South ", 31: "north"}
"""Rows whose region was not typed in as it should be."""


def sales() -> Iterator[str]:
    """The lines of the data file: four rows a month and region, the same every time."""
    yield "month,region,units,price"
    for row in range(72):
        month, region = row // 12 + 1, row % 3
        units = 20 + (row * 7) % 13 + 4 * region + month * (3 - region)
        yield f"2025-{month:02d},{SLIPS.get(row, REGIONS[region])},{units},{9.5 + region}"


@tool(effect="read")
def targets() -> pd.DataFrame:
    """What each region is to sell from January to June, in EUR."""
    return pd.DataFrame({"region": list(REGIONS), "target": [8500.0, 8500.0, 10500.0]})


TASK = (
    "Which regions have reached their target for January to June? Show me how they got there, month by month."
)
REPLIES = (
    step(
        "I read the file, and look at what is in the columns before I group by one of them.",
        """
        import pandas as pd

        sales = pd.read_csv("data/sales.csv")
        print(sales.shape)
        sales["region"].value_counts()
        """,
    ),
    step(
        """Three regions, and five spellings: grouped like this, North and South would be short of a few
        rows. I make them one, then add up by region and set the targets beside it.""",
        """
        sales["region"] = sales["region"].str.strip().str.title()
        sales["revenue"] = sales["units"] * sales["price"]
        total = sales.groupby("region", as_index=False)["revenue"].sum()
        result = total.merge(targets(), on="region")
        result["reached"] = result["revenue"] >= result["target"]
        result
        """,
    ),
    step(
        "Now the months: one line a region, with the months from left to right.",
        """
        import matplotlib.pyplot as plt

        monthly = sales.pivot_table(index="month", columns="region", values="revenue", aggfunc="sum")
        monthly.index = monthly.index.str.removeprefix("2025-")
        axes = monthly.plot(figsize=(4.4, 2.6), linewidth=2)
        axes.set(ylabel="EUR", ylim=(0, None))
        axes.legend(loc="lower center", ncols=3)
        plt.show()
        monthly.iloc[[0, -1]]
        """,
    ),
    step(
        """West sells most of the three, and is the one that misses its target: that is the highest, too. The
        answer comes from the table.""",
        """
        reached = result.loc[result["reached"], "region"].tolist()
        short = (result["target"] - result["revenue"])[~result["reached"]]
        missing = {result["region"][row]: float(amount) for row, amount in short.items()}
        final_answer({"reached": reached, "missing, in EUR": missing})
        """,
    ),
)


def write(path: Path) -> None:
    path = path.absolute()
    with (
        TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):  # A notebook says nothing of whose machine.
        Path(DATA).write_text("\n".join(sales()) + "\n")
        record(path, TASK, REPLIES, [targets], profile=SandboxProfile(data=(Path(DATA),)))
