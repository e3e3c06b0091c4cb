"""No value can break out of the setup cell, and everything in it can be read back."""

from __future__ import annotations

import ast
import hashlib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from codeact_kernel.wire.lines import dump_line
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import (
    SetupSpec,
    beyond_ceiling,
    parse_setup,
    read_setup_source,
    setup_cell,
    setup_source,
)
from codeact_kernel.wire.setup_files import FILE_BYTES, MAX_FILES, RecordedFile, file_to_json, is_data_name
from codeact_kernel.wire.setup_lines import pack
from codeact_kernel.wire.setup_tape import read_tape

# Text that means something to Python, to raw strings, to JSON, to IPython or to a terminal.
hostile = st.text(st.sampled_from("'\"\\\n\r\tru0027{}%!?$#\x00\x7f\x85\u2028é😀")) | st.sampled_from(
    ["'''", "\\'''", "''')\nimport os\n", "\\u0027''')", "%%bash", "!ls", "In [1]: x", ">>> x"]
)
values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | hostile,
    lambda inner: st.lists(inner) | st.dictionaries(hostile, inner),
    max_leaves=5,
)
calls = st.builds(
    ToolCall,
    st.integers(0, 9),
    st.integers(0, 9),
    hostile,
    st.lists(values, max_size=2).map(tuple),
    st.dictionaries(hostile, values, max_size=2),
    st.none() | st.builds(Returned, values) | st.builds(Raised, hostile, hostile),
)
kinds = st.sampled_from(["positional_only", "positional_or_keyword", "keyword_only", "var_keyword"])
parameters = st.builds(ToolParameter, hostile, kinds, hostile, st.none() | hostile)
tools = st.builds(
    ToolSpec, hostile, st.lists(parameters, max_size=2).map(tuple), hostile, hostile, st.booleans()
)
names = st.text(st.characters(exclude_characters="/\\"), min_size=1, max_size=9)
files = st.lists(
    st.builds(
        lambda parts, data, embedded, known: RecordedFile(
            "/".join(["data", *parts]),
            len(data),
            hashlib.sha256(data).hexdigest() if embedded or known else "",
            pack(data) if embedded else "",
        ),
        st.lists(names, min_size=1, max_size=3),
        st.binary(max_size=99),
        st.booleans(),
        st.booleans(),
    ).filter(lambda file: is_data_name(file.name)),
    max_size=3,
    unique_by=lambda file: file.name,
)
specs = st.builds(
    SetupSpec,
    hostile,
    st.lists(hostile, max_size=2).map(tuple),
    st.lists(tools, max_size=2).map(tuple),
    st.lists(calls, max_size=3).map(tuple),
    files=files.map(tuple),
)


def literal_of(source: str) -> str:
    """What the cell's last statement gives to setup, as Python and as IPython read it."""
    transformed = TransformerManager().transform_cell(source)
    assert transformed == source
    call = ast.parse(source).body[-1]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert ast.unparse(call.value.func) == "setup"
    (argument,) = call.value.args
    text = ast.literal_eval(argument)
    assert isinstance(text, str)
    return text


@given(specs)
def test_no_value_leaves_the_string_and_all_come_back(spec: SetupSpec) -> None:
    source = setup_source(spec)
    assert source.isascii()
    assert source.isprintable() or "\n" in source
    assert len(ast.parse(source).body) == 2
    text = literal_of(source)
    assert text in source  # Raw: what a person reads is what setup gets.
    assert parse_setup(text) == spec
    assert read_setup_source(source) == spec


BIG = ["x" * 50, {"k": [1, 2.5, None]}] * 500


def test_large_values_are_compressed_and_stored_once() -> None:
    tape = tuple(ToolCall(1, index, "f", (BIG,), {}, Returned(BIG)) for index in range(1, 21))
    spec = SetupSpec("r", tape=tape)
    source = setup_source(spec)
    assert source.count('"zlib"') == 1
    assert len(source) < 10_000
    assert '"preview":"[' in source
    assert read_setup_source(source) == spec


