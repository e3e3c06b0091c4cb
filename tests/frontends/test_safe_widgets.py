"""The gate of widgets: ipywidgets' own work through it, everything else does not."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import comm
import ipywidgets
import pytest
from ipywidgets.widgets.widget import _registry
from tqdm.notebook import tqdm

from codeact_kernel.frontends.safe_widget_models import MODELS
from codeact_kernel.frontends.safe_widget_tree import MAX_DEEP, Tree
from codeact_kernel.frontends.safe_widgets import TARGET, WidgetGate, WidgetLimits
from codeact_kernel.outputs import ClearOutput, CommMessage, Display, Finished, Stream
from codeact_kernel.wire.messages import Json

KINDS: dict[str, Any] = {"comm_open": "open", "comm_msg": "msg", "comm_close": "close"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
PAYLOAD = "<img src=x onerror=window.pwned=1>hi"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ToggleButtons": {"options": ["a", "b"], "icons": ["check", "x"], "tooltips": ["t", "u"]},
    **{name: {"options": ["a", "b"]} for name in ("Dropdown", "RadioButtons", "Select")},
    "SelectMultiple": {"options": ["a", "b"], "value": ["a"]},
    **{name: {"options": ["a", "b"]} for name in ("SelectionSlider", "SelectionRangeSlider")},
    "DatePicker": {"value": datetime.date(2026, 1, 2)},
    "TimePicker": {"value": datetime.time(1, 2)},
    "NaiveDatetimePicker": {"value": datetime.datetime(2026, 1, 2)},
    "Image": {"value": PNG, "format": "png", "width": 10},
    "HTML": {"value": "<b>x</b>", "description": "d"},
    "TagsInput": {"value": ["a"], "allowed_tags": ["a", "b"]},
    "ColorsInput": {"value": ["red"]},
    "Combobox": {"options": ["a<b"], "value": "a"},
    "Text": {"value": "a < b & c"},
}
NOT_KEPT = {"top", "bottom", "left", "right", "_dom_classes", "autoplay", "description_allow_html"}
NOT_SHOWN = {
    "FileUploadModel",
    "ControllerModel",
    "ControllerAxisModel",
    "ControllerButtonModel",
    "DOMWidgetModel",
}


class Wire:
    """What widgets of this process say, in order."""

    def __init__(self) -> None:
        self.said: list[CommMessage] = []

    def create(self, *_: Any, **asked: Any) -> comm.base_comm.BaseComm:
        said = self.said

        class Comm(comm.base_comm.BaseComm):
            def publish_msg(
                self,
                msg_type: str,
                data: Any = None,
                metadata: Any = None,
                buffers: Any = None,
                **keys: Any,
            ) -> None:
                target = keys.get("target_name") or ""
                parts = tuple(bytes(one) for one in buffers or ())
                said.append(
                    CommMessage(KINDS[msg_type], self.comm_id, data or {}, target, metadata or {}, parts)
                )

        return Comm(*_, **asked)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire()
    monkeypatch.setattr(comm, "create_comm", made.create)
    yield made
    ipywidgets.Widget.close_all()


@pytest.fixture
def gate() -> WidgetGate:
    return WidgetGate()


def passed(gate: WidgetGate, wire: Wire) -> list[CommMessage]:
    said, wire.said[:] = list(wire.said), []
    return [message for one in said if (message := gate.from_sandbox(one)) is not None]


def state_of(message: CommMessage) -> dict[str, Any]:
    state = message.data["state"]
    assert isinstance(state, dict)
    return state


def widgets() -> list[tuple[str, type[Any]]]:
    found = []
    for versions in _registry._registry.values():
        for models in versions.values():
            for name, modules in models.items():
                for views in modules.values():
                    for kinds in views.values():
                        found += [(name, kind) for kind in kinds.values()]
    return [(name, kind) for name, kind in found if kind.__module__.startswith("ipywidgets")]


def plain(value: Any) -> Any:
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("name", "kind"), widgets(), ids=lambda one: getattr(one, "__name__", one))
def test_ipywidgets_pass_as_they_are(name: str, kind: type[Any], gate: WidgetGate, wire: Wire) -> None:
    if name.endswith("LinkModel"):
        one, other = ipywidgets.IntSlider(), ipywidgets.IntText()
        kind((one, "value"), (other, "value"))
    else:
        kind(**ARGUMENTS.get(kind.__name__, {}))
    said = {message.comm_id: message for message in wire.said}
    came = {state_of(message)["_model_name"]: message for message in passed(gate, wire)}
    if name in NOT_SHOWN:
        assert name not in came
        return
    assert name in MODELS
    given: dict[str, Any] = next(
        dict(message.data["state"])  # type: ignore[arg-type]  # ipywidgets' own
        for message in said.values()
        if state_of(message)["_model_name"] == name
    )
    made = state_of(came[name])
    for key in given.keys() - NOT_KEPT:
        if "IPY_MODEL_" in str(given[key]):
            assert f"IPY_MODEL_{gate_prefix(came[name])}" in str(made[key])
        else:
            assert plain(made[key]) == plain(given[key]), key
    assert came[name].target == TARGET
    if kind.__name__ == "Image":
        assert came[name].buffers == (PNG,)
        assert came[name].data["buffer_paths"] == [["value"]]


def gate_prefix(message: CommMessage) -> str:
    return message.comm_id.rpartition("-")[0] + "-"


def test_every_model_of_the_list_is_one_of_ipywidgets() -> None:
    assert set(MODELS) == {name for name, _ in widgets()} - NOT_SHOWN


def test_html_is_made_inert_when_it_opens_and_when_it_changes(gate: WidgetGate, wire: Wire) -> None:
    shown = ipywidgets.HTMLMath(PAYLOAD)
    shown.value = f"<script>x</script>{PAYLOAD}$\\href{{javascript:x}}{{y}}$"
    *_, opened, updated = passed(gate, wire)
    assert state_of(opened)["value"] == "<img>hi"
    assert state_of(updated) == {"value": "<img>hi$\\\u2060href{javascript:x}{y}$"}
    echo = CommMessage(
        "msg", shown.model_id, {"method": "echo_update", "state": {"value": PAYLOAD}, "buffer_paths": []}
    )
    again = gate.from_sandbox(echo)
    assert again is not None
    assert state_of(again) == {"value": "<img>hi"}


def test_tqdm(gate: WidgetGate, wire: Wire) -> None:
    for _ in tqdm(range(3), desc="a & b", mininterval=0):
        pass
    came = passed(gate, wire)
    names = [state_of(one)["_model_name"] for one in came if one.kind == "open"]
    assert names.count("HTMLModel") == 2
    assert names.count("FloatProgressModel") == 1
    values = [state_of(one).get("value") for one in came if one.kind == "msg"]
    assert 3.0 in values
    assert any("3/3" in str(value) for value in values)


HOSTILE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another module": lambda state: {**state, "_model_module": "anywidget"},
    "another version": lambda state: {**state, "_model_module_version": "^2.0.0 || *"},
    "another view": lambda state: {**state, "_view_name": "HTMLView"},
    "another view module": lambda state: {**state, "_view_module": "https://evil.invalid/x.js"},
    "no view": lambda state: {key: value for key, value in state.items() if key != "_view_name"},
    "no model": lambda state: {key: value for key, value in state.items() if key != "_model_name"},
    "a list for a name": lambda state: {**state, "_model_name": ["TextModel"]},
    "FileUpload": lambda state: {**state, "_model_name": "FileUploadModel", "_view_name": "FileUploadView"},
}


def opening(wire: Wire, make: Callable[[], Any]) -> CommMessage:
    """The message that opens the widget itself."""
    made = make()
    return next(one for one in wire.said if one.comm_id == made.model_id)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_known_model_does_not_open(name: str, gate: WidgetGate, wire: Wire) -> None:
    message = opening(wire, lambda: ipywidgets.Text("x"))
    state = HOSTILE[name](state_of(message))
    assert gate.from_sandbox(replace(message, data={"state": state, "buffer_paths": []})) is None
    assert gate.from_sandbox(replace(message, target="jupyter.lab")) is None
    assert gate.from_sandbox(replace(message, comm_id="../x")) is None
    assert gate.view(message.comm_id) is None


def test_a_model_does_not_become_another(gate: WidgetGate, wire: Wire) -> None:
    text = ipywidgets.Text("x")
    passed(gate, wire)
    for state in ({"_view_name": "HTMLView"}, {"_model_name": "HTMLModel", "value": PAYLOAD}):
        data: dict[str, Json] = {"method": "update", "state": state, "buffer_paths": []}
        assert gate.from_sandbox(CommMessage("msg", text.model_id, data)) is None
    name = text.model_id
    text.close()
    assert [one.kind for one in passed(gate, wire)] == ["close"]
    again = opening(wire, lambda: ipywidgets.HTML("x"))
    assert gate.from_sandbox(replace(again, comm_id=name)) is None


def test_a_link_copies_nothing_that_could_be_html(gate: WidgetGate, wire: Wire) -> None:
    text, html = ipywidgets.Text(PAYLOAD), ipywidgets.HTML("x")
    ipywidgets.jslink((text, "value"), (html, "value"))
    ipywidgets.jsdlink((text, "description"), (html, "value"))
    names = [state_of(one)["_model_name"] for one in passed(gate, wire)]
    assert "TextModel" in names
    assert not [name for name in names if "Link" in name]


def test_styles_classes_icons_and_formats(gate: WidgetGate, wire: Wire) -> None:
    button = ipywidgets.Button(description="x", icon="x jp-Dialog")
    button.add_class("jp-Dialog")
    button.layout.width = "url(https://evil.invalid/x)"
    button.layout.margin = "-500px"
    button.layout.grid_template_areas = '"a b" "c d"'
    button.style.font_weight = "bold; position: fixed"
    came = passed(gate, wire)
    everything = [key for one in came for key in state_of(one).items() if key[1]]
    assert not [
        pair for pair in everything if "evil" in str(pair) or "jp-" in str(pair) or "fixed" in str(pair)
    ]
    assert ("grid_template_areas", '"a b" "c d"') in everything
    assert not [pair for pair in everything if pair[0] == "margin"]


def test_pictures_are_bytes_and_no_address(gate: WidgetGate, wire: Wire) -> None:
    message = opening(wire, lambda: ipywidgets.Image(value=b"https://evil.invalid/x.png", format="png"))
    for one in wire.said:
        if one is not message:
            gate.from_sandbox(one)
    state = {**state_of(message), "format": "url"}
    came = gate.from_sandbox(replace(message, data={**message.data, "state": state}))
    assert came is not None
    assert "format" not in state_of(came)
    data: dict[str, Json] = {"method": "update", "state": {"format": "svg+xml"}, "buffer_paths": []}
    assert gate.from_sandbox(CommMessage("msg", message.comm_id, data)) is None
    data = {"method": "update", "state": {}, "buffer_paths": [["a", "b"]]}
    assert gate.from_sandbox(CommMessage("msg", message.comm_id, data, buffers=(b"x",))) is None


def test_an_output_widget_shows_what_is_inert(gate: WidgetGate, wire: Wire) -> None:
    area = ipywidgets.Output(
        outputs=({"output_type": "display_data", "data": {"text/html": PAYLOAD}, "metadata": {"a": 1}},)
    )
    opened = passed(gate, wire)[-1]
    (shown,) = state_of(opened)["outputs"]
    assert shown["data"]["text/html"] == "<img>hi"
    assert not gate.capture(Stream("stdout", "before"))
    area.msg_id = "any"
    (updated,) = passed(gate, wire)
    assert state_of(updated) == {"msg_id": ""}  # The browser takes nothing: the gate does.
    assert gate.capture(Stream("stdout", "a"))
    assert gate.capture(Stream("stdout", "b\x1b[2J"))
    assert gate.capture(Display({"text/html": PAYLOAD, "application/javascript": "x"}))
    assert not gate.capture(Finished("ok"))
    (told,) = gate.captured()
    assert told.comm_id == gate.view(area.model_id)
    stream, display = state_of(told)["outputs"]
    assert stream == {"output_type": "stream", "name": "stdout", "text": "ab"}
    assert display["data"] == {"text/html": "<img>hi", "text/plain": "[text/html]"}
    assert gate.captured() == []
    assert gate.capture(ClearOutput(wait=True))
    assert gate.capture(Stream("stdout", "c"))
    (told,) = gate.captured()
    assert [one["text"] for one in state_of(told)["outputs"]] == ["c"]
    area.msg_id = ""
    passed(gate, wire)
    assert not gate.capture(Stream("stdout", "after"))


def test_ids_are_of_the_gate(gate: WidgetGate, wire: Wire) -> None:
    slider = ipywidgets.IntSlider()
    box = ipywidgets.VBox([slider])
    came = passed(gate, wire)
    prefix = gate_prefix(came[-1])
    assert all(one.comm_id.startswith(prefix) for one in came)
    assert state_of(came[-1])["children"] == [f"IPY_MODEL_{prefix}{slider.model_id}"]
    data: dict[str, Json] = {"method": "update", "state": {"children": ["IPY_MODEL_other", 5, None]}}
    told = gate.from_sandbox(CommMessage("msg", box.model_id, data))
    assert told is not None
    assert state_of(told) == {"children": []}
    assert gate.view(slider.model_id) == prefix + slider.model_id
    assert gate.view("other") is None
    assert WidgetGate().view(slider.model_id) is None


def test_to_the_sandbox(gate: WidgetGate, wire: Wire) -> None:
    slider = ipywidgets.IntSlider()
    passed(gate, wire)
    there = gate.view(slider.model_id)
    assert there is not None
    data: dict[str, Json] = {
        "method": "update",
        "state": {"value": 3, "layout": f"IPY_MODEL_{there}"},
        "buffer_paths": [],
    }
    told = gate.to_sandbox(CommMessage("msg", there, data))
    assert told is not None
    assert told.comm_id == slider.model_id
    assert told.data["state"] == {"value": 3, "layout": f"IPY_MODEL_{slider.model_id}"}
    assert gate.to_sandbox(CommMessage("msg", slider.model_id, data)) is None
    assert gate.to_sandbox(CommMessage("msg", "other", data)) is None
    assert gate.to_sandbox(CommMessage("msg", there, {"method": "eval"})) is None
    assert gate.to_sandbox(CommMessage("open", there, data, TARGET)) is None
    big: dict[str, Json] = {"method": "update", "state": {"value": "x" * 11_000_000}}
    assert gate.to_sandbox(CommMessage("msg", there, big)) is None
    assert gate.to_sandbox(CommMessage("close", there)) == CommMessage("close", slider.model_id)
    assert gate.to_sandbox(CommMessage("msg", there, data)) is None


def test_messages_of_a_widget_itself(gate: WidgetGate, wire: Wire) -> None:
    text = ipywidgets.Text()
    passed(gate, wire)
    for content, passes in (({"do": "focus"}, True), ({"do": "eval", "code": "x"}, False), (5, False)):
        data: dict[str, Json] = {"method": "custom", "content": content}  # type: ignore[dict-item]  # JSON
        told = gate.from_sandbox(CommMessage("msg", text.model_id, data, buffers=(b"x",)))
        assert (told is not None) is passes
        assert told is None or told.data == {"method": "custom", "content": {"do": "focus"}}


def test_bounds(wire: Wire) -> None:
    now = 0.0
    gate = WidgetGate(
        WidgetLimits(models=3, bytes=3_000, message_bytes=5_000, per_second=1, burst=10), lambda: now
    )
    for number in range(5):
        ipywidgets.Layout(width=f"{number}px")
    opened = passed(gate, wire)
    assert len(opened) == 3
    name = wire_id(opened[0])

    def update(value: str) -> CommMessage | None:
        data: dict[str, Json] = {"method": "update", "state": {"width": value}}
        return gate.from_sandbox(CommMessage("msg", name, data))

    assert update("x" * 6_000) is None
    sent = [update("1px") for _ in range(20)]
    assert 0 < len([one for one in sent if one is not None]) < 6
    now = 5.0
    assert update("2px") is not None
    assert gate.from_sandbox(CommMessage("close", name)) is not None


def wire_id(message: CommMessage) -> str:
    return message.comm_id.removeprefix(gate_prefix(message))


def test_state_as_a_whole_is_bounded(wire: Wire) -> None:
    gate = WidgetGate(WidgetLimits(bytes=10_000))
    text = ipywidgets.Textarea()
    passed(gate, wire)
    text.value = "a" * 5_000
    assert len(passed(gate, wire)) == 1
    text.value = "b" * 9_990
    assert passed(gate, wire) == []
    text.value = "c" * 100
    assert len(passed(gate, wire)) == 1


def test_widgets_stand_in_each_other_without_circles(gate: WidgetGate, wire: Wire) -> None:
    box = ipywidgets.VBox()
    inner = ipywidgets.VBox([box])
    passed(gate, wire)
    box.children = [inner]
    assert passed(gate, wire) == []
    box.children = [ipywidgets.Label("x")]
    assert len([one for one in passed(gate, wire) if one.kind == "msg"]) == 1


def test_a_tree_is_bounded() -> None:
    doubled = Tree()
    assert all(doubled.put(str(n), [str(n - 1)] * 2) for n in range(1, 14))
    assert not doubled.put("14", ["13"] * 2)
    deep = Tree()
    assert all(deep.put(str(n), [str(n - 1)]) for n in range(1, MAX_DEEP))
    assert not deep.put(str(MAX_DEEP), [str(MAX_DEEP - 1)])
    wide = Tree()
    assert not wide.put("a", [str(n) for n in range(30_000)])
    assert wide.edges == 0
    assert wide.put("a", ["b", "c"])
    wide.remove("a")
    assert wide.edges == 0


def test_nothing_is_believed_of_its_form(gate: WidgetGate, wire: Wire) -> None:
    label = ipywidgets.Label("x")
    passed(gate, wire)
    odd: list[Json] = [None, 5, [], "x", {"a": {"b": []}}, [["value"]], True, float("nan"), 2**80]
    for value in odd:
        for key in ("state", "method", "content", "buffer_paths"):
            data: dict[str, Json] = {"method": "update", "state": {}, key: value}
            gate.from_sandbox(CommMessage("msg", label.model_id, data))
        for model in MODELS.values():
            state: dict[str, Json] = {**model.names, **dict.fromkeys(model.kinds, value)}
            opened = CommMessage("open", f"m{id(model)}", {"state": state}, TARGET)
            WidgetGate().from_sandbox(opened)
