"""Folders of skills: what is read, what is written, what is refused and how that is said."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.skills.folder import (
    check_free,
    check_name,
    names_in,
    own_folder,
    read_folders,
    read_skill,
    remove_skill,
    write_skill,
)
from codeact_kernel.wire.messages import ToolParameter
from codeact_kernel.wire.setup_skills import MAX_SOURCE, Skill, check_together, skill_spec

ONE = "def one(): pass\n"


def test_only_skills_are_read_from_a_folder(tmp_path: Path) -> None:
    others = (
        "one_test.py",
        "test_x.py",
        "_hidden.py",
        ".one.py-x",
        "conftest.py",
        "notes.txt",
        "__init__.py",
    )
    for name in ("one.py", "two.py", *others):
        (tmp_path / name).write_text(f"def {name.removesuffix('.py')}(): pass")
    (tmp_path / "__pycache__").mkdir()
    assert names_in(tmp_path) == ("one", "two")
    assert [(path.name, skill.name) for path, skill in read_folders([tmp_path, str(tmp_path)])] == [
        ("one.py", "one"),
        ("two.py", "two"),
    ]


def test_a_skill_is_written_replaced_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "skills"
    write_skill(folder, Skill("one", ONE), "def test_one(): pass\n")
    assert sorted(os.listdir(folder)) == ["one.py", "one_test.py"]
    assert stat.S_IMODE((folder / "one.py").stat().st_mode) == 0o644
    with pytest.raises(UsageError, match="exists and is not overwritten; say --replace"):
        check_free(folder, "one", replace=False)
    check_free(folder, "one", replace=True)
    write_skill(folder, Skill("one", "def one(): return 2\n"), None)
    assert os.listdir(folder) == ["one.py"]  # Tests of the old one say nothing of the new one.
    assert read_skill(folder, "one").source == "def one(): return 2\n"
    assert [path.name for path in remove_skill(folder, "one")] == ["one.py"]
    with pytest.raises(UsageError, match=r"there is no skill 'one' in .* there are: none"):
        remove_skill(folder, "one")


def test_a_link_in_its_place_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    folder = tmp_path / "skills"
    folder.mkdir()
    (folder / "one.py").symlink_to(target)
    with pytest.raises(UsageError, match="exists"):
        check_free(folder, "one", replace=False)
    write_skill(folder, Skill("one", ONE), None)
    assert target.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("one.py", b"def one(:\n", "one.py' cannot be used: line 1: "),
        ("one.py", b"x = 1\ndef two(): pass", "it defines no function 'one'"),
        ("one.py", b"one = lambda: 1", "it defines no function 'one'"),
        ("one.py", b"\xff\xfe", "is no text in UTF-8"),
        ("one.py", b"#" * (MAX_SOURCE + 1), "a skill has at most 65,536"),
        ("one.py", b"#" * (5 * MAX_SOURCE), "a skill has at most 65,536"),
        ("one.py", b"x = " + b"-" * 9_000 + b"1\ndef one(): pass", "cannot be used: "),
        ("one.py", b"def one(): pass\0", "cannot be used: "),
        ("my-skill.py", b"def f(): pass", "its name is no ASCII identifier"),
        ("größe.py", "def größe(): pass".encode(), "its name is no ASCII identifier"),
        ("class.py", b"def f(): pass", "its name is no ASCII identifier"),
    ],
)
def test_what_is_no_skill_is_said_with_its_file(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_folders([tmp_path])
    assert says in str(caught.value)
    assert name in str(caught.value)


def test_a_file_that_is_no_skill_leaves_the_others_there(tmp_path: Path) -> None:
    deep = "(" * 150 + ")" * 150
    files = {"one": ONE, "bad": "def bad(:", "nofn": "x = 1", "deep": f"def deep(x={deep}): pass"}
    for name, source in files.items():
        (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "my-skill.py").write_text("")
    told: list[str] = []
    assert [skill.name for _, skill in read_folders([tmp_path], told.append) if skill.name != "deep"] == [
        "one"
    ]
    said = "\n".join(told)
    assert f"skill {str(tmp_path / 'bad.py')!r} cannot be used: line 1: " in said
    assert f"skill {str(tmp_path / 'nofn.py')!r} cannot be used: it defines no function 'nofn'" in said
    assert f"skill {str(tmp_path / 'my-skill.py')!r} cannot be used: its name is no ASCII identifier" in said
    assert all(text.endswith("; it is left out") for text in told)
    with pytest.raises(UsageError, match="cannot be read"):
        read_folders([tmp_path / "missing"], told.append)


def test_two_skills_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_skill(tmp_path / folder, Skill("one", ONE), None)
    with pytest.raises(UsageError, match="two skills are called 'one'"):
        read_folders([tmp_path / "a", tmp_path / "b"])


def test_how_much_one_run_is_offered() -> None:
    big = "#" * (MAX_SOURCE - 100)
    with pytest.raises(ValueError, match="at most 1,048,576"):
        check_together([Skill(f"f{n}", big) for n in range(17)])
    with pytest.raises(ValueError, match="more than 200 skills"):
        check_together([Skill(f"f{n}", "") for n in range(201)])


@pytest.mark.parametrize("given", ["missing", "file"])
def test_a_folder_that_is_none(given: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be read: .*; name another"):
        read_folders([tmp_path / given])


@pytest.mark.parametrize(
    "name", ["", "a b", "a-b", "../x", "_x", "class", "test_x", "x_test", "conftest", "json", "x" * 101, "é"]
)
def test_names_that_no_skill_can_have(name: str) -> None:
    with pytest.raises(UsageError, match="a skill cannot be called"):
        check_name(name)


def test_names_that_are_fine() -> None:
    for name in ("top_customers", "Total2", "tester"):
        check_name(name)


def test_the_users_own_folder_is_among_jupyters_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert own_folder() == tmp_path / "codeact" / "skills"


def test_the_signature_of_a_skill_is_read_and_not_run() -> None:
    source = "async def f(a, b: int = 1, /, c=[0], *d: str, e, g=None, **h) -> 'list[int]':\n    '''Says.'''"
    spec = skill_spec(Skill("f", source))
    assert (spec.name, spec.doc, spec.is_async, spec.returns) == ("skills.f", "Says.", True, "'list[int]'")
    assert spec.parameters == (
        ToolParameter("a", "positional_only"),
        ToolParameter("b", "positional_only", "int", "1"),
        ToolParameter("c", "positional_or_keyword", "", "[0]"),
        ToolParameter("d", "var_positional", "str"),
        ToolParameter("e", "keyword_only"),
        ToolParameter("g", "keyword_only", "", "None"),
        ToolParameter("h", "var_keyword"),
    )
