"""What is said of a cell's time."""

from __future__ import annotations

from codeact_kernel.sandbox.run import Run


def test_how_long_the_kernel_was_at_work_is_said_only_where_it_is_known() -> None:
    """Code that lets no other thread run keeps back the kernel's word that it begins."""
    silent, heard = Run("1", None, None), Run("2", None, None)
    heard.begin()
    for run in (silent, heard):
        run.answer({"status": "ok", "execution_count": 2})
    assert silent.finished().inside_s is None
    assert heard.finished().inside_s is not None
