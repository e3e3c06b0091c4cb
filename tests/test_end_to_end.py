"""The whole path through the command: real SDK over loopback HTTP, real kernel, real notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from codeact_kernel.frontends.cli import main
from tests.models.endpoint import (
    Answer,
    Endpoint,
    sse,
    sse_code,
    sse_error,
    sse_text,
    status,
    truncated,
)

SCRIPT = Path(sys.executable).with_name("codeact")
TOOLS = '''
from dataclasses import dataclass
from codeact_kernel import tool

@dataclass
class Sale:
    month: int
    amount: float

@tool
def fetch_sales(year: int) -> list[Sale]:
    """All sales of a year."""
    return [Sale(month, 100.0 * month) for month in range(1, 13)]
'''
SECRET = "sk-test-0123456789-secret"
PLOT = """
import matplotlib.pyplot as plt
plt.figure(figsize=(2, 1))
plt.plot([sale.amount for sale in sales])
plt.show()
"""

pytestmark = pytest.mark.kernel


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, url: str) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "ANTHROPIC_API_KEY": SECRET,
        "ANTHROPIC_BASE_URL": url,
        "NO_PROXY": "127.0.0.1",
        "PYTHONWARNINGS": "error",
    }


def codeact(folder: Path, url: str, *args: str) -> subprocess.CompletedProcess[str]:
    """The installed script, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC")}
    env = {**kept, **environment(folder, url)}
    return subprocess.run(
        [str(SCRIPT), *args], cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """The same without the process, which takes seconds to import the SDK."""

    def command(folder: Path, url: str, *args: str) -> subprocess.CompletedProcess[str]:
        for name in [name for name in os.environ if name.startswith("ANTHROPIC")]:
            monkeypatch.delenv(name)
        for name, value in environment(folder, url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        capfd.readouterr()
        code = main(args)
        shown = capfd.readouterr()
        return subprocess.CompletedProcess(args, code, shown.out, shown.err)

    return command


def run(
    folder: Path, *answers: Answer, more: tuple[str, ...] = (), command: Command = codeact
) -> tuple[Any, Endpoint, str]:
    """The JSON document of `codeact run`, the endpoint with its requests, standard error."""
    (folder / "tools.py").write_text(TOOLS)
    with Endpoint(answers) as endpoint:
        done = command(
            folder, endpoint.url, "run", "sum the sales", "--tools", "tools.py", "--out", "run.ipynb",
            "--model", "anthropic:claude-sonnet-5-5", "--json", "--no-verify", *more,
        )  # fmt: skip
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit": done.returncode}, endpoint, done.stderr


def observations(endpoint: Endpoint, request: int) -> list[Any]:
    """The content of the newest tool_result in a request."""
    content = endpoint.requests[request].body["messages"][-1]["content"]
    (result,) = [block for block in content if block["type"] == "tool_result"]
    found: list[Any] = result["content"]
    return found


def test_three_steps_that_build_on_each_other(tmp_path: Path) -> None:
    document, endpoint, _ = run(
        tmp_path,
        sse_code("sales = fetch_sales(2026)\nlen(sales)", thought="First the sales.", call_id="a"),
        sse_code("total = sum(sale.amount for sale in sales)\ntotal", call_id="b"),
        sse_code("final_answer({'total': total, 'months': len(sales)})", call_id="c"),
        sse_text("not asked for"),
    )
    assert document["answer"] == {"total": 7800.0, "months": 12}
    assert (document["exit"], document["stop_reason"], document["steps"]) == (0, "answer", 3)
    assert document["usage"]["output_tokens"] == 15
    assert document["cost_usd"] is None  # the price of a model behind another endpoint is not known
    assert len(endpoint.requests) == 3
    assert "12" in json.dumps(observations(endpoint, 1))
    assert "7800.0" in json.dumps(observations(endpoint, 2))
    system = json.dumps(endpoint.requests[0].body["system"])
    assert "def fetch_sales(year: int) -> list[Sale]" in system


def test_a_plot_reaches_the_model_as_an_image_and_the_notebook_as_a_plot(
    tmp_path: Path, inside: Command
) -> None:
    document, endpoint, stderr = run(
        tmp_path, sse_code("sales = fetch_sales(2026)" + PLOT), sse_text("The sales grow."), command=inside
    )
    assert document["answer"] == "The sales grow.", stderr
    images = [block for block in observations(endpoint, 1) if block["type"] == "image"]
    assert images[0]["source"]["media_type"] == "image/png"
    notebook = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    nbformat.validate(notebook)
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any("image/png" in bundle for bundle in shown)


def test_the_notebook_replays_and_holds_no_secret(tmp_path: Path) -> None:
    leak = f"print('{SECRET}')"  # as if it had come in through a tool
    run(tmp_path, sse_code("fetch_sales(2026)[0]"), sse_code(leak, call_id="b"), sse_text("done"))
    text = (tmp_path / "run.ipynb").read_text()
    assert SECRET not in text
    assert "[secret ANTHROPIC_API_KEY]" in text
    replayed = codeact(tmp_path, "http://127.0.0.1:9", "replay", "run.ipynb")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_the_key_is_not_in_the_kernel(tmp_path: Path) -> None:
    code = "import os\nprint(dict(os.environ))\nopen('/proc/self/environ', 'rb').read()"
    _, endpoint, _ = run(tmp_path, sse_code(code), sse_text("done"), more=("--allow-import", "os"))
    said = json.dumps(observations(endpoint, 1))
    assert "'LANG': " in said
    assert "<refused>read /proc/self/environ</refused>" in said
    assert SECRET not in said


FAULTS = {
    "overloaded in the middle of the stream": [sse_error(), sse_code("x = 1"), sse_text("done")],
    "socket dropped": [truncated(sse_code("x = 1"), b"content_block_stop", "drop"), sse_code("x = 1")],
    "stream ends early": [truncated(sse_code("x = 1"), b"event: message_delta"), sse_code("x = 1")],
    "rate limited": [status(429, {"retry-after": "0"}), sse_code("x = 1")],
    "overloaded": [status(529, {"retry-after-ms": "1"}), sse_code("x = 1")],
}


@pytest.mark.parametrize("answers", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_stream_is_retried_and_no_code_runs_twice(
    tmp_path: Path, inside: Command, answers: list[Answer]
) -> None:
    document, endpoint, stderr = run(tmp_path, *answers[:2], sse_text("done"), command=inside)
    assert document["answer"] == "done", stderr
    assert document["steps"] == 1
    assert len(endpoint.requests) == 3


def test_code_cut_off_by_max_tokens_does_not_run(tmp_path: Path, inside: Command) -> None:
    cut = sse(
        [{"type": "tool_use", "id": "t", "name": "execute_python", "json": '{"code": "fetch_sales(2026'}],
        "max_tokens",
    )
    document, endpoint, stderr = run(
        tmp_path, cut, sse_code("fetch_sales(2026)[0].amount"), sse_text("done"), command=inside
    )
    assert document["answer"] == "done", stderr
    assert document["steps"] == 2
    result = endpoint.requests[1].body["messages"][-1]["content"][0]
    assert (result["type"], result["is_error"]) == ("tool_result", True)
    notebook = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    assert sum("codeact-step" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1


def test_a_refusal_ends_the_run(tmp_path: Path, inside: Command) -> None:
    refused = sse(
        [{"type": "text", "text": "I cannot"}],
        "refusal",
        stop_details={"type": "refusal", "category": "cyber"},
    )
    document, _, stderr = run(tmp_path, refused, command=inside)
    assert document["stop_reason"] == "refusal"
    assert document["answer"] is None
    assert "cyber" in stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [(status(401), "ANTHROPIC_API_KEY"), (status(404, message="no such model"), "claude-sonnet-5-5")],
)
def test_what_the_endpoint_rejects_is_exit_code_4(
    tmp_path: Path, inside: Command, answer: Answer, said: str
) -> None:
    (tmp_path / "tools.py").write_text(TOOLS)
    with Endpoint([answer]) as endpoint:
        done = inside(tmp_path, endpoint.url, "run", "sum the sales", "--out", "run.ipynb")
    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    nbformat.validate(nbformat.read(tmp_path / "run.ipynb", as_version=4))


def test_a_schema_is_enforced(tmp_path: Path, inside: Command) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    document, endpoint, stderr = run(
        tmp_path,
        sse_code("final_answer({'total': 'many'})", call_id="a"),
        sse_code("final_answer({'total': 7800})", call_id="b"),
        more=("--schema", "schema.json"),
        command=inside,
    )
    assert document["answer"] == {"total": 7800}, stderr
    assert "total" in json.dumps(observations(endpoint, 1))


def test_a_model_without_tools_writes_marked_text(tmp_path: Path, inside: Command) -> None:
    first = "I fetch them.\n<code>\nsales = fetch_sales(2026)\nprint('<code>', len(sales))\n</code>"
    document, endpoint, stderr = run(
        tmp_path,
        sse_text(first),
        sse_text("Twelve sales."),
        more=("--model", "anthropic+text:some-local-model"),
        command=inside,
    )
    assert document["answer"] == "Twelve sales.", stderr
    assert document["steps"] == 1
    assert "tools" not in endpoint.requests[0].body
    assert "<code> 12" in json.dumps(endpoint.requests[1].body["messages"][-1])
