"""What a person's front end has of a kernel beside its cells: completion, widgets, late outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from codeact_kernel.outputs import CommMessage, Output, Stream
from codeact_kernel.sandbox.beside import MAX_ASKED, Pace
from codeact_kernel.sandbox.translate import comm_of, completion_of, inspection_of
from codeact_kernel.wire.messages import Json

from .support import Lab, OpenLab, value_of

TIMEOUT_S = 60
SLIDER = """
import asyncio, ipywidgets
from IPython.display import display
slider = ipywidgets.IntSlider()
slider.observe(lambda change: print('moved to', change['new']), 'value')
display(slider)
"""
WAIT = """
slider.value = 50
while slider.value == 50: await asyncio.sleep(0.01)
print('saw', slider.value)
"""
FORGE = """
import asyncio, ipykernel.kernelapp
kernel = get_ipython().kernel
def forge(kind, content, parent=None, **more):
    parent = kernel.get_parent() if parent is None else parent
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent, **more)
"""


class Person:
    """An Attendant that keeps what it gets."""

    def __init__(self) -> None:
        self.comms: list[CommMessage] = []
        self.late_ones: list[tuple[Output, object]] = []
        self.came = asyncio.Event()

    async def input(self, prompt: str, password: bool) -> str | None:
        raise AssertionError("sessions ask nobody")

    def comm(self, message: CommMessage) -> None:
        self.comms.append(message)
        self.came.set()

    def late(self, output: Output, token: object) -> None:
        self.late_ones.append((output, token))
        self.came.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until it has got what makes `holds` true."""
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():
                self.came.clear()
                await self.came.wait()

    def model(self, name: str) -> str:
        """Id of the model of that name that was opened last."""
        found = [m for m in self.comms if m.kind == "open" and _state(m).get("_model_name") == name]
        return found[-1].comm_id

    def said(self, token: object) -> str:
        return "".join(o.text for o, t in self.late_ones if t == token and isinstance(o, Stream))


def _state(message: CommMessage) -> Mapping[str, Any]:
    state = message.data.get("state")
    return state if isinstance(state, dict) else {}


def moved(comm_id: str, value: Json) -> CommMessage:
    """What a front end sends when a slider is moved."""
    return CommMessage("msg", comm_id, {"method": "update", "state": {"value": value}, "buffer_paths": []})


async def completed(lab: Lab, code: str) -> Mapping[str, Json]:
    """The completion at the end of `code`; the first of a kernel may be too late."""
    async with asyncio.timeout(TIMEOUT_S):
        while not (reply := await lab.session.complete(code, len(code)))["matches"]:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)
    return reply


async def inspected(lab: Lab, name: str) -> Mapping[str, Json]:
    """What is said of a name that there is."""
    async with asyncio.timeout(TIMEOUT_S):
        while not (reply := await lab.session.inspect(name, len(name), 0))["found"]:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)
    return reply


@pytest.fixture
def person(shared: Lab) -> Iterator[Person]:
    """Attends the kernel that this module shares."""

    async def come() -> Person:
        person = Person()
        shared.session.attend(person)
        return person

    yield shared.wait(come())
    shared.session.attend(None)


pytestmark = pytest.mark.kernel


def test_a_slider_is_moved_while_a_cell_runs_and_after_it(shared: Lab, person: Person) -> None:
    async def case() -> None:
        cell = await shared.execute(SLIDER)
        assert cell.status == "ok", cell.shown
        opened = next(m for m in person.comms if m.comm_id == person.model("IntSliderModel"))
        assert (opened.target, opened.metadata["version"]) == ("jupyter.widget", "2.1.0")

        shared.session.send_comm(moved(opened.comm_id, 3), "first")
        await person.until(lambda: person.said("first") == "moved to 3\n")

        async def move() -> None:
            await person.until(lambda: any(_state(m).get("value") == 50 for m in person.comms))
            shared.session.send_comm(moved(opened.comm_id, 7), "second")

        moving = asyncio.ensure_future(move())
        cell = await shared.execute(WAIT)
        await moving
        await person.until(lambda: person.said("second") == "moved to 7\n")
        # The callback's text is none of the cell's, and the cell's own is all there.
        assert cell.out == "moved to 50\nsaw 7\n"

    shared.wait(case())