def test_large_arguments_are_named_by_their_place_and_many_small_ones_together() -> None:
    small = tuple("x" * 30 + str(index) for index in range(500))
    tape = (
        ToolCall(1, 1, "fetch", (), {}, Returned(BIG)),
        ToolCall(1, 2, "store", (7, BIG, "k"), {"rows": BIG, "note": None, "0": 1}, Returned(None)),
        ToolCall(1, 3, "store", small, {}, Raised("ValueError", "no")),
    )
    source = setup_source(SetupSpec("r", tape=tape))
    assert source.count('"zlib"') == 2
    assert '"args":[7,null,"k"]' in source
    assert '"kwargs":{"rows":null,"note":null,"0":1}' in source
    read = read_setup_source(source)
    assert read is not None
    assert read.tape == tape


def test_beyond_the_cap_the_tape_stays_outside() -> None:
    tape = tuple(ToolCall(1, index, "f", (index,), {}, Returned("y" * 100)) for index in range(1, 101))
    spec = SetupSpec("r", ("os",), (ToolSpec("f"),), tape)
    source, left_out = setup_cell(spec, cap_bytes=1_000)
    assert '"tape":"external"' in source
    read = read_setup_source(source)
    assert read is not None
    assert read.external_bytes == sum(len(line) + 1 for line in left_out)
    assert read == replace(spec, tape=(), external_bytes=read.external_bytes)
    assert read_tape(left_out) == tape
    assert setup_cell(spec) == (setup_source(spec), ())


def test_durations_stay_out_of_the_cell() -> None:
    call = ToolCall(1, 1, "f", (), {}, Returned(1), 0.123)
    assert setup_source(SetupSpec("r", tape=(call,))) == setup_source(
        SetupSpec("r", tape=(replace(call, duration_s=9.0),))
    )


DATA = setup_source(SetupSpec("r", tape=(ToolCall(1, 1, "f", (), {}, Returned(BIG)),)))
TAKEN = setup_source(SetupSpec("r", tape=(ToolCall(1, 1, "f", (1, BIG), {}, None),)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("{}", "format version None"),
        ('{"codeact":2,"run":"r"}', "pip install -U"),
        ('{"codeact":true,"run":"r"}', "format version True"),
        ('{"codeact":1,"run":7}', "'run' is a string"),
        ('{"codeact":1,"run":"r","imports":"os"}', "list of module names"),
        ('{"codeact":1,"run":"r","tape":"external","tape_bytes":-1}', "number of bytes"),
        ('{"codeact":1,"run":"r"}\n{"tool":1}', "line 2.*'tool' is a string"),
        ('{"codeact":1,"run":"r"}\n{"tool":"f","parameters":[1]}', "a parameter is an object"),
        ('{"codeact":1,"run":"r"}\n{"tool":"f","parameters":[{"name":"x","kind":"odd"}]}', "no kind"),
        ('{"codeact":1,"run":"r"}\n{"step":1}', "line 2.*tape entry"),
        ('{"codeact":1,"run":"r"}\n[1', "line 2"),
        (literal_of(DATA).replace('"zlib":"eJ', '"zlib":"eK'), "line 2.*cannot be expanded"),
        (literal_of(DATA).replace('"bytes":', '"bytes":1'), "is not what its digest says"),
        (literal_of(DATA).replace('"bytes":', '"bytes":999999999'), "at most"),
        (literal_of(DATA).replace('_data":"sha256:', '_data":"sha256:0'), "line 3.*no data line"),
        (literal_of(TAKEN).replace('_data":{"1"', '_data":{"2"'), "line 3.*no place '2'"),
        (literal_of(TAKEN).replace('_data":{"1"', '_data":{"01"'), "line 3.*no place '01'"),
        (literal_of(TAKEN).replace('_data":{"1":"sha256:', '_data":{"1":"sha256:0'), "line 3.*no data line"),
    ],
)
def test_what_is_no_setup_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_setup(text)


