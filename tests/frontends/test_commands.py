"""run, exec, replay and show through the real entry point, with real kernels."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine.policy import TIERS

SCRIPT = Path(sys.executable).with_name("codeact")
Command = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.kernel
TOOLS = """
import subprocess
from decimal import Decimal
from codeact_kernel import tool

@tool
def double(amount: Decimal) -> Decimal:
    print("a tool that prints")
    subprocess.run(["echo", "and starts a program"])
    return 2 * amount

@tool
def broken(order_id: int) -> None:
    raise ValueError(f"no order {order_id}")
"""


def script(folder: Path, *replies: dict[str, str]) -> str:
    """A scripted model; returns its --model SPEC."""
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    return f"scripted:{path}"


def test_exec(command: Command, folder: Path) -> None:
    (folder / "cells.py").write_text("x = 6\nprint('hello')\n# %%\n1 / 0\n# %%\nx * 7\n")
    shown = command("exec", "cells.py")
    assert shown.returncode == 1
    for text in ("Cell 1", "  hello", "ZeroDivisionError", "Cell 3", "  42"):
        assert text in shown.stdout
    assert "\x1b" not in shown.stdout
    assert shown.stderr == ""


def test_exec_json(codeact: Command, folder: Path) -> None:
    (folder / "tools.py").write_text(TOOLS)
    source = "\n# %%\n".join(
        [
            "from decimal import Decimal\nprint('out')\ndouble(Decimal('1.5'))",
            "broken(7)",
            "import os",
            "from IPython.display import display\ndisplay({'image/png': 'aGk='}, raw=True)\n'last'",
        ]
    )
    shown = codeact("exec", "-", "--json", "--tools", "tools.py", stdin=source)
    assert shown.returncode == 1
    document = json.loads(shown.stdout)
    assert "a tool that prints" in shown.stderr
    assert "and starts a program" in shown.stderr
    assert list(document) == ["schema_version", "cells", "sandbox", "files"]
    assert document["schema_version"] == 1
    assert document["sandbox"]["python"].startswith("3.")
    first, failed, refused, last = document["cells"]
    for cell in document["cells"]:
        assert set(cell) == {
            "status",
            "stdout",
            "stderr",
            "result",
            "outputs",
            "error",
            "tool_calls",
            "truncated",
            "files",
            "more_files",
            "duration_s",
        }
    assert (first["status"], first["stdout"], first["result"]) == ("ok", "out\n", "Decimal('3.0')")
    (call,) = first["tool_calls"]
    assert (call["name"], call["ok"], set(call) >= {"args", "kwargs", "result", "duration_s"}) == (
        "double",
        True,
        True,
    )
    assert failed["error"]["ename"] == "ValueError"
    assert failed["tool_calls"][0]["error"] == {"type": "ValueError", "message": "no order 7"}
    assert refused["status"] == "error"
    assert "--allow-import os" in refused["error"]["evalue"]
    assert last["outputs"][0]["image/png"].strip() == "aGk="
    assert last["result"] == "'last'"


def test_exec_all_ok(command: Command) -> None:
    shown = command("exec", "-", "--allow-import", "os", stdin="import os\nos.getpid() > 0")
    assert (shown.returncode, "True" in shown.stdout) == (0, True)


def test_exec_data_workspace_and_timeout(command: Command, folder: Path) -> None:
    (folder / "numbers.csv").write_text("1\n2\n")
    (folder / "space").mkdir()
    source = (
        "from pathlib import Path\nPath('made.txt').write_text(Path('data/numbers.csv').read_text())\n"
        "# %%\nwhile True: pass\n# %%\n'still here'"
    )
    shown = command(
        *("exec", "-", "--json", "--data", "numbers.csv", "--workspace", "space", "--step-timeout", "1"),
        stdin=source,
    )
    assert shown.returncode == 1
    cells = json.loads(shown.stdout)["cells"]
    assert [cell["status"] for cell in cells] == ["ok", "timeout", "ok"]
    assert cells[1]["error"]["ename"]
    assert (folder / "space" / "made.txt").read_text() == "1\n2\n"


def test_run_show_and_replay(codeact: Command, folder: Path) -> None:
    (folder / "tools.py").write_text(TOOLS)
    model = script(
        folder,
        {"thought": "I double it.", "code": "from decimal import Decimal\nx = double(Decimal('1.5'))\nx"},
        {"code": "final_answer({'total': float(x)})"},
    )
    shown = codeact("run", "Double 1.5", "--tools", "tools.py", "--model", model, "--out", "run.ipynb")
    assert shown.returncode == 0, shown.stderr
    for text in ("Task: Double 1.5", "I double it.", "double(", "Answer: {'total': 3.0}", "run.ipynb"):
        assert text in shown.stdout
    saved = codeact("show", "run.ipynb")
    assert saved.returncode == 0, saved.stderr
    for text in ("Double 1.5", "I double it.", "Answer: {'total': 3.0}", "2 steps"):
        assert text in saved.stdout
    replayed = codeact("replay", "run.ipynb")
    assert replayed.returncode == 0, replayed.stderr
    assert "The replay agrees: 2 steps." in replayed.stdout
    assert "a tool that prints" not in replayed.stdout, "the tool itself does not run again"
    document = json.loads(codeact("replay", "run.ipynb", "--json").stdout)
    assert (document["schema_version"], document["agrees"], len(document["steps"])) == (1, True, 2)


def test_replay_says_where_it_differs(command: Command, folder: Path) -> None:
    model = script(folder, {"code": "x = 1\nprint('one')"}, {"answer": "done"})
    assert command("run", "t", "--model", model, "--out", "run.ipynb", "--no-verify").returncode == 0
    for path in folder.glob("run.*"):
        path.write_text(path.read_text().replace("print('one')", "print('two')"))
    shown = command("replay", "run.ipynb")
    assert 10 <= shown.returncode <= 19
    assert "step 1  ✗" in shown.stdout
    assert "The replay differs in 1 of 1 step: output." in shown.stdout


def test_run_json(codeact: Command, folder: Path) -> None:
    (folder / "tools.py").write_text(TOOLS)
    (folder / "schema.json").write_text(
        json.dumps({"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]})
    )
    model = script(
        folder,
        {"code": "from decimal import Decimal\ndouble(Decimal(1))\nfinal_answer('two')"},
        {"code": "final_answer({'total': 2})"},
    )
    shown = codeact(
        *("run", "Double 1", "--tools", "tools.py", "--model", model, "--out", "run.ipynb"),
        *("--schema", "schema.json", "--json"),
    )
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert document.pop("cost_usd") in (0.0, None)  # a script has no price
    assert document.pop("sandbox")["tier"] in TIERS
    assert document == {
        "schema_version": 1,
        "answer": {"total": 2},
        "stop_reason": "answer",
        "steps": 2,
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "total_tokens": 0,
        },
        "trajectory": str(folder / "run.ipynb"),
        "verified": {"status": "identical", "classes": [], "reason": "", "remarks": []},
        "files": [],
    }
    assert "Step 1" in shown.stderr


def test_a_run_without_an_answer(command: Command, folder: Path) -> None:
    model = script(folder, *[{"code": f"{n}"} for n in range(5)])
    shown = command("run", "t", "--model", model, "--max-steps", "2", "--out", "run.ipynb", "--no-verify")
    assert shown.returncode == 1
    assert "Stopped after step 2: max steps" in shown.stdout
    shown = command(
        "run", "t", "--model", model, "--max-steps", "2", "--out", "run2.ipynb", "--json", "--no-verify"
    )
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["stop_reason"] == "max_steps"


def test_a_script_that_runs_out(command: Command, folder: Path) -> None:
    model = script(folder, {"code": "1"})
    shown = command("run", "t", "--model", model, "--out", "run.ipynb")
    assert shown.returncode == 4
    assert "Traceback" not in shown.stderr
    assert (folder / "run.ipynb").exists(), "what was done is kept"


BAD = {
    "no key": ([], {}, 4, "codeact demo"),
    "unknown kind of model": (["--model", "oracle:x"], {}, 2, "oracle"),
    "script missing": (["--model", "scripted:no.jsonl"], {}, 2, "no.jsonl"),
    "tools file with a syntax error": (["--tools", "bad.py"], {}, 2, "line 1"),
    "cost of an unknown price": (
        ["--model", "anthropic:no-such-model", "--max-cost", "1"],
        {"ANTHROPIC_API_KEY": "sk-test-0000"},
        2,
        "price",
    ),
    "schema that is none": (["--schema", "schema.json", "--model", "scripted:ok.jsonl"], {}, 2, "type"),
}


@pytest.mark.parametrize(("args", "env", "code", "message"), BAD.values(), ids=BAD)
def test_bad_input(
    command: Command, folder: Path, args: list[str], env: dict[str, str], code: int, message: str
) -> None:
    (folder / "bad.py").write_text("def f(:\n")
    (folder / "schema.json").write_text('{"type": "no such type"}')
    (folder / "ok.jsonl").write_text('{"answer": "1"}\n')
    shown = command("run", "t", *args, **env)
    assert shown.returncode == code, shown.stderr
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("name", ["replay", "show"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": []}', '{"nbformat": 4}'])
def test_a_corrupt_notebook(command: Command, folder: Path, name: str, content: str) -> None:
    (folder / "run.ipynb").write_text(content)
    shown = command(name, "run.ipynb")
    assert shown.returncode == 2
    assert "run.ipynb" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert (folder / "run.ipynb").read_text() == content


def test_ctrl_c_in_the_middle_of_a_step(environment: dict[str, str], folder: Path) -> None:
    model = script(
        folder,
        {"code": "x = 1"},
        {"code": "print('sleeping', flush=True)\nimport time\ntime.sleep(60)"},
    )
    running = subprocess.Popen(
        [str(SCRIPT), "run", "t", "--model", model, "--out", "run.ipynb", "--no-verify"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.strip() == "sleeping":
            break
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "run.ipynb" in stderr
    saved = subprocess.run(
        [str(SCRIPT), "show", "run.ipynb"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=True,
    )
    assert "Step 2" in saved.stdout
    assert "time.sleep(60)" in saved.stdout


def test_ctrl_c_in_exec(environment: dict[str, str], folder: Path) -> None:
    (folder / "cells.py").write_text("print('sleeping', flush=True)\nimport time\ntime.sleep(60)\n")
    running = subprocess.Popen(
        [str(SCRIPT), "exec", "cells.py", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.strip() == "sleeping":
            break
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "codeact: interrupted", "after the cell's own traceback"
    assert stdout == ""


def test_a_reader_that_goes_away(environment: dict[str, str], folder: Path) -> None:
    """`codeact exec … | head -1` ends without a traceback."""
    running = subprocess.Popen(
        [str(SCRIPT), "exec", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None  # `communicate` would read it
    _, stderr = running.communicate("print('x' * 100_000)", timeout=60)
    assert "Traceback" not in stderr
    assert running.returncode == 1
