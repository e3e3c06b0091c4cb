"""The doctor: its layers, its targets, and its probes against real kernels with and without a cage."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.sandbox import doctor_tries
from codeact_kernel.sandbox.doctor import BOUNDS, Cage, Examination, Verdict, examine_cage
from codeact_kernel.sandbox.doctor_layers import Layer, apparmor, elsewhere, survey
from codeact_kernel.sandbox.doctor_probes import GROUPS, PRELUDE, PROBES, Probe, cell, parsed
from codeact_kernel.sandbox.doctor_scene import Scene

pytestmark = pytest.mark.kernel
CONTAINER = Path(__file__).with_name("container.py")


def quiet(text: str) -> None:
    """Nobody waits."""


# --- probes ------------------------------------------------------------------------------------


def test_there_are_probes_of_every_kind() -> None:
    assert len(PROBES) >= 40
    wanted = {"files", "links", "proc", "network", "process", "signals", "privilege", "memory", "persistence"}
    assert wanted <= set(GROUPS)
    names = [(probe.group, probe.name) for probe in PROBES]
    assert len(set(names)) == len(names)


def test_probes_are_python() -> None:
    compile(PRELUDE, "prelude", "exec")
    for probe in PROBES:
        compile(cell(probe, {}), f"{probe.group} {probe.name}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_format_of_probes() -> None:
    one, two = parsed("#% files read: read it\nopen(1)\n\n#% proc x-y [root]: title: more\n1\n2\n")
    assert one == Probe("read", "files", "read it", "open(1)\n")
    assert two == Probe("x-y", "proc", "title: more", "1\n2\n", "root")
    with pytest.raises(ValueError, match="'open\\(1\\)'"):
        parsed("open(1)")


def test_a_probe_that_takes_its_kernel_along_is_no_end() -> None:
    """The next one gets a fresh kernel, whose report is the same."""
    gone = Probe("gone", "x", "end the process", "os._exit(3)\n")
    after = Probe("after", "x", "go on", "print('here'); got('through')\n")
    cage = asyncio.run(examine_cage("none", quiet, (gone, after)))
    first, second = cage.verdicts
    assert first.reached is None
    assert "its process ended" in first.end
    assert second.reached == "what must be refused succeeded"
    assert (cage.tier, cage.report.tier, cage.holds) == ("none", "none", False)


def test_the_probes_bite_where_there_is_no_cage() -> None:
    """What needs something may lack it here; root has to lack nothing that root gives."""
    cage = asyncio.run(examine_cage("none", quiet))
    assert cage.report.tier == "none"
    allowed = {probe.needs for probe in PROBES} - ({"root"} if os.getuid() == 0 else set()) - {""}
    harmless = [verdict for verdict in cage.verdicts if verdict.reached is None]
    assert [verdict for verdict in harmless if verdict.probe.needs not in allowed] == []
    assert len(cage.escapes) > 75


# --- what they are aimed at --------------------------------------------------------------------


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene(BOUNDS) as made:
        yield made


def judged(scene: Scene, workspace: Path, shown: str = "", printed: str = "") -> str:
    """What was reached, and that it is noticed once."""
    found = scene.reached(workspace, shown, printed)
    assert scene.reached(workspace, "", "") is None
    return found or ""


HARM = {
    "secret": (lambda t: None, "a secret"),
    "tcp": (lambda t: socket.create_connection(("127.0.0.1", t["tcp"])).close(), "tcp socket"),
    "unix": (lambda t: reach(socket.SOCK_STREAM, t["unix"]), "unix socket"),
    "datagram": (lambda t: reach(socket.SOCK_DGRAM, t["datagram"]), "datagram socket"),
    "abstract": (lambda t: reach(socket.SOCK_STREAM, "\0" + t["abstract"]), "abstract socket"),
    "signal": (lambda t: os.kill(t["victim"], signal.SIGTERM), "got a signal"),
    "kill": (lambda t: os.kill(t["victim"], signal.SIGKILL), "signal|killed"),
    "nice": (lambda t: os.setpriority(os.PRIO_PROCESS, t["victim"], 5), "priority"),
    "write": (lambda t: Path(t["note"]).write_text("x"), "files of the host"),
    "create": (lambda t: Path(t["folder"], "new").touch(), "files of the host"),
    "times": (lambda t: os.utime(t["note"], (1, 1)), "files of the host"),
    "mode": (lambda t: os.chmod(t["folder"], 0o700), "files of the host"),
    "stray": (lambda t: Path(t["stray"]["tmp"]).touch(), "left at"),
}


def reach(kind: int, address: str) -> None:
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.sendto(b"x", address) if kind == socket.SOCK_DGRAM else made.connect(address)


@pytest.mark.parametrize("name", HARM)
def test_harm_is_noticed_on_the_host(scene: Scene, tmp_path: Path, name: str) -> None:
    do, expected = HARM[name]
    targets: Any = scene.targets()
    assert scene.reached(tmp_path, "", "") is None
    do(targets)
    shown = Path(targets["secret"]).read_text() if name == "secret" else ""
    found = judged(scene, tmp_path, shown)
    assert any(word in found for word in expected.split("|")), found
    assert Path(targets["secret"]).read_text() == Path(scene.targets()["secret"]).read_text()  # type: ignore[arg-type]  # a path


def test_what_a_probe_leaves_in_the_workspace_is_judged_and_removed(scene: Scene, tmp_path: Path) -> None:
    harmless, link, pipe, ran, large = (tmp_path / name for name in ("a", "b", "c", "ran", "d"))
    harmless.write_text("x")
    assert judged(scene, tmp_path) == ""
    link.symlink_to("/etc")
    assert "special file" in judged(scene, tmp_path)
    os.mkfifo(pipe)
    assert "special file" in judged(scene, tmp_path)
    harmless.touch()
    harmless.chmod(0o4755)
    assert "setuid" in judged(scene, tmp_path)
    ran.touch()
    assert "process" in judged(scene, tmp_path)
    large.touch()
    os.truncate(large, BOUNDS.file_bytes + 1)
    assert "bytes" in judged(scene, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_token_counts_only_where_it_was_printed(scene: Scene, tmp_path: Path) -> None:
    token = str(scene.targets()["token"])
    assert judged(scene, tmp_path, shown=f"a traceback that quotes {token}") == ""
    assert judged(scene, tmp_path, shown=token, printed=token) != ""


def test_nothing_is_left_of_a_scene(tmp_path: Path) -> None:
    with Scene(BOUNDS) as made:
        targets: Any = made.targets()
        Path(targets["stray"]["tmp"]).touch()
    assert not Path(targets["folder"]).parent.exists()
    assert not Path(targets["stray"]["tmp"]).exists()
    assert not Path(f"/proc/{targets['victim']}").exists()


# --- layers ------------------------------------------------------------------------------------


def tried(*words: str, without: str = "") -> str:
    emulated = [sys.executable, str(CONTAINER), f"--{without}", "--"] if without else []
    command = [*emulated, sys.executable, "-I", doctor_tries.__file__, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (done.returncode == 0) == (done.stdout == "held\n")
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("layer", "without"),
    [("landlock", "no-landlock"), ("seccomp", "no-seccomp"), ("namespaces", "no-userns")],
)
def test_a_layer_that_is_taken_away_is_missed(layer: str, without: str, tmp_path: Path) -> None:
    """And only that one: what it says without the emulation is what the survey says."""
    (tmp_path / "file").touch()
    assert tried(layer, str(tmp_path / "file"), without=without).startswith("[Errno ")
    here = {found.name: found.there for found in survey()}
    name = {"landlock": "Landlock", "namespaces": "user namespaces"}.get(layer, layer)
    assert (tried(layer, str(tmp_path / "file")) == "held") == here[name]


def test_what_is_missing_has_a_remedy() -> None:
    for layer in survey():
        assert layer.there is not False or layer.remedy, layer
        assert layer.there is not True or not layer.remedy, layer


@pytest.mark.parametrize(("system", "word"), [("win32", "WSL2"), ("darwin", "virtual machine")])
def test_other_systems_are_told_where_to_go(system: str, word: str) -> None:
    layer = elsewhere(system)
    assert layer.there is False
    assert word in layer.remedy


def test_ubuntus_restriction_is_explained(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1\n")
    assert "apparmor_parser" in apparmor(str(switch)).remedy
    switch.write_text("0\n")
    assert apparmor(str(switch)).remedy == apparmor(str(tmp_path / "none")).remedy == ""


def test_an_examination_is_as_good_as_the_tier_that_runs_get() -> None:
    layers = (Layer("x", True, ""),)
    held = Cage("B", verdicts=(verdict(None),))
    broken = Cage("A", verdicts=(verdict("a secret"), verdict(None)))
    missing = Cage("A", "no bubblewrap")
    assert Examination(layers, (missing, held)).sound
    assert Examination(layers, (missing, held)).default is held
    assert not Examination(layers, (broken, held)).sound
    assert not Examination(layers, (missing,)).sound
    assert not Examination(layers).sound
    assert not Cage("A").holds


def verdict(reached: str | None) -> Verdict:
    return Verdict(PROBES[0], reached, "refused: PermissionError")
