"""What a front end has of an agent's kernel: questions, widgets, completion."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from codeact_kernel import Agent, Limits
from codeact_kernel.config import Settings, ToolLimits
from codeact_kernel.events import Event, ToolFinished, ToolStarted
from codeact_kernel.frontends.person import LEAST_SECRET, MAX_A_MINUTE, MAX_PROMPT, PersonTools
from codeact_kernel.models.scripted import ScriptedModel
from codeact_kernel.outputs import CommMessage, Output, Stream
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Step
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolRequest

TIMEOUT_S = 60


class Person:
    """An Attendant that gives the same answer to every question; without one, says nothing."""

    def __init__(self, answer: str | None = "Ann", seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds
        self.asked: list[tuple[str, bool]] = []
        self.opened: list[CommMessage] = []
        self.said: list[tuple[str, object]] = []
        self.came = asyncio.Event()

    async def input(self, prompt: str, password: bool) -> str | None:
        self.asked.append((prompt, password))
        await asyncio.sleep(self.seconds)
        return self.answer

    def comm(self, message: CommMessage) -> None:
        if message.kind == "open":
            self.opened.append(message)

    def late(self, output: Output, token: object) -> None:
        if isinstance(output, Stream):
            self.said.append((output.text, token))
            self.came.set()


def steps(agent: Agent) -> tuple[Step, ...]:
    assert agent.trajectory is not None
    return agent.trajectory.steps


def shown(step: Step) -> str:
    return "".join(item.text for item in step.observation.shown if isinstance(item, Stream))


def evalue(step: Step) -> str:
    assert step.observation.error is not None
    return f"{step.observation.error.ename}: {step.observation.error.evalue}"


@pytest.mark.kernel
def test_a_person_is_asked_once_and_the_run_replays_without(tmp_path: Path) -> None:
    code = "name = input('Your\\x1b[2J name? ')\nprint('Hello', name)\nfinal_answer(name)"
    model, person = ScriptedModel([{"code": code}]), Person()
    with Agent(model=model, out=tmp_path / "run.ipynb") as agent:
        agent.attend(person, threadsafe=True)
        run = agent.run_sync("greet me")
        assert (run.answer, shown(steps(agent)[0])) == ("Ann", "Hello Ann\n")
        assert run.verified_sync().status == "identical"
        assert person.asked == [("Your name? ", False)]
        assert "def input(prompt" in model.requests[0].system


@pytest.mark.kernel
def test_what_is_typed_as_a_password_is_in_no_record(tmp_path: Path) -> None:
    code = "import getpass\nword = getpass.getpass('Key: ')\nprint('typed', word)"
    person, seen = Person("hunter2"), list[Event]()
    path = tmp_path / "run.ipynb"
    with Agent(model=ScriptedModel([{"code": code}, {"answer": "done"}]), out=path) as agent:
        agent.attend(person, threadsafe=True)
        run = agent.run_sync("log in", on_event=seen.append)
        assert person.asked == [("Key: ", True)]
        assert shown(run.trajectory.steps[0]) == "typed hunter2\n"
        calls = [event.call for event in seen if isinstance(event, ToolFinished)]
        assert [call.outcome for call in calls] == [Returned("[secret password]")]
        # The replay has the mark in place of the word, in what it shows too.
        assert run.verified_sync().status == "identical"
    assert all(b"hunter2" not in file.read_bytes() for file in tmp_path.iterdir())
    assert "[secret password]" in path.read_text()


@pytest.mark.kernel
def test_nobody_is_asked_where_nobody_can_be(tmp_path: Path) -> None:
    ask = "input('Name? ')"
    with Agent(model=ScriptedModel([]), out=tmp_path / "alone.ipynb", verify=False) as agent:
        agent.run_cell_sync(ask)
        assert "'input' is refused in action code" in evalue(steps(agent)[0])
        agent.run_cell_sync("import getpass\ngetpass.getpass()")
        assert "StdinNotImplementedError" in evalue(steps(agent)[1])
    with Agent(model=ScriptedModel([]), out=tmp_path / "batch.ipynb", verify=False) as agent:
        agent.attend(Person(None), threadsafe=True)
        agent.run_cell_sync(ask)
        agent.attend(None)
        agent.run_cell_sync(ask)
        for step in steps(agent):
            assert evalue(step).startswith("EOFError: input(): nobody can be asked here")


@pytest.mark.kernel
def test_the_time_that_a_person_takes_is_not_the_cells(tmp_path: Path) -> None:
    settings = Settings(limits=Limits(step_timeout_s=5), tools=ToolLimits(timeout_s=1))
    out = tmp_path / "run.ipynb"
    with Agent(model=ScriptedModel([]), out=out, verify=False, settings=settings) as agent:
        agent.attend(Person(seconds=6), threadsafe=True)
        agent.run_cell_sync("print(input())")
        assert (steps(agent)[0].observation.status, shown(steps(agent)[0])) == ("ok", "Ann\n")


@pytest.mark.kernel
def test_an_interrupt_takes_the_question_back_and_keeps_the_state(tmp_path: Path) -> None:
    async def main() -> None:
        agent = Agent(model=ScriptedModel([]), out=tmp_path / "run.ipynb", verify=False)
        async with agent, asyncio.timeout(TIMEOUT_S):
            person = Person(seconds=600)
            agent.attend(person)
            await agent.run_cell("x = 5")
            events = agent.stream(None, cell="y = 6\nx = input('? ')")
            async for event in events:
                if isinstance(event, ToolStarted):
                    break
            await events.aclose()  # type: ignore[attr-defined]  # a generator
            run = await agent.run_cell("print(x, y)")
            assert shown(run.trajectory.steps[-1]) == "5 6\n"
            assert len(person.asked) <= 1

    asyncio.run(main())


@pytest.mark.kernel
def test_widgets_and_completion_from_the_front_ends_own_loop(tmp_path: Path) -> None:
    code = (
        "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: print('moved to', change['new']), 'value')\nslider"
    )

    async def main() -> None:
        agent = Agent(model=ScriptedModel([]), out=tmp_path / "run.ipynb")
        async with agent, asyncio.timeout(TIMEOUT_S):
            nothing = {"status": "ok", "matches": [], "cursor_start": 2, "cursor_end": 2, "metadata": {}}
            assert await agent.complete("sl", 2) == nothing
            assert (await agent.inspect("sl", 2))["found"] is False
            person = Person()
            agent.attend(person)
            agent.send_comm(CommMessage("close", "none"), None)
            run = await agent.run_cell(code)
            # The ids of widgets are other ones each time, and a display of one says the same.
            assert (await run.verified()).status == "identical"
            update = {"method": "update", "state": {"value": 3}, "buffer_paths": []}
            agent.send_comm(CommMessage("msg", person.opened[-1].comm_id, update), "token")
            while "".join(text for text, _ in person.said) != "moved to 3\n":
                person.came.clear()
                await person.came.wait()
            assert {token for _, token in person.said} == {"token"}
            while not (await agent.inspect("slider", 6))["found"]:  # noqa: ASYNC110  # no event
                await asyncio.sleep(0.1)
            shows = "a\\x1b[2Jb\\x1b]0;t\\x07c"
            await agent.run_cell(f"class Bad:\n    def __repr__(self): return '{shows}'\nbad = Bad()")
            assert "abc" in str((await agent.inspect("bad", 3))["data"])

    asyncio.run(main())


# --- the questions themselves, without a kernel ---


class Tape:
    def __init__(self, person: Person | None, *tools: object) -> None:
        self.secrets: list[str] = []
        self.tools = PersonTools(ToolRegistry(tools), self._keep)  # type: ignore[arg-type]  # functions
        self.tools.attendant = person

    def _keep(self, secret: str) -> str:
        self.secrets.append(secret)
        return "[mark]"

    def ask(self, tool: str, *args: Json, **kwargs: Json) -> object:
        return asyncio.run(self.tools.call(ToolRequest(1, tool, args, kwargs)))


def test_prompts_are_texts_harmless_and_bounded() -> None:
    person = Person()
    tape = Tape(person)
    for prompt in ("a\x1b]0;title\x07b\r\x08c", "x" * 10_000, 7):
        assert tape.ask("input", prompt) == Returned("Ann")
    assert person.asked[0] == ("abc", False)
    assert len(person.asked[1][0]) < MAX_PROMPT + 50
    assert person.asked[2] == ("7", False)
    assert tape.ask("input") == tape.ask("input", prompt="p") == Returned("Ann")
    wrong: tuple[tuple[tuple[Json, ...], dict[str, Json]], ...] = (
        (("a", "b"), {}),
        (([1],), {}),
        ((None,), {}),
        ((), {"stream": "x"}),
    )
    for args, kwargs in wrong:
        assert tape.ask("input", *args, **kwargs) == Raised("TypeError", "input() takes one text, the prompt")
    assert len(person.asked) == 5


def test_answers_are_bounded_and_short_secrets_refused() -> None:
    assert Tape(Person("x" * 10**6)).ask("input") == Returned("x" * 100_000)
    assert Tape(Person("")).ask("getpass") == Returned("")
    tape = Tape(Person("x" * (LEAST_SECRET - 1)))
    assert isinstance(tape.ask("getpass"), Raised)
    assert tape.secrets == []


def test_questions_are_not_asked_without_end() -> None:
    person = Person()
    tape = Tape(person)

    async def main() -> list[object]:
        return [await tape.tools.call(ToolRequest(n, "input")) for n in range(MAX_A_MINUTE + 1)]

    answers = asyncio.run(main())
    assert answers[:-1] == [Returned("Ann")] * MAX_A_MINUTE
    assert answers[-1] == Raised("RuntimeError", f"input(): more than {MAX_A_MINUTE} questions in a minute")
    assert len(person.asked) == MAX_A_MINUTE


def test_a_tool_of_that_name_is_the_users_own() -> None:
    def input(prompt: str) -> str:  # noqa: A001  # as a user may call it
        return f"own {prompt}"

    tape = Tape(Person(), input)
    assert tape.ask("input", "one") == Returned("own one")
    assert [spec.name for spec in tape.tools.specs()] == ["input", "getpass"]
    tape.tools.attendant = None
    assert [spec.name for spec in tape.tools.specs()] == ["input"]
