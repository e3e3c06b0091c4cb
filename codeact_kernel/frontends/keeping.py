"""Owns what a command does with the files that a run left: lists them, and keeps copies where asked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config import SandboxProfile
from ..exceptions import UsageError
from ..outputs import WorkspaceFile
from ..sandbox.artefacts import Copied, copy_artefacts
from ..wire.messages import Json
from . import brief
from .documents import file_document
from .page import Page
from .terminal import clean

SHOWN = 30


class Keeper:
    """The files of one run.

    Args:
        folder: where copies go, as the user typed it; "" for none.

    Raises: UsageError when `folder` cannot be one, before anything has run.
    """

    def __init__(self, folder: str, profile: SandboxProfile) -> None:
        self._folder = Path(folder).expanduser() if folder else None
        self._workspace = profile.workspace
        self._files: Sequence[WorkspaceFile] = ()
        self._copies: Mapping[str, Copied] = {}
        above = next((path for path in _upwards(self._folder) if path.exists()), None)
        if above is not None and not above.is_dir():
            raise UsageError(f"--keep-files {folder!r}: {str(above)!r} is no folder; name another one")

    def take(self, page: Page, workspace: Path, files: Sequence[WorkspaceFile]) -> None:
        """Copies `files` if that is asked for, and shows what there is. Before the kernel is closed: a
        temporary workspace goes with it."""
        self._files = files
        if not files:
            return
        if self._folder is not None:
            try:
                copies = copy_artefacts(workspace, (file.name for file in files), self._folder)
                self._copies = {copy.name: copy for copy in copies}
            except UsageError as problem:
                page.line(f"\n{clean(str(problem))}", "bold red")
        self._show(page)

    def document(self) -> list[Json]:
        """What `--json` says. `path`: where the file is now, null when it is gone with the workspace."""
        return [self._entry(file) for file in self._files]

    def _entry(self, file: WorkspaceFile) -> dict[str, Json]:
        copy, path = self._copies.get(file.name), None
        if copy is not None and copy.path is not None:
            path = str(copy.path)
        elif self._workspace is not None:
            path = str(self._workspace / file.name)
        remark: dict[str, Json] = {"remark": copy.remark} if copy is not None and copy.remark else {}
        return {**file_document(file), "path": path, **remark}

    def _show(self, page: Page) -> None:
        kept = f", copied to {clean(str(self._folder))}" if self._copies else ""
        page.line(f"\n{brief.count(len(self._files), 'file')} written{kept}", "bold")
        for file in self._files[:SHOWN]:
            page.line(f"  {brief.file(file)}")
        if len(self._files) > SHOWN:
            page.line(f"  … and {len(self._files) - SHOWN:,} more")
        remarks = [copy for copy in self._copies.values() if copy.remark]
        for copy in remarks[:SHOWN]:
            became = copy.path.name if copy.path is not None else "not copied"
            page.line(f"  {clean(f'{became}: {copy.remark}')}", "yellow")
        if len(remarks) > SHOWN:
            page.line(f"  … and {len(remarks) - SHOWN:,} more with another name, or not copied", "yellow")
        if self._workspace is not None:
            page.line(f"They are in {clean(str(self._workspace))}", "dim")
        elif not self._copies:
            page.line(
                "They go with the temporary workspace. To keep them: --keep-files DIR or --workspace DIR",
                "dim",
            )


def _upwards(folder: Path | None) -> Sequence[Path]:
    return () if folder is None else (folder, *folder.absolute().parents)
