"""Widgets and questions of sandboxed code, through the protocol of the CodeAct kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.frontends.front_end import DEADLINE_S, FrontEnd

pytestmark = pytest.mark.kernel

VIEW = "application/vnd.jupyter.widget-view+json"
SLIDER = """%%python
import asyncio, ipywidgets
slider = ipywidgets.IntSlider()
def moved(change): print('moved to', change['new'])
slider.observe(moved, 'value')
slider
"""
WAITING = """%%python
slider.value = 50
print('waiting')
while slider.value != 8: await asyncio.sleep(0.01)
print('saw', slider.value)
"""
BUTTON = """%%python
area = ipywidgets.Output()
button = ipywidgets.Button()
@button.on_click
def clicked(_):
    with area: print('inside')
    print('outside')
ipywidgets.VBox([button, area])
"""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    end = FrontEnd(tmp_path_factory.mktemp("comms"))
    yield end
    end.close()


class Listener:
    """Sends messages and keeps all that comes on iopub, whoever asked for it."""

    def __init__(self, front: FrontEnd) -> None:
        self._client = front.client
        self.messages: list[dict[str, Any]] = []

    def send(self, kind: str, content: Mapping[str, Any]) -> str:
        message = self._client.session.msg(kind, dict(content))
        self._client.shell_channel.send(message)
        sent: str = message["header"]["msg_id"]
        return sent

    def move(self, comm_id: str, value: int) -> str:
        state = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        return self.send("comm_msg", {"comm_id": comm_id, "data": state})

    def execute(self, code: str) -> str:
        return self.send("execute_request", {"code": code, "silent": False, "allow_stdin": False})

    async def until(self, holds: Callable[[], object]) -> None:
        """Reads until it has got what makes `holds` true."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self.messages.append(await self._client.get_iopub_msg(timeout=DEADLINE_S))

    async def handled(self, parent: str) -> None:
        """Until that request is done."""
        await self.until(lambda: "idle" in [c["execution_state"] for c in self.of("status", parent)])

    def said(self, parent: str) -> str:
        """On stdout, with this parent."""
        return "".join(content["text"] for content in self.of("stream", parent))

    def of(self, kind: str, parent: str | None = None) -> list[dict[str, Any]]:
        """Contents of the messages of that kind; `parent`: of those only that came of it."""
        return [
            m["content"]
            for m in self.messages
            if m["msg_type"] == kind and parent in (None, m["parent_header"].get("msg_id"))
        ]

    def closed(self, comm_id: str) -> bool:
        return any(content["comm_id"] == comm_id for content in self.of("comm_close"))


def model_of(messages: list[dict[str, Any]], name: str) -> str:
    """The comm of the model of that name that was opened last."""
    opened = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    found = [o["comm_id"] for o in opened if o["data"]["state"].get("_model_name") == name]
    comm_id: str = found[-1]
    return comm_id


def test_a_slider_lives_at_the_front_end_between_cells_and_while_one_runs(front: FrontEnd) -> None:
    cell = front.run(SLIDER)
    kinds = [m["msg_type"] for m in cell.messages]
    comm_id = model_of(cell.messages, "IntSliderModel")
    assert cell.result[VIEW]["model_id"] == comm_id
    assert cell.result["text/plain"] == "IntSlider(value=0)"
    assert max(i for i, kind in enumerate(kinds) if kind == "comm_open") < kinds.index("execute_result")
    opened = next(m for m in cell.messages if m["content"].get("comm_id") == comm_id)
    assert (opened["metadata"]["version"], opened["content"]["target_name"]) == ("2.1.0", "jupyter.widget")
    assert front.ask("comm_info", "jupyter.widget")["comms"][comm_id] == {"target_name": "jupyter.widget"}
    assert front.ask("comm_info", "jupyter.other")["comms"] == {}

    async def case() -> None:
        listener = Listener(front)
        idle = listener.move(comm_id, 7)
        await listener.handled(idle)
        await listener.until(lambda: listener.said(idle) == "moved to 7\n")

        asked = listener.send("comm_msg", {"comm_id": comm_id, "data": {"method": "request_state"}})
        await listener.until(lambda: listener.of("comm_msg", asked))
        (state,) = (content["data"] for content in listener.of("comm_msg", asked))
        assert (state["method"], state["state"]["value"]) == ("update", 7)

        running = listener.execute(WAITING)
        await listener.until(lambda: "waiting" in listener.said(running))
        during = listener.move(comm_id, 8)
        # Without it a front end would not send the next move of this slider.
        await listener.handled(during)
        assert "idle" not in [content["execution_state"] for content in listener.of("status", running)]
        await listener.handled(running)
        await listener.until(lambda: listener.said(during) == "moved to 8\n")
        assert listener.said(running) == "moved to 50\nwaiting\nsaw 8\n"

    front.together(case)


