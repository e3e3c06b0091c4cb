"""Lines of large calls are made once: what is written of a call is the same, and goes with it."""

from __future__ import annotations

import gc
from dataclasses import replace

from codeact_kernel.wire import setup_tape
from codeact_kernel.wire.messages import Returned, ToolCall
from codeact_kernel.wire.setup_tape import LARGE_BYTES, tape_lines


def a_call(step: int, value: str) -> ToolCall:
    return ToolCall(step, 1, "f", (), {}, Returned(value))


def test_a_large_call_is_written_the_same_again_and_forgotten_with_it() -> None:
    large, small = a_call(1, "x" * (LARGE_BYTES + 1)), a_call(2, "y")
    first = [*tape_lines([large, small])]
    assert len(first) == 3
    gc.collect()
    before = len(setup_tape._KNOWN._kept)
    assert [*tape_lines([large, small])] == first
    assert [*tape_lines([replace(large), small])] == first  # An equal one that is new.
    twice = [*tape_lines([large, replace(large, step=3)])]
    assert twice[:2] == first[:2]
    assert len(twice) == 3  # The value stands once.
    assert [*tape_lines([a_call(1, "z" * (LARGE_BYTES + 1))])] != first[:2]
    gc.collect()
    assert len(setup_tape._KNOWN._kept) == before
    del large
    gc.collect()
    assert len(setup_tape._KNOWN._kept) == before - 1
