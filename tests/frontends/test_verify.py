"""`codeact verify` and `codeact sign` as a user has them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.frontends.cli import main
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.signing_keys import PublicKey
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Stop, Trajectory, Turn

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def saved(path: Path) -> Path:
    steps = tuple(
        Step(
            n,
            Reply(code=f"print({n})"),
            Action(f"print({n})"),
            Observation("ok", (Stream("stdout", f"{n}\n"),), None, n),
        )
        for n in (1, 2, 3)
    )
    run = Trajectory(
        RunInfo("run-1", "scripted", "2026-11-22T10:00:00Z", "pass"),
        (Turn("count", steps, Stop("answer", answer=3)),),
    )
    write(run, path, Redactor({}))
    return path


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: a start of its own costs more than what it does here."""
    monkeypatch.chdir(folder)
    for name in ("DATA", "CONFIG"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(folder.parent / name))

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        code = main(args)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(args, code, said.out, said.err)

    return run


@pytest.fixture
def run(folder: Path) -> Path:
    return saved(folder / "run.ipynb")


@pytest.fixture(scope="module")
def strangers_key() -> str:
    return PublicKey(bytes(range(32))).openssh


def test_an_intact_run(here: Command, run: Path) -> None:
    done = here("verify", "run.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    said = "unsigned: whoever changed it could have computed the chain anew"
    assert done.stdout.startswith("run.ipynb: intact: 3 steps, chain ")
    assert done.stdout.endswith(f"…; {said}\n")
    done = here("verify", "run.ipynb", "--require-signature")
    assert done.returncode == 21
    assert said in done.stdout


def test_a_changed_run_names_the_step(here: Command, run: Path) -> None:
    edited(run, "print(2)", "print(9)")
    done = here("verify", "run.ipynb")
    assert done.returncode == 20
    first, last = done.stdout.splitlines()
    assert first == "run.ipynb: step 2: its code was changed since it was recorded"
    assert last.startswith("run.ipynb: not as it was recorded: 1 finding; unsigned: ")


def test_sign_then_verify(
    command: Command, run: Path, environment: dict[str, str], strangers_key: str
) -> None:
    done = command("sign", "run.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    signed, hint = done.stdout.splitlines()
    fingerprint = signed.removeprefix("run.ipynb: signed by ")
    assert fingerprint.startswith("SHA256:")
    public = hint.partition("'")[2].removesuffix("'")
    assert public.startswith("ssh-ed25519 AAAA")
    assert (Path(environment["HOME"]) / ".local/share/jupyter/codeact/signing_key.pem").exists()

    done = command("verify", "run.ipynb", "--require-signature")
    assert (done.returncode, done.stdout.rpartition("; ")[2]) == (0, f"signed by {fingerprint} (your key)\n")
    done = command("verify", "run.ipynb", "--signer", public)
    assert (done.returncode, done.stdout.rpartition("; ")[2]) == (
        0,
        f"signed by {fingerprint} (a key you named)\n",
    )


def test_only_keys_that_are_named_or_ones_own_are_trusted(
    here: Command, run: Path, strangers_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = here("sign", "run.ipynb").stdout.partition("'")[2].rstrip("'\n")
    assert here("verify", "run.ipynb", "--signer", strangers_key, "--signer", own).returncode == 0
    done = here("verify", "run.ipynb", "--signer", strangers_key)
    assert done.returncode == 21
    assert ", which is not trusted: get the key from its owner" in done.stdout
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(run.parent / "of another user"))
    assert here("verify", "run.ipynb").returncode == 21
    assert not (run.parent / "of another user").exists(), "verifying makes no key"


def test_a_changed_signed_run(here: Command, run: Path) -> None:
    here("sign", "run.ipynb")
    before = run.read_text()
    edited(run, "print(2)", "print(9)")
    done = here("verify", "run.ipynb")
    assert done.returncode == 20
    assert "step 2: its code was changed" in done.stdout
    assert "1 finding; what was recorded is signed by SHA256:" in done.stdout
    # The chain computed anew by whoever changed it: the signature tells.
    write(load(run), run, Redactor({}))
    notebook = json.loads(run.read_text())
    notebook["metadata"]["codeact"]["signature"] = json.loads(before)["metadata"]["codeact"]["signature"]
    run.write_text(json.dumps(notebook))
    done = here("verify", "run.ipynb")
    assert done.returncode == 21
    assert "intact: 3 steps" in done.stdout
    assert "its signature is wrong: it is not of this record: what was signed has been changed" in done.stdout


def test_sign_refuses_a_changed_run_and_signs_the_others(here: Command, run: Path, folder: Path) -> None:
    saved(folder / "good.ipynb")
    edited(run, '"3\\n"', '"4\\n"')
    before = run.read_bytes()
    done = here("sign", "run.ipynb", "good.ipynb")
    assert done.returncode == 20
    lines = done.stdout.splitlines()
    assert lines[0] == "run.ipynb: step 3: its outputs were changed since it was recorded"
    assert lines[1] == "run.ipynb: not signed: it is not as it was recorded"
    assert lines[2].startswith("good.ipynb: signed by SHA256:")
    assert run.read_bytes() == before


def test_a_key_of_ssh_keygen(here: Command, run: Path, folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    form = (ser.Encoding.PEM, ser.PrivateFormat.OpenSSH, ser.NoEncryption())
    (folder / "id_ed25519").write_bytes(key.private_bytes(*form))
    (folder / "id_ed25519.pub").write_text(f"{PublicKey.of(key).openssh} ana@example\n")
    assert here("sign", "run.ipynb", "--key", "id_ed25519").returncode == 0
    assert here("verify", "run.ipynb", "--signer", "id_ed25519.pub").returncode == 0
    assert here("verify", "run.ipynb").returncode == 21, "this user's own key is another one"


def test_several_files_and_the_worst_counts(here: Command, run: Path, folder: Path) -> None:
    saved(folder / "good.ipynb")
    edited(run, "print(2)", "print(9)")
    (folder / "none.ipynb").write_text("{}")
    assert here("verify", "good.ipynb", "none.ipynb").returncode == 2
    done = here("verify", "none.ipynb", "good.ipynb", "run.ipynb")
    assert done.returncode == 20
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "none.ipynb",
        "good.ipynb",
        "run.ipynb",
        "run.ipynb",
    ]


def test_the_document(here: Command, run: Path, folder: Path) -> None:
    here("sign", "run.ipynb")
    saved(folder / "other.ipynb")
    edited(folder / "other.ipynb", "print(2)", "print(9)")
    (folder / "none.ipynb").write_text("{}")
    done = here("verify", "run.ipynb", "other.ipynb", "none.ipynb", "--json")
    assert done.returncode == 20
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema_version"] == 1
    good, other, none = document["files"]
    assert list(good) == [
        "trajectory",
        "exit_code",
        "verdict",
        "findings",
        "steps",
        "chain",
        "seal",
        "signature",
    ]
    assert (good["verdict"], good["exit_code"], good["findings"], good["steps"]) == ("intact", 0, [], 3)
    assert good["signature"]["state"] == "valid"
    assert good["signature"]["trusted"] is True
    assert good["signature"]["key"].startswith("ssh-ed25519 ")
    assert other["findings"] == [
        {"place": "step 2", "step": 2, "problem": "its code was changed since it was recorded"}
    ]
    assert other["signature"] == {
        "state": "unsigned",
        "trusted": False,
        "key": None,
        "fingerprint": None,
        "problem": "",
    }
    assert (none["verdict"], none["exit_code"]) == ("unreadable", 2)
    assert "no notebook" in none["error"]


def test_metadata_that_does_not_fit_the_schema(here: Command, run: Path) -> None:
    notebook = json.loads(run.read_text())
    step = next(cell for cell in notebook["cells"] if cell["id"] == "step-2")
    step["metadata"]["codeact"]["started"] = "\x1b[31mnever"  # Timings are outside of the chain.
    run.write_text(json.dumps(notebook))
    done = here("verify", "run.ipynb")
    assert done.returncode == 20
    assert done.stdout.startswith("run.ipynb: step 2: its metadata 'started' must match pattern ")
    assert "\x1b" not in done.stdout


def test_what_cannot_be_judged(here: Command, run: Path, folder: Path) -> None:
    (folder / "plain.ipynb").write_text('{"nbformat": 4, "metadata": {}, "cells": []}')
    for args, said in (
        (("verify", "plain.ipynb"), "is a notebook, but no run of codeact_kernel"),
        (("sign", "plain.ipynb"), "is a notebook, but no run of codeact_kernel"),
        (("verify", "nowhere.ipynb"), "nowhere.ipynb"),
        (("verify", "run.ipynb", "--signer", "nonsense"), "neither a public key nor a file"),
        (("sign", "run.ipynb", "--key", "nowhere"), "cannot read the key 'nowhere'"),
    ):
        done = here(*args)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_run_of_an_earlier_version(here: Command, run: Path) -> None:
    run.write_text(json.dumps(render(load(run))))
    done = here("verify", "run.ipynb")
    assert done.returncode == 20
    assert "the notebook: carries no chain: an earlier version recorded it" in done.stdout
    assert here("sign", "run.ipynb").returncode == 20


def test_a_run_that_goes_on(here: Command, run: Path, folder: Path) -> None:
    (folder / "run.codeact.jsonl").write_text("")
    done = here("verify", "run.ipynb")
    assert done.returncode == 0
    assert "note: its journal is there: the run goes on, or was cut off (codeact recover)" in done.stdout
    done = here("sign", "run.ipynb")
    assert done.returncode == 2
    assert "sign it at its end" in done.stderr
