"""Owns the data files of a saved run in a replay: the embedded ones to read, and what is not as it was.

The recorded paths are never used: the notebook may be a stranger's. Data is what the user gives, and
what the notebook carries.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..config import SandboxProfile
from ..exceptions import UsageError
from ..notebook.cells import setup_spec
from ..notebook.data import record_data
from ..notebook.redact import Redactor
from ..trajectory import Trajectory
from ..wire.setup import SetupSpec, beyond_ceiling, setup_source
from ..wire.setup_files import FOLDER, RecordedFile
from ..wire.unpack import unpack
from . import brief
from .imports import allowed_imports
from .terminal import clean

SAID = 20
"""Files that are named one by one."""


def recorded_files(trajectory: Trajectory) -> tuple[RecordedFile, ...]:
    """The data files that its setup cell names; none when that is not one of ours."""
    spec = setup_spec(trajectory.info.setup)
    return () if spec is None else spec.files


def hosted_setup(source: str, profile: SandboxProfile) -> str:
    """A setup cell as a replay gives it to its kernel: the data is in the workspace already, and the imports
    are within the profile's ceiling."""
    spec = setup_spec(source)
    if spec is None:
        return source
    beyond = _beyond(spec, profile)
    imports = tuple(name for name in spec.allow_imports if name not in beyond)
    return setup_source(replace(spec, files=(), allow_imports=imports))


def import_note(trajectory: Trajectory, profile: SandboxProfile) -> str:
    """A line on recorded imports that the profile's ceiling does not allow; "" when all may be had."""
    refused = [clean(name) for name in refused_imports(trajectory, profile)]
    if not refused:
        return ""
    return (
        f"the run could import {', '.join(_listed(refused))}; SandboxProfile.import_ceiling does not allow it"
    )


def refused_imports(trajectory: Trajectory, profile: SandboxProfile) -> tuple[str, ...]:
    """Recorded imports that the profile's ceiling does not allow."""
    spec = setup_spec(trajectory.info.setup)
    return () if spec is None else _beyond(spec, profile)


def _beyond(spec: SetupSpec, profile: SandboxProfile) -> tuple[str, ...]:
    if profile.import_ceiling is None:
        return ()
    default = set(allowed_imports())
    asked = [name for name in spec.allow_imports if name not in default]
    return beyond_ceiling(asked, (*profile.import_ceiling, *profile.allow_imports))


@contextmanager
def provided(trajectory: Trajectory, profile: SandboxProfile) -> Iterator[tuple[Path, ...]]:
    """The data of `profile`, and the embedded data that neither it nor the workspace has, in a temporary
    folder.

    Raises: UsageError when that cannot be written.
    """
    given = profile.data
    tops = {_top(path) for path in given}
    if profile.workspace is not None:
        tops |= {path.name for path in profile.workspace.expanduser().glob(f"{FOLDER}/*")}
    files = [file for file in recorded_files(trajectory) if file.packed and file.top not in tops]
    if not files:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="codeact-data-") as folder:
        if problems := unpack(files, folder):
            raise UsageError(
                f"the embedded data {problems[0].file.name!r} cannot be unpacked into {folder!r}: "
                f"{problems[0].detail or problems[0].kind}; give the data with --data, or set TMPDIR"
            )
        names = dict.fromkeys(file.top for file in files)
        yield (*given, *(Path(folder, FOLDER, name) for name in names))


def data_notes(trajectory: Trajectory, given: Sequence[Path]) -> list[str]:
    """What a replay with this data should be told: lines for people, clean."""
    files = recorded_files(trajectory)
    notes = _listed(_changes(files, given))
    if lacking := _lacking(trajectory, files, {_top(path) for path in given}):
        return [f"the run read {', '.join(_listed(lacking))}; give that with --data", *notes]
    return notes


def _lacking(trajectory: Trajectory, files: Iterable[RecordedFile], given: set[str]) -> list[str]:
    """Data that the run was given and this replay has neither from its user nor from the notebook."""
    known: dict[str, list[RecordedFile]] = {}
    for file in files:
        known.setdefault(file.top, []).append(file)
    recorded = trajectory.info.profile.get("data")
    paths = recorded if isinstance(recorded, list | tuple) else []
    lacking = []
    for top in dict.fromkeys([Path(str(path)).name for path in paths] + list(known)):
        absent = [file for file in known.get(top, []) if not file.packed]
        if top in given or (top in known and not absent):
            continue
        size = f" ({brief.size(sum(file.size for file in absent))})" if sum(f.size for f in absent) else ""
        lacking.append(clean(top) + size)
    return lacking


def _changes(files: Iterable[RecordedFile], given: Sequence[Path]) -> list[str]:
    """Where the files that are given now differ from those of the run."""
    now = {file.name: file for file in record_data(given, Redactor({}))}
    tops = {_top(path) for path in given}
    then = {file.name: file for file in files if file.top in tops}
    if not then:
        return []
    found = [_change(name, then.get(name), now.get(name)) for name in sorted({*then, *now})]
    return [change for change in found if change]


def _change(name: str, then: RecordedFile | None, now: RecordedFile | None) -> str:
    if then is None:
        return f"{clean(name)} was not there when the run was recorded"
    if now is None:
        return f"{clean(name)} was there when the run was recorded, and is not now"
    if then.size != now.size:
        return f"{clean(name)} has changed since the run: {then.size:,} bytes then, {now.size:,} now"
    if then.sha256 and now.sha256 and then.sha256 != now.sha256:
        return (
            f"{clean(name)} has changed since the run: SHA-256 {then.sha256[:12]} then, {now.sha256[:12]} now"
        )
    return ""


def _top(path: Path) -> str:
    return path.expanduser().absolute().name


def _listed(lines: Sequence[str]) -> list[str]:
    more = len(lines) - SAID
    return [*lines[:SAID], *([f"… and {more} more"] if more > 0 else [])]
