"""Owns `codeact sign`: saved runs, signed after they were checked."""

from __future__ import annotations

from pathlib import Path

from ..exceptions import UsageError
from ..notebook.chain_check import check
from ..notebook.journal import journal_path
from ..notebook.load import parse_ours
from ..notebook.signing import sign
from ..notebook.signing_keys import PublicKey
from .app import CodeactApp
from .doors import outlets
from .page import Page
from .terminal import clean
from .traits import readable_file
from .verifying import CHANGED, INTACT


class SignApp(CodeactApp):
    """The traits of `codeact sign`."""

    name = "codeact-sign"
    command = "sign"

    def start(self) -> int:
        key: PublicKey | None = None
        code = INTACT
        with outlets(False) as (console, _):
            page = Page(console)
            for name in self.arguments:
                path = readable_file("RUN.ipynb", name)
                if self._is_changed(page, path, name):
                    code = CHANGED
                    continue
                key = sign(path, self.signing_key)
                page.line(f"{clean(name)}: signed by {key.fingerprint}", "bold green")
            if key is not None:
                page.line(f"Whoever gets it verifies it with --signer '{key.openssh}'", "dim")
        return code

    def _is_changed(self, page: Page, path: Path, name: str) -> bool:
        """Says what is not as it was recorded. Raises: UsageError for a run that is not at its end."""
        if journal_path(path).exists():
            raise UsageError(
                f"{name!r} has a journal beside it: the run goes on, or was cut off; sign it at its end "
                f"(codeact recover {name!r} saves one that was cut off)"
            )
        found = check(parse_ours(path))
        for one in found:
            page.line(f"{clean(name)}: {clean(one.text)}", "red")
        if found:
            page.line(f"{clean(name)}: not signed: it is not as it was recorded", "bold red")
        return bool(found)
