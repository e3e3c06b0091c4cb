"""Owns what a cell shows: the outputs an executor yields, as frozen dataclasses in a closed union."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .wire.messages import Json

MimeBundle: TypeAlias = Mapping[str, Json]
"""MIME type -> content as nbformat keeps it: text as str, binary as base64 str, JSON types as JSON."""

Status: TypeAlias = Literal["ok", "error", "timeout", "killed"]
"""timeout: interrupted, state kept. killed: the process is gone, state was lost."""


@dataclass(frozen=True)
class Stream:
    """Text on stdout or stderr."""

    name: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True)
class Display:
    """Something shown with `display(...)`."""

    data: MimeBundle
    metadata: Mapping[str, Json] = field(default_factory=dict)
    display_id: str | None = None


@dataclass(frozen=True)
class DisplayUpdate:
    """New content for the displays that carry `display_id`."""

    display_id: str
    data: MimeBundle
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ClearOutput:
    """The cell asked to clear what it showed; `wait`: only when the next output comes. `inside`: what an
    Output widget shows is meant, whose block runs."""

    wait: bool = False
    inside: bool = False


@dataclass(frozen=True)
class Result:
    """The value of the cell's last expression, `Out[execution_count]`."""

    data: MimeBundle
    execution_count: int
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Error:
    """An exception that ended the cell. `traceback`: lines, ANSI colours allowed, user frames only."""

    ename: str
    evalue: str
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkspaceFile:
    """A file in the workspace that a cell made or changed. `name`: relative, with `/`; `size`: bytes."""

    name: str
    size: int
    media_type: str = ""
    """Guessed from the name; "" when unknown."""


@dataclass(frozen=True)
class Finished:
    """The last item of every execution.

    `names`: variables the cell created or rebound, as far as the kernel could tell.
    `reason`: for timeout and killed, one sentence for the model and the user.
    `files`: what the cell made or changed in the workspace; `more_files`: there may be further ones.
    `inside_s`: of `duration_s`, what passed between the kernel's word that it begins and its reply; None
    where that is not known.
    """

    status: Status
    reason: str | None = None
    execution_count: int | None = None
    names: tuple[str, ...] = ()
    duration_s: float = 0.0
    truncated: bool = False
    files: tuple[WorkspaceFile, ...] = ()
    more_files: bool = False
    inside_s: float | None = None


@dataclass(frozen=True)
class CommMessage:
    """One message of a Jupyter comm, in either direction: how widgets talk. `target`: of "open" only.

    `data` is JSON; `buffers` are the binary parts that it refers to by path. `token`: of one from the kernel
    that came of a message from the front end, what that was sent with.
    """

    kind: Literal["open", "msg", "close"]
    comm_id: str
    data: Mapping[str, Json] = field(default_factory=dict)
    target: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()
    token: object = field(default=None, compare=False)


Shown: TypeAlias = Stream | Display | Result | Error
"""What stays visible of a cell once updates and clears have been applied."""
Output: TypeAlias = Stream | Display | DisplayUpdate | ClearOutput | Result | Error | Finished
"""What an Executor yields, in order; `Finished` exactly once and last."""
