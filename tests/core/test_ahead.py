"""Dear imports: garbage is looked for again afterwards, and a failure is told where it can be."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel.ahead import import_ahead, import_dear

AHEAD = """
import gc, sys, threading
sys.path.insert(0, sys.argv[1])
from codeact_kernel.ahead import import_ahead
import_ahead("never_there", "broken", "dear_one")
for thread in threading.enumerate():
    if thread.name == "codeact-imports":
        thread.join()
print(gc.isenabled(), sorted({"broken", "dear_one", "never_there"} & set(sys.modules)))
import dear_one
print(dear_one.looked)
try:
    import broken
except ZeroDivisionError:
    print("told")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "dear_one.py").write_text("import gc\nlooked = gc.isenabled()\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    yield tmp_path
    sys.modules.pop("dear_one", None)


def test_garbage_is_looked_for_again(folder: Path) -> None:
    assert gc.isenabled()
    assert import_dear("dear_one").looked is False
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        import_dear("broken")
    assert gc.isenabled()


def test_who_looks_for_none_is_left_alone(folder: Path) -> None:
    gc.disable()
    try:
        import_dear("dear_one")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_fails_ahead_fails_where_it_is_needed(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AHEAD, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout == "True ['dear_one']\nFalse\ntold\n"


def test_what_is_there_needs_no_thread() -> None:
    before = threading.active_count()
    import_ahead("sys", "gc")
    assert threading.active_count() == before
