"""Names of servers as Python names: always valid, always apart, never changed by what comes later."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeact_kernel.wire.schemas import function_names, module_name, parameter_names

from .backwards import space_of, spec_of

awkward = st.sampled_from(
    [
        *(
            "",
            "_",
            "__",
            "__init__",
            "-",
            "1",
            "1a",
            "2fa-code",
            "from",
            "FROM",
            "match",
            "None",
            "a b",
            "a-b",
            "a_b",
        ),
        *(
            "a.b",
            "ﬁle",
            "file",
            "ｆｉｌｅ",
            "é",
            "e\u0301",
            "名前",
            "x" * 10_000,
            "x" * 10_001,
            "a\x00b",
            "\ud800",
            "⚠️",
        ),
        *(
            "a_2",
            "a",
            "a_3",
            "self",
            "print",
            "str",
            "Any",
            "read\ufe00file",
            "readfile",
            "\u200d",
            "İ",
            "·",
            "𝓍",
        ),
    ]
)
many = st.lists(awkward | st.text(max_size=8), max_size=30)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(many, many)
def test_names_are_valid_apart_and_stable(first: list[str], later: list[str]) -> None:
    given = function_names(first)
    assert function_names([*first, *later])[: len(given)] == given
    assert len(set(given)) == len(given)
    names: dict[str, object] = {}
    exec("".join(f"def {name}(): ...\n" for name in given), names)  # As Python itself reads them.
    for name in given:
        assert name in names
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not name.startswith("_")
        assert len(name) <= 70


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("read_file", "read_file"),
        ("readFile", "readFile"),
        ("read-file", "read_file"),
        ("read/file.v2", "read_file_v2"),
        ("from", "from_"),
        ("print", "print"),
        ("list", "list"),
        ("match", "match"),
        ("2fa", "tool_2fa"),
        ("", "tool"),
        ("__init__", "init__"),
        ("名前", "名前"),
        ("ﬁle", "file"),
        ("a\x1b[31mb", "a_31mb"),
        ("read\ufe00file", "readfile"),
        ("x" * 10_000, "x" * 64),
    ],
)
def test_names_stay_as_near_as_they_can(name: str, function: str) -> None:
    assert function_names([name]) == (function,)


def test_collisions_have_numbers_in_order() -> None:
    assert function_names(["a-b", "a_b", "a b", "a_b_2"]) == ("a_b", "a_b_2", "a_b_3", "a_b_2_2")
    long = function_names(["x" * 10_000, "x" * 10_001, "x" * 64])
    assert len(set(long)) == 3


def test_many_collisions_take_no_time_of_the_square() -> None:
    names = function_names([f"a_{n}" for n in range(10_000)] + ["a"] * 10_000)
    assert len(set(names)) == 20_000


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("file-system", "file_system"),
        ("tools", "tools_"),
        ("skills", "skills_"),
        ("mcp_servers", "mcp_servers_"),
        ("3d", "server_3d"),
        ("", "server"),
        ("_x", "x"),
    ],
)
def test_modules(name: str, module: str) -> None:
    assert module_name(name) == module


def test_parameters_lead_back_to_properties() -> None:
    given = [
        "from",
        "self",
        "cls",
        "a-b",
        "a_b",
        "_meta",
        "",
        "class",
        "list",
        "import_",
        "import",
        "ﬁ",
        "\ud800",
    ]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in given}}
    names = parameter_names(schema)
    assert list(names.values()) == given
    assert {
        "from_": "from",
        "self_": "self",
        "a_b_2": "a_b",
        "meta": "_meta",
        "list": "list",
    }.items() <= names.items()
    assert {"import_": "import_", "import_2": "import"}.items() <= names.items()
    assert not {"self", "cls", "from"}.intersection(names)
    called = space_of(spec_of(schema))["call"]
    called(**dict.fromkeys(names, "x"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(many)
def test_parameters_of_any_names(names: list[str]) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "integer"} for name in names},
        "required": names[::2],
    }
    found = parameter_names(schema)
    assert sorted(found.values()) == sorted(set(names))
    space_of(spec_of(schema))["call"](**dict.fromkeys(found, 1))
