"""`codeact skill`: from a function in a real run to a later run that imports it; and every refusal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel import Agent, SandboxProfile, ScriptedModel, tool
from codeact_kernel.config import Settings
from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.cellrun import exec_cells
from codeact_kernel.frontends.replaying import replay_notebook
from codeact_kernel.frontends.skill_saving import NewSkill, Wish, save_skills
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Result
from codeact_kernel.tools.toolkits import within
from codeact_kernel.trajectory import Trajectory, Verdict

from .saved_runs import edit

Command = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.kernel


def orders(customer: int) -> list[dict[str, float]]:
    """The orders of a customer."""
    return [{"id": 10 * customer + n, "total": 2.5 * n * customer} for n in range(3)]


DEFINES = '''\
import asyncio, math
from toolkits import shop

RATE = 2

def scaled(x):
    return math.floor(x * RATE)

def top(customers: list[int], limit: int = 2) -> list[dict]:
    """The orders with the largest totals, largest first."""
    found = [order for customer in customers for order in orders(customer)]
    found.sort(key=lambda order: -order["total"])
    return [{**order, "scaled": scaled(order["total"])} for order in found[:limit]]
'''
CELLS = [
    DEFINES,
    "print(top([1, 2]))\ntop([3], limit=1)",
    "async def prices(*names):\n"
    "    return dict(zip(names, await asyncio.gather(*(shop.price(n) for n in names))))\n"
    "await prices('a', 'b')",
    "def never():\n    'Unused.'\n    return 1\n"
    "def shaped(x):\n    'Odd values.'\n    return [object(), x][1]\n"
    "def counted(seen=[]):\n    'Another each time.'\n    seen.append(1)\n    return len(seen)\n"
    "counted(); counted()\nshaped(range(3)); None",
    "rows = orders(1)\ndef of_rows():\n    'Needs data.'\n    return rows",
    "def doubling(g):\n    def wrapper(*a):\n        return 2 * g(*a)\n    return wrapper\n"
    "@doubling\ndef plus(x):\n    'One more, twice.'\n    return x + 1\nplus(3)",
    "def undocumented(x):\n    return -x\nundocumented(2)",
]


def price(name: str) -> float:
    """What it costs."""
    return float(len(name)) + 0.5


TOOLS = [tool(orders), *within("shop", [tool(price)])]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that defined functions and called them."""
    path = tmp_path_factory.mktemp("skills") / "sales.ipynb"
    script = ScriptedModel([*({"code": code} for code in CELLS), {"answer": "done"}])
    with Agent(TOOLS, model=script, out=path, verify=False) as agent:
        assert agent.run_sync("Who bought most?").stop_reason == "answer"
    assert [step.observation.status for step in load(path).steps] == ["ok"] * len(CELLS)
    return path


def saved(path: Path, folder: Path, *names: str, **wish: object) -> tuple[NewSkill, ...]:
    return save_skills(path, names, replace(Wish(folder), **wish))  # type: ignore[arg-type]  # its fields


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two skills of it."""
    folder = tmp_path_factory.mktemp("kept")
    asked: list[str] = []
    made = save_skills(
        run, ["top", "prices"], Wish(folder), ask=lambda name: asked.append(name) or "What things cost."
    )
    assert asked == ["prices"]  # The other one says it itself.
    assert [(one.skill.name, len(one.tests.tests), dict(one.refused)) for one in made] == [
        ("top", 2, {}),
        ("prices", 1, {}),
    ]
    return folder


# --- the way of a skill ------------------------------------------------------------------------


def test_the_files_of_a_skill_are_plain_python_with_tests_that_pytest_runs(run: Path, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "prices.py",
        "prices_test.py",
        "top.py",
        "top_test.py",
    ]
    source = (folder / "top.py").read_text()
    info = load(run).info
    assert source.startswith(
        '"""The orders with the largest totals, largest first.\n\nSaved by codeact from sales'
    )
    assert f"(run {info.run_id}, step 1, chain " in source
    assert "It calls the tools: orders.\nTests, from calls in the run: top_test.py." in source
    assert "import math\n\nRATE = 2\n\n\ndef scaled(x):" in source
    assert "asyncio" not in source  # Only what it needs.
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, cwd=folder)
    assert "3 passed" in done.stdout, done.stdout


