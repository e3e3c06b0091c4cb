"""Signatures: by whose key, over what, and what becomes of keys and files that are not as they should be."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from codeact_kernel.exceptions import NotebookError, UsageError
from codeact_kernel.notebook.load import load, parse
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.signing import sign, sign_notebook, signature_of
from codeact_kernel.notebook.signing_keys import (
    PublicKey,
    own_key_path,
    own_public_key,
    private_key,
    public_key,
)
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Trajectory

from .tampering import Notebook, ours

PKCS8 = (ser.Encoding.PEM, ser.PrivateFormat.PKCS8)
OPENSSH = (ser.Encoding.PEM, ser.PrivateFormat.OpenSSH)
LOCKED_OPENSSH = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCZRikH2R
XeyhoPn2TjF+6fAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIB9qeDU89ens/jxN
+oi+g89+Ze0tkli1lixk1yJOPPtRAAAAkPL6sKAVqL89356i4vi/UHebaRZFLGRTK9/NGs
mD8F0txh06exBKSNBfAGyWsWmjlzBiMLR88GRcI8DyqjemCGFRrEht4/NNtGC7JWKpkp53
R1t/rxgDTfFOOLMOtHTq46pmdCSTIp/ZhfROjbAEFxJNsWGM2tPCbn7xszb6fUGSIXQhIX
yTSMkPXM2kZuT2xg==
-----END OPENSSH PRIVATE KEY-----
"""
"""`ssh-keygen -t ed25519 -N secret`, made for this test: writing one takes one more library."""


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's own key is kept."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def path(run: Trajectory, tmp_path: Path) -> Path:
    write(run, tmp_path / "run.ipynb", Redactor({}))
    return tmp_path / "run.ipynb"


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def changed(path: Path, change: object) -> Notebook:
    notebook: Notebook = json.loads(path.read_text())
    ours(notebook)["signature"] = change
    return notebook


# --- the signature -----------------------------------------------------------------------------


def test_signing_adds_the_signature_and_changes_nothing_else(path: Path, run: Trajectory) -> None:
    before = path.read_text().split("\n")
    path.chmod(0o640)
    fingerprint = sign_notebook(path)
    after = path.read_text().split("\n")
    assert [line for line in after if line not in before] == [line for line in after if _of_signature(line)]
    assert len(after) == len(before) + 5
    assert path.stat().st_mode & 0o777 == 0o640
    assert load(path) == run
    found = signature_of(parse(path))
    assert found.state == "valid"
    assert found.key is not None
    assert found.key.fingerprint == fingerprint


def _of_signature(line: str) -> bool:
    return any(word in line for word in ('"signature"', '"ed25519"', '"key":', '"value":'))


def test_what_is_signed_as_the_docs_say_it(path: Path) -> None:
    """Without our code: what docs/trajectory-format.md tells others to check."""
    import base64

    sign(path)
    metadata = ours(json.loads(path.read_text()))
    raw, value = (base64.b64decode(metadata["signature"][part]) for part in ("key", "value"))
    message = b"codeact-seal-v1:" + f"{metadata['seal']}:{metadata['run_id']}".encode()
    Ed25519PublicKey.from_public_bytes(raw).verify(value, message)


def test_signing_again_takes_the_place_of_the_first(
    path: Path, tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    first = sign(path)
    (tmp_path / "other.pem").write_bytes(key.private_bytes(*PKCS8, ser.NoEncryption()))
    second = sign(path, str(tmp_path / "other.pem"))
    assert first != second == PublicKey.of(key)
    assert signature_of(parse(path)).key == second
    once = path.read_bytes()
    sign(path, str(tmp_path / "other.pem"))
    assert path.read_bytes() == once


def test_a_changed_run_is_not_signed(path: Path) -> None:
    path.write_text(path.read_text().replace("x = refund(7)", "x = refund(9)"))
    before = path.read_bytes()
    with pytest.raises(NotebookError, match="is not signed, it is not as it was recorded: step 1: its code"):
        sign(path)
    assert path.read_bytes() == before


def test_a_run_without_a_chain_is_not_signed(path: Path, run: Trajectory) -> None:
    path.write_text(json.dumps(render(run)))
    with pytest.raises(NotebookError, match="carries no chain"):
        sign(path)


def test_a_link_to_a_notebook_stays_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.ipynb").symlink_to(path)
    sign(tmp_path / "link.ipynb")
    assert (tmp_path / "link.ipynb").is_symlink()
    assert signature_of(parse(path)).state == "valid"


def test_an_unsigned_run_says_so(path: Path) -> None:
    assert signature_of(parse(path)).state == "unsigned"


def test_a_signature_of_another_run_or_seal_is_wrong(path: Path) -> None:
    sign(path)
    for key, value in (("run_id", "run-2"), ("seal", "0" * 64)):
        notebook: Notebook = json.loads(path.read_text())
        ours(notebook)[key] = value
        found = signature_of(notebook)
        assert (found.state, found.key) == ("wrong", None)
        assert found.problem == "it is not of this record: what was signed has been changed"


def test_malformed_signatures(path: Path) -> None:
    sign(path)
    good = ours(json.loads(path.read_text()))["signature"]
    for odd in (None, [], "x", {}, {**good, "algorithm": "none"}):
        assert "its algorithm is" in signature_of(changed(path, odd)).problem
    for part in ("key", "value"):
        for odd in (None, 7, "", "é", good[part][:-1], good[part][4:], good[part] + "AAAA", "A" * 10**6):
            found = signature_of(changed(path, {**good, part: odd}))
            assert (found.state, found.problem) == ("wrong", "it is malformed")
    # The last character of base64 has bits that say nothing: there is one way to write a signature.
    twin = good["key"][:-2] + chr(ord(good["key"][-2]) + 1) + "="
    assert signature_of(changed(path, {**good, "key": twin})).state == "wrong"


def test_a_signature_without_a_seal(path: Path) -> None:
    sign(path)
    notebook: Notebook = json.loads(path.read_text())
    del ours(notebook)["seal"]
    assert signature_of(notebook).problem == "there is no seal that it could be of"


# --- this user's own key -----------------------------------------------------------------------


def test_the_own_key_is_made_once_and_for_its_user_only(path: Path, data_dir: Path) -> None:
    assert own_public_key() is None
    assert not data_dir.exists(), "looking makes none"
    first = sign(path)
    file = data_dir / "codeact" / "signing_key.pem"
    assert file == own_key_path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["signing_key.pem"]
    assert sign(path) == first == own_public_key()


def test_many_at_once_make_one_key() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: PublicKey.of(private_key(None)), range(16)))
    assert len(made) == 1


