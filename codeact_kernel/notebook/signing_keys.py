"""Owns Ed25519 keys: this user's own, private keys in files, public keys as text or in files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir

from ..exceptions import UsageError
from .opening import opened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_KEY_BYTES = 64 * 1024
_SSH = "ssh-ed25519"
_NEEDED = "signatures need the library cryptography: pip install 'codeact_kernel[sign]'"
_KINDS = "give an Ed25519 key, in PEM or in OpenSSH's format (ssh-keygen -t ed25519 makes one)"


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes."""

    raw: bytes

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> PublicKey:
        return cls(private.public_key().public_bytes_raw())

    @property
    def base64(self) -> str:
        return base64.b64encode(self.raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(_ssh_blob(self.raw)).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    @property
    def openssh(self) -> str:
        """The line that others name with `--signer`."""
        return f"{_SSH} {base64.b64encode(_ssh_blob(self.raw)).decode('ascii')}"


def crypto(module: str) -> Any:
    """A module of `cryptography`, which is optional. Raises: UsageError when it is missing."""
    try:
        return importlib.import_module(f"cryptography.{module}")
    except ImportError:
        raise UsageError(_NEEDED) from None


# --- private keys ------------------------------------------------------------------------------


def own_key_path() -> Path:
    return Path(jupyter_data_dir()) / "codeact" / "signing_key.pem"


def private_key(name: str | None) -> Ed25519PrivateKey:
    """The private key in a file; None or "": this user's own, made when there is none. Raises: UsageError."""
    if name:
        return _read_private(Path(name).expanduser())
    path = own_key_path()
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise UsageError(
            f"the signing key {str(path)!r} can be read by others; chmod 600 it, or make a new one"
        )
    return _read_private(path)


def _read_private(path: Path) -> Ed25519PrivateKey:
    with opened(path, "key", MAX_KEY_BYTES) as file:
        data = file.read(MAX_KEY_BYTES)
    serialization = crypto("hazmat.primitives.serialization")
    is_ssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    read = serialization.load_ssh_private_key if is_ssh else serialization.load_pem_private_key
    try:
        key = read(data, password=None)
    except TypeError:
        raise _locked(path) from None
    except Exception as problem:  # ValueError, UnsupportedAlgorithm; the file is anybody's.
        if "password" in str(problem).lower() or "encrypted" in str(problem).lower():
            raise _locked(path) from None
        raise UsageError(f"{str(path)!r} holds no private key that can be read; {_KINDS}") from None
    kind = crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey
    if not isinstance(key, kind):
        raise UsageError(f"{str(path)!r} holds a key of another kind ({type(key).__name__:.40}); {_KINDS}")
    found: Ed25519PrivateKey = key
    return found


def _locked(path: Path) -> UsageError:
    return UsageError(
        f"the key {str(path)!r} is protected by a passphrase, which is not asked for here; "
        "give an unprotected one, or none for this user's own"
    )


def _make(path: Path) -> None:
    """Makes this user's own key. Of two processes that do so at once one wins; none overwrites a key."""
    serialization = crypto("hazmat.primitives.serialization")
    key = crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey.generate()
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fsync(descriptor)
        try:
            os.link(temporary, path)  # Whole, and only where there is none.
        except FileExistsError:
            pass
    except OSError as problem:
        raise UsageError(
            f"cannot make a signing key at {str(path)!r}: {problem.strerror}; give one with --key"
        ) from None
    finally:
        if temporary.exists():
            temporary.unlink()


# --- public keys -------------------------------------------------------------------------------


def own_public_key() -> PublicKey | None:
    """This user's own; None as long as nothing was signed with it. Raises: UsageError."""
    return PublicKey.of(private_key(None)) if own_key_path().exists() else None


def public_key(given: str) -> PublicKey:
    """A public key: `ssh-ed25519 AAAA…`, base64 of its 32 bytes, or a file: either, PEM, or a private key.

    Raises: UsageError.
    """
    found = _from_text(given)
    if found is not None:
        return found
    path = Path(given).expanduser()
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise UsageError(f"{given!r:.200} is neither a public key nor a file; {_KINDS}")
    with opened(path, "key", MAX_KEY_BYTES) as file:
        data = file.read(MAX_KEY_BYTES)
    if b"PRIVATE KEY" in data:
        return PublicKey.of(_read_private(path))
    found = _from_pem(data) if b"BEGIN PUBLIC KEY" in data else _from_text(data.decode("utf-8", "replace"))
    if found is None:
        raise UsageError(f"{given!r:.200} holds no public key that can be read; {_KINDS}")
    return found


def _from_text(text: str) -> PublicKey | None:
    words = text.split()
    blob = _unpacked(words[1]) if len(words) > 1 and words[0] == _SSH else None
    if blob is not None:
        return PublicKey(blob[-32:]) if blob == _ssh_blob(blob[-32:]) else None
    raw = _unpacked(words[0]) if len(words) == 1 else None
    return PublicKey(raw) if raw is not None and len(raw) == 32 else None


def _from_pem(data: bytes) -> PublicKey | None:
    try:
        key = crypto("hazmat.primitives.serialization").load_pem_public_key(data)
    except UsageError:
        raise
    except Exception:  # As in `_read_private`.
        return None
    kind = crypto("hazmat.primitives.asymmetric.ed25519").Ed25519PublicKey
    return PublicKey(key.public_bytes_raw()) if isinstance(key, kind) else None


def _unpacked(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _ssh_blob(raw: bytes) -> bytes:
    """The key as OpenSSH packs it (RFC 8709): two strings with their lengths."""
    kind = _SSH.encode("ascii")
    return len(kind).to_bytes(4, "big") + kind + len(raw).to_bytes(4, "big") + raw