def test_a_later_run_imports_it_and_its_notebook_needs_no_folder(folder: Path, tmp_path: Path) -> None:
    path, offered = tmp_path / "later.ipynb", tmp_path / "skills"
    offered.mkdir()
    for name in ("top.py", "prices.py"):
        (offered / name).write_text((folder / name).read_text())
    code = "from skills import prices, top\ntop([4], 1), await prices('abc'), tools.search('largest')[0].name"
    model = ScriptedModel([{"code": code}, {"answer": "done"}])
    with Agent(TOOLS, model=model, out=path, skills=offered, approve={"orders": "allow"}) as agent:
        run = agent.run_sync("Again.")
        for file in offered.iterdir():
            file.unlink()
        assert run.verified_sync().status == "identical"
    shown = run.trajectory.steps[0].observation
    assert isinstance(shown.shown[0], Result)
    expected = "([{'id': 42, 'total': 20.0, 'scaled': 40}], {'abc': 3.5}, 'skills.top')"
    assert shown.shown[0].data["text/plain"] == expected
    assert [call.tool for call in shown.tool_calls] == ["orders", "shop.price"]
    system = model.requests[0].system
    assert "- prices(*names) — What things cost.\n- top(customers: list[int], limit: int = 2)" in system
    assert "RATE" not in system  # Its source is not for the prompt.
    assert replay_notebook(path).agrees
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [one["data"]["text/plain"] for one in outputs if "data" in one] == [expected]


def test_calls_in_a_skill_are_asked_about_as_any(folder: Path) -> None:
    cells = ["from skills import top\ntry:\n    top([1])\nexcept ToolDenied as problem:\n    print(problem)"]
    told: list[str] = []
    (seen,) = exec_cells(
        cells, tools=[orders], skills=folder, approve="deny", on_event=lambda e: told.append(str(e))
    )
    assert "orders" in seen.text("stdout")
    assert [call.denied_by != "" for call in seen.tool_calls] == [True]
    assert any("skill 'prices' is left out: this run has no toolkits.shop" in text for text in told)


def test_a_run_that_goes_on_keeps_the_skills_that_it_has(folder: Path, tmp_path: Path) -> None:
    path, offered, told = tmp_path / "run.ipynb", tmp_path / "skills", list[str]()
    offered.mkdir()
    (offered / "one.py").write_text("def one():\n    return 1\n")
    first = ScriptedModel([{"code": "from skills import one\none()"}, {"answer": "done"}])
    with Agent(model=first, out=path, skills=[offered], verify=False) as agent:
        agent.run_sync("First.")
    (offered / "one.py").write_text("def one():\n    return 'changed'\n")
    (offered / "two.py").write_text("def two():\n    return 2\n")
    then = ScriptedModel([{"code": "from skills import two\none(), two()"}, {"answer": "done"}])
    with Agent(model=then, skills=str(offered)) as agent:
        agent.resume(path)
        run = agent.run_sync("Then.", on_event=lambda event: told.append(str(event)))
        assert run.verified_sync().status == "identical"
    (shown,) = run.trajectory.steps[-1].observation.shown
    assert isinstance(shown, Result)
    assert shown.data["text/plain"] == "(1, 2)"
    assert any("skill 'one' has changed since; the run goes on with the one" in text for text in told)
    assert "- one()\n- two()" in then.requests[0].system