def test_an_own_key_that_others_can_read_is_refused(path: Path) -> None:
    sign(path)
    own_key_path().chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others"):
        sign(path)


def test_an_own_key_that_is_damaged_is_not_overwritten(path: Path) -> None:
    sign(path)
    own_key_path().write_text("nonsense")
    with pytest.raises(UsageError, match="holds no private key that can be read"):
        sign(path)
    assert own_key_path().read_text() == "nonsense"


def test_a_folder_that_cannot_be_made(path: Path, data_dir: Path) -> None:
    data_dir.write_text("a file")
    with pytest.raises(UsageError, match=r"cannot make a signing key at .*give one with --key"):
        sign(path)


# --- keys that are named -----------------------------------------------------------------------


@pytest.mark.parametrize("form", [PKCS8, OPENSSH], ids=["pem", "openssh"])
def test_private_keys_in_files(
    form: tuple[ser.Encoding, ser.PrivateFormat], path: Path, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "key"
    file.write_bytes(key.private_bytes(*form, ser.NoEncryption()))
    assert sign(path, str(file)) == PublicKey.of(key) == public_key(str(file))
    locked = key.private_bytes(*PKCS8, ser.BestAvailableEncryption(b"secret")).decode()
    file.write_text(LOCKED_OPENSSH if form is OPENSSH else locked)
    with pytest.raises(UsageError, match="is protected by a passphrase"):
        sign(path, str(file))


def test_private_keys_of_another_kind(path: Path, tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    for form in (PKCS8, OPENSSH):
        (tmp_path / "key").write_bytes(key.private_bytes(*form, ser.NoEncryption()))
        with pytest.raises(UsageError, match=r"a key of another kind .*give an Ed25519 key"):
            sign(path, str(tmp_path / "key"))


def test_private_keys_that_are_none(path: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    os.mkfifo(tmp_path / "pipe")
    for name, said in (
        ("key", "no private key"),
        ("nowhere", "No such file"),
        (".", "a folder, a device or a pipe"),
        ("pipe", "a folder, a device or a pipe"),
    ):
        with pytest.raises(UsageError, match=said):
            sign(path, str(tmp_path / name))


def test_public_keys_as_text_and_in_files(key: Ed25519PrivateKey, tmp_path: Path) -> None:
    public = key.public_key()
    ssh = public.public_bytes(ser.Encoding.OpenSSH, ser.PublicFormat.OpenSSH).decode()
    pem = public.public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo).decode()
    wanted = PublicKey.of(key)
    assert wanted.openssh == ssh
    for text in (ssh, f"  {ssh} ana@example\n", wanted.base64):
        assert public_key(text) == wanted
        (tmp_path / "key.pub").write_text(text)
        assert public_key(str(tmp_path / "key.pub")) == wanted
    (tmp_path / "key.pem").write_text(pem)
    assert public_key(str(tmp_path / "key.pem")) == wanted


def test_public_keys_that_are_none(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "ec.pub").write_bytes(other.public_bytes(ser.Encoding.OpenSSH, ser.PublicFormat.OpenSSH))
    (tmp_path / "ec.pem").write_bytes(
        other.public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "large").write_text("A" * 100_000)
    for given in (
        "nonsense",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAB3",
        "",
        "a\0b",
        "AAAA",
        "ec.pub",
        "ec.pem",
        "large",
    ):
        name = str(tmp_path / given) if given in ("ec.pub", "ec.pem", "large") else given
        with pytest.raises(UsageError):
            public_key(name)


def test_the_fingerprint_is_that_of_ssh(tmp_path: Path) -> None:
    """`ssh-keygen -l` of this very line, recorded."""
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    assert public_key(line) == PublicKey(bytes(range(32)))
    assert public_key(line).fingerprint == "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"


def test_without_the_library_it_is_said_what_to_install(path: Path) -> None:
    """In a process of its own, in which `cryptography` cannot be imported."""
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from codeact_kernel.exceptions import UsageError\n"
        "from codeact_kernel.notebook.signing import sign\n"
        "try: sign(sys.argv[1])\n"
        "except UsageError as problem: print(problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "signatures need the library cryptography: pip install 'codeact_kernel[sign]'\n"
