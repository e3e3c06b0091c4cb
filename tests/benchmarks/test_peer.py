"""Peers beside us: driven over a pipe, installed apart, and named when they cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import peer
import pytest
from peer import DRIVERS, PEERS, Driven, Peer

DRIVER = """
import sys
sys.path.insert(0, {drivers!r})
from serve import serve

class Own:
    def begin(self):
        print("noise on stdout")
        self.names = {{}}

    def step(self, code):
        exec(code, self.names)
        return str(self.names.get("shown", ""))

    def end(self):
        open({ended!r}, "a").write("ended ")

serve(Own())
"""


@pytest.fixture
def driver(tmp_path: Path) -> list[str]:
    program = tmp_path / "driver.py"
    program.write_text(DRIVER.format(drivers=str(DRIVERS), ended=str(tmp_path / "ended")))
    return [sys.executable, str(program)]


def test_driver_takes_the_time_and_says_what_was_shown(driver: list[str], tmp_path: Path) -> None:
    with Driven(driver) as driven:
        assert driven.begin("shown = 'x' * 1000").length == 1000
        answer = driven.step("import time; time.sleep(0.05); shown = 42")
        assert (answer.head, answer.length) == ("42", 2)
        assert 0.05 <= answer.seconds < 30
        assert answer.cpu < answer.seconds
        assert driven.begin("pass").head == "", "a new one knows nothing of the one before"
    assert (tmp_path / "ended").read_text() == "ended ended "


def test_what_goes_wrong_in_a_peer_is_said(driver: list[str]) -> None:
    with Driven(driver) as driven:
        driven.begin("pass")
        with pytest.raises(RuntimeError, match=r"step '1 / 0' failed: ZeroDivisionError"):
            driven.step("1 / 0")
        assert driven.step("shown = 'goes on'").head == "goes on"
        with pytest.raises(RuntimeError, match="the driver ended at step"):
            driven.step("import os; os._exit(1)")


def test_peer_that_cannot_be_installed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peer, "CACHE", tmp_path / "cache")
    one = Peer("somebody", "drive_somebody", (str(tmp_path / "no-such-wheel.whl"),), "nobody")
    assert one.problem == "it is not installed: `python benchmarks/peer.py` does that"
    failure = one.install(seconds=0)  # It is stopped, or the wheel is not found.
    assert failure
    assert one.problem == f"it could not be installed here: {failure}"


def test_every_peer_is_pinned_and_has_a_driver() -> None:
    for one in PEERS.values():
        assert (DRIVERS / f"{one.module}.py").exists()
        assert all("==" in pin for pin in one.pins)