def test_callbacks_show_in_their_output_widget_or_with_their_message(front: FrontEnd) -> None:
    front.run(SLIDER)
    cell = front.run(BUTTON)
    button, area = model_of(cell.messages, "ButtonModel"), model_of(cell.messages, "OutputModel")

    async def case() -> None:
        listener = Listener(front)
        click = listener.send(
            "comm_msg", {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}}
        )
        inside = [{"output_type": "stream", "name": "stdout", "text": "inside\n"}]
        await listener.until(lambda: inside in outputs_of(listener, area))
        await listener.until(lambda: listener.said(click) == "outside\n")

    front.together(case)


def outputs_of(listener: Listener, area: str) -> list[Any]:
    """What an Output widget was told to show, each time."""
    found = [c["data"].get("state", {}) for c in listener.of("comm_msg") if c["comm_id"] == area]
    return [state["outputs"] for state in found if "outputs" in state]


def test_other_comms_are_closed_at_once_and_unknown_ones_reach_nobody(front: FrontEnd) -> None:
    front.run("%%python\n1")

    async def case() -> None:
        listener = Listener(front)
        for target in ("jupyter.widget.control", "jupyter.widget", "other"):
            opened = listener.send("comm_open", {"comm_id": target, "target_name": target, "data": {}})
            await listener.handled(opened)
            assert listener.closed(target)
        for content in ({}, {"comm_id": 7}, {"comm_id": "nowhere", "data": []}, {"comm_id": "nowhere"}):
            await listener.handled(listener.send("comm_msg", content))

    front.together(case)
    assert front.run("%%python\n1 + 1").result["text/plain"] == "2"


def test_a_reset_closes_the_widgets(front: FrontEnd) -> None:
    comm_id = model_of(front.run(SLIDER).messages, "IntSliderModel")

    async def case() -> None:
        listener = Listener(front)
        await listener.handled(listener.execute("%reset"))
        await listener.until(lambda: listener.closed(comm_id))
        await listener.handled(listener.move(comm_id, 3))

    front.together(case)
    assert front.ask("comm_info")["comms"] == {}
    again = front.run(SLIDER)
    assert model_of(again.messages, "IntSliderModel") != comm_id
    assert front.run("%%python\nslider.value").result["text/plain"] == "0"


def test_sandboxed_code_asks_at_the_front_end(front: FrontEnd) -> None:
    code = "%%python\nname = input('Na\\x1b[2Jme?\\n')\nimport getpass\nword = getpass.getpass()\nname, word"
    cell = front.run(code, answers=["Ann", "hunter2"])
    assert cell.result["text/plain"] == "('Ann', 'hunter2')"
    prompts = [(asked["prompt"].strip(), asked["password"]) for asked in front.asked]
    assert prompts == [("sandboxed code asks: Name?", False), ("sandboxed code asks: Password:", True)]
    alone = front.run("%%python\ninput()")
    assert (alone.reply["status"], "nobody can be asked" in str(alone.reply["traceback"])) == ("error", True)
    assert all("hunter2" not in path.read_text() for path in front.folder.glob("*.ipynb"))
