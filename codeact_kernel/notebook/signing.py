"""Owns signatures of saved runs: Ed25519 over the seal, by the library `cryptography` (the extra `sign`).

The private key is this user's own, made at the first use, or one that is named. A signature says that the
holder of the key sealed this record; docs/security.md says what it does not.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..exceptions import NotebookError
from ..wire.messages import Json
from .chain_check import check
from .chain_content import mapping
from .load import parse_ours
from .replacing import replace_file
from .signing_keys import PublicKey, crypto, private_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "ed25519"
DOMAIN = b"codeact-seal-v1:"
State: TypeAlias = Literal["unsigned", "valid", "wrong"]


@dataclass(frozen=True)
class Signature:
    """What a notebook's signature is worth. `key`: who made it, when it is valid; `problem`: why it is not.

    Whether the key is to be trusted is no question of the notebook's.
    """

    state: State
    key: PublicKey | None = None
    problem: str = ""


def signed_bytes(ours: Mapping[str, Json]) -> bytes:
    """What is signed: the domain, the seal, the id of the run. Raises NotebookError where there is none."""
    seal, run_id = ours.get("seal"), ours.get("run_id")
    if not isinstance(seal, str) or not isinstance(run_id, str):
        raise NotebookError("a run without a seal cannot be signed: an earlier version recorded it")
    return DOMAIN + f"{seal}:{run_id}".encode("utf-8", "backslashreplace")


def signature_of(notebook: Mapping[str, Json]) -> Signature:
    """The signature that a notebook carries, tried. Raises: UsageError when `cryptography` is missing."""
    ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
    if "signature" not in ours:
        return Signature("unsigned")
    said = mapping(ours["signature"])
    if said.get("algorithm") != ALGORITHM:
        return Signature(
            "wrong", problem=f"its algorithm is {said.get('algorithm')!r:.40}, not {ALGORITHM!r}"
        )
    raw, value = _bytes(said.get("key"), 32), _bytes(said.get("value"), 64)
    if raw is None or value is None:
        return Signature("wrong", problem="it is malformed")
    try:
        message = signed_bytes(ours)
    except NotebookError:
        return Signature("wrong", problem="there is no seal that it could be of")
    invalid: type[Exception] = crypto("exceptions").InvalidSignature
    try:
        crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PublicKey.from_public_bytes(raw).verify(
            value, message
        )
    except invalid:
        return Signature("wrong", problem="it is not of this record: what was signed has been changed")
    return Signature("valid", PublicKey(raw))


def _bytes(text: Json, length: int) -> bytes | None:
    if not isinstance(text, str) or len(text) > 2 * length:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # One way of writing it: the last character of base64 has bits that say nothing.
    return data if len(data) == length and base64.b64encode(data).decode("ascii") == text else None


# --- signing -----------------------------------------------------------------------------------


def sign_notebook(path: str | Path, key: str | None = None) -> str:
    """As `sign`; returns the fingerprint of the key."""
    return sign(path, key).fingerprint


def sign(path: str | Path, key: str | None = None) -> PublicKey:
    """Signs the run saved at `path` and changes nothing else; returns the key that people must know.

    Args:
        key: a file with a private key; None or "": this user's own, which is made at the first use.

    Raises: NotebookError for a notebook that is not as it was recorded; UsageError for a key that cannot be
    used, or when `cryptography` is missing.
    """
    path = Path(os.path.realpath(path))  # Else the notebook would take the place of a link to it.
    notebook = parse_ours(path)
    found = check(notebook)
    if found:
        raise NotebookError(
            f"{str(path)!r} is not signed, it is not as it was recorded: {found[0].text}; see: codeact verify"
        )
    private = private_key(key)
    public = PublicKey.of(private)
    metadata = mapping(notebook.get("metadata"))
    ours = {**mapping(metadata.get("codeact")), "signature": _signature(notebook, private, public)}
    signed = {**notebook, "metadata": {**metadata, "codeact": ours}}
    replace_file(path, _as_nbformat_writes(signed), "sign a copy that can be written")
    return public


def _signature(
    notebook: Mapping[str, Json], private: Ed25519PrivateKey, public: PublicKey
) -> dict[str, Json]:
    message = signed_bytes(mapping(mapping(notebook.get("metadata")).get("codeact")))
    value = base64.b64encode(private.sign(message)).decode("ascii")
    return {"algorithm": ALGORITHM, "key": public.base64, "value": value}


def _as_nbformat_writes(notebook: Mapping[str, Json]) -> bytes:
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    return (text + "\n").encode("utf-8", "backslashreplace")
