"""Owns the configurable groups of the command line, and their one conversion to `config.Settings`.

A group has the name and the fields of its value object, so that `c.Limits.max_steps = 50` in a config
file, `--Limits.max_steps=50` and `config.Limits(max_steps=50)` say the same thing. `None`: no bound.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from traitlets import Bool, Enum, Float, Int, List, Unicode
from traitlets.config import Configurable

from .. import config
from ..exceptions import UsageError
from ..sandbox.confine.policy import LAYERS, TIERS
from .cli_values import LEAST_MEMORY

_LIMITS, _TOOLS, _OUTPUT = config.Limits(), config.ToolLimits(), config.OutputLimits()
_CONTEXT, _PROFILE, _CAGE = config.ContextLimits(), config.SandboxProfile(), config.SandboxLimits()
MIB = config.MIB


class Limits(Configurable):  # type: ignore[misc]  # traitlets is untyped to us
    """Budgets of one task."""

    max_steps = Int(_LIMITS.max_steps, min=1, allow_none=True, help="Steps.").tag(config=True)
    max_seconds = Float(
        _LIMITS.max_seconds, min=0, allow_none=True, help="Wall time, model and cells together, in seconds."
    ).tag(config=True)
    max_tokens = Int(
        _LIMITS.max_tokens, min=1, allow_none=True, help="Input (cached or not) plus output tokens."
    ).tag(config=True)
    max_cost_usd = Float(
        _LIMITS.max_cost_usd,
        min=0,
        allow_none=True,
        help="US dollars. Refused at the start when the price of the model is unknown.",
    ).tag(config=True)
    step_timeout_s = Float(
        _LIMITS.step_timeout_s, min=0, allow_none=True, help="Seconds one cell may run."
    ).tag(config=True)
    interrupt_grace_s = Float(
        _LIMITS.interrupt_grace_s,
        min=0,
        help="Seconds a cell gets to stop after the interrupt, before its process is killed.",
    ).tag(config=True)
    repeated_failures = Int(
        _LIMITS.repeated_failures, min=1, help="Identical failures in a row that end the run."
    ).tag(config=True)


class ToolLimits(Configurable):  # type: ignore[misc]  # traitlets: as above
    """Bounds on the tool calls of one cell."""

    max_calls = Int(_TOOLS.max_calls, min=0, help="Calls.").tag(config=True)
    max_concurrent = Int(_TOOLS.max_concurrent, min=1, help="Calls at once.").tag(config=True)
    max_payload_bytes = Int(
        _TOOLS.max_payload_bytes, min=1024, help="Bytes of one encoded call, and of one encoded result."
    ).tag(config=True)
    max_cell_bytes = Int(
        _TOOLS.max_cell_bytes, min=1024, help="Bytes of all arguments and results of a cell, together."
    ).tag(config=True)
    timeout_s = Float(_TOOLS.timeout_s, min=0, allow_none=True, help="Seconds one call may take.").tag(
        config=True
    )
    approval_timeout_s = Float(
        _TOOLS.approval_timeout_s,
        min=0,
        allow_none=True,
        help="Seconds a person has to answer whether a call may be made; then it is denied.",
    ).tag(config=True)


class OutputLimits(Configurable):  # type: ignore[misc]  # traitlets: as above
    """How much of what a cell shows is kept, and how much the model sees."""

    kept_bytes = Int(_OUTPUT.kept_bytes, min=1024, help="Bytes per cell kept in the notebook.").tag(
        config=True
    )
    received_bytes = Int(
        _OUTPUT.received_bytes, min=1024, help="Bytes per cell received before the cell is stopped."
    ).tag(config=True)
    model_chars = Int(
        _OUTPUT.model_chars, min=200, help="Characters of text the model sees of one observation."
    ).tag(config=True)
    model_images = Int(_OUTPUT.model_images, min=0, help="Images the model sees of one observation.").tag(
        config=True
    )
    model_image_pixels = Int(
        _OUTPUT.model_image_pixels, min=16, help="Longest edge of an image as the model sees it."
    ).tag(config=True)


class ContextLimits(Configurable):  # type: ignore[misc]  # traitlets: as above
    """When old observations are condensed."""

    condense_at = Float(
        _CONTEXT.condense_at, min=0.05, max=1.0, help="Share of the model's context window."
    ).tag(config=True)
    keep_last = Int(_CONTEXT.keep_last, min=0, help="Observations that always stay in full.").tag(config=True)
    min_steps_between = Int(
        _CONTEXT.min_steps_between, min=1, help="At most one condensation in this many steps."
    ).tag(config=True)


class SandboxProfile(Configurable):  # type: ignore[misc]  # traitlets: as above
    """What the sandbox kernel gets."""

    workspace = Unicode(
        None, allow_none=True, help="Its working folder, writable; none: a temporary one."
    ).tag(config=True)
    data = List(Unicode(), help="Files or folders the code may read, under data/.").tag(config=True)
    readable = List(Unicode(), help="Further files or folders the kernel may read, at their own path.").tag(
        config=True
    )
    allow_imports = List(Unicode(), help="Modules the code may import beside the default list.").tag(
        config=True
    )
    import_ceiling = List(
        Unicode(),
        _PROFILE.import_ceiling,
        allow_none=True,
        help="Which modules beside the default list a notebook's setup cell may ask for; none: any.",
    ).tag(config=True)
    env = List(
        Unicode(), list(_PROFILE.env), help="Names of host environment variables that are passed on."
    ).tag(config=True)
    allow_fork = Bool(
        _PROFILE.allow_fork, help="Processes of the kernel's own, inside the cage (multiprocessing)."
    ).tag(config=True)
    sandbox = Enum(
        ("auto", *TIERS, "none"),
        _PROFILE.sandbox,
        help="auto: the best cage this machine gives. A, B, C: at least that tier. none: no cage at all.",
    ).tag(config=True)
    without = List(Enum(LAYERS), help="Layers of the cage not to use.").tag(config=True)


class SandboxLimits(Configurable):  # type: ignore[misc]  # traitlets: as above
    """What one sandbox kernel may use."""

    memory_bytes = Int(_CAGE.memory_bytes, min=LEAST_MEMORY, help="Bytes of memory.").tag(config=True)
    cpu_seconds = Float(
        _CAGE.cpu_seconds, min=1, allow_none=True, help="Seconds of processor time, all cells together."
    ).tag(config=True)
    threads = Int(_CAGE.threads, min=32, help="Threads.").tag(config=True)
    open_files = Int(_CAGE.open_files, min=128, help="Open files, sockets and pipes.").tag(config=True)
    file_bytes = Int(_CAGE.file_bytes, min=MIB, help="Bytes of one file.").tag(config=True)
    disk_bytes = Int(
        _CAGE.disk_bytes, min=MIB, help="Bytes written to the workspace and the temporary folder."
    ).tag(config=True)
    disk_files = Int(_CAGE.disk_files, min=100, help="Files and folders there.").tag(config=True)


GROUPS = (Limits, ToolLimits, OutputLimits, ContextLimits, SandboxProfile, SandboxLimits)


def settings(parent: Configurable) -> config.Settings:
    """What the loaded configuration of `parent` says. Raises TraitError, UsageError."""
    return config.Settings(
        limits=config.Limits(**_values(Limits(parent=parent))),
        tools=config.ToolLimits(**_values(ToolLimits(parent=parent))),
        output=config.OutputLimits(**_values(OutputLimits(parent=parent))),
        context=config.ContextLimits(**_values(ContextLimits(parent=parent))),
        profile=_profile(SandboxProfile(parent=parent), SandboxLimits(parent=parent)),
    )


def _values(group: Configurable) -> dict[str, Any]:  # traitlets checked the types; here they end
    # `parent`, `config` and `log` are traits too; only the tagged ones are settings.
    values: dict[str, Any] = group.trait_values(config=True)
    return values


def _profile(group: SandboxProfile, limits: SandboxLimits) -> config.SandboxProfile:
    workspace = None
    if group.workspace is not None:
        workspace = Path(group.workspace).expanduser().resolve()
        if not workspace.is_dir():
            raise UsageError(f"--workspace {group.workspace!r} is no folder; make it, or name another")
        if not os.access(workspace, os.W_OK | os.X_OK):
            raise UsageError(f"--workspace {group.workspace!r} cannot be written; name another folder")
    return config.SandboxProfile(
        workspace=workspace,
        data=tuple(readable("--data", name) for name in group.data),
        readable=tuple(readable("--readable", name) for name in group.readable),
        allow_imports=tuple(group.allow_imports),
        import_ceiling=None if group.import_ceiling is None else tuple(group.import_ceiling),
        env=tuple(group.env),
        limits=config.SandboxLimits(**_values(limits)),
        allow_fork=group.allow_fork,
        sandbox=group.sandbox,
        without=tuple(group.without),
    )


def readable(option: str, name: str) -> Path:
    """The absolute path of a file or folder that exists and can be read. Raises UsageError."""
    path = Path(name).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"{option} {name!r} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{option} {name!r} cannot be read; check its permissions")
    return path


def readable_file(option: str, name: str) -> Path:
    """As `readable`, and a file."""
    path = readable(option, name)
    if path.is_dir():
        raise UsageError(f"{option} {name!r} is a folder; name a file")
    return path
