"""`codeact doctor` as people and programs read it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from codeact_kernel.frontends.doctor_view import (
    ABOUT,
    control_document,
    document_of,
    show_control,
    show_examination,
)
from codeact_kernel.frontends.page import Page
from codeact_kernel.sandbox.confine.policy import Report
from codeact_kernel.sandbox.doctor import Cage, Examination, Verdict
from codeact_kernel.sandbox.doctor_layers import Layer, elsewhere
from codeact_kernel.sandbox.doctor_probes import GROUPS, Probe

from .conftest import SCRIPT, Command

CONTAINER = Path(__file__).parents[1] / "sandbox" / "container.py"
READ = Probe("read", "files", "read a file of the host", "open(1)")
MOUNT = Probe("mount", "privilege", "mount a file system", "1", "root")
HELD = Cage(
    "B",
    "",
    250.4,
    Report("B", 6, "sha256:0", 0, {"threads": "watchdog", "memory_bytes": "kernel"}, milliseconds=20.2),
    (Verdict(READ, None, "refused: PermissionError"), Verdict(MOUNT, None, "refused: PermissionError")),
)
BROKEN = Cage(
    "A",
    "",
    300.0,
    Report("A", 7, milliseconds=20.0),
    (Verdict(READ, "a secret of the host\x1b[2J", ""), *HELD.verdicts[1:]),
)
MISSING = Cage("A", "bubblewrap is \x1b[31mnot\x1b[0m installed")
LAYERS = (
    Layer("platform", True, "Linux"),
    Layer("container", None, "Docker"),
    Layer("bubblewrap", False, "not installed", "apt install bubblewrap"),
)


def text_of(examination: Examination) -> str:
    file = io.StringIO()
    show_examination(Page(Console(file=file, width=200)), examination)
    return file.getvalue()


def test_a_machine_that_holds() -> None:
    shown = text_of(Examination(LAYERS, (MISSING, HELD)))
    for words in (
        "not to be had: bubblewrap is not installed",
        "apt install bubblewrap",
        "holds 2 of 2 probes; start 250 ms, of it cage and self-test 20 ms",
        "<- the default here",
        "Landlock ABI 6, seccomp",
        "watchdog: threads",
        "can be seen (stat)",
        "Runs here get tier B, and it holds every probe",
    ):
        assert words in shown
    assert "\x1b" not in shown


def test_a_machine_that_does_not_hold() -> None:
    shown = text_of(Examination(LAYERS, (BROKEN, HELD)))
    assert "Tier A does not hold" in shown
    assert "files, read a file of the host: a secret of the host\n" in shown
    assert "it does NOT hold" in shown
    assert "holds every probe" not in shown


def test_a_machine_without_any_cage() -> None:
    shown = text_of(Examination(LAYERS, (MISSING,)))
    assert "codeact refuses to run code" in shown
    assert shown.rstrip().endswith("bubblewrap: apt install bubblewrap")


@pytest.mark.parametrize(("system", "word"), [("win32", "WSL2"), ("darwin", "Linux virtual machine")])
def test_another_system(system: str, word: str) -> None:
    shown = text_of(Examination((elsewhere(system),)))
    assert word in shown
    assert "codeact refuses to run code" in shown


def test_the_document() -> None:
    document = json.loads(json.dumps(document_of(Examination(LAYERS, (MISSING, HELD)))))
    assert list(document) == ["schema_version", "default", "holds", "layers", "tiers", "not_claimed"]
    assert (document["schema_version"], document["default"], document["holds"]) == (1, "B", True)
    layer = {
        "name": "bubblewrap",
        "there": False,
        "detail": "not installed",
        "remedy": "apt install bubblewrap",
    }
    assert document["layers"][2] == layer
    missing, held = document["tiers"]
    assert (missing["problem"], missing["holds"], missing["probes"]) == (MISSING.problem, False, 0)
    assert (held["tier"], held["held"], held["probes"], held["start_ms"]) == ("B", 2, 2, 250.4)
    assert held["report"]["limits"] == {"threads": "watchdog", "memory_bytes": "kernel"}
    assert held["verdicts"][1] == {
        "group": "privilege",
        "name": "mount",
        "title": "mount a file system",
        "needs": "root",
        "held": True,
        "reached": None,
        "end": "refused: PermissionError",
    }
    assert len(document["not_claimed"]) == 4
    assert document_of(Examination(LAYERS, (BROKEN,)))["holds"] is False
    assert document_of(Examination(LAYERS))["default"] is None


def test_the_control() -> None:
    file = io.StringIO()
    show_control(Page(Console(file=file, width=200)), BROKEN)
    shown = file.getvalue()
    assert "1 of 2 probes get through" in shown
    assert "privilege, mount a file system (needs root): refused: PermissionError" in shown
    control = json.loads(json.dumps(control_document(BROKEN)))["control"]
    assert [verdict["held"] for verdict in control["verdicts"]] == [False, True]


def test_every_group_of_probes_is_described() -> None:
    assert set(ABOUT) == set(GROUPS)


@pytest.mark.kernel
def test_every_tier_of_this_machine_holds(codeact: Command) -> None:
    """All probes, in a real kernel of every tier that can be had."""
    shown = codeact("doctor", "--json")
    document = json.loads(shown.stdout)
    had = [cage for cage in document["tiers"] if not cage["problem"]]
    escapes = [verdict for cage in had for verdict in cage["verdicts"] if not verdict["held"]]
    assert escapes == []
    assert [cage["tier"] for cage in document["tiers"]] == ["A", "B", "C"]
    assert all(cage["holds"] and cage["report"]["tier"] == cage["tier"] for cage in had)
    assert document["default"] == (had[0]["tier"] if had else None)
    assert shown.returncode == (0 if had else 3)
    assert "holds every probe" in shown.stderr or not had


@pytest.mark.kernel
def test_the_command_where_no_tier_is_to_be_had(environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, str(CONTAINER), "--no-seccomp", "--", str(SCRIPT), "doctor"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (3, "")
    assert "codeact refuses to run code" in shown.stdout
    assert shown.stdout.count("not to be had") == 3
