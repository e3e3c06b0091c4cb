"""Owns the judgement on a saved run: its chain, its metadata, its signature and who is trusted; as text, as
JSON, as an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..notebook.chain import last_link
from ..notebook.chain_check import check
from ..notebook.chain_content import mapping
from ..notebook.chain_places import Finding, places
from ..notebook.load import parse_ours
from ..notebook.schema import problems
from ..notebook.signing import Signature, signature_of
from ..notebook.signing_keys import PublicKey
from ..wire.messages import Json
from . import brief

INTACT, UNREADABLE, CHANGED, UNTRUSTED = 0, 2, 20, 21
UNSIGNED = "unsigned: whoever changed it could have computed the chain anew"
Trust: TypeAlias = Literal["", "your key", "a key you named"]
_SHOWN = 16


@dataclass(frozen=True)
class Judgement:
    """What `codeact verify` found. `trust`: why the key of a valid signature is trusted; "": it is not."""

    findings: tuple[Finding, ...]
    signature: Signature
    trust: Trust = ""
    steps: int = 0
    chain: str = ""
    seal: str = ""

    def exit_code(self, required: bool = False) -> int:
        """`required`: an unsigned run fails."""
        state = self.signature.state
        if state == "wrong" or (state == "valid" and not self.trust) or (required and state == "unsigned"):
            return UNTRUSTED
        return CHANGED if self.findings else INTACT

    @property
    def text(self) -> str:
        """`intact: 5 steps, chain 3f2a91…; signed by SHA256:… (your key)`"""
        if self.findings:
            return f"not as it was recorded: {brief.count(len(self.findings), 'finding')}; {self._signed}"
        steps = brief.count(self.steps, "step")
        return f"intact: {steps}, chain {self.chain[:_SHOWN]}…; {self._signed}"

    @property
    def _signed(self) -> str:
        key, state = self.signature.key, self.signature.state
        if state == "unsigned":
            return UNSIGNED
        if key is None:
            return f"its signature is wrong: {self.signature.problem}"
        what = "what was recorded is signed by" if self.findings else "signed by"
        if self.trust:
            return f"{what} {key.fingerprint} ({self.trust})"
        return (
            f"{what} {key.fingerprint}, which is not trusted: get the key from its owner, name it by --signer"
        )


def judged(path: Path, trusted: Callable[[PublicKey], Trust]) -> Judgement:
    """Judges one notebook; nothing of it is run. Raises: NotebookError, UsageError."""
    notebook = parse_ours(path)
    signature = signature_of(notebook)
    ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
    seal = ours.get("seal")
    return Judgement(
        (*check(notebook), *problems(notebook)),
        signature,
        trusted(signature.key) if signature.key is not None else "",
        len({place.number for place in places(notebook) if place.kind == "step"}),
        last_link(notebook),
        seal if isinstance(seal, str) else "",
    )


def document(path: str, judgement: Judgement | None, code: int, error: str = "") -> dict[str, Json]:
    """One file of what `codeact verify --json` prints. `judgement` None: it could not be read."""
    said: dict[str, Json] = {"trajectory": path, "exit_code": code}
    if judgement is None:
        return {**said, "verdict": "unreadable", "error": error}
    key = judgement.signature.key
    return {
        **said,
        "verdict": "changed" if judgement.findings else "intact",
        "findings": list(_findings(judgement)),
        "steps": judgement.steps,
        "chain": judgement.chain,
        "seal": judgement.seal,
        "signature": {
            "state": judgement.signature.state,
            "trusted": bool(judgement.trust),
            "key": key.openssh if key is not None else None,
            "fingerprint": key.fingerprint if key is not None else None,
            "problem": judgement.signature.problem,
        },
    }


def _findings(judgement: Judgement) -> Iterator[Mapping[str, Json]]:
    for found in judgement.findings:
        yield {"place": found.place, "step": found.step, "problem": found.problem}