def test_buffers_cross_in_both_directions(shared: Lab, person: Person) -> None:
    async def case() -> None:
        await shared.execute("import ipywidgets\nimage = ipywidgets.Image(value=bytes(range(256)))")
        (opened,) = (m for m in person.comms if m.comm_id == person.model("ImageModel"))
        assert opened.buffers == (bytes(range(256)),)
        update = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
        shared.session.send_comm(CommMessage("msg", opened.comm_id, update, buffers=(b"\0new",)), None)
        # The kernel takes messages in their order.
        assert (await shared.execute("bytes(image.value)")).result == r"b'\x00new'"

    shared.wait(case())


def test_other_targets_and_unknown_comms_reach_nobody(shared: Lab, person: Person) -> None:
    bad = (
        "forge('comm_open', {'comm_id': 'a', 'target_name': 'jupyter.evil', 'data': {}})",
        "forge('comm_open', {'comm_id': 'b', 'target_name': 'jupyter.widget.control', 'data': {}})",
        "forge('comm_open', {'comm_id': '../c', 'target_name': 'jupyter.widget', 'data': {}})",
        "forge('comm_open', {'comm_id': 7, 'target_name': 'jupyter.widget', 'data': {}})",
        "forge('comm_msg', {'comm_id': 'a', 'data': {}})",
        "forge('comm_msg', {'comm_id': 'never-opened', 'data': {}})",
        "forge('comm_close', {'comm_id': 'never-opened', 'data': {}})",
        "forge('comm_open', {'comm_id': ['f'], 'target_name': ['jupyter.widget'], 'data': {}})",
        "forge('complete_reply', {'matches': ['x']})",
        "forge('stream', {'name': 'stdout', 'text': 'forged'}, {'header': {'msg_id': 'x', 'msg_type': 'x'}})",
    )
    good = "forge('comm_open', {'comm_id': 'd', 'target_name': 'jupyter.widget', 'data': {}})"

    async def case() -> None:
        cell = await shared.execute("\n".join([FORGE, *bad, good, "print('end')"]))
        assert (cell.status, cell.out) == ("ok", "end\n")
        await person.until(lambda: bool(person.comms))
        assert [(m.kind, m.comm_id) for m in person.comms] == [("open", "d")]
        assert person.late_ones == []
        # A second one of that id, and what follows a close.
        again = [
            good,
            *(f"forge('comm_{kind}', {{'comm_id': 'd', 'data': {{}}}})" for kind in ("close", "msg")),
        ]
        await shared.execute("\n".join(again))
        await shared.execute(
            "forge('comm_open', {'comm_id': 'e', 'target_name': 'jupyter.widget', 'data': {}})"
        )
        assert [(m.kind, m.comm_id) for m in person.comms[1:]] == [("close", "d"), ("open", "e")]

    shared.wait(case())


def test_a_front_end_reaches_only_comms_of_the_kernel(shared: Lab, person: Person) -> None:
    async def case() -> None:
        await shared.execute(SLIDER + "\nids = list(slider.widgets)")
        shared.session.send_comm(moved("never-opened", 1), "lost")
        shared.session.send_comm(CommMessage("close", person.model("IntSliderModel")), "close")
        shared.session.send_comm(moved(person.model("IntSliderModel"), 9), "too late")
        assert (await shared.execute("slider.value, slider.comm._closed")).result == "(0, True)"

    shared.wait(case())


