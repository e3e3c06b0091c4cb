"""Owns `codeact trust`: which tools files notebooks may load."""

from __future__ import annotations

from traitlets import Bool

from ..exceptions import UsageError
from .app import CodeactApp
from .doors import outlets
from .page import Page
from .terminal import clean
from .trusting import forget, trust, trusted_files


class TrustApp(CodeactApp):
    """The traits of `codeact trust`."""

    name = "codeact-trust"
    command = "trust"
    listing = Bool(False, help="What is trusted.").tag(config=True)
    remove = Bool(False, help="End the trust in these files.").tag(config=True)

    def start(self) -> int:
        if self.listing == bool(self.arguments) or (self.listing and self.remove):
            raise UsageError(
                "give files to trust, or --remove and files, or --list\nSee: codeact trust --help"
            )
        with outlets(False) as (console, _):
            page = Page(console)
            for name in self.arguments:
                if self.remove:
                    page.line(f"No longer trusted: {clean(str(forget(name)))}")
                else:
                    file = trust(name)
                    page.line(f"Trusted: {clean(str(file.path))} (SHA-256 {file.sha256[:12]}…)")
            if self.listing:
                self._list(page)
        return 0

    def _list(self, page: Page) -> None:
        files = trusted_files()
        for file in files:
            style = "" if file.state == "as trusted" else "yellow"
            page.line(f"{clean(str(file.path))}   {file.sha256[:12]}…   {file.state}", style)
        if not files:
            page.line("No tools file is trusted", "dim")
