"""Owns `codeact verify`: whether saved runs are as they were recorded, and who signed them."""

from __future__ import annotations

from collections.abc import Callable

from traitlets import Bool, List, Unicode

from ..exceptions import UsageError
from ..notebook.journal import journal_path
from ..notebook.signing_keys import PublicKey, own_public_key, private_key, public_key
from ..wire.messages import Json
from .app import CodeactApp
from .documents import SCHEMA_VERSION, dumps
from .doors import outlets
from .page import Page
from .terminal import clean
from .traits import readable_file
from .verifying import INTACT, UNREADABLE, Trust, document, judged


class VerifyApp(CodeactApp):
    """The traits of `codeact verify`."""

    name = "codeact-verify"
    command = "verify"
    signers = List(Unicode(), help="Public keys to trust, as text or as files; empty: this user's own.").tag(
        config=True
    )
    require_signature = Bool(False, help="Unsigned runs fail.").tag(config=True)

    def start(self) -> int:
        trusted = trusting([public_key(given) for given in self.signers], self.signing_key)
        worst = INTACT
        files: list[Json] = []
        with outlets(self.json) as (console, out):
            page = Page(console)
            for name in self.arguments:
                said = self._verify(page, name, trusted)
                files.append(said)
                code = said["exit_code"]
                worst = max(worst, code if isinstance(code, int) else UNREADABLE)
            if out is not None:
                print(dumps({"schema_version": SCHEMA_VERSION, "files": files}), file=out)
        return worst

    def _verify(self, page: Page, name: str, trusted: Callable[[PublicKey], Trust]) -> dict[str, Json]:
        """Says what is to be said of one file; its part of the document."""
        shown = clean(name)
        try:
            path = readable_file("RUN.ipynb", name)
            judgement = judged(path, trusted)
        except UsageError as problem:
            if len(self.arguments) == 1:
                raise
            page.line(f"{shown}: {clean(str(problem))}", "bold red")
            return document(name, None, UNREADABLE, str(problem))
        for found in judgement.findings:
            page.line(f"{shown}: {clean(found.text)}", "red")
        if journal_path(path).exists():
            page.line(
                f"{shown}: note: its journal is there: the run goes on, or was cut off (codeact recover)",
                "yellow",
            )
        code = judgement.exit_code(self.require_signature)
        page.line(f"{shown}: {clean(judgement.text)}", "bold green" if code == INTACT else "bold red")
        return document(name, judgement, code)


def trusting(named: list[PublicKey], own: str) -> Callable[[PublicKey], Trust]:
    """Why a key is trusted: it was named; or, where none was, it is this user's own (`own`: its file)."""

    def trusted(key: PublicKey) -> Trust:
        if named:
            return "a key you named" if key in named else ""
        mine = PublicKey.of(private_key(own)) if own else own_public_key()
        return "your key" if key == mine else ""

    return trusted
