"""What a cell prints: the head goes out, the tail follows, `_obs` keeps a bounded copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.in_kernel.bounded import MAX_TEXT, shortened
from codeact_kernel.in_kernel.streams import KEPT_CELLS, KEPT_CHARS, Observations, Tail


@given(st.lists(st.text(max_size=20)), st.integers(1, 30))
def test_tail_keeps_the_end_and_counts_the_rest(parts: list[str], limit: int) -> None:
    tail, whole = Tail(limit), "".join(parts)
    for part in parts:
        tail.add(part)
    kept = tail.text()
    assert whole.endswith(kept)
    assert len(kept) >= min(limit, len(whole))
    assert len(kept) < 2 * limit
    assert tail.dropped == len(whole) - len(kept)


def test_observations_are_bounded_and_read_only() -> None:
    kept = Observations()
    for count in range(1, KEPT_CELLS + 11):
        kept._add(f"cell {count}")
        kept._close(count)
    assert len(kept) == KEPT_CELLS
    assert kept[KEPT_CELLS + 10] == f"cell {KEPT_CELLS + 10}"
    with pytest.raises(KeyError, match="no text is kept of cell 10; kept: 11–510"):
        kept[10]
    with pytest.raises(TypeError):
        kept[1] = "forged"
    kept._add("x" * KEPT_CHARS)
    kept._add("y" * KEPT_CHARS)
    kept._close(1000)
    assert kept[1000] == "x" * KEPT_CHARS


def test_shortened_bundle_says_what_is_gone() -> None:
    content = {"data": {"text/plain": "small", "image/png": "x" * 500_000}, "metadata": {}, "transient": {}}
    short = shortened(content)
    assert set(short) == set(content)
    assert short["data"]["text/plain"].startswith("small\n[… an output too large to be sent: ")
    assert "image/png 500,000 characters" in short["data"]["text/plain"]


def test_shortened_error_keeps_both_ends_of_its_texts() -> None:
    short = shortened({"ename": "E", "evalue": "a" * 10 + "x" * 10**6 + "b" * 10, "traceback": ["t"] * 5000})
    assert short["evalue"].startswith("a" * 10)
    assert short["evalue"].endswith("b" * 10)
    assert len(short["evalue"]) < MAX_TEXT + 100
    assert len(short["traceback"]) == 100
