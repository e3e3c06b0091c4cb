"""Owns `make bench`: measures everything, prints the table, keeps it in benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import date
from pathlib import Path

from cpu import measure_cpu
from measure import HEAD
from sandbox import measure_sandbox
from saving import measure_saving
from steps import measure_steps
from toolcalls import measure_toolcalls

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few pairs, nothing saved: does it run at all?")
    quick = parser.parse_args().quick
    ratios = [
        *measure_steps(20 if quick else 500),
        *measure_toolcalls(5 if quick else 100),
        *measure_cpu(),
        *measure_saving(1 if quick else 5),
        *measure_sandbox(2 if quick else 31, 20 if quick else 500),
    ]
    table = "\n".join([HEAD, *(ratio.row() for ratio in ratios)])
    print(table)
    if not quick:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"
        RESULTS.write_text(
            f"# Measured by `make bench`\n\n{date.today()}, {machine}, Python {platform.python_version()}. "
            "Absolute times are this machine's; the ratios are what we claim. A ratio is the median of "
            "interleaved pairs, its bound is bootstrapped.\n\n"
            f"{table}\n"
        )


if __name__ == "__main__":
    main()