def file_line(name: str = "data/a.csv", data: bytes = b"a,1", **changed: Json) -> str:
    file = RecordedFile(name, len(data), hashlib.sha256(data).hexdigest(), pack(data))
    return dump_line({**file_to_json(file), **changed})


BAD_NAMES = (
    *(
        "a.csv",
        "data",
        "data/",
        "/data/a",
        "../data/a",
        "data/..",
        "data/../a",
        "data/./a",
        "data//a",
        "Data/a",
    ),
    *("data/a\x00", "data/a\nb", "data/\x1b[2J", "data/\u202ea", "data/\ud800", "data/a\\b", "data/a//"),
    *("data/" + "x" * 256, "data/" + "a/" * 40 + "a", "datab/a", "~/data/a", "C:/data/a"),
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_data_file_lies_below_data(name: str) -> None:
    assert not is_data_name(name)
    with pytest.raises(ValueError, match=r"line 2.*no name of a data file"):
        parse_setup('{"codeact":1,"run":"r"}\n' + file_line(name))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([file_line(bytes=2)], "not what its digest says"),
        ([file_line(bytes=True)], "number of bytes"),
        ([file_line(bytes=2**63)], "number of bytes"),
        ([file_line(bytes=10**100)], "number of bytes"),
        ([file_line(sha256="0" * 64)], "not what its digest says"),
        ([file_line(sha256="")], "not what its digest says"),
        ([file_line(sha256="A" * 64)], "64 hexadecimal"),
        ([file_line(zlib="eJ!!")], "cannot be expanded"),
        ([file_line(zlib=["x"])], "'zlib' is a string"),
        ([file_line(data=bytes(FILE_BYTES + 1))], f"at most {FILE_BYTES}"),
        ([file_line("data/a/")], "is a folder"),
        ([file_line(), file_line()], "line 3.*twice"),
        ([file_line(f"data/{n}", bytes(FILE_BYTES)) for n in range(17)], "line 18.*more than 1048576 bytes"),
        (
            [file_line(f"data/{n}", zlib="") for n in range(MAX_FILES + 1)],
            f"more than {MAX_FILES} data files",
        ),
    ],
)
def test_what_is_no_data_file_is_refused(lines: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_setup("\n".join(['{"codeact":1,"run":"r"}', *lines]))


def test_a_small_line_cannot_expand_to_more_than_it_says() -> None:
    bomb = pack(bytes(50_000_000))
    with pytest.raises(ValueError, match="not what its digest says"):
        parse_setup('{"codeact":1,"run":"r"}\n' + file_line(zlib=bomb, bytes=FILE_BYTES))


@pytest.mark.parametrize(
    ("ceiling", "beyond"),
    [
        (None, ()),
        ((), ("torch", "scipy.io", "os")),
        (("scipy", "os.path"), ("torch", "os")),
        (("torch", "scipy.io.wavfile"), ("scipy.io", "os")),
    ],
)
def test_a_ceiling_covers_what_is_below_it(ceiling: tuple[str, ...] | None, beyond: tuple[str, ...]) -> None:
    assert beyond_ceiling(("torch", "scipy.io", "os"), ceiling) == beyond


@pytest.mark.parametrize("source", ["", "x = 1", "setup()", "setup(r'''", "setup(1)", "a.setup('')", "\x00"])
def test_other_cells_are_no_setup_cells(source: str) -> None:
    assert read_setup_source(source) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["data", "bytes", "zlib", "args_data", "name", "args", "file"]), junk))
def test_junk_lines_are_value_errors(entry: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_setup('{"codeact":1,"run":"r"}\n' + dump_line(entry))


@settings(max_examples=40)
@given(junk, junk, junk)
def test_junk_tools_are_value_errors(name: Json, parameters: Json, doc: Json) -> None:
    line = dump_line({"tool": name, "parameters": parameters, "doc": doc})
    with suppress(ValueError):
        (tool,) = parse_setup('{"codeact":1,"run":"r"}\n' + line).tools
        assert (tool.name, tool.doc) == (name, doc)
