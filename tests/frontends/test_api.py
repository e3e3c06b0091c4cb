"""The Python API on a real kernel: the doors, several tasks on one agent, where tools run, clear errors."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel import Agent, Limits, SandboxProfile, ScriptedModel, tool
from codeact_kernel.events import (
    Event,
    OutputShown,
    SandboxReady,
    StepFinished,
    ToolFinished,
    TurnFinished,
    TurnStarted,
)
from codeact_kernel.exceptions import (
    BudgetError,
    ScriptExhausted,
    ToolDefinitionError,
    UsageError,
)
from codeact_kernel.models.scripted import Scripted
from codeact_kernel.notebook.load import load

pytestmark = pytest.mark.kernel
DONE: Scripted = {"answer": "done"}


def script(*replies: str | Scripted) -> ScriptedModel:
    """Strings are code."""
    return ScriptedModel([{"code": reply} if isinstance(reply, str) else reply for reply in replies])


def children() -> list[str]:
    """Process ids."""
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += (task / "children").read_text().split()
        except FileNotFoundError:
            continue  # A thread that ended meanwhile.
    return found


def folders() -> list[Path]:
    """Of this process's sessions."""
    return list(Path(tempfile.gettempdir()).glob(f"codeact-*-{os.getpid()}-*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run.ipynb"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = (children(), folders())
    yield
    assert (children(), folders()) == before


def shown(agent: Agent) -> list[str]:
    """What each step printed."""
    assert agent.trajectory is not None
    return [step.observation.text("stdout").strip() for step in agent.trajectory.steps]


def failed(agent: Agent) -> list[str]:
    """The steps that did not end well, to make a failing test readable."""
    assert agent.trajectory is not None
    return [
        f"{step.observation.status}: {step.observation.error}"
        for step in agent.trajectory.steps
        if step.observation.status != "ok"
    ]


# --- tasks -------------------------------------------------------------------------------------


def test_several_tasks_share_the_kernel_and_the_conversation(out: Path) -> None:
    model = script(
        *("x = 20", "print(x + 1)", "undefined", {"answer": "21"}),
        *("print(x * 2)", "final_answer({'twice': x * 2})"),
        *("import matplotlib; print(sorted([3, 1]))", DONE),
    )

    async def main() -> None:
        async with Agent(model=model, out=out, verify=False) as agent:
            assert agent.trajectory is None
            first = await agent.run("add one")
            assert (first.answer, first.stop_reason, first.steps) == ("21", "answer", 3)
            assert (first.path, first.cost_usd) == (out, 0.0)
            assert load(out) == first.trajectory  # saved before `run` returns
            second = await agent.run("and twice that?")
            assert (second.answer, second.steps) == ({"twice": 40}, 2)
            assert len(second.trajectory.turns) == 2
            third = await agent.run("last one")
            assert third.answer == "done"
            assert shown(agent) == ["", "21", "", "40", "", "[1, 3]"]
        assert load(out) == agent.trajectory

    asyncio.run(main())
    assert len(model.requests) == 8
    for earlier, later in pairwise(model.requests):
        assert later.system == earlier.system
        assert len(later.messages) > len(earlier.messages)
        assert later.messages[: len(earlier.messages)] == earlier.messages
    text = str(model.requests[-1].messages)
    assert text.index("add one") < text.index("NameError") < text.index("and twice") < text.index("last one")


def test_events_stream_in_order(out: Path) -> None:
    def double(x: int) -> int:
        return 2 * x

    async def main() -> list[Event]:
        async with Agent(
            [double], model=script("print(double(4))", DONE, "y = 1", DONE), out=out, verify=False
        ) as agent:
            events = [event async for event in agent.stream("one")]
            events += [event async for event in agent.stream("two")]
            return events

    events = asyncio.run(main())
    wanted = (TurnStarted, OutputShown, ToolFinished, StepFinished, TurnFinished)
    kinds = [type(event).__name__ for event in events if isinstance(event, wanted)]
    assert kinds == [
        *("TurnStarted", "ToolFinished", "OutputShown", "StepFinished", "TurnFinished"),
        *("TurnStarted", "StepFinished", "TurnFinished"),
    ]
    assert isinstance(events[0], SandboxReady)  # Once, before the first turn of the session.
    assert events[1] == TurnStarted("one")
    assert sum(isinstance(event, SandboxReady) for event in events) == 1
    assert isinstance(events[-1], TurnFinished)


def test_leaving_a_stream_interrupts_the_task_and_keeps_the_agent(out: Path) -> None:
    model = script("n = 1\nprint('go', flush=True)\nwhile True: pass", "print(n + 1)", DONE)

    async def main() -> None:
        async with Agent(model=model, out=out, verify=False) as agent:
            async with aclosing(agent.stream("spin")) as events:
                async for event in events:
                    if isinstance(event, OutputShown):
                        break
            assert agent.trajectory is not None
            assert agent.trajectory.stop is not None
            assert agent.trajectory.stop.reason == "interrupted"
            assert agent.trajectory.steps[0].observation.status == "timeout"
            assert (await agent.run("go on")).answer == "done"
            assert shown(agent) == ["go", "2"]

    asyncio.run(main())


def test_an_error_of_a_stream_is_raised_after_its_events(out: Path) -> None:
    async def main() -> None:
        async with Agent(model=script("x = 1"), out=out, verify=False) as agent:
            events: list[Event] = []
            with pytest.raises(ScriptExhausted):
                async for event in agent.stream("too long"):
                    events.append(event)
            assert isinstance(events[-1], TurnFinished)
            assert events[-1].stop.reason == "model_error"
            assert load(out).stop == events[-1].stop

    asyncio.run(main())


def test_cancelling_run_interrupts_records_and_keeps_the_state(out: Path) -> None:
    going = threading.Event()

    def ready() -> None:
        going.set()

    async def main() -> None:
        model = script("kept = 5\nready()\nwhile True: pass", "print(kept)", DONE)
        async with Agent([ready], model=model, out=out, verify=False) as agent:
            task = asyncio.ensure_future(agent.run("spin"))
            await asyncio.to_thread(going.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            saved = load(out)
            assert saved.stop is not None
            assert saved.stop.reason == "interrupted"
            assert saved.steps[0].observation.status == "timeout"
            await agent.run("go on")
            assert shown(agent)[-1] == "5"

    asyncio.run(main())


# --- the synchronous door ----------------------------------------------------------------------


class Shop:
    """Bound to a connection that only the thread that opened it may use."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.execute("CREATE TABLE paid (amount INTEGER)")

    def pay(self, amount: int) -> int:
        """The sum of what was paid."""
        self.db.execute("INSERT INTO paid VALUES (?)", (amount,))
        return int(self.db.execute("SELECT sum(amount) FROM paid").fetchone()[0])


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.db.close()


def test_run_sync_runs_a_stateful_tool_on_the_calling_thread(out: Path, shop: Shop) -> None:
    events: list[tuple[Event, str]] = []
    with Agent([shop.pay], model=script("print(pay(3), pay(4))", DONE), out=out, verify=False) as agent:
        run = agent.run_sync("pay", on_event=lambda e: events.append((e, threading.current_thread().name)))
        assert run.answer == "done"
        assert shown(agent) == ["3 7"], failed(agent)
    assert {name for _, name in events} == {threading.main_thread().name}
    assert isinstance(events[-1][0], TurnFinished)


def test_run_sync_inside_a_running_event_loop(out: Path, shop: Shop) -> None:
    """As in a notebook cell."""

    async def main() -> None:
        with Agent([shop.pay], model=script("print(pay(3))", DONE), out=out, verify=False) as agent:
            agent.run_sync("pay")
            assert shown(agent) == ["3"], failed(agent)

    asyncio.run(main())


def test_a_stateful_tool_under_await_run(out: Path, shop: Shop) -> None:
    tools = [tool(shop.pay, thread="caller"), tool(shop.pay, name="pay_elsewhere")]

    async def main() -> None:
        model = script("print(pay(3))", "pay_elsewhere(1)", "print(pay(2))", DONE)
        async with Agent(tools, model=model, out=out, verify=False) as agent:
            await agent.run("pay")
            assert shown(agent) == ["3", "", "5"]
            (problem,) = failed(agent)
            assert "ProgrammingError" in problem
            assert "thread" in problem

    asyncio.run(main())


def test_short_lived_threads_share_the_kernel(out: Path) -> None:
    """The thread that spawned the kernel has ended when the second one comes."""
    with Agent(model=script("x = 6", DONE, "print(x * 7)", DONE), out=out, verify=False) as agent:
        for task in ("set", "show"):
            thread = threading.Thread(target=agent.run_sync, args=(task,))
            thread.start()
            thread.join()
        assert shown(agent) == ["", "42"], failed(agent)


WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


def test_every_kind_of_tool_through_both_doors(out: Path) -> None:
    meeting: list[asyncio.Event] = []

    async def meet(number: int) -> str:
        """Returns when two calls have come."""
        if number == 2:
            meeting[0].set()
        await asyncio.wait_for(meeting[0].wait(), 20)
        return f"{number} in {threading.current_thread().name}"

    def who() -> str:
        return WHO.get()

    tools = [
        meet,
        who,
        tool(lambda a, b=2: a + b, name="plus"),
        tool(lambda: threading.current_thread().name, name="worker", thread="worker"),
        tool(lambda: threading.current_thread().name, name="caller", thread="caller"),
        tool(lambda: threading.current_thread().name, name="plain"),
    ]
    code = (
        "import asyncio\n"
        "print(await asyncio.gather(meet(1), meet(2)))\n"
        "print(plus(1), who())\n"
        "print(worker()[:13], caller(), plain()[:13])"
    )
    token = WHO.set("alice")
    main_thread = threading.main_thread().name

    async def again(agent: Agent) -> None:
        meeting[:] = [asyncio.Event()]
        WHO.set("bob")
        await agent.run("two")

    try:
        with Agent(tools, model=script(code, DONE, code, DONE), out=out, verify=False) as agent:
            meeting.append(asyncio.Event())
            agent.run_sync("one")
            asyncio.run(again(agent))
            first, second = shown(agent)
    finally:
        WHO.reset(token)
    assert first.splitlines() == [
        "['1 in codeact-portal', '2 in codeact-portal']",
        "3 alice",
        f"codeact-tool- {main_thread} {main_thread}",
    ]
    assert second.splitlines() == [
        f"['1 in {main_thread}', '2 in {main_thread}']",
        "3 bob",
        f"codeact-tool- {main_thread} codeact-tool-",
    ]


def test_a_tool_may_run_another_agent_but_not_its_own(out: Path, tmp_path: Path) -> None:
    inner = Agent(model=script("x = 2", "final_answer(x + 1)"), out=tmp_path / "inner.ipynb", verify=False)

    def ask(question: str) -> int:
        return int(inner.run_sync(question).answer)

    def ask_self(question: str) -> None:
        outer.run_sync(question)

    async def ask_blocking(question: str) -> None:
        inner.run_sync(question)

    code = (
        "for f in (ask_self, ask_blocking):\n"
        "    try: f('?')\n"
        "    except Exception as e: print(e)\n"
        "print(ask('?'))"
    )
    outer = Agent([ask, ask_self, ask_blocking], model=script(code, DONE), out=out, verify=False)
    with outer, inner:
        outer.run_sync("ask around")
        (text,) = shown(outer)
    own, blocking, answer = text.splitlines()
    assert "runs a task already" in own
    assert "await it there" in blocking
    assert answer == "3"


def test_an_asynchronous_tool_may_await_another_agent(out: Path, tmp_path: Path) -> None:
    inner = Agent(
        model=script("final_answer(3)", "final_answer(4)"), out=tmp_path / "inner.ipynb", verify=False
    )

    async def ask(question: str) -> int:
        return int((await inner.run(question)).answer)

    async def main(agent: Agent) -> None:
        await agent.run("two")

    with (
        inner,
        Agent(
            [ask], model=script("print(ask('?'))", DONE, "print(ask('?'))", DONE), out=out, verify=False
        ) as agent,
    ):
        agent.run_sync("one")
        asyncio.run(main(agent))
        assert shown(agent) == ["3", "4"], failed(agent)


def test_a_listener_that_fails_ends_the_task_with_its_error(out: Path) -> None:
    def listener(event: Event) -> None:
        if isinstance(event, OutputShown):
            raise ZeroDivisionError("my own mistake")

    model = script("k = 1\nprint('go', flush=True)\nwhile True: pass", "print(k)", DONE)
    with Agent(model=model, out=out, verify=False) as agent:
        with pytest.raises(ZeroDivisionError, match="my own mistake"):
            agent.run_sync("spin", on_event=listener)
        assert agent.run_sync("go on").answer == "done"
        assert shown(agent) == ["go", "1"]


def test_two_agents_at_once(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        async with (
            Agent(model=script("x = 1", "final_answer(x)"), out=tmp_path / "a.ipynb", verify=False) as a,
            Agent(model=script("x = 2", "final_answer(x)"), out=tmp_path / "b.ipynb", verify=False) as b,
        ):
            return [run.answer for run in await asyncio.gather(a.run("one"), b.run("two"))]

    assert asyncio.run(main()) == [1, 2]


# --- closing -----------------------------------------------------------------------------------


def test_closing_twice_and_unused(out: Path) -> None:
    agent = Agent(model=script(DONE), out=out, verify=False)
    agent.close()
    agent.close()
    assert not out.exists()
    with pytest.raises(UsageError, match="closed"):
        agent.run_sync("anything")


def test_an_agent_that_is_closed_ends_its_kernel_and_takes_no_task(out: Path) -> None:
    agent = Agent(model=script("x = 1", DONE), out=out, verify=False)
    assert children() == []
    agent.run_sync("one")
    assert len(children()) == 1
    agent.close()
    assert children() == []
    agent.close()
    with pytest.raises(UsageError, match="make a new one"):
        asyncio.run(agent.run("two"))
    assert len(load(out).turns) == 1


def test_closing_interrupts_the_task_that_runs(out: Path) -> None:
    going = threading.Event()

    def ready() -> None:
        going.set()

    agent = Agent([ready], model=script("ready()\nwhile True: pass"), out=out, verify=False)

    async def main() -> None:
        task = asyncio.ensure_future(agent.run("spin"))
        await asyncio.to_thread(going.wait, 30)
        await agent.aclose()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    saved = load(out)
    assert saved.stop is not None
    assert saved.stop.reason == "interrupted"


def test_the_kernel_ends_also_when_the_notebook_cannot_be_saved(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    agent = Agent(model=script("x = 1", DONE), out=folder / "run.ipynb", verify=False)
    agent.run_sync("one")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(UsageError, match="cannot write the notebook"):
        agent.close()
    assert children() == []


# --- errors ------------------------------------------------------------------------------------


def first_task(**options: Any) -> None:
    with Agent(model=script(DONE), verify=False, **options) as agent:
        agent.run_sync("go")


def test_what_cannot_be_used_is_refused_with_its_name(tmp_path: Path) -> None:
    existing = tmp_path / "mine.ipynb"
    existing.write_text("{}")

    def add(a: int) -> int:
        return a

    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (UsageError, "no/such/run.ipynb|no/such", {"out": tmp_path / "no" / "such" / "run.ipynb"}),
        (UsageError, "mine.ipynb.*exists", {"out": existing}),
        (ToolDefinitionError, "'add'", {"tools": [add, tool(add)]}),
        (ToolDefinitionError, "no function", {"tools": [42]}),
        (BudgetError, "max_steps=0", {"limits": Limits(max_steps=0)}),
        (UsageError, "does not exist", {"profile": SandboxProfile(data=(tmp_path / "nothing.csv",))}),
    ]
    for kind, words, options in cases:
        with pytest.raises(kind, match=words):
            first_task(**{"out": tmp_path / "new.ipynb", **options})
    assert existing.read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.ipynb"]


@pytest.mark.parametrize("task", ["", "  \n"])
def test_an_empty_task_is_refused_before_anything_starts(out: Path, task: str) -> None:
    with Agent(model=script(DONE), out=out, verify=False) as agent, pytest.raises(UsageError, match="empty"):
        agent.run_sync(task)
    assert list(out.parent.iterdir()) == []


def test_no_tools_are_fine(out: Path) -> None:
    with Agent(model=script("final_answer(1)"), out=out, verify=False) as agent:
        assert agent.run_sync("one").answer == 1


def test_a_start_that_failed_can_be_tried_again(tmp_path: Path, out: Path) -> None:
    data = tmp_path / "later.csv"
    with Agent(model=script(DONE), profile=SandboxProfile(data=(data,)), out=out, verify=False) as agent:
        with pytest.raises(UsageError, match=r"later\.csv"):
            agent.run_sync("one")
        data.write_text("a,b\n")
        assert agent.run_sync("one").answer == "done"


def test_a_journal_that_appeared_meanwhile_is_kept(out: Path) -> None:
    with Agent(model=script(DONE), out=out, verify=False) as agent:
        journal = out.with_name("run.codeact.jsonl")
        journal.write_text("somebody else's")
        with pytest.raises(UsageError, match=r"run\.codeact\.jsonl.*exists"):
            agent.run_sync("one")
        assert journal.read_text() == "somebody else's"
        assert children() == []
        journal.unlink()
        assert agent.run_sync("one").answer == "done"
