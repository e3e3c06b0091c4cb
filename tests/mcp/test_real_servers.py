"""Real servers, from the registries: called from a real kernel, killed; the notebook runs without them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel import Agent, Limits, ScriptedModel
from codeact_kernel.events import Event, Image, Notice, ToolProgress
from codeact_kernel.outputs import Stream
from codeact_kernel.tools.mcp.asking import Answer, Form, Page
from codeact_kernel.trajectory import Observation, Step, Verdict
from codeact_kernel.wire.messages import Raised, Returned
from codeact_kernel.wire.schemas import check_source, module_source, tool_spec
from codeact_kernel.wire.setup import read_setup_source

from ..tools.mcp.serving import served
from .conftest import Documents, servers_at
from .hosting import DEADLINE_S, below, hosted, marked, new_mark, none_left

pytestmark = pytest.mark.timeout(600)  # Eight servers, on a machine where others work too.
TOOLS = {
    "time": 2,
    "git": 12,
    "fetch": 1,
    "sqlite": 6,
    "everything": 15,  # Two of them for clients that can ask.
    "filesystem": 14,
    "memory": 9,
    "sequential_thinking": 1,
}
HINTS = """
import sys, types, typing
for path in sys.argv[1:]:
    names = {"__name__": "made"}
    exec(compile(open(path).read(), path, "exec"), names)
    made = [value for value in names.values() if isinstance(value, types.FunctionType)]
    functions = [function for function in made if function.__module__ == "made"]
    hints = [typing.get_type_hints(function) for function in functions]
    print(len(functions), sum(len(each) for each in hints) > 0)
"""


# --- without a kernel --------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_asks_the_person_and_gets_the_answer(servers: Documents) -> None:
    asked = list[Form | Page]()

    async def person(question: Form | Page) -> Answer:
        asked.append(question)
        return Answer("accept", {"name": "Ann", "integer": 7}) if len(asked) == 1 else Answer("decline")

    async with hosted(servers("everything"), ask=person) as host:
        accepted = await host.call("everything.trigger_elicitation_request")
        declined = await host.call("everything.trigger_elicitation_request")
    assert isinstance(asked[0], Form)
    assert [field.name for field in asked[0].fields if field.required] == ["name"]
    assert "User inputs:\\n- Name: Ann\\n" in str(accepted)
    assert "declined" in str(declined)


@pytest.mark.anyio
async def test_what_is_cached_starts_no_server_until_it_is_called(servers: Documents, tmp_path: Path) -> None:
    document, cache = servers("memory", "filesystem"), tmp_path / "cache"
    async with hosted(document, cache=cache) as first:
        known = list(first.registry.specs())
    async with hosted(marked(document, new_mark()), cache=cache) as unknown:
        assert unknown.told == [], "another environment is another server"
    async with hosted(document, cache=cache) as second:
        assert list(second.registry.specs()) == known
        assert not started()
        assert "entities" in str(await second.call("memory.read_graph"))
        assert started() == 1


@pytest.mark.anyio
async def test_the_same_over_http() -> None:
    """A server of the Python SDK: `server-everything` would listen to the whole network."""
    with served() as address:
        async with hosted({"mcpServers": {"web": {"url": address}}}) as host:
            assert host.told == []
            assert "add" in {spec.function for spec in host.specs("web")}
            sums = await asyncio.gather(*(host.call("web.add", a=number) for number in range(100)))
            assert sums == [Returned(number + 1) for number in range(100)]
            failed = await host.call("web.boom")
            assert isinstance(failed, Raised)
            assert failed.type == "ToolError"
            assert "a*, b" in str(await host.call("web.add", b=1))


def started() -> int:
    """How many servers run below this process, by the guardians they have."""
    return sum("guardian" in command for _, command in below())


# --- one run, seen from all sides ----------------------------------------------------------------

CELLS = {
    "files": """
from mcp_servers import filesystem
for number in range(3):
    filesystem.write_file(f"{folder}/filesystem/{number}.txt", "word " * number)
listed = filesystem.list_directory(path="{folder}/filesystem")["content"]
print(sorted(listed.splitlines()), filesystem.read_text_file("{folder}/filesystem/2.txt", head=1)["content"])
""",
    "keywords": """
