"""A host that is killed at any moment leaves a whole record, and its run can go on: a few of the kills.

All of them: `python -m tests.kills.run --kills 200 --seed N --markdown`. CODEACT_KILLS_SEED: other moments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.kernel
def test_a_run_that_is_killed_is_whole_and_goes_on() -> None:
    seed = os.environ.get("CODEACT_KILLS_SEED", "1")
    command = [sys.executable, "-m", "tests.kills.run", "--kills", "3", "--seed", seed]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert done.stderr.count("good") >= 2
