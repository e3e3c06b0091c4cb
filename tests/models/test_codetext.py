"""The scanner of the text dialect: what is code, what is prose, where a block ends."""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codeact_kernel.models.codetext import LiveSplitter, scan


def code_of(text: str) -> str | None:
    found = scan(text)
    return None if found.cut_off or not found.block else found.block.code


def is_python(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I look.\n<code>\nprint(1)\n</code>", "print(1)"),
        ("Code: <code>print(1)</code>", "print(1)"),
        ("<code>\ns = '<code>hi'\nprint(s)\n</code>", "s = '<code>hi'\nprint(s)"),
        ("<code>\ns = '</code>'\nprint(s)\n</code>\nDone.", "s = '</code>'\nprint(s)"),
        ('<code>\nt = """\n</code>\n"""\nprint(t)\n</code>', 't = """\n</code>\n"""\nprint(t)'),
        ('<code>\nt = """\n```\nx\n```\n"""\n</code>', 't = """\n```\nx\n```\n"""'),
        ("<code>\nx = 1  # not </code> yet\ny = 2\n</code>", "x = 1  # not </code> yet\ny = 2"),
        ("```python\nprint(1)\n```", "print(1)"),
        ('```py\nt = """\n```\n"""\n```\nSee?', 't = """\n```\n"""'),
        ("```\nprint(1)\n```", "print(1)"),
        ("```json\n{}\n```\n```python\nprint(1)\n```\n```text\nhi\n```", "print(1)"),
        ("<code>\na = 1\n</code>\nthen\n<code>\nb = 2\n</code>", "b = 2"),
        ("```python\nx = 0\n```\n<code>\nprint(1)\n</code>", "print(1)"),
        ("<code>\n```python\nprint(1)\n```\n</code>", "print(1)"),
        ("<code>\nprint(1)\n</code", "print(1)"),
        ("<code>\nprint(1)\n</", "print(1)"),
        ("```python\nprint(1)\n``", "print(1)"),
        ("<code>\n%%time\nawait f()\n</code>", "%%time\nawait f()"),
        ("<code>\n%%bash\necho it's </code>", "%%bash\necho it's"),
        ("<code>\nfiles = !ls\nprint(files)\n</code>", "files = !ls\nprint(files)"),
        ("<code>\n%time s = '</code>'\n</code>\nend", "%time s = '</code>'"),
        ("<code>\nprint('a'\ns = '</code>'\n</code> prose", "print('a'\ns = '</code>'"),  # a syntax error
        ("<code>\nif x:\nprint(1)\n</code>\nprose", "if x:\nprint(1)"),
        ("<code>\n</code>", ""),
    ],
)
def test_finds_the_code(text: str, code: str) -> None:
    assert code_of(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 4.",
        "Use the <code>sum</code> function, or `<code>` tags.",
        'The config:\n```json\n{"a": 1}\n```',
        "The config:\n```json\n{}\n```\nDone.",
        "The table:\n```\n+---+\n| a |\n```\nDone.",
        "Cost: 3 </code> 4",
        "",
    ],
)
def test_prose_is_prose(text: str) -> None:
    found = scan(text)
    assert found.block is None
    assert not found.cut_off


@pytest.mark.parametrize(
    "text",
    [
        "<code>\nprint(1)",
        "<code>\nprint('</code>')",
        "<code>\ns = '''abc </code",
        "```python\nprint(1)\n",
        "<code>\na = 1\n</code>\n<code>\nb = ",
        "<code>",
    ],
)
def test_what_is_open_at_the_end_is_cut_off(text: str) -> None:
    assert scan(text).cut_off


def test_a_hostile_reply_is_read_in_bounded_time() -> None:
    backslashes = "<code>\n" + '"""' + "\\" * 20_000 + "\n</code>"
    assert scan(backslashes).block is not None
    assert scan("<code>\n" + "(" * 50_000 + "\n</code>").block is not None
    assert scan("<code>\n" + "x\n</code>\n<code>\n" * 300).cut_off


MARKS = st.sampled_from(["</code>", "<code>", "```", "\n```\n", "</", "'", '"', "\\", "#", "\n", "é", "x"])
TEXTS = st.lists(MARKS, max_size=8).map("".join)


@given(values=st.lists(TEXTS, min_size=1, max_size=3), tag=st.booleans())
def test_no_string_literal_can_cut_its_block(values: list[str], tag: bool) -> None:
    code = "\n".join(f"s{i} = {value!r}" for i, value in enumerate(values))
    text = (
        f"Let me.\n<code>\n{code}\n</code>\nThen </code> ." if tag else f"Let me.\n```python\n{code}\n```\nOk"
    )
    assert code_of(text) == code


@given(body=TEXTS)
def test_no_triple_quoted_text_can_cut_its_block(body: str) -> None:
    code = f"s = '''\n{body}\n'''"
    assume(is_python(code))
    assert code_of(f"<code>\n{code}\n</code>") == code


@given(
    text=st.lists(MARKS | st.sampled_from(["```python\n", "%%time\n", "print(1)", ":"]), max_size=20).map(
        "".join
    )
)
def test_any_text_is_read_without_a_crash(text: str) -> None:
    found = scan(text)
    assert found.block is None or found.block.code in text
    assert found.block is None or 0 <= found.block.start < found.block.end <= len(text)


STREAMED = [
    "I look.\n<code>\ns = '</code>'\nprint(s)\n</code>\nbye",
    "Think: ``x`` < 3.\n```python\nprint(1)\n```\nso",
    "a < b </cod\n<code>\nx = '`' \n</code>",
    '<code>\nx = """\n</code>\n"""\n</code>',
]


def shown(pieces: Iterable[str]) -> dict[str, str]:
    splitter, out = LiveSplitter(), {"thought": "", "code": ""}
    for piece in pieces:
        for kind, part in splitter.feed(piece):
            out[kind] += part
    for kind, part in splitter.rest():
        out[kind] += part
    return {kind: part.strip() for kind, part in out.items()}


@pytest.mark.parametrize("text", STREAMED)
def test_what_is_shown_live_is_the_code(text: str) -> None:
    assert shown(text)["code"] == shown([text])["code"] == code_of(text)


@given(text=st.sampled_from(STREAMED), cuts=st.lists(st.integers(0, 60), max_size=12))
def test_live_pieces_are_the_same_however_the_text_arrives(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert shown(text[a:b] for a, b in pairwise(edges)) == shown([text])


@pytest.mark.parametrize(
    "text",
    [
        "```" + "a" * 100_000 + "`",
        "```" + " " * 100_000 + "`",
        "<code>\n```\n" + " " * 100_000 + "x\n</code>",
        "<code>\n" + "=%" * 50_000 + "```\n</code>",
        "\n```" * 25_000,
    ],
    ids=["language", "blanks of a fence", "blanks in a fence", "magics", "fences"],
)
def test_a_scan_costs_its_length_and_not_the_square(text: str) -> None:
    began = time.thread_time()
    scan(text)
    assert time.thread_time() - began < 2.5


@pytest.mark.parametrize("text", [" " * 100_000 + "x", ":" * 100_000 + "x", " :" * 50_000 + "<x"])
def test_text_that_streams_in_is_not_searched_again_from_each_blank(text: str) -> None:
    splitter = LiveSplitter()
    began = time.thread_time()
    pieces = [*splitter.feed(text), *splitter.rest()]
    assert time.thread_time() - began < 1
    assert "".join(piece for _, piece in pieces) == text
