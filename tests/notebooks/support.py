"""Owns what the stories share: a scripted reply, and a run that is recorded from beginning to end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent
from typing import Any

from codeact_kernel import Agent, Limits, Run, SandboxProfile, ScriptedModel

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def step(thought: str, code: str) -> dict[str, str]:
    """A reply with a cell; both are indented as the story is."""
    return {"thought": " ".join(thought.split()), "code": dedent(code).strip()}


def record(
    path: Path,
    task: str,
    replies: Iterable[dict[str, str]],
    tools: Iterable[Any] = (),
    *,
    output_type: Any = None,
    limits: Limits | None = None,
    profile: SandboxProfile | None = None,
) -> Run:
    """Runs `task` with a scripted model in a real kernel, and waits for the verdict."""
    model = ScriptedModel(replies)
    with Agent(tools, model=model, limits=limits, profile=profile, out=path) as agent:
        return agent.run_sync(task, output_type=output_type)
