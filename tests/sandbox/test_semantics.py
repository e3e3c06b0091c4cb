"""Cells are IPython cells: await, magics, rich display, names, tracebacks of the user's own frames."""

from __future__ import annotations

import base64
import re

import pytest

from codeact_kernel.outputs import Display

from .support import Lab, OpenLab, value_of

pytestmark = pytest.mark.kernel
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def traceback_of(lab: Lab, code: str) -> str:
    return ANSI.sub("", "\n".join(lab.run(code).error.traceback))


def test_top_level_await_and_last_expression(shared: Lab) -> None:
    assert value_of(shared, "import asyncio\nx = await asyncio.sleep(0, 'slept')\nx.upper()") == "'SLEPT'"
    assert value_of(shared, "await asyncio.gather(*(asyncio.sleep(0, i) for i in range(3)))") == "[0, 1, 2]"
    assert not any("text/plain" in getattr(s, "data", {}) for s in shared.run("6 * 7;").shown)


def test_magics(shared: Lab) -> None:
    assert "Wall time" in shared.run("%%time\ntotal = sum(range(1000))").out
    assert value_of(shared, "total") == "499500"
    assert "per loop" in shared.run("%timeit -n 10 -r 2 1 + 1").out


def test_out_history_agrees_with_the_count(shared: Lab) -> None:
    cell = shared.run("'remember me'")
    count = cell.finished.execution_count
    assert value_of(shared, f"Out[{count}], _{count}, In[{count}]") == (
        "('remember me', 'remember me', \"'remember me'\")"
    )


def test_rich_display(shared: Lab) -> None:
    cell = shared.run(
        "from IPython.display import HTML, Markdown\ndisplay(Markdown('*x*'))\nHTML('<b>x</b>')"
    )
    shown = [s for s in cell.shown if isinstance(s, Display)]
    assert shown[0].data["text/markdown"] == "*x*"
    assert cell.bundle["text/html"] == "<b>x</b>"


def test_matplotlib_inline(shared: Lab) -> None:
    cell = shared.run("%matplotlib inline\nimport matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")
    shown = [s for s in cell.shown if isinstance(s, Display)]
    assert cell.status == "ok"
    assert base64.b64decode(str(shown[0].data["image/png"])).startswith(b"\x89PNG\r\n")


def test_names_created_and_rebound(shared: Lab) -> None:
    cell = shared.run("fresh = 1\n_hidden = 2\nimport math\ndef function(): pass")
    assert set(cell.finished.names) == {"fresh", "math", "function"}
    assert shared.run("fresh, math").finished.names == ()
    assert shared.run("fresh = 'other'").finished.names == ("fresh",)
    assert shared.run("after = 1\nraise ValueError").finished.names == ("after",)
    assert shared.run("del fresh").finished.names == ()


def test_library_frames_are_left_out(shared: Lab) -> None:
    shared.run(
        "import pandas as pd\nframe = pd.DataFrame({'a': [1]})\ndef look(name):\n    return frame[name]"
    )
    text = traceback_of(shared, "print('line 1')\nlook('missing')")
    assert "return frame[name]" in text
    assert "look('missing')" in text
    assert "KeyError: 'missing'" in text
    assert "site-packages" not in text
    assert "get_loc" not in text


def test_chained_exceptions_are_trimmed_too(shared: Lab) -> None:
    text = traceback_of(
        shared,
        "import json\n"
        "def parse():\n"
        "    try:\n        json.loads('{')\n"
        "    except ValueError as bad:\n        raise RuntimeError('unreadable') from bad\n"
        "parse()",
    )
    assert "JSONDecodeError" in text
    assert "RuntimeError: unreadable" in text
    assert "The above exception was the direct cause" in text
    assert "raw_decode" not in text


def test_syntax_error_is_an_error(shared: Lab) -> None:
    assert shared.run("1 +").error.ename == "SyntaxError"
    assert value_of(shared, "6 * 7") == "42"


def test_input_is_refused(shared: Lab) -> None:
    error = shared.run("input('who? ')").error
    assert error.ename == "StdinNotImplementedError"


def test_exit_of_the_shell_does_not_end_the_kernel_silently(shared: Lab) -> None:
    assert shared.run("raise SystemExit(3)").error.ename == "SystemExit"
    assert value_of(shared, "6 * 7") == "42"


def test_an_exception_group_is_an_error_with_its_members(shared: Lab) -> None:
    """IPython prints them as text, and sends no error."""
    error = shared.run(
        "import asyncio\nasync def fail(): raise KeyError('inner')\n"
        "async with asyncio.TaskGroup() as group: group.create_task(fail())"
    ).error
    assert (error.ename, error.traceback[0].strip()) == (
        "ExceptionGroup",
        "+ Exception Group Traceback (most recent call last):",
    )
    assert "KeyError: 'inner'" in "".join(error.traceback)
    assert "IPython" not in "".join(error.traceback)
    assert (
        shared.run("raise ValueError(1) from ExceptionGroup('g', [KeyError(2)])").error.ename == "ValueError"
    )


def test_a_traceback_that_cannot_be_made_is_an_error_all_the_same(shared: Lab) -> None:
    error = shared.run(
        "class Broken(Exception):\n    def _render_traceback_(self): raise MemoryError\nraise Broken('mine')"
    ).error
    assert (error.ename, error.evalue, error.traceback) == ("Broken", "mine", ("Broken: mine",))


def test_the_last_traceback_where_there_is_none_and_where_there_is_one(open_lab: OpenLab) -> None:
    lab = open_lab()
    assert lab.run("%tb").err == "No traceback available to show.\n"
    lab.run("1 / 0")
    assert lab.run("%tb").error.ename == "ZeroDivisionError"


def test_memory_without_a_file_is_private_and_works(shared: Lab) -> None:
    """`mmap.mmap(-1, n)` shares by default, which the filter of system calls denies."""
    code = (
        "import mmap\nwith mmap.mmap(-1, 8192) as page:\n"
        "    page[:4] = b'kept'\n    print(page[:5], len(page))\n"
        "with mmap.mmap(-1, 10, access=mmap.ACCESS_READ) as page: print(page.read())\n"
        "with open('file', 'w+b') as file:\n    file.truncate(100)\n"
        "    with mmap.mmap(file.fileno(), 0) as page: page[:3] = b'abc'\n    print(file.read(4))"
    )
    assert shared.run(code).out == f"{b'kept' + bytes(1)!r} 8192\n{bytes(10)!r}\n{b'abc' + bytes(1)!r}\n"
