"""What may reach a terminal: nothing that moves, hides, reorders or floods."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.frontends.terminal import LineWindow, clean, clip

HOSTILE = {
    "colour": ("\x1b[31mred\x1b[0m", "red"),
    "clear screen": ("a\x1b[2J\x1b[Hb", "ab"),
    "title": ("a\x1b]0;you have mail\x07b", "ab"),
    "title, ended by ST": ("a\x1b]0;x\x1b\\b", "ab"),
    "clipboard": ("a\x1b]52;c;cm0gLXJm\x07b", "ab"),
    "hyperlink": ("\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"),
    "device control": ("a\x1bP1$r0m\x1b\\b", "ab"),
    "8-bit CSI": ("a\x9b2Jb", "ab"),
    "8-bit OSC": ("a\x9d0;x\x9cb", "ab"),
    "one in another": ("a\x9d0;x\x900;y\x9cb", "a0;xb"),
    "cut-off sequence": ("a\x1b[31", "a31"),
    "cut-off title": ("a\x1b]0;never ended", "a0;never ended"),
    "bell and backspace": ("a\x07\x08b\x7f", "ab"),
    "reset": ("a\x1bcb", "ab"),
    "bidi override": ("if a\u202e ;eurT\u2066", "if a ;eurT"),
    "marks": ("a\u200eb\u200fc\u061cd", "abcd"),
    "line separator": ("a\u2028b", "a b"),
    "lone surrogate": ("a\udc80b", "a\ufffdb"),
    "crlf": ("a\r\nb", "a\nb"),
    "kept": ("é 漢字 👩‍💻\ttab\nline [b]no markup[/b]", "é 漢字 👩‍💻\ttab\nline [b]no markup[/b]"),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(
    st.text(alphabet=st.characters(codec=None), max_size=60) | st.text("\x1b]\x07[P\\;0m\x9b", max_size=30)
)
def test_nothing_clean_can_control_a_terminal(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert not any((ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in cleaned)


@pytest.mark.parametrize("sign", ["\x90", "\x98", "\x9b0", "\x9d", "\x9e", "\x9f", "\x1b]", "\x1bP"])
def test_cleaning_costs_its_length_and_not_the_square(sign: str) -> None:
    began = time.thread_time()
    assert len(clean(sign * 50_000)) <= 50_000
    assert time.thread_time() - began < 1


def test_clip_says_what_is_missing() -> None:
    assert clip("x" * 1300, 100) == "x" * 100 + "… (+1,200 characters)"
    assert clip("short", 100) == "short"


def test_window_shows_the_head_at_once_and_the_tail_at_the_end() -> None:
    window = LineWindow(head=3, tail=2)
    shown = [list(window.feed(f"{n}\n")) for n in range(10)]
    assert shown[:4] == [["0"], ["1"], ["2"], []]
    assert window.close() == (5, ["8", "9"])


@given(st.lists(st.text("ab\n", max_size=12), max_size=6), st.integers(0, 3), st.integers(1, 3))
def test_however_text_comes_the_same_lines_are_shown_and_hidden(
    parts: list[str], head: int, tail: int
) -> None:
    window, single = LineWindow(head, tail), LineWindow(head, tail)
    shown = [line for part in parts for line in window.feed(part)]
    assert [line for sign in "".join(parts) for line in single.feed(sign)] == shown
    hidden, rest = window.close()
    assert single.close() == (hidden, rest)
    lines = "".join(parts).removesuffix("\n").split("\n") if "".join(parts) else []
    assert len(shown) + hidden + len(rest) == len(lines)
    assert shown + rest == lines[: len(shown)] + lines[len(lines) - len(rest) :]


@given(st.lists(st.text("ab\n", max_size=8), max_size=12))
def test_without_a_bound_nothing_is_lost(parts: list[str]) -> None:
    window = LineWindow(head=None, tail=1)
    lines = [line for part in parts for line in window.feed(part)]
    hidden, rest = window.close()
    assert hidden == 0
    text = "".join(parts)
    assert lines + rest == (text.removesuffix("\n").split("\n") if text else [])


def test_a_progress_bar_is_its_last_state() -> None:
    window = LineWindow(head=None, tail=1)
    assert list(window.feed("10%\r20%\r")) == []
    assert window.partial == "20%"
    assert list(window.feed("30%\r100%\ndone\r\n")) == ["100%", "done"]


def test_a_line_is_bounded_however_it_comes() -> None:
    window = LineWindow(head=None, tail=1, width=100)
    for _ in range(2000):
        assert list(window.feed("x" * 1000)) == []
    (line,) = window.feed("\n")
    assert len(line) < 140
    assert line.endswith(f"(+{2_000_000 - 100:,} characters)")


def test_escape_sequences_cut_by_the_stream_are_removed_whole() -> None:
    window = LineWindow(head=None, tail=1)
    assert list(window.feed("a\x1b]0;ti")) == []
    assert list(window.feed("tle\x07b\n")) == ["ab"]
