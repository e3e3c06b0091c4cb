"""Skills by the other doors: notebooks, files of configuration; and with the tools of a server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.kernel import CodeActKernel
from codeact_kernel.frontends.magic_flags import FLAGS

from .shells import a_shell

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def skills(tmp_path: Path) -> Path:
    folder = tmp_path / "skills"
    folder.mkdir()
    (folder / "one.py").write_text("def one():\n    '''Gives one.'''\n    return 1\n")
    (folder / "two.py").write_text("def two():\n    return 2\n")
    return folder


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("JPY_SESSION_NAME", str(work / "sales.ipynb"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    with a_shell(tmp_path) as shell:
        yield shell


def ran(shell: Any, cell: str) -> Any:
    done = shell.run_cell(cell)
    assert done.error_before_exec is None
    if done.error_in_exec is not None:
        raise done.error_in_exec
    return done.result


def script(folder: Path, number: int, code: str) -> str:
    path = folder / f"script{number}.jsonl"
    path.write_text(json.dumps({"code": code}))
    return f"--model scripted:{path}"


@pytest.mark.kernel
def test_a_notebooks_run_is_offered_skills_and_later_more(skills: Path, shell: Any, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "three.py").write_text("from skills import one\ndef three():\n    return 2 + one()\n")
    first = script(tmp_path, 1, "from skills import one\nfound = one()\nfinal_answer(found)")
    assert ran(shell, f"%codeact {first} --skills {skills} give one") == 1
    then = script(tmp_path, 2, "from skills import three, two\nfinal_answer([found, two(), three()])")
    assert ran(shell, f"%codeact {then} --skills {more} give all") == [1, 2, 3]


def test_a_dry_run_shows_what_the_prompt_says_of_them(
    skills: Path, shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = script(tmp_path, 1, "pass")
    ran(shell, f"%codeact {model} --skills {skills} --dry give one")
    shown = capsys.readouterr().out + str(shell.display_pub.outputs)
    assert "- one() — Gives one." in shown
    with pytest.raises(UsageError, match="cannot be read"):
        ran(shell, f"%codeact {model} --skills {tmp_path / 'nowhere'} give one")


@pytest.mark.kernel
def test_a_file_of_configuration_names_them(skills: Path, command: Command, folder: Path) -> None:
    (folder / "codeact_config.py").write_text(f"c.CodeactApp.skills = [{str(skills)!r}]\n")
    (folder / "cells.py").write_text("from skills import one\nprint(one() + 40)\n")
    done = command("exec", "cells.py", "--config", "codeact_config.py")
    assert (done.returncode, "\n  41\n" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.kernel
def test_a_file_that_is_no_skill_does_not_stop_a_run(
    skills: Path, command: Command, codeact: Command, folder: Path
) -> None:
    (skills / "bad.py").write_text("def bad(:\n")
    (folder / "cells.py").write_text("from skills import one\nprint(one() + 40)\n")
    done = command("exec", "cells.py", "--skills", str(skills))
    assert (done.returncode, "\n  41\n" in done.stdout) == (0, True), done.stdout + done.stderr
    assert "cannot be used: line 1: " in " ".join(done.stdout.split())
    model = ScriptedModel([{"code": "from skills import one\none()"}, {"answer": "done"}])
    told: list[str] = []
    with Agent(model=model, skills=skills, out=folder / "run.ipynb", verify=False) as agent:
        agent.run_sync("Give one.", on_event=lambda event: told.append(str(event)))
    assert any("bad.py" in text and "it is left out" in text for text in told)
    listed = command("skill", "list", "--skills", str(skills))
    assert listed.returncode == 0
    assert listed.stdout.startswith("one() — Gives one.\n")
    assert "bad.py' cannot be used: line 1: " in listed.stdout
    document = json.loads(codeact("skill", "list", "--skills", str(skills), "--json").stdout)
    assert ([one["name"] for one in document["skills"]], len(document["problems"])) == (["one", "two"], 1)


def test_all_doors_know_them() -> None:
    assert "--skills" in {flag.name for flag in FLAGS}
    assert "skills" in CodeActKernel.class_trait_names(config=True)


@pytest.mark.kernel
def test_a_skill_that_calls_a_server(codeact: Command, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_shop.py"))]}
    servers = {"mcpServers": {"shop": server}}
    code = (
        "from mcp_servers import shop\n"
        "async def paid(least, status='paid'):\n"
        '    """The orders of at least so much."""\n'
        "    return [order for order in await shop.orders(status=status) if order['amount'] >= least]\n"
        "await paid(15)"
    )
    run = folder / "run.ipynb"
    model = ScriptedModel([{"code": code}, {"answer": "done"}])
    with Agent(model=model, mcp=servers, out=run, verify=False) as agent:
        agent.run_sync("Which orders?")
    done = codeact("skill", "save", "run.ipynb", "paid", "--to", "kept", "--json")
    assert done.returncode == 0, done.stderr
    (skill,) = json.loads(done.stdout)["skills"]
    assert (skill["name"], skill["tests"], skill["modules"]) == ("paid", 1, ["mcp_servers.shop"])
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        str(folder / "kept"),
    ]
    tested = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, cwd=folder)
    assert "1 passed" in tested.stdout, tested.stdout
    later = ScriptedModel([{"code": "from skills import paid\nfinal_answer(await paid(25))"}])
    with Agent(model=later, mcp=servers, skills=folder / "kept", out=folder / "later.ipynb") as agent:
        found = agent.run_sync("And now?")
        assert found.answer == [{"id": 3, "amount": 30}]
        assert found.verified_sync().status == "identical"
