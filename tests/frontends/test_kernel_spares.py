"""Sandboxes that a CodeAct kernel keeps ready: used, replaced, and gone with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frontends.front_end import FrontEnd, gone
from tests.sandbox.support import until

pytestmark = pytest.mark.kernel
TELL = "%%python\nfrom pathlib import Path\nprint(Path.cwd())"


def test_cells_get_a_sandbox_that_was_ready(tmp_path: Path) -> None:
    front = FrontEnd(tmp_path, "--CodeActKernel.spares=1")
    try:
        # One launcher, one spare: four processes at least, before any cell has asked for them.
        assert until(lambda: len(front.processes()) >= 4, 60)
        cells = []
        for _ in range(2):
            cells.append(front.run(TELL).text())
            front.run("%reset")
        assert len(set(cells)) == 2
        processes = front.processes()
        front.shut_down()
        assert gone(processes) == []
    finally:
        front.close()


def test_a_profile_without_spares_is_said_in_the_first_cell(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    workspace = f"--SandboxProfile.workspace={tmp_path / 'work'}"
    front = FrontEnd(tmp_path, "--CodeActKernel.spares=1", workspace)
    try:
        said = front.run("%%python\n1").reply
        assert said["ename"] == "UsageError"
        assert "no spares can be had for this profile" in said["evalue"]
    finally:
        front.close()
