"""Owns what the system prompt says of skills: a line each, bounded."""

from __future__ import annotations

from collections.abc import Sequence

from .wire.messages import ToolSpec
from .wire.setup_skills import PACKAGE
from .wire.stubs import tool_line

MAX_CHARS = 6_000
"""Of all lines."""
_HOW = """\
# Skills
Functions that proved useful in earlier runs. Where one fits the task, import it \
(`from {package} import {name}`) instead of writing it again; `help({name})` tells more. They run in this \
kernel, and the tools that they call have real effects."""


def skill_line(skill: ToolSpec) -> str:
    """What the section says of one."""
    return f"- {tool_line(skill).removeprefix(f'{PACKAGE}.')}"


def skills_section(skills: Sequence[ToolSpec]) -> str:
    """The section; "" where there are none. Sorted, so that the same skills give the same bytes."""
    if not skills:
        return ""
    ordered, room = sorted(skills, key=lambda skill: skill.name), MAX_CHARS
    lines = [_HOW.format(package=PACKAGE, name=ordered[0].function)]
    for number, skill in enumerate(ordered):
        line = skill_line(skill)
        room -= len(line)
        if room < 0:
            lines.append(f"- and {len(ordered) - number:,} more; tools.search finds them")
            break
        lines.append(line)
    return "\n".join(lines)
