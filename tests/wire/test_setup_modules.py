"""Modules of tools in the setup cell: they come back, large ones packed; a stranger's cell is checked."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.wire.messages import Json, ToolModule, ToolParameter, ToolSchema, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, parse_setup, read_setup_source, setup_source
from codeact_kernel.wire.setup_lines import pack
from codeact_kernel.wire.setup_modules import (
    LARGE_BYTES,
    MAX_MODULES,
    MAX_PARTS,
    MAX_TOOLS,
    tool_lines,
    tools_from_value,
    tools_value,
)
from codeact_kernel.wire.values import decode, encode

from .test_setup import hostile, values

FILES = ToolModule("filesystem", "mcp_servers", "Files' server", "It's \"quoted\" '''too\\'''")
SHOP = ToolModule("shop", "toolkits")
REFUND = ToolSpec("shop.refund", (ToolParameter("order", annotation="int"),), "None", "Refunds.")
FLAT = ToolSpec("greet", (ToolParameter("name"),), "str", "Greets.", True)


def tool(number: int, doc: str = "Reads it.") -> ToolSpec:
    schema: dict[str, Json] = {"type": "object", "properties": {"from": {"type": "string", "default": "'"}}}
    return ToolSpec(
        f"filesystem.read_{number}",
        doc=doc,
        schema=ToolSchema(f"read-{number}", schema, {"type": "string"}, True),
        effect="read",
    )


@pytest.mark.parametrize("count", [1, 300])
def test_all_comes_back(count: int) -> None:
    tools = (FLAT, *map(tool, range(count)), ToolSpec("filesystem._updates"), REFUND)
    spec = SetupSpec("", tools=tools, modules=(FILES, SHOP))
    source = setup_source(spec)
    assert source.isascii()
    assert read_setup_source(source) == spec
    (argument,) = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)][-1:]
    assert "'" not in str(argument)


@given(
    st.lists(st.tuples(hostile, hostile, st.dictionaries(hostile, values, max_size=3)), max_size=4),
    st.sampled_from(["", "x" * LARGE_BYTES]),
)
def test_no_word_of_a_server_leaves_the_string(
    said: list[tuple[str, str, dict[str, Json]]], more: str
) -> None:
    modules = tuple(ToolModule(f"m{n}", "mcp_servers", *texts[:2]) for n, texts in enumerate(said))
    tools = tuple(
        ToolSpec(f"m{n}.f", doc=doc + more, schema=ToolSchema(name, schema, schema))
        for n, (name, doc, schema) in enumerate(said)
    )
    spec = SetupSpec("", tools=tools, modules=modules)
    source = setup_source(spec)
    assert all(line.isascii() and line.isprintable() for line in source.splitlines())
    assert source.count("'") == 2 * 3
    assert read_setup_source(source) == spec


def test_what_was_written_is_kept() -> None:
    modules, tools = (FILES,), tuple(map(tool, range(300)))
    assert tool_lines(modules, tools) is tool_lines(modules, tools)
    others = tuple(map(tool, range(301)))
    assert tool_lines(modules, others) != tool_lines(modules, tools)


def test_packed_tools_can_be_left_for_later() -> None:
    tools = tuple(map(tool, range(300)))
    spec = SetupSpec("", tools=(FLAT, *tools), modules=(FILES,))
    _, text, _ = setup_source(spec).split("'''")
    later = parse_setup(text, lazily=True)
    assert later.tools == (FLAT,)
    assert [packed.module for packed in later.packed] == ["filesystem"]
    assert later.packed[0].tools() == tools
    assert replace(later, tools=spec.tools, packed=()) == spec


def test_many_tools_take_one_line_and_little_room() -> None:
    tools = tuple(
        tool(number, "Reads what is there, as far as it can be read. " * 10) for number in range(2_500)
    )
    source = setup_source(SetupSpec("", tools=tools, modules=(FILES,)))
    assert len(source) < 150_000
    (line,) = [line for line in source.splitlines() if line.startswith('{"tools"')]
    assert json.loads(line)["names"].startswith("read_0, read_1, ")


def test_a_small_module_is_to_be_read() -> None:
    source = setup_source(SetupSpec("", tools=(tool(1),), modules=(FILES,)))
    assert '{"tool":"filesystem.read_1","schema":{"name":"read-1"' in source


def test_tools_as_a_value_cross_the_boundary() -> None:
    new = (tool(1), tool(2))
    value = decode(encode(tools_value(new)))
    assert tools_from_value("filesystem", value) == new


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "x",
        [1],
        [{"tool": "other.read"}],
        [{"tool": "filesystem.a.b"}],
        [{"tool": "filesystem.1"}],
        [{}],
    ],
)
def test_a_value_that_is_none_of_ours(value: object) -> None:
    with pytest.raises(ValueError, match=r"a tool|tools of a module|a string"):
        tools_from_value("filesystem", value)


HEADER = '{"codeact":1,"imports":[]}'


def module_line(name: str = "files", package: str = "mcp_servers", **more: Json) -> str:
    return json.dumps({"module": name, "package": package, **more})


def packed_line(entries: Json, **changed: Json) -> str:
    data = json.dumps(entries).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    line: dict[str, Json] = {"tools": "files", "bytes": len(data), "sha256": sha256, "zlib": pack(data)}
    return json.dumps({**line, **changed})


HOSTILE: list[tuple[str, tuple[str, ...]]] = [
    ("is no package of tools", (module_line(package="os"),)),
    ("is no package of tools", (module_line(package="mcp_servers.x"),)),
    ("'package' is a string", (json.dumps({"module": "files"}),)),
    ("no name of a module", (module_line("a.b"),)),
    ("no name of a module", (module_line(""),)),
    ("no name of a module", (module_line("tools"),)),
    ("no name of a module", (module_line("_secret"),)),
    ("no name of a module", (module_line("__init__"),)),
    ("no name of a module", (module_line("import"),)),
    ("no name of a module", (module_line("../x"),)),
    ("no name of a module", (module_line("ﬁle"),)),  # Python reads another name.
    ("no name of a module", (module_line("x" * 10_000),)),
    ("'module' is a string", (json.dumps({"module": 7, "package": "toolkits"}),)),
    ("'doc' is a string", (module_line(doc=[]),)),
    ("two modules", (module_line(), module_line(package="toolkits"))),
    ("no line before it has a module 'nowhere'", ('{"tool":"nowhere.f","doc":""}',)),
    ("no line before it has a module 'files.sub'", (module_line(), '{"tool":"files.sub.f","doc":""}')),
    ("no line before it has a module ''", ('{"tool":".f","doc":""}',)),
    ("is no name of a tool", (module_line(), '{"tool":"files.","doc":""}')),
    ("is no name of a tool", (module_line(), '{"tool":"files.a b","doc":""}')),
    ("is no name of a tool", (module_line(), '{"tool":"files.def","doc":""}')),
    ("two tools are called", (module_line(), '{"tool":"files.f","doc":""}', '{"tool":"files.f","doc":""}')),
    ("no schema of a tool", (module_line(), '{"tool":"files.f","doc":"","schema":{"name":"f","input":[]}}')),
    ("a schema is an object", (module_line(), '{"tool":"files.f","doc":"","schema":7}')),
    ("no line before it has a module", (packed_line([{"tool": "files.f", "doc": ""}]),)),
    ("is no name of a tool of the module", (module_line(), packed_line([{"tool": "other.f", "doc": ""}]))),
    ("a tool is an object", (module_line(), packed_line([[]]))),
    ("are a list", (module_line(), packed_line({}))),
    ("cannot be expanded", (module_line(), packed_line([], zlib="AAAA"))),
    ("cannot be expanded", (module_line(), packed_line([], zlib="é"))),
    ("not what its digest says", (module_line(), packed_line([], sha256="0" * 64))),
    ("not what its digest says", (module_line(), packed_line([], bytes=1))),
    ("at most 67,108,864", (module_line(), packed_line([], bytes=2**40))),
    ("'zlib' is a string", (module_line(), packed_line([], zlib=7))),
    (f"at most {MAX_PARTS:,}", (module_line(), packed_line([[]] * (MAX_PARTS // 2 + 1)))),
    (f"more than {MAX_MODULES:,} modules", tuple(module_line(f"m{n}") for n in range(MAX_MODULES + 1))),
    (
        "a list of at most 20,000",
        (module_line(), packed_line([{"tool": f"files.f{n}", "doc": ""} for n in range(MAX_TOOLS + 1)])),
    ),
    (
        "more than 20,000 tools",
        (
            module_line(),
            packed_line([{"tool": f"files.f{n}", "doc": ""} for n in range(MAX_TOOLS)]),
            '{"tool":"one_more","doc":""}',
        ),
    ),
]


@pytest.mark.parametrize(("said", "lines"), HOSTILE, ids=lambda value: str(value)[:40])
def test_a_strangers_cell_is_refused_and_the_line_named(said: str, lines: tuple[str, ...]) -> None:
    number = len(lines) + 1
    with pytest.raises(ValueError, match=f"^line {number} of the setup cell cannot be used: .*{said}"):
        parse_setup("\n".join([HEADER, *lines]))


def test_a_module_stands_before_its_tools() -> None:
    with pytest.raises(
        ValueError, match=r"line 2 of the setup cell .* no line before it has a module 'files'"
    ):
        parse_setup("\n".join([HEADER, '{"tool":"files.f","doc":""}', module_line()]))


def test_a_line_of_8_kib_is_the_limit() -> None:
    small, large = tool(1, "x" * 7_000), tool(1, "x" * LARGE_BYTES)
    assert '"tools"' not in setup_source(SetupSpec("", tools=(small,), modules=(FILES,)))
    assert '"tools"' in setup_source(SetupSpec("", tools=(large,), modules=(FILES,)))
