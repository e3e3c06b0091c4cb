"""Which skills a run is offered: what is checked before it starts, and what the prompt says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.cellrun import exec_cells
from codeact_kernel.frontends.skill_offers import Found, check_unmasked, kept, skills_of, usable
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.prompt_skills import MAX_CHARS, skills_section
from codeact_kernel.wire.messages import ToolModule, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, parse_setup, read_setup_source, setup_source
from codeact_kernel.wire.setup_skills import Skill, skill_spec


def file(folder: Path, source: str, name: str = "f") -> Path:
    (folder / f"{name}.py").write_text(source)
    return folder


@pytest.mark.parametrize(
    ("imports", "module", "line"),
    [
        ("\nimport os", "os", 2),
        ("import json\nfrom subprocess import run", "subprocess.run", 2),
        ("import asyncio.subprocess", "asyncio.subprocess", 1),
        ("from . import other", ".", 1),
        ("from urllib import parse, request", "urllib.request", 1),
        ("def g():\n    import ctypes", "ctypes", 2),
    ],
)
def test_imports_that_are_not_allowed_are_said_with_file_and_line(
    imports: str, module: str, line: int, tmp_path: Path
) -> None:
    file(tmp_path, f"{imports}\ndef f(): pass")
    for make in (lambda: skills_of(tmp_path, ()), lambda: Agent(model=ScriptedModel([]), skills=tmp_path)):
        with pytest.raises(UsageError) as caught:
            make()
        assert f"f.py', line {line}: module '{module}' is not on the list" in str(caught.value)
    with pytest.raises(UsageError, match="is not on the list"):
        exec_cells(["1"], skills=[tmp_path])


def test_imports_that_are_allowed(tmp_path: Path) -> None:
    source = "import json, os.path as p, numpy.linalg\nfrom urllib.parse import quote\nfrom skills import g\n"
    source += "from toolkits import shop\ntry:\n    import ujson\nexcept ImportError:\n    ujson = json\n"
    file(tmp_path, f"{source}def f(): pass")
    (skill,) = skills_of([tmp_path], ["os"]).skills
    assert skill.name == "f"
    assert skills_of(None, ()) == Found()


def test_a_file_that_is_no_skill_is_told_and_left_out(tmp_path: Path) -> None:
    file(file(tmp_path, "def f(): return 1"), "def bad(:", "bad")
    told: list[str] = []
    found = usable(skills_of(tmp_path, ()), (), (), told.append)
    assert [skill.name for skill in found] == ["f"]
    (text,) = told
    assert "bad.py' cannot be used: line 1: " in text


def test_skills_whose_tools_a_run_has_not_are_left_out() -> None:
    skills = (
        Skill("a", "def a(n): return fetch(n)"),
        Skill("b", "from toolkits import shop\ndef b(n): return shop.price(n)"),
        Skill("c", "import mcp_servers.files\ndef c(n): return n"),
        Skill("d", "def d(n): return helper(n)"),
        Skill("e", "def e(n): return len(n)"),
        Skill("g", "import toolkits\ndef g(n): return toolkits.shop.price(n), toolkits.__all__"),
        Skill("h", "import mcp_servers\ndef h(n): return mcp_servers.files.read(n)"),
        Skill("i", "def i(n):\n    try: return fetch(n)\n    except tools.ToolError: return None"),
    )
    told: list[str] = []
    found = usable(Found(skills), [ToolSpec("fetch")], [ToolModule("shop", "toolkits")], told.append)
    assert [skill.name for skill in found] == ["a", "b", "e", "g", "i"]
    assert told == [
        "skill 'c' is left out: this run has no mcp_servers.files, which it calls",
        "skill 'd' is left out: this run has no helper, which it calls",
        "skill 'h' is left out: this run has no mcp_servers.files, which it calls",
    ]


def test_a_run_that_goes_on_keeps_its_own() -> None:
    old, new, other = (
        Skill("f", "def f(): pass"),
        Skill("f", "def f(): return 1"),
        Skill("g", "def g(): pass"),
    )
    told: list[str] = []
    assert kept([new, other], [old], told.append) == (old, other)
    assert len(told) == 1
    assert kept([old], [old], told.append) == (old,)
    assert len(told) == 1


def test_what_the_record_would_mask_is_not_offered() -> None:
    redactor = Redactor({"TOKEN": "sk-12345678901234567890"}, ["email=[a-z]+@[a-z.]+"])
    check_unmasked([Skill("f", "def f(): return 'nothing'")], redactor)
    for text in ("sk-12345678901234567890", "someone@example.org"):
        with pytest.raises(UsageError, match="skill 'f' holds a secret, or what --redact masks"):
            check_unmasked([Skill("f", f"def f(): return {text!r}")], redactor)


def test_skills_travel_in_the_setup_cell() -> None:
    skills = (Skill("f", "def f(x='''it's'''):\n    return '\\\\\u20ac\x0c'\n"), Skill("g", "def g(): pass"))
    spec = SetupSpec("", skills=skills)
    assert read_setup_source(setup_source(spec)) == spec


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"skill":"f","source":"x = 1"}', "line 2 .*skill 'f': it defines no function 'f'"),
        ('{"skill":"f","source":"def f(:"}', "line 2 .*skill 'f': line 1: "),
        ('{"skill":"../f","source":"def f(): pass"}', "a skill cannot be called '../f'"),
        ('{"skill":"f","source":1}', "'source' is a string"),
        ('{"skill":1,"source":"x"}', "'skill' is a string"),
        ('{"skill":"f","source":"def f(): pass"}\n' * 2, "skill 'f' stands here twice"),
        ('{"skill":"f","source":"' + "#" * 70_000 + '"}', "a skill has at most 65,536"),
    ],
)
def test_lines_of_a_stranger_that_are_no_skills(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_setup('{"codeact":1,"imports":[]}\n' + line)


def test_the_prompt_has_a_line_each_and_is_bounded() -> None:
    assert skills_section([]) == ""
    specs = [
        skill_spec(
            Skill(
                f"skill_{n:03}",
                f"def skill_{n:03}(x: int) -> int:\n    '''Adds {n}, again and again. And more.'''",
            )
        )
        for n in range(150)
    ]
    section = skills_section(specs[::-1])
    assert section == skills_section(specs)
    assert "`from skills import skill_000`" in section
    assert "\n- skill_000(x: int) -> int — Adds 0, again and again.\n" in section
    assert "And more" not in section
    assert section.endswith(" more; tools.search finds them")
    assert len(section) < MAX_CHARS + 1_000