def test_a_flood_between_cells_is_read_at_a_bounded_rate(open_lab: OpenLab) -> None:
    """The kernel waits for the host, whose memory and time are not the sandbox's to take."""
    lab = open_lab()
    flood = (
        "import threading\n"
        "forge('comm_open', {'comm_id': 'f', 'target_name': 'jupyter.widget', 'data': {}})\n"
        "parent = kernel.get_parent()\n"
        "def flood():\n"
        "    while True: forge('comm_msg', {'comm_id': 'f', 'data': {'x': 'y' * 100_000}}, parent)\n"
        "threading.Thread(target=flood, daemon=True).start()"
    )

    async def case() -> None:
        person = Person()
        lab.session.attend(person)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await lab.execute(FORGE + flood)
        most = Pace.BURST + 2 * Pace.RATE
        await person.until(lambda: len(person.comms) * 100_000 > most)
        received = len(person.comms) * 100_000
        assert received < Pace.BURST + (loop.time() - began) * Pace.RATE + 200_000
        # It does not keep the next cell from running, nor from being stopped.
        assert (await lab.execute("print(1 + 1)")).out == "2\n"

    lab.wait(case())


def test_completion_and_inspection_idle_and_while_a_cell_runs(shared: Lab, person: Person) -> None:
    async def case() -> None:
        await shared.execute("import threading\nvariable_of_mine = 1\nready = threading.Event()")
        session = shared.session

        async def ask() -> None:
            reply = await completed(shared, "x = variable_of")
            assert (reply["matches"], reply["cursor_start"]) == (["variable_of_mine"], 4)
            assert "int" in str((await inspected(shared, "variable_of_mine"))["data"])
            assert (await session.inspect("no_such_name", 3, 0))["found"] is False

        await ask()
        running = asyncio.ensure_future(
            shared.execute("import time\nwhile not ready.is_set(): time.sleep(0.01)")
        )
        while session._run is None or not session._run.begun:  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0.005)
        await ask()
        await session.interrupt()
        assert (await running).status == "timeout"

    shared.wait(case())


def test_nothing_is_asked_or_sent_while_nobody_attends_or_the_kernel_is_down(open_lab: OpenLab) -> None:
    lab = open_lab()
    empty = {"status": "ok", "matches": [], "cursor_start": 2, "cursor_end": 2, "metadata": {}}

    async def case() -> None:
        await lab.execute("abc = 1")
        assert await lab.session.complete("ab", 2) == empty
        assert (await lab.session.inspect("abc", 2, 0))["found"] is False
        person = Person()
        lab.session.attend(person)
        assert "int" in str((await inspected(lab, "abc"))["data"])
        await lab.execute(SLIDER)
        comm_id = person.model("IntSliderModel")
        await lab.execute("import os\nos._exit(3)")
        assert await lab.session.complete("ab", 2) == empty
        assert (await lab.session.inspect("print", 2, 0))["found"] is False
        lab.session.send_comm(moved(comm_id, 1), None)
        # The front end is told that what it had of the kernel is gone.
        assert CommMessage("close", comm_id) in person.comms
        await lab.session.restart()
        await lab.execute(SLIDER)
        lab.session.send_comm(moved(person.model("IntSliderModel"), 4), "again")
        await person.until(lambda: person.said("again") == "moved to 4\n")

    lab.wait(case())


def test_a_kernel_that_does_not_answer_is_asked_no_more(open_lab: OpenLab) -> None:
    lab = open_lab()
    trap = (
        "import asyncio\nclass Trap:\n    def __dir__(self):\n        import time\n        time.sleep(600)\n"
        "trap = Trap()"
    )

    async def case() -> None:
        lab.session.attend(Person())
        lab.session.answer_s = 0.5
        await lab.execute(trap)
        asked = [asyncio.ensure_future(lab.session.complete("trap.x", 6)) for _ in range(MAX_ASKED)]
        await asyncio.sleep(0)
        assert (await lab.session.complete("print", 5))["matches"] == []  # At once.
        assert [(await one)["matches"] for one in asked] == [[]] * MAX_ASKED
        assert (await lab.execute("print('well')")).out == "well\n"

    lab.wait(case())


