"""The CodeAct kernel through Jupyter's protocol: tasks, cells of one's own, magics, what goes beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from codeact_kernel.frontends.trusting import trust
from codeact_kernel.notebook.load import load
from tests.frontends.front_end import DEADLINE_S, FrontEnd

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    end = FrontEnd(tmp_path_factory.mktemp("kernel"), notebook="My analysis.ipynb")
    yield end
    end.close()


def test_without_a_key_there_is_a_kernel_and_a_task_says_what_to_do(front: FrontEnd) -> None:
    info = front.ask("kernel_info")
    assert info["implementation"] == "codeact"
    assert info["language_info"]["codemirror_mode"] == "ipythongfm"
    assert info["supported_features"] == []
    own = front.run("%%python\nn = 41\nn + 1")
    assert own.result == {"text/plain": "42"}
    failed = front.run("do something")
    assert (failed.reply["status"], failed.reply["ename"]) == ("error", "CredentialsError")
    assert "ANTHROPIC_API_KEY" in failed.reply["evalue"]
    assert "%model" in failed.reply["evalue"]
    assert [content["ename"] for content in failed.of("error")] == ["CredentialsError"]


def test_a_task_streams_its_steps_and_shares_the_state(front: FrontEnd) -> None:
    front.run("%%python\nprices = [3, 4, 5]")
    front.script(
        {"thought": "I add <b>them</b>.", "code": "total = sum(prices)\nprint('sum', total)\ntotal * 2"},
        {"code": "1 / 0"},
        {"answer": "It is **12** <img src=x onerror=alert(1)>"},
    )
    cell = front.run("add the prices")
    assert cell.reply["status"] == "ok"
    first = cell.of("display_data")[0]
    assert first["data"]["text/plain"].startswith("CodeAct: starting")
    shown = cell.shown()
    assert "I add &lt;b&gt;them&lt;/b&gt;." in shown[0]["text/html"]
    assert "✓" in shown[0]["text/html"]
    assert "<details" in shown[0]["text/html"]
    assert cell.text() == "sum 12\n"
    assert {"text/plain": "24"} in shown
    assert "ZeroDivisionError" in cell.text("stderr")
    assert not cell.of("error"), "a failed step is no failed cell"
    assert cell.result["text/html"] == "<p>It is <strong>12</strong> &lt;img src=x onerror=alert(1)&gt;</p>\n"
    assert front.run("%%python\ntotal").result == {"text/plain": "12"}


def test_each_run_is_a_notebook_beside_the_users_and_the_answer_links_to_it(front: FrontEnd) -> None:
    front.run("%reset")
    front.script({"code": "final_answer({'a': [1, 2]})"})
    cell = front.run("answer")
    assert cell.result == {"text/plain": "{'a': [1, 2]}"}
    (saved,) = set(front.folder.glob("My analysis-codeact-*.ipynb")) - _earlier(front.folder)
    link = cell.shown()[-1]
    assert f"href='{saved.name.replace(' ', '%20')}'" in link["text/html"]
    assert str(saved) in link["text/plain"]
    assert [turn.task for turn in load(saved).turns] == ["answer"]


def _earlier(folder: Path) -> set[Path]:
    """Runs of other tests: the newest is the one."""
    runs = sorted(folder.glob("My analysis-codeact-*.ipynb"), key=lambda path: path.stat().st_mtime_ns)
    return set(runs[:-1])


def test_consoles_get_each_thing_once_and_batch_runs_no_progress(front: FrontEnd) -> None:
    for options in ({"allow_stdin": True}, {}):
        front.script({"thought": "look", "code": "print(7)"}, {"answer": "done"})
        cell = front.run("look", cell_id=None, **options)
        assert not cell.of("update_display_data")
        assert cell.plain.count("look") == 1
        assert "    print(7)" in cell.plain
        assert ("thinking" in cell.plain) is bool(options)
        assert cell.result["text/plain"] == "done"


def test_magics_say_what_they_do(front: FrontEnd) -> None:
    assert "no tools" in front.run("%tools").text()
    assert "max_steps = 7\n" in front.run("%limits max_steps=7 max_cost_usd=none").text()
    for magic in ("%help", "%lsmagic"):
        assert "%trajectory" in front.run(magic).text()
    front.script({"code": "q = 1"}, {"code": "q += 1"}, {"answer": "two"})
    assert "model: scripted:" in front.run("%model").text()
    front.run("%help\n\ncount")
    listed = front.run("%trajectory")
    assert "Task: count" in listed.text()
    assert "q += 1" in listed.text()
    code = front.run("%code").reply["payload"]
    assert code == [{"source": "set_next_input", "text": "%%python\nq = 1\n\nq += 1", "replace": False}]
    kept = front.folder / "kept.ipynb"
    assert "kept.ipynb" in front.run(f"%save {kept}").plain
    assert load(kept).turns[-1].task == "count"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%nothing", "there is no magic %nothing; there are %tools"),
        ("%limits max_steps=0", "at least 1"),
        ("%limits steps=3", "is no limit; write NAME=VALUE"),
        ("%model nobody:x", "No model is spelled"),
        ("%reset now", "takes no arguments"),
        ("%tools hostile.py", "is not trusted"),
        ("%save run.txt", "ends in .ipynb"),
        ("%%bash\nls", "there is no cell magic"),
        ("%%python x\n1", "takes no arguments"),
        ("!ls", "there is no shell here"),
    ],
)
def test_bad_input_is_answered_with_what_to_do(front: FrontEnd, code: str, said: str) -> None:
    (front.folder / "hostile.py").write_text(f"open({str(front.folder / 'was-here')!r}, 'w')")
    cell = front.run(code)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "UsageError")
    assert said in cell.reply["evalue"]
    assert not (front.folder / "was-here").exists()


def test_tools_of_a_file_that_was_trusted(front: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(front.folder / "data"))
    file = front.folder / "shop.py"
    file.write_text(
        "from codeact_kernel import tool\n\n@tool\ndef price(name: str) -> float:\n"
        '    """Of one piece."""\n    return 2.5\n'
    )
    assert "is not trusted" in front.run("%tools shop.py").reply["evalue"]
    trust(file)
    front.run("%reset")
    assert "def price(name: str) -> float:" in front.run("%tools shop.py").text()
    assert front.run("%%python\nprice('tea')").result == {"text/plain": "2.5"}
    assert "%reset first" in front.run("%tools shop.py").reply["evalue"]
    front.run("%undo")
    assert front.run("%%python\nprice('tea')").result == {"text/plain": "2.5"}


def test_undo_goes_back_before_the_last_step(front: FrontEnd) -> None:
    front.run("%reset")
    front.script({"code": "items = ['a']"}, {"code": "items.append('b')"}, {"answer": "done"})
    front.run("collect")
    undone = front.run("%undo")
    assert "step 2 is undone: items.append('b')" in undone.text()
    cell = front.run("%%python\nitems")
    assert cell.result == {"text/plain": "['a']"}
    assert "restoring" in cell.plain


def test_silent_probes_ask_no_model_and_show_nothing(front: FrontEnd) -> None:
    front.script({"answer": "asked once"})
    before = front.run("%help").reply["execution_count"]
    probe = front.run("who am I?", silent=True)
    assert [message["msg_type"] for message in probe.messages] == ["status", "status"]
    assert probe.reply["status"] == "ok"
    front.run("%%python\nprint('quiet')\nhushed = 5", silent=True)
    cell = front.run("%%python\nhushed", store_history=False)
    assert cell.reply["execution_count"] == before + 1
    assert front.run("who am I?").result["text/plain"] == "asked once"
    sources = [line[2] for line in front.ask("history", hist_access_type="tail", n=3)["history"]]
    assert sources == ["%help", "who am I?"][-2:] or sources[-2:] == ["%help", "who am I?"]


def test_user_expressions_are_evaluated_for_python_only(front: FrontEnd) -> None:
    asked = {"good": "6 * 7", "bad": "nowhere"}
    found = front.run("%%python\npass", user_expressions=asked).reply["user_expressions"]
    assert found["good"]["data"] == {"text/plain": "42"}
    assert (found["bad"]["status"], found["bad"]["ename"]) == ("error", "NameError")
    assert front.run("%help", user_expressions=asked).reply["user_expressions"] == {}


def test_an_error_stops_the_cells_behind_it(front: FrontEnd) -> None:
    async def three() -> list[Any]:
        cells = [front.cell("%%python\n1 / 0"), front.cell("%%python\n1"), front.cell("%%python\n2")]
        sent = [front.client.execute(code) for code in ("%%python\n1 / 0", "%%python\n1")]
        for cell in cells:
            cell.close()
        return [(await front.client._async_recv_reply(one, timeout=60))["content"] for one in sent]

    failed, behind = front.together(three)
    assert (failed["status"], failed["ename"]) == ("error", "ZeroDivisionError")
    assert behind["status"] == "aborted"
    assert front.run("%%python\n3").result == {"text/plain": "3"}


def test_completion_and_explanation(front: FrontEnd) -> None:
    front.run("%%python\nimport math\nradius_of_circle = 2.5")
    complete = front.ask("complete", "%lim", 4)
    assert (complete["matches"], complete["cursor_start"]) == (["%limits"], 0)
    assert "max_seconds=" in front.ask("complete", "%limits max_s", 13)["matches"]
    assert "radius_of_circle" in front.ask("complete", "what is @radius", 15)["matches"]
    code = "%%python\nradius_o"
    deadline = monotonic() + DEADLINE_S
    while not (complete := front.ask("complete", code, len(code)))["matches"]:
        assert monotonic() < deadline, "the sandbox completes nothing"  # At first it loads its completer.
    assert complete["matches"] == ["radius_of_circle"]
    assert (complete["cursor_start"], complete["cursor_end"]) == (9, len(code))
    assert "budgets" in front.ask("inspect", "%limits max_steps=3", 4)["data"]["text/plain"]
    for code in ("what is @radius_of_circle", "%%python\nradius_of_circle"):
        found = front.ask("inspect", code, len(code))
        assert found["found"]
        assert "float" in found["data"]["text/plain"]
    page = front.run("?radius_of_circle").reply["payload"][0]
    assert page["source"] == "page"
    assert "float" in page["data"]["text/plain"]
    assert front.run("%tools?").reply["payload"][0]["source"] == "page"
    front.script({"answer": "because"})
    assert front.run("why?").result["text/plain"] == "because"


def test_what_is_complete(front: FrontEnd) -> None:
    assert front.ask("is_complete", "sum the prices")["status"] == "complete"
    assert front.ask("is_complete", "sum the prices \\")["status"] == "incomplete"
    assert front.ask("is_complete", "like this:\n```\nx")["status"] == "incomplete"
    assert front.ask("is_complete", "%%python\nfor i in x:") == {"status": "incomplete", "indent": "    "}
    assert front.ask("is_complete", "%%python\nx = )")["status"] == "invalid"


def test_a_task_without_an_answer_is_an_error(front: FrontEnd) -> None:
    front.run("%limits max_steps=1")
    front.script({"code": "pass"}, {"code": "pass"})
    cell = front.run("never ends")
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "TaskStopped")
    assert "max steps" in cell.reply["evalue"]
    front.run("%limits max_steps=30")


def said(message: dict[str, Any]) -> str:
    content = message["content"]
    return str(content["text"]) if content.get("name") == "stdout" else ""


def test_interrupts_stop_the_cell_or_the_reply_and_keep_the_state(front: FrontEnd) -> None:
    front.script(
        {"code": "kept = 8\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"}, {"answer": "here"}
    )

    async def at_output(message: dict[str, Any]) -> None:
        if said(message).endswith("begun\n"):
            await front.interrupt()

    for code in ("wait", "%%python\nprint('begun', flush=True)\nimport asyncio\nawait asyncio.sleep(600)"):
        cell = front.run(code, during=at_output)
        assert cell.reply["status"] == "error"
        assert cell.reply["ename"] in ("KeyboardInterrupt", "CancelledError")
        assert len(cell.of("error")) == 1
    assert front.run("still there?").result["text/plain"] == "here"
    assert front.run("%%python\nkept").result == {"text/plain": "8"}


def test_an_interrupt_counts_from_the_first_moment(front: FrontEnd) -> None:
    async def at_once(message: dict[str, Any]) -> None:
        if "starting" in str(message["content"].get("data")):
            await front.interrupt()

    front.script({"code": "import time\ntime.sleep(600)"})
    for _ in range(3):
        cell = front.run("wait", during=at_once)
        assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
        front.run("%reset")  # The next one comes while the sandbox starts.
    assert front.run("%%python\n5").result == {"text/plain": "5"}


def test_the_second_interrupt_ends_the_process_and_the_state_is_rebuilt(front: FrontEnd) -> None:
    front.run("%%python\nsaved = [1, 2]")
    front.run("%limits interrupt_grace_s=600")
    stubborn = (
        "%%python\nimport time\nprint('begun', flush=True)\nwhile True:\n    try:\n        time.sleep(600)\n"
        "    except BaseException:\n        print('no', flush=True)"
    )

    async def at_output(message: dict[str, Any]) -> None:
        if said(message).endswith(("begun\n", "no\n")):
            await front.interrupt()

    cell = front.run(stubborn, during=at_output)
    assert cell.reply["status"] == "error"
    front.run("%limits interrupt_grace_s=3")
    assert front.run("%%python\nsaved").result == {"text/plain": "[1, 2]"}


def test_a_crash_of_the_sandbox_is_told_and_healed(front: FrontEnd) -> None:
    front.run("%%python\nbefore = 'crash'")

    async def at_output(message: dict[str, Any]) -> None:
        if said(message).endswith("begun\n"):
            front.processes()[-1].kill()

    cell = front.run("%%python\nimport time\nprint('begun', flush=True)\ntime.sleep(600)", during=at_output)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "CellStopped")
    assert "SIGKILL" in cell.reply["evalue"]
    assert front.run("%%python\nbefore").result == {"text/plain": "'crash'"}


def test_sandboxed_code_asks_at_the_front_end(front: FrontEnd) -> None:
    code = "%%python\nname = input('Approve?\\x1b[2J\\ny/n')\nname"
    cell = front.run(code, answers=["Ada"])
    assert cell.result == {"text/plain": "'Ada'"}
    (asked,) = front.asked
    assert asked["prompt"] == "sandboxed code asks: Approve? y/n "
    refused = front.run(code)
    assert refused.reply["ename"] == "EOFError"


def test_displays_are_updated_and_cleared(front: FrontEnd) -> None:
    own = front.run(
        "%%python\nfrom IPython.display import clear_output, display\n"
        "handle = display('one', display_id='codeact-1')\nhandle.update('two')"
    )
    first = own.of("display_data", "update_display_data")
    ids = {content["transient"]["display_id"] for content in first}
    assert len(ids) == 1
    assert "codeact-1" not in ids, "no output can take the place of the agent's words"
    later = front.run("%%python\nhandle.update('three')")
    (update,) = later.of("update_display_data")
    assert update["transient"]["display_id"] in ids
    assert update["data"]["text/plain"] == "'three'"
    cleared = front.run("%%python\nprint('gone')\nclear_output()\nprint('stays')")
    assert cleared.of("clear_output") == [{"wait": False}]
    assert cleared.text().endswith("stays\n")
    front.script(
        {
            "thought": "I count",
            "code": "from IPython.display import clear_output\nimport time\nfor i in range(5):\n"
            "    clear_output(wait=True)\n    print('round', i)\n    time.sleep(0.2)",
        },
        {"answer": "done"},
    )
    task = front.run("count")
    assert not task.of("clear_output"), "it would take the agent's words away"
    rounds = [data for data in task.shown() if "round" in data.get("text/plain", "")]
    assert [data["text/plain"] for data in rounds][-1:] == ["round 4\n"]
    assert any("I count" in data["text/plain"] for data in task.shown())


def test_hostile_outputs_are_filtered(front: FrontEnd) -> None:
    code = (
        "from IPython.display import display\n"
        "display({'text/html': '<b>ok</b><script>alert(1)</script><img src=x onerror=alert(1)>',"
        " 'application/javascript': 'alert(1)', 'text/plain': 'x'}, raw=True)\n"
        "print('\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m')"
    )
    front.script({"code": code}, {"answer": "[x](javascript:alert(1))"})
    for cell in (front.run(f"%%python\n{code}"), front.run("show it")):
        displays = [c["data"] for c in cell.of("display_data", "execute_result", "update_display_data")]
        pages = [data.get("text/html", "") for data in displays]
        assert not any(re.search(r"<script|<[^>]*onerror", page) for page in pages)
        assert any("<b>ok</b><img>" in page for page in pages)
        assert cell.text() == "\x1b[31mred\x1b[0m\n"


def test_a_flood_is_bounded_and_the_kernel_stays_there(front: FrontEnd) -> None:
    began = monotonic()
    many = front.run("%%python\nfor i in range(1000):\n    print(i, flush=True)")
    assert many.text().split() == [str(i) for i in range(1000)]
    assert len(many.of("stream")) <= 30 + 25 * (monotonic() - began)
    large = front.run(
        "%%python\nline = 'x' * 999_999\nfor i in range(50):\n    print(line)\nprint('the end')"
    )
    assert 400_000 < len(large.text()) < 2_000_000
    assert "not shown here" in large.plain
    shows = front.run("%%python\nfrom IPython.display import display\nfor i in range(1000):\n    display(i)")
    assert 100 < len(shows.of("display_data")) < 300
    assert "999" in shows.plain
    assert "not shown here" in shows.plain
    assert front.run("%%python\n'well'").result == {"text/plain": "'well'"}
