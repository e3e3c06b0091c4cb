"""Owns `make bench`: runs every part in a process of its own, within a time box, and saves what came out.

`--only NAME` measures that part alone and leaves the others' results as they are; each says when it was
measured. `--quick` saves nothing. A part that fails or takes too long becomes a row that says so.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Missing, Row, from_json
from saved import FOLDER, Part, here, load, now, publish, save

import codeact_kernel

BOXES = {
    "launch": 240,
    "steps": 90,
    "peers": 90,
    "cpu": 60,
    "toolcalls": 60,
    "frames": 60,
    "imports": 90,
    "ours": 90,
    "context": 90,
    "codeapi": 120,
    "scale": 270,
    "sandbox": 90,
    "saving": 90,
}
"""Seconds that each part may take on a quiet machine, about twice what it does; on a busy one, more."""
WHOLE_S = 600
SAID = 300
"""Characters of an error that the table repeats."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = [name for name in BOXES if (FOLDER / f"{name}.py").exists()]
    parser.add_argument("--quick", action="store_true", help="few pairs, nothing saved: does it run at all?")
    parser.add_argument("--only", action="append", choices=there, metavar="NAME", help=", ".join(there))
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # The part ends with it.
    # As pip leaves it: a start must not be one of the compiler.
    compileall.compile_dir(Path(codeact_kernel.__file__).parent, quiet=2)
    parts = load()
    for name in asked.only or there:
        print(f"\n# {name}", flush=True)
        parts[name] = measured(name, asked.quick)
        if not asked.quick:
            parts = {name: parts[name] for name in BOXES if name in parts}
            save(parts)
            publish(parts)
    anew = [parts[name] for name in asked.only or there]
    print("\n" + footer(anew))
    sys.exit(any(isinstance(row, Missing) and not row.group for part in anew for row in part.rows))


def measured(name: str, quick: bool) -> Part:
    when, load_before, began = now(), os.getloadavg()[0], time.monotonic()
    rows = rows_of(name, quick)
    return Part(name, when, round(load_before, 2), round(time.monotonic() - began, 1), here(), tuple(rows))


def rows_of(name: str, quick: bool) -> list[Row]:
    """What the part says; when it says nothing, why."""
    box = BOXES[name] * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        said, errors = Path(folder, "rows.json"), Path(folder, "stderr")
        command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", str(said), *["--quick"] * quick]
        with errors.open("w+") as stderr:
            process = subprocess.Popen(command, stderr=stderr, start_new_session=True)
            try:
                process.wait(box)
            except subprocess.TimeoutExpired:
                return [Missing(name, f"stopped: it took longer than {box:.0f} s")]
            finally:
                end(process)
        print(errors.read_text(), end="", file=sys.stderr)
        if process.returncode or not said.exists():
            lines = errors.read_text().strip().splitlines() or ["it said nothing"]
            return [Missing(name, f"exit status {process.returncode}: {lines[-1][:SAID]}")]
        return [from_json(row) for row in json.loads(said.read_text())]


def end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started and that is in its group still; kernels end with their host."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It has ended, and left nothing.
    process.wait()


def footer(parts: list[Part]) -> str:
    times = ", ".join(f"{part.name} {part.seconds:.0f} s" for part in parts)
    whole = sum(part.seconds for part in parts)
    late = (
        "" if whole <= WHOLE_S else f" That is more than the {WHOLE_S} s it should take on a quiet machine."
    )
    return f"{times}; in all {whole:.0f} s.{late}"


if __name__ == "__main__":
    main()
