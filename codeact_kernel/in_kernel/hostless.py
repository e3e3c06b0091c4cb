"""Owns what the setup cell does where no host does it: recorded data into the working folder, imports
within the ceiling, and a word on stderr for what cannot be had here, with the command that has it.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence

from codeact_kernel.in_kernel import attach
from codeact_kernel.in_kernel.guard_lists import load_lists
from codeact_kernel.wire.setup import SetupSpec, beyond_ceiling
from codeact_kernel.wire.setup_files import RecordedFile
from codeact_kernel.wire.unpack import Problem, unpack

SAID = 20
"""Files that are named; of more, only how many."""


def say_external(spec: SetupSpec) -> None:
    """Says that the tape is not in the cell, if so."""
    if spec.external_bytes:
        _say(
            f"The recorded calls of this trajectory are {_size(spec.external_bytes)}, more than a cell "
            f"should hold: its tools cannot answer here. Run `{_replay()}`, which has them."
        )


def provide_data(spec: SetupSpec) -> None:
    """Puts the recorded data files into the working folder, and says which are not as they were."""
    try:
        problems = unpack(spec.files, os.getcwd())
    except OSError as problem:
        _say(f"The recorded data files cannot be put into the working folder: {problem.strerror}.")
        return
    missing = [problem.file for problem in problems if problem.kind == "missing"]
    if missing:
        _say(
            "The run read data that is too large for this notebook, or was not to be put into it:",
            *_listed([_file(file) for file in missing]),
            f"To run it again with that data, give its path: {_replay(missing)}",
        )
    others = [_other(problem) for problem in problems if problem.kind != "missing"]
    if others:
        _say("Data files in the working folder are not as they were recorded:", *_listed(others))


def allowed_here(imports: Sequence[str]) -> tuple[str, ...]:
    """The recorded imports that the host's ceiling allows; says which it does not."""
    beyond = beyond_ceiling(imports, attach.import_ceiling)
    lists = load_lists()
    refused = [name for name in beyond if not lists.allows_wholly(name)]
    if refused:
        more = [*(attach.import_ceiling or ()), *refused]
        _say(
            f"This notebook asks to import {', '.join(map(repr, refused[:SAID]))}, which the host's "
            "import_ceiling does not allow. Who trusts it with that allows it in a Jupyter config file:",
            f'    c.SandboxProvisioner.profile = {{"import_ceiling": {json.dumps(more[: 2 * SAID])}}}',
        )
    return tuple(name for name in imports if name not in beyond)


def _other(problem: Problem) -> str:
    if problem.kind == "different":
        return f"{problem.file.name} is there already and differs from the recorded one; it is kept"
    return f"{problem.file.name} cannot be put there: {problem.detail}"


def _file(file: RecordedFile) -> str:
    return f"{file.name} (a folder)" if file.name.endswith("/") else f"{file.name} ({_size(file.size)})"


def _listed(lines: Sequence[str]) -> Iterable[str]:
    yield from (f"    {line}" for line in lines[:SAID])
    if len(lines) > SAID:
        yield f"    … and {len(lines) - SAID} more"


def _replay(files: Iterable[RecordedFile] = ()) -> str:
    """The command that replays this notebook with these files; where they are is not known here."""
    options = [f"--data {shlex.quote(f'PATH/{top}')}" for top in dict.fromkeys(file.top for file in files)]
    return " ".join(["codeact replay", _notebook(), *options])


def _notebook() -> str:
    """Jupyter Server tells a kernel which notebook it is for; others do not."""
    name = os.path.basename(os.environ.get("JPY_SESSION_NAME", ""))
    known = name.endswith(".ipynb") and name.isprintable()
    return shlex.quote(name) if known else "NOTEBOOK.ipynb"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