# --- what is not saved -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["never"], "the run never called 'never', so nothing shows what it does; --untested"),
        (
            ["shaped"],
            "no call of 'shaped' can be made a test: 1 call is no test: it has a value of type",
        ),
    ],
)
def test_a_function_without_tests_needs_consent(
    words: list[str], says: str, run: Path, command: Command
) -> None:
    done = command("skill", "save", str(run), *words, "--to", "kept")
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_with_consent_the_file_says_that_it_is_untested(run: Path, folder: Path, command: Command) -> None:
    kept = str(folder.parent / "untested")
    done = command("skill", "save", str(run), "never", "--to", kept, "--untested")
    assert done.returncode == 0, done.stderr
    assert "\nUntested: the run never called it.\n" in done.stdout
    assert command("skill", "list", "--skills", kept).stdout.splitlines()[1].endswith("untested")


def test_a_function_is_watched_by_its_name_whatever_its_decorator_made_of_it(
    run: Path, tmp_path: Path
) -> None:
    (new,) = saved(run, tmp_path, "plus")
    assert (len(new.tests.tests), dict(new.refused)) == (1, {})
    assert "result = skill.plus(3)\n    assert result == 8" in new.tests.source


def test_what_does_something_else_by_itself_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not saved: by itself it does not do what it did in the run"):
        saved(lying(tmp_path), tmp_path / "kept", "counted")
    assert not (tmp_path / "kept").exists()