def test_input_of_a_session_is_refused_at_once(shared: Lab, person: Person) -> None:
    """Whoever attends: people are asked by a tool of that name, which is on the tape."""
    assert shared.run("input('who? ')").error.ename == "StdinNotImplementedError"
    assert value_of(shared, "6 * 7") == "42"


def test_what_a_widget_clears_is_not_what_the_cell_has_shown(shared: Lab) -> None:
    """`interact` clears its Output widget each time. Unattended too: the record is the same."""
    code = (
        "import ipywidgets\nfrom IPython.display import clear_output\nprint('before')\n"
        "@ipywidgets.interact(x=3)\ndef show(x): print('x is', x)\n"
    )
    assert shared.run(code).out == "before\nx is 3\n"
    assert shared.run(code + "clear_output()\nprint('after')").out == "after\n"


# --- what the messages may say, without a kernel ---


def message(kind: str, content: object, **more: object) -> dict[str, Any]:
    return {"header": {"msg_type": kind}, "content": content, **more}


def test_replies_are_checked() -> None:
    code = "abc.de"
    nothing = {"status": "ok", "matches": [], "cursor_start": 6, "cursor_end": 6, "metadata": {}}
    for bad in (
        {},
        {"matches": "abc", "cursor_start": 0, "cursor_end": 6},
        {"matches": ["x"], "cursor_start": -1, "cursor_end": 6},
        {"matches": ["x"], "cursor_start": 4, "cursor_end": 2},
        {"matches": ["x"], "cursor_start": 0, "cursor_end": 7},
        {"matches": ["x"], "cursor_start": True, "cursor_end": 6},
    ):
        assert completion_of(bad, code, 6) == nothing
    reply = completion_of(
        {
            "matches": ["def_", "esc\x1b[2J", 7, "x" * 10_000, *map(str, range(10_000))],
            "cursor_start": 4,
            "cursor_end": 6,
            "metadata": {
                "_jupyter_types_experimental": [
                    {"text": "def_", "type": "function", "signature": "(a)", "start": 4, "end": 6, "x": [1]},
                    {"text": "absent", "type": "function"},
                    "no entry",
                ],
                "other": "<script>",
            },
        },
        code,
        6,
    )
    matches, metadata = reply["matches"], reply["metadata"]
    assert isinstance(matches, list)
    assert matches[:2] == ["def_", "0"]
    assert len(matches) < 1000
    assert metadata == {
        "_jupyter_types_experimental": [
            {"text": "def_", "type": "function", "signature": "(a)", "start": 4, "end": 6}
        ]
    }
    found = inspection_of({"found": True, "data": {"text/plain": "x" * 10**6, "text/html": "<b>"}})
    assert found["found"] is True
    assert found["data"] == {"text/plain": "x" * 100_000}
    for unfit in ({"found": 1, "data": {"text/plain": "x"}}, {"found": True, "data": {"text/plain": [1]}}):
        assert inspection_of(unfit) == {"status": "ok", "found": False, "data": {}, "metadata": {}}


def test_comm_messages_are_checked() -> None:
    opened = message(
        "comm_open",
        {"comm_id": "a" * 32, "target_name": "jupyter.widget", "data": {"state": {}}},
        metadata={"version": "2.1.0"},
        buffers=[b"x"],
    )
    expected = CommMessage("open", "a" * 32, {"state": {}}, "jupyter.widget", {"version": "2.1.0"}, (b"x",))
    assert comm_of(opened) == expected
    for bad in ({}, {"comm_id": ""}, {"comm_id": "a b"}, {"comm_id": "a" * 101}, {"comm_id": "é"}):
        assert comm_of(message("comm_msg", {"data": {}, **bad})) is None
    assert comm_of(message("comm_msg", {"comm_id": "a", "data": [1]})) == CommMessage("msg", "a")