from mcp_servers import memory
memory.create_entities([{"name": name, "entityType": "t", "observations": []} for name in "ab"])
memory.create_relations([{"from": "a", "to": "b", "relationType": "knows"}])
print(memory.read_graph()["relations"][0]["from"])
""",
    "three": """
from mcp_servers import git, sqlite, time
sqlite.create_table("create table t (x integer)")
sqlite.write_query("insert into t values (41), (1)")
print(sqlite.read_query("select sum(x) as total from t"))
print(git.git_status("{folder}/git/repository"))
print(time.convert_time("UTC", "12:00", "Asia/Tokyo")["time_difference"])
""",
    "errors": """
def said(call):
    try:
        call()
    except (tools.ToolError, TypeError, ValueError) as problem:
        print(type(problem).__name__, "|", problem)
said(lambda: filesystem.read_text_file("/etc/passwd"))
said(lambda: filesystem.read_text_file(7))
said(lambda: filesystem.read_text_file(pth="x"))
said(lambda: filesystem.read_text_file())
""",
    "image": """
from mcp_servers import everything
everything.get_tiny_image()
""",
    "resources": """
link = [part for part in everything.get_resource_links(count=2) if hasattr(part, "read")][1]
print(link.uri, link.read())
print(tools.resources("everything")[0].read()[:20])
print(tools.read("everything", "demo://resource/dynamic/text/7"))
print(tools.prompts("everything"))
print(tools.prompt("everything", "args-prompt", city="Ulm"))
""",
    "discovery": """
print(tools.search("convert a time")[0])
print("def create_relations(relations: list[" in str(tools.describe("memory.*")))
print(time.convert_time.__annotations__["return"], "IANA" in time.convert_time.__doc__)
""",
    "concurrent": """
