"""Owns `codeact doctor`: what the sandbox holds on this machine, measured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from traitlets import Bool

from ..sandbox.doctor import Examination, Tell, examine, examine_cage
from .app import CodeactApp
from .cli import SANDBOX
from .doctor_view import control_document, document_of, show_control, show_examination
from .documents import dumps
from .doors import outlets
from .page import Page


class DoctorApp(CodeactApp):
    """The traits of `codeact doctor`."""

    name = "codeact-doctor"
    command = "doctor"
    control = Bool(False, help="Run the probes without a cage, to show that they bite.").tag(config=True)

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            page = Page(console)
            if self.control:
                with _waiting(console) as tell:
                    cage = asyncio.run(examine_cage("none", tell))
                show_control(page, cage)
                found, sound = control_document(cage), not cage.problem
            else:
                with _waiting(console) as tell:
                    examination: Examination = asyncio.run(examine(tell))
                show_examination(page, examination)
                found, sound = document_of(examination), examination.sound
            if document is not None:
                print(dumps(found), file=document)
            return 0 if sound else SANDBOX


@contextmanager
def _waiting(console: Console) -> Iterator[Tell]:
    """Says on a terminal what is going on."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda text: None
        return
    with console.status("", spinner="line") as status:
        yield status.update
