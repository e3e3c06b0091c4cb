"""Owns the value objects of configuration: limits and the sandbox profile, with their defaults.

Traitlets, flags and environment variables live in `frontends/` and are converted to these once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Budgets of one run. `None` means no bound; the defaults are bounded on purpose."""

    max_steps: int | None = 30
    max_seconds: float | None = 1800.0
    """Wall time of one task, model and cells together, in seconds."""
    max_tokens: int | None = 2_000_000
    """Input (cached or not) plus output tokens of one task."""
    max_cost_usd: float | None = None
    """US dollars of one task. Refused at the start when the model's price is unknown."""
    step_timeout_s: float | None = 120.0
    """Seconds one cell may run before the kill ladder starts."""
    interrupt_grace_s: float = 3.0
    """Seconds a cell gets to stop after the interrupt, before its process is killed."""
    repeated_failures: int = 3
    """The run stops when the same action fails in the same way this many times in a row."""


@dataclass(frozen=True)
class ToolLimits:
    """Bounds on the tool calls of one cell."""

    max_calls: int = 100_000
    max_concurrent: int = 256
    max_payload_bytes: int = 64 * MIB
    """Of one encoded call, and of one encoded result."""
    max_cell_bytes: int = 256 * MIB
    """Of all arguments and results of a cell, together: they are kept in memory and in the notebook."""
    timeout_s: float | None = 300.0
    """Seconds one tool call may take."""
    approval_timeout_s: float | None = 600.0
    """Seconds a person has to answer whether a call may be made; then it is denied."""


@dataclass(frozen=True)
class OutputLimits:
    """How much of what a cell shows is kept, and how much the model sees."""

    kept_bytes: int = 8 * MIB
    """Per cell, in the notebook. Beyond it head and tail are kept and the cut is stated."""
    received_bytes: int = 64 * MIB
    """Per cell, over the wire, before the cell is stopped."""
    model_chars: int = 12_000
    """Per observation, what the model sees of text."""
    model_images: int = 4
    """Per observation."""
    model_image_pixels: int = 1024
    """Longest edge of an image as the model sees it."""


@dataclass(frozen=True)
class ContextLimits:
    """When old observations are condensed."""

    condense_at: float = 0.6
    """Share of the model's context window."""
    keep_last: int = 6
    """Observations that always stay in full."""
    min_steps_between: int = 20
    """At most one condensation in this many steps."""


@dataclass(frozen=True)
class SandboxLimits:
    """What one sandbox kernel may use. How each is enforced stands in the report of the session."""

    memory_bytes: int = 4096 * MIB
    """Beyond it a MemoryError where that is possible; else the kernel is killed and says so."""
    cpu_seconds: float | None = 6 * 3600.0
    """Processor time of one kernel process, all cells together."""
    threads: int = 256
    open_files: int = 512
    file_bytes: int = 1024 * MIB
    """Of one file."""
    disk_bytes: int = 2048 * MIB
    """Written to the workspace and the session's temporary folder, deleted but open files included."""
    disk_files: int = 50_000
    """Files and folders there."""


@dataclass(frozen=True)
class SandboxProfile:
    """What the sandbox kernel gets. Serialised into the trajectory."""

    workspace: Path | None = None
    """Its working folder, writable; `None`: a temporary one that ends with the session."""
    data: tuple[Path, ...] = ()
    """Files or folders the action code may read; they appear in the workspace under `data/`."""
    readable: tuple[Path, ...] = ()
    """Further files or folders the kernel may read, at their own path (a package in development, a model)."""
    allow_imports: tuple[str, ...] = ()
    """Top-level modules action code may import on top of the default list."""
    import_ceiling: tuple[str, ...] | None = None
    """Which modules beside the default list a notebook's setup cell may ask for; `None`: any."""
    env: tuple[str, ...] = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
    """Names of host environment variables that are passed on. Everything else is dropped."""
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    allow_fork: bool = False
    """Whether the kernel may make processes of its own, inside the cage (multiprocessing)."""
    sandbox: str = "auto"
    """"auto": the best cage this machine gives. "A", "B", "C": at least this tier, else the start fails.
    "none": no cage. See docs/security.md."""
    without: tuple[str, ...] = ()
    """Layers not to use, of "namespaces" and "landlock"."""


@dataclass(frozen=True)
class Settings:
    """Everything a run is configured with, in one object."""

    limits: Limits = field(default_factory=Limits)
    tools: ToolLimits = field(default_factory=ToolLimits)
    output: OutputLimits = field(default_factory=OutputLimits)
    context: ContextLimits = field(default_factory=ContextLimits)
    profile: SandboxProfile = field(default_factory=SandboxProfile)
    redact: tuple[str, ...] = ()
    """What is masked in the record beside known secrets: NAME=REGEX, in the syntax of RE2."""