import asyncio
sums = await asyncio.gather(*(everything.get_sum(number, 1) for number in range(100)))
print(sums[0], sums[99], len(set(sums)))
""",
    "progress": "everything.trigger_long_running_operation(duration=1, steps=3)",
    "killed": "everything.trigger_long_running_operation(duration=600, steps=600)",
    "again": "print(everything.echo(message='here'))",
}
KILLED = [*CELLS].index("killed")


@dataclass
class Made:
    """The run, when its agent was closed."""

    path: Path
    model: ScriptedModel
    events: list[Event]
    steps: dict[str, Step]
    verdict: Verdict
    mark: str

    def printed(self, cell: str) -> str:
        return said(self.steps[cell].observation)


def said(observation: Observation) -> str:
    return "".join(shown.text for shown in observation.shown if isinstance(shown, Stream))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("real")
    document = servers_at(folder / "servers")
    subprocess.run(["git", "init", "--quiet", str(folder / "servers" / "git" / "repository")], check=True)
    cells = [cell.replace("{folder}", str(folder / "servers")).strip() for cell in CELLS.values()]
    model = ScriptedModel([*({"code": cell} for cell in cells), {"answer": "done"}])
    events = list[Event]()

    def seen(event: Event) -> None:
        first = not any(isinstance(each, ToolProgress) and each.total == 600 for each in events)
        events.append(event)
        if first and isinstance(event, ToolProgress) and event.total == 600:
            kill("server-everything")

    path, mark = folder / "run.ipynb", new_mark()
    limits = Limits(step_timeout_s=600)
    with Agent(model=model, mcp=marked(document, mark), out=path, limits=limits) as agent:
        run = agent.run_sync("Try all of them.", on_event=seen)
        verdict = run.verified_sync()
    return Made(
        path, model, events, dict(zip(CELLS, run.trajectory.steps, strict=True)), verdict, str(folder)
    )


def kill(words: str) -> None:
    """The server below this process whose command has these words; not its guardian, which is to see it."""
    for process, command in below():
        if words in command and "guardian" not in command:
            process.kill()


@pytest.mark.kernel
def test_every_tool_of_all_eight_is_a_function_with_types_that_resolve(made: Made, tmp_path: Path) -> None:
    """As the setup cell has them, which is all that a kernel knows."""
    (spec,) = filter(None, (read_setup_source(cell.source) for cell in nbformat.read(made.path, 4).cells))
    offered = {module: [tool for tool in spec.tools if tool.module == module.name] for module in spec.modules}
    public = {
        module: [t for t in tools if not t.function.startswith("_")] for module, tools in offered.items()
    }
    assert {module.name: len(tools) for module, tools in public.items()} == TOOLS
    for module, tools in public.items():
        source = module_source(
            module, [tool_spec(t.module, t.function, t.schema, t.doc) for t in tools if t.schema]
        )
        check_source(source)
        (tmp_path / f"{module.name}.py").write_text(source)
    names = [module.name for module in public]
    assert hints_of(tmp_path, names) == [f"{TOOLS[name]} True" for name in names]


def hints_of(folder: Path, names: list[str]) -> list[str]:
    """Of each module how many functions there are, and whether their hints resolve; in its own Python."""
    command = [sys.executable, "-c", HINTS, *(f"{name}.py" for name in names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.kernel
def test_servers_are_called_like_modules(made: Made) -> None:
    assert made.printed("files") == "['[FILE] 0.txt', '[FILE] 1.txt', '[FILE] 2.txt'] word word \n"
    assert made.printed("keywords") == "a\n"
    total, status, *_, difference = made.printed("three").splitlines()
    assert (total, status, difference) == ("[{'total': 42}]", "Repository status:", "+9.0h")
    assert made.printed("concurrent") == "The sum of 0 and 1 is 1. The sum of 99 and 1 is 100. 100\n"
    statuses = {name: step.observation.status for name, step in made.steps.items()}
    assert {name for name, status in statuses.items() if status != "ok"} == {"killed"}
    assert none_left(made.mark)


@pytest.mark.kernel
def test_errors_say_what_is_wrong_and_what_there_is(made: Made) -> None:
    denied, *_, typed, misspelled, missing = [
        line for line in made.printed("errors").splitlines() if " | " in line
    ]
    assert denied.startswith("ToolError | Access denied")
    assert "path" in typed
    assert "pth" in misspelled
    assert "missing" in missing or "no 'path'" in missing
    assert made.printed("errors").count("path*, tail, head") >= 3


@pytest.mark.kernel
def test_images_resources_and_prompts_reach_the_model(made: Made) -> None:
    seen = [
        part.media_type
        for message in made.model.requests[-1].messages
        for part in getattr(message, "parts", ())
        if isinstance(part, Image)
    ]
    assert seen == ["image/png"]
    printed = made.printed("resources")
    assert "demo://resource/dynamic/text/2 Resource 2: This is a plaintext resource" in printed
    assert "Resource 7: This is a plaintext resource" in printed
    assert "args-prompt(city*, state)" in printed
    assert "What's weather in Ulm?" in printed


@pytest.mark.kernel
def test_the_prompt_has_names_and_the_kernel_the_rest(made: Made) -> None:
    (system,) = {request.system for request in made.model.requests}
    assert "\n- time: convert_time, get_current_time\n" in system
    assert "IANA" not in system
    first, *rest = made.printed("discovery").splitlines()
    assert "time.convert_time" in first
    assert rest[0] == "True"
    assert rest[1].endswith("True")


@pytest.mark.kernel
def test_progress_is_shown_and_a_server_that_is_killed_is_started_again(made: Made) -> None:
    seen = [event for event in made.events if isinstance(event, ToolProgress)]
    done = [event.done for event in seen if event.total == 3]
    assert done[-1] == 3
    assert done == sorted({1, 2, 3} & set(done)), "what comes at once is told once"
    error = made.steps["killed"].observation.error
    assert error is not None
    assert error.ename.endswith("ToolUnavailable")
    assert "SIGKILL" in error.evalue
    assert "whether it did is not known" in error.evalue
    assert made.printed("again") == "Echo: here\n"
    assert not [event for event in made.events if isinstance(event, Notice) and "cannot" in event.text]


@pytest.mark.kernel
def test_the_run_replays_identically_without_any_server(made: Made) -> None:
    assert made.verdict.status == "identical", made.verdict


@pytest.mark.kernel
def test_stock_jupyter_runs_the_notebook_with_all_servers_gone(made: Made, tmp_path: Path) -> None:
    notebook = nbformat.read(made.path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=DEADLINE_S, allow_errors=True)
    client.execute(cwd=str(tmp_path))
    printed = {
        "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for name in ("files", "keywords", "three", "errors", "resources", "concurrent", "again"):
        assert made.printed(name) in printed, name
    assert not (tmp_path / "servers").exists()