def lying(folder: Path) -> Path:
    """A run in which a function gave what it does not give by itself: a constant was another one then."""
    path = folder / "lying.ipynb"
    script = ScriptedModel(
        [
            {"code": "SHIFT = 5\ndef counted(x):\n    'Doc.'\n    return x + SHIFT"},
            {"code": "counted(1)"},
            {"code": "SHIFT = 7"},
            {"answer": "done"},
        ]
    )
    with Agent(model=script, out=path, verify=False) as agent:
        agent.run_sync("Count.")
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["nope"],
            "no step that ended well defines a function 'nope'. Did you mean 'top'? The run defines: counted",
        ),
        (["of_rows"], "'of_rows' (step 5) uses 'rows', which is data that step 5 computes"),
        (["undocumented"], "'undocumented' has no docstring: say in a sentence what it is for, with --doc"),
        (["json"], "its file json.py would hide Python's own module"),
        (["../x"], "a skill cannot be called '../x'"),
        (["top", "--to", "there"], "there/top.py' exists and is not overwritten; say --replace"),
        ([], "FUNCTION is missing"),
    ],
)
def test_refusals_before_anything_is_run(
    words: list[str], says: str, run: Path, folder: Path, command: Command
) -> None:
    there = folder.parent / "there"
    there.mkdir(exist_ok=True)
    (there / "top.py").write_text("mine")
    words = [str(there) if word == "there" else word for word in words]
    done = command("skill", "save", str(run), *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert (there / "top.py").read_text() == "mine"


def changed(run: Path, path: Path) -> Path:
    path.write_bytes(run.read_bytes())
    return edit(path, r"limit: int = 2", "limit: int = 3")


def drifted(run: Path, path: Path) -> Path:
    trajectory: Trajectory = load(run)
    write(replace(trajectory, verdict=Verdict("drift", ("output",))), path)
    return path


@pytest.mark.parametrize(
    ("tampered", "says"),
    [
        (
            changed,
            "is not as it was recorded: step 1: its code was changed since it was recorded. See",
        ),
        (
            drifted,
            "did something else when it was replayed (output), so what a function did in it says",
        ),
    ],
)
def test_a_run_that_is_not_as_recorded_needs_consent(
    tampered: Callable[[Path, Path], Path], says: str, run: Path, tmp_path: Path, command: Command
) -> None:
    path = tampered(run, tmp_path / "tampered.ipynb")
    done = command("skill", "save", str(path), "top")
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_with_consent_it_is_saved_as_it_is_now(run: Path, tmp_path: Path) -> None:
    path = changed(run, tmp_path / "changed.ipynb")
    (new,) = saved(path, tmp_path, "top", forced=True)
    assert "limit: int = 3" in new.skill.source
    # The step that shows two orders now shows three: what it did is not what was recorded there.
    assert len(new.tests.tests) == 2


def test_what_a_run_says_that_it_may_import_is_within_the_users_ceiling(tmp_path: Path) -> None:
    path = tmp_path / "shelled.ipynb"
    code = "import shutil\ndef f(x):\n    'Doc.'\n    return [shutil.__name__, x]\nf(1)"
    profile = SandboxProfile(allow_imports=("shutil",))
    with Agent(
        model=ScriptedModel([{"code": code}, {"answer": "done"}]), out=path, verify=False, profile=profile
    ) as agent:
        agent.run_sync("Go.")
    (new,) = saved(path, tmp_path / "kept", "f")
    assert len(new.tests.tests) == 1
    tight = Settings(profile=SandboxProfile(import_ceiling=("csv",)))
    with pytest.raises(UsageError, match="module 'shutil' is refused"):
        save_skills(path, ["f"], Wish(tmp_path / "none", untested=True), settings=tight)


# --- a hostile run -----------------------------------------------------------------------------


def test_nothing_of_a_hostile_run_is_run_outside_and_its_words_stay_words(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / 'x"""; evil.ipynb'
    attack = f"open({str(canary)!r}, 'w').write('x')"
    defines = f'def f(text, **more):\n    """Doc.\n\n    \'\'\\\'; {attack}"""\n    return text\n'
    calls = [("f(*%r)", ["''\"; " + attack]), ("f(**%r)", {"text": "\x1b[2J\u202e", f"a={attack}, b": 1})]
    cells = [
        defines + "\n".join(call % (given,) for call, given in calls) + "\n_codeact_watch = None\nf('later')",
        f"try:\n    {attack}\nexcept BaseException: pass",
    ]
    script = ScriptedModel([*({"code": code} for code in cells), {"answer": "done"}])
    with Agent(model=script, out=path, verify=False) as agent:
        agent.run_sync("Be hostile.")
    (new,) = saved(path, tmp_path / "kept", "f")
    assert new.refused == {"has an argument whose name is no identifier": 1}
    assert len(new.tests.tests) == 2
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "kept")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert "2 passed" in done.stdout, done.stdout
    assert not canary.exists()


# --- list, show, remove ------------------------------------------------------------------------


def test_list_show_remove(command: Command, codeact: Command, folder: Path) -> None:
    own = command("skill", "list")
    assert own.returncode == 0
    assert own.stdout.startswith("No skills in ")
    listed = command("skill", "list", "--skills", str(folder))
    assert listed.stdout.splitlines()[::2] == [
        "prices(*names) — What things cost.",
        "top(customers: list[int], limit: int = 2) -> list[dict] — "
        "The orders with the largest totals, largest first.",
    ]
    found = json.loads(codeact("skill", "list", "--skills", str(folder), "--json").stdout)
    assert [(one["name"], one["tested"]) for one in found["skills"]] == [("prices", True), ("top", True)]
    shown = command("skill", "show", "top", "--skills", str(folder))
    assert (folder / "top.py").read_text().strip() in shown.stdout
    assert f"Its tests: {folder / 'top_test.py'}" in shown.stdout
    copy = folder.parent / "copy"
    copy.mkdir(exist_ok=True)
    (copy / "one.py").write_text("def one(): pass")
    (copy / "one_test.py").write_text("")
    removed = command("skill", "remove", "one", "--skills", str(copy))
    assert (removed.returncode, list(copy.iterdir())) == (0, [])
    for words in (["show", "nope"], ["remove", "nope"], ["show", "../top"], ["list", "--skills", "nowhere"]):
        done = command("skill", *words)
        assert done.returncode == 2, words
    assert command("skill").returncode == 2
    assert command("skill", "--help").returncode == 0
