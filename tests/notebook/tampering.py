"""Kinds of tampering with a saved notebook: what is done, and the place that `verify` must name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from codeact_kernel.notebook.chain import seal
from codeact_kernel.outputs import Display, Error, Result, Stream, WorkspaceFile
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
)
from codeact_kernel.wire.entries import call_digest, call_from_json
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

Notebook = dict[str, Any]
SPEC = SetupSpec("run-1", ("os",), (ToolSpec("refund", (ToolParameter("order_id", annotation="int"),)),))
INFO = RunInfo(
    "run-1",
    "scripted",
    "2026-11-22T10:00:00Z",
    setup_source(SPEC),
    {"python": "3.11.7"},
    {"max_steps": 30, "max_seconds": 1800.0, "max_cost_usd": 0.5},
    {"sandbox": "auto", "allow_imports": ["os"]},
    {"tier": "A", "selftest": {"network": "held"}},
    Parent("run-0", 2, "ab" * 32, "old.ipynb"),
)


def _step(
    index: int, code: str, observation: Observation, thought: str = "", notes: tuple[str, ...] = ()
) -> Step:
    usage = Usage(10 * index, 5)
    reply = Reply(
        thought, code, raw='[{"type":"text"}]', call_id=f"c{index}", usage=usage, cost_usd=1.0, duration_s=2.5
    )
    return Step(index, reply, Action(code), observation, notes, "2026-11-22T10:00:00.500000+00:00")


def rich_run() -> Trajectory:
    """Two turns with everything that a step can be."""
    calls = (
        ToolCall(1, 1, "refund", (7,), {}, Returned({"ok": True}), 0.25, "ana"),
        ToolCall(1, 2, "refund", (8,), {"note": "it's | late"}, Raised("ValueError", "no such order"), 0.5),
        ToolCall(1, 3, "refund", (9,), {}, None),
    )
    more = (ToolCall(6, 1, "refund", (["x" * 5000, "y" * 5000],), {}, Returned(None), 0.5),)
    picture = Display(
        {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}, {"image/png": {"width": 2}}, "d1"
    )
    result = Result({"text/plain": "42", "application/vnd.codeact.digest": "int 42"}, 2)
    shown = (Stream("stdout", "a\nb\n"), Stream("stderr", "careful\n"), picture, result)
    error = Error("ZeroDivisionError", "division by zero", ("Traceback", "\x1b[31m1/0\x1b[0m"))
    files = (WorkspaceFile("out.csv", 12, "text/csv"),)
    bar = Stream("stdout", "  5%|#    |\r 50%|##   |\r100%|#####|\ndone\b\b\b\bDONE\n")
    chart = Display({"application/json": {"values": [1.0, 2.5, ["a\n", "b"]]}, "text/html": "<b>\n1</b>"})
    one = (
        _step(1, "x = refund(7)\nx", Observation("ok", shown, None, 2, ("x",), calls, (), 1.5), "Try **7**."),
        _step(2, "1/0", Observation("error", (error,), None, 3, (), (), (Refusal("import", "os"),), 0.5)),
        _step(3, "while True: pass", Observation("timeout", (), "stopped after 120 s", 4, duration_s=120.0)),
        _step(4, "import os; os._exit(1)", Observation("killed", (Stream("stderr", "bye"),), "it died")),
        Step(5, Reply("hm", problem="the code was cut off"), None, Observation("error"), ("3 steps left",)),
    )
    two = (
        _step(
            6, "refund(y)", Observation("ok", (chart,), None, 5, (), more, (), 0.5), "Once more.", ("soon",)
        ),
        _step(7, "for i in bar: ...", Observation("ok", (bar,), None, 6, files=files), "Slowly."),
    )
    turns = (
        Turn("refund every order\n# over 100 EUR", one, Stop("answer", answer={"refunded": 1.0})),
        Turn("and now?", two, Stop("max_steps", "30 steps"), ("a step was edited",)),
    )
    return Trajectory(INFO, turns)


# --- what an attacker does ---------------------------------------------------------------------


def cell(notebook: Notebook, name: str) -> Notebook:
    found: Notebook = next(cell for cell in notebook["cells"] if cell["id"] == name)
    return found


def kept(notebook: Notebook, name: str) -> Notebook:
    found: Notebook = cell(notebook, name)["metadata"]["codeact"]
    return found


def ours(notebook: Notebook) -> Notebook:
    found: Notebook = notebook["metadata"]["codeact"]
    return found


def source(notebook: Notebook, name: str) -> str:
    return "".join(cell(notebook, name)["source"])


def at(notebook: Notebook, name: str) -> int:
    return next(index for index, cell in enumerate(notebook["cells"]) if cell["id"] == name)


def cover_up(notebook: Notebook) -> None:
    """What a careful attacker does: digests of calls, counts, chain and seal computed anew. The signature,
    which he cannot make, stays."""
    signature = ours(notebook).get("signature")
    for one in notebook["cells"]:
        if one["id"] == "setup":
            one["source"] = "\n".join(map(_fitting, "".join(one["source"]).split("\n")))
    kinds = [c["metadata"].get("codeact", {}).get("kind") for c in notebook["cells"]]
    numbers = {c["metadata"]["codeact"].get("step") for c in notebook["cells"] if "codeact" in c["metadata"]}
    recorded = ours(notebook)["recorded"]
    ours(notebook)["recorded"] = [
        kinds.count("task"),
        len(numbers - {None}),
        kinds.count("stop"),
        *recorded[3:],
    ]
    seal(notebook)
    if signature is not None:
        ours(notebook)["signature"] = signature


def _fitting(line: str) -> str:
    if not line.startswith('{"step":') or "_data" in line:
        return line
    entry = json.loads(line)
    entry["digest"] = call_digest(call_from_json(entry))
    return json.dumps(entry, separators=(",", ":")).replace("'", "\\u0027")


Change = Callable[[Notebook], None]


@dataclass(frozen=True)
class Tampering:
    """`place`: what a finding must name. `on_hashes`: only hashes are changed, so that computing the chain
    anew brings the recorded ones back."""

    name: str
    change: Change
    place: str
    on_hashes: bool = False


TAMPERINGS: list[Tampering] = []


def tampering(place: str, on_hashes: bool = False) -> Callable[[Change], Change]:
    def enlist(change: Change) -> Change:
        TAMPERINGS.append(Tampering(change.__name__, change, place, on_hashes))
        return change

    return enlist


def replaced(name: str, old: str, new: str) -> Change:
    def change(notebook: Notebook) -> None:
        before = source(notebook, name)
        assert old in before
        cell(notebook, name)["source"] = before.replace(old, new, 1)

    return change


def removed(*names: str) -> Change:
    def change(notebook: Notebook) -> None:
        before = len(notebook["cells"])
        notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] not in names]
        assert len(notebook["cells"]) == before - len(names)

    return change


def moved(name: str, before: str) -> Change:
    def change(notebook: Notebook) -> None:
        one = notebook["cells"].pop(at(notebook, name))
        notebook["cells"].insert(at(notebook, before), one)

    return change


def on_tape(old: str, new: str) -> Change:
    return replaced("setup", old, new)


def tape_lines(change: Callable[[list[str]], list[str]]) -> Change:
    def on_lines(notebook: Notebook) -> None:
        lines = source(notebook, "setup").split("\n")
        first = next(index for index, line in enumerate(lines) if line.startswith('{"step":'))
        last = max(index for index, line in enumerate(lines) if line.startswith('{"step":'))
        lines[first : last + 1] = change(lines[first : last + 1])
        cell(notebook, "setup")["source"] = "\n".join(lines)

    return on_lines


def enlist(name: str, place: str, change: Change, on_hashes: bool = False) -> None:
    TAMPERINGS.append(Tampering(name, change, place, on_hashes))


def put(find: Callable[[Notebook], Notebook], key: str, value: object) -> Change:
    def change(notebook: Notebook) -> None:
        holder = find(notebook)
        assert holder.get(key) != value
        holder[key] = value

    return change


def taken(find: Callable[[Notebook], Notebook], key: str) -> Change:
    def change(notebook: Notebook) -> None:
        del find(notebook)[key]

    return change


def of(name: str) -> Callable[[Notebook], Notebook]:
    return lambda notebook: kept(notebook, name)


def whole(name: str) -> Callable[[Notebook], Notebook]:
    return lambda notebook: cell(notebook, name)


def output(name: str, index: int) -> Callable[[Notebook], Notebook]:
    def find(notebook: Notebook) -> Notebook:
        found: Notebook = cell(notebook, name)["outputs"][index]
        return found

    return find


# Code and outputs.
enlist("code changed", "step 1", replaced("step-1", "refund(7)", "refund(8)"))
enlist("a blank after the code", "step 2", replaced("step-2", "1/0", "1/0 "))
enlist("code of a step that timed out", "step 3", replaced("step-3", "while True", "while 1"))
enlist("why a step timed out", "step 3", replaced("step-3", "after 120 s", "after 9 s"))
enlist("printed text changed", "step 1", put(output("step-1", 0), "text", "a\nc\n"))
enlist("stream renamed", "step 1", put(output("step-1", 1), "name", "stdout"))
enlist("result changed", "step 1", put(lambda n: output("step-1", 3)(n)["data"], "text/plain", "43"))
enlist(
    "picture changed", "step 1", put(lambda n: output("step-1", 2)(n)["data"], "image/png", "iVBORw0KGgp=")
)
enlist("picture scaled", "step 1", put(output("step-1", 2), "metadata", {"image/png": {"width": 3}}))
enlist("number of a chart", "step 6", put(lambda n: output("step-6", 0)(n)["data"], "application/json", {}))
enlist("traceback changed", "step 2", put(output("step-2", 0), "traceback", ["Traceback", "1/1"]))
enlist("error renamed", "step 2", put(output("step-2", 0), "ename", "ValueError"))
enlist("number of a result", "step 1", put(output("step-1", 3), "execution_count", 9))
enlist("outputs cleared", "step 1", put(whole("step-1"), "outputs", []))
enlist("an output removed", "step 1", lambda n: cell(n, "step-1")["outputs"].pop())
enlist("outputs turned round", "step 1", lambda n: cell(n, "step-1")["outputs"].reverse())
enlist("an output added", "step 2", lambda n: cell(n, "step-2")["outputs"].append(_printed("all good")))
enlist(
    "hidden behind a carriage return",
    "step 7",
    put(output("step-7", 0), "text", "evil\r  5%|#\r100%|#####|\n"),
)
# What a step's metadata says.
enlist("execution count", "step 1", put(whole("step-1"), "execution_count", 7))
enlist("status", "step 2", put(of("step-2"), "status", "ok"))
enlist("refusal hidden", "step 2", taken(of("step-2"), "refusals"))
enlist("file hidden", "step 7", taken(of("step-7"), "files"))
enlist("what the model saw", "step 1", put(lambda n: kept(n, "step-1")["extras"]["3"], "digest", "int 43"))
enlist("raw reply", "step 1", put(lambda n: kept(n, "step-1")["reply"], "raw", "[]"))
enlist("tokens of a reply", "step 6", put(lambda n: kept(n, "step-6")["reply"]["usage"], "input_tokens", 1))
enlist("cost of a reply", "step 6", put(lambda n: kept(n, "step-6")["reply"], "cost_usd", 0.5))
enlist("id", "step 2", put(whole("step-2"), "id", "step-two"))
enlist("code made text", "step 2", put(whole("step-2"), "cell_type", "markdown"))
enlist("number", "step 2", put(of("step-2"), "step", 9))
enlist("tag that lets an error pass", "step 1", lambda n: _tags(n, "step-1").append("raises-exception"))
enlist("tag that lets an error stop", "step 2", lambda n: _tags(n, "step-2").remove("raises-exception"))
enlist("tag that skips a cell", "step 1", lambda n: _tags(n, "step-1").append("skip-execution"))
# Cells.
enlist("step removed", "step 2", removed("step-2"))
enlist("step removed with its thought", "step 6", removed("step-6-thought", "step-6", "step-6-notes"))
enlist("first step removed", "step 1", removed("step-1-thought", "step-1"))
enlist("last step removed", "step 7", removed("step-7-thought", "step-7"))
enlist("last steps removed", "steps 6 to 7", removed(*(f"step-{n}" for n in (6, 7))))
enlist("end cut off", "the end of task 2", removed("turn-2-end"))
enlist(
    "turn cut off",
    "task 2",
    lambda n: removed(*(c["id"] for c in n["cells"] if at(n, c["id"]) >= at(n, "turn-2")))(n),
)
enlist("steps swapped", "step 3", moved("step-3", "step-2"))
enlist("step moved to the end", "step 7", moved("step-4", "turn-2-end"))
enlist("step moved to another turn", "task 2", moved("turn-2", "step-5"))
enlist("end moved up", "the end of task 1", moved("turn-1-end", "step-4"))
enlist("usage moved up", "the usage", moved("usage", "turn-1"))
enlist("title moved down", "the title", moved("title", "turn-2"))
enlist(
    "step doubled", "step 2", lambda n: n["cells"].insert(at(n, "step-3"), copy.deepcopy(cell(n, "step-2")))
)


@tampering("step 8")
def step_copied_under_a_new_number(notebook: Notebook) -> None:
    forged = copy.deepcopy(cell(notebook, "step-2"))
    forged["id"], forged["metadata"]["codeact"]["step"] = "step-8", 8
    notebook["cells"].insert(at(notebook, "turn-2-end"), forged)


@tampering("the notes of step 1")
def forged_notes(notebook: Notebook) -> None:
    forged = copy.deepcopy(cell(notebook, "step-5-notes"))
    forged["id"], forged["metadata"]["codeact"]["step"] = "step-1-notes", 1
    notebook["cells"].insert(at(notebook, "step-2"), forged)


@tampering("step 1")
def code_of_two_steps_exchanged(notebook: Notebook) -> None:
    one, two = cell(notebook, "step-1"), cell(notebook, "step-2")
    one["source"], two["source"] = two["source"], one["source"]


@tampering("step 2")
def text_added(notebook: Notebook) -> None:
    notebook["cells"].insert(
        at(notebook, "step-3"), {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "!"}
    )


@tampering("step 2")
def code_added(notebook: Notebook) -> None:
    added = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": "!",
        "outputs": [],
        "execution_count": None,
    }
    notebook["cells"].insert(at(notebook, "step-3"), added)


@tampering("the beginning")
def text_added_at_the_top(notebook: Notebook) -> None:
    notebook["cells"].insert(0, {"cell_type": "raw", "id": "a", "metadata": {}, "source": "!"})


# Thoughts, notes, tasks, ends.
enlist("thought changed", "the thought of step 1", replaced("step-1-thought", "Try", "Do not try"))
enlist("thought removed", "the thought of step 1", removed("step-1-thought"))
enlist(
    "picture put into a thought",
    "the thought of step 1",
    put(whole("step-1-thought"), "attachments", {"a": {}}),
)
enlist("thoughts exchanged", "the thought of step 6", moved("step-6-thought", "turn-1-end"))
enlist("text of a step without code", "step 5", replaced("step-5", "cut off", "fine"))
enlist("notes changed", "the notes of step 5", replaced("step-5-notes", "3 steps", "9 steps"))
enlist("notes removed", "the notes of step 6", removed("step-6-notes"))
enlist("task changed", "task 1", replaced("turn-1", "every", "no"))
enlist("task changed in the metadata", "task 2", put(of("turn-2"), "task", "and then?"))
enlist("notes to the task hidden", "task 2", taken(of("turn-2"), "notes"))
enlist("task removed", "task 2", removed("turn-2"))
enlist("answer changed", "the end of task 1", replaced("turn-1-end", "refunded", "returned"))
enlist(
    "answer in the metadata", "the end of task 1", put(lambda n: kept(n, "turn-1-end")["stop"], "answer", 2)
)
enlist("why it stopped", "the end of task 2", put(lambda n: kept(n, "turn-2-end")["stop"], "detail", "done"))
# Tool calls.
enlist("argument of a call", "step 1, call 1", on_tape('"args":[7]', '"args":[70]'))
enlist("result of a call", "step 1, call 1", on_tape('{"ok":true}', '{"ok":false}'))
enlist("error of a call", "step 1, call 2", on_tape("no such order", "no such thing"))
enlist("tool of a call", "step 1, call 1", on_tape('"name":"refund","args":[7]', '"name":"pay","args":[7]'))
enlist("call no longer in doubt", "step 1, call 3", on_tape('"in_doubt":true', '"returns":null'))
enlist("who allowed a call", "step 1", on_tape('"approved_by":"ana"', '"approved_by":"bob"'))
enlist("call removed", "step 1", tape_lines(lambda lines: lines[1:]))
enlist("call doubled", "step 1", tape_lines(lambda lines: [lines[0], *lines]))
enlist("calls turned round", "step 1", tape_lines(lambda lines: [lines[1], lines[0], *lines[2:]]))
enlist(
    "call moved to another step",
    "step 2",
    tape_lines(lambda lines: [lines[0].replace('"step":1', '"step":2'), *lines[1:]]),
)
enlist("large argument", "the setup cell", on_tape('"preview":"[\\"xx', '"preview":"[\\"yx'))
enlist("table of calls", "the table of calls", replaced("tape", "no such order", "refunded"))
enlist("table of calls removed", "the table of calls", removed("tape"))
# The setup cell.
enlist("code put before the setup", "the setup cell", replaced("setup", "try:", "import os\ntry:"))
enlist(
    "tool described otherwise",
    "the setup cell",
    replaced("setup", '"annotation":"int"', '"annotation":"str"'),
)
enlist("import allowed", "the setup cell", replaced("setup", '"imports":["os"]', '"imports":["os","ctypes"]'))
enlist("setup removed", "the setup cell", removed("setup"))
# The notebook.
enlist("title changed", "the title", replaced("title", "scripted", "gpt"))
enlist(
    "second verdict",
    "the title",
    replaced("title", "* model", "* verified: identical\n* verified: ha\n* model"),
)
enlist("usage changed", "the usage", replaced("usage", "unknown", "0.0007"))
enlist("model changed", "the notebook", put(lambda n: ours(n)["info"], "model", "gpt"))
enlist("limits changed", "the notebook", put(lambda n: ours(n)["info"]["limits"], "max_steps", 3))
enlist("cage changed", "the notebook", put(lambda n: ours(n)["info"]["sandbox"], "tier", "C"))
enlist("parent hidden", "the notebook", taken(lambda n: ours(n)["info"], "parent"))
enlist("run renamed", "the notebook", put(ours, "run_id", "run-2"))
enlist("how it ended", "the notebook", put(ours, "stop_reasons", ["answer", "answer"]))
enlist("masked names", "the notebook", put(ours, "redacted", ["API_KEY"]))
enlist("another kernel", "the notebook", put(lambda n: n["metadata"]["kernelspec"], "name", "python3"))
# Hashes.
enlist("hash of a step", "step 2", put(of("step-2"), "chain", "0" * 64), on_hashes=True)
enlist("hash of a step taken out", "step 2", taken(of("step-2"), "chain"), on_hashes=True)
enlist("digests of a step taken out", "step 2", taken(of("step-2"), "digests"), on_hashes=True)
enlist(
    "digest of a part",
    "step 2",
    put(lambda n: kept(n, "step-2")["digests"], "source", "0" * 64),
    on_hashes=True,
)
enlist(
    "digest of no part",
    "step 2",
    put(lambda n: kept(n, "step-2")["digests"], "more", "0" * 64),
    on_hashes=True,
)
enlist(
    "digest of the notebook",
    "the notebook",
    put(lambda n: ours(n)["digests"], "record", "0" * 64),
    on_hashes=True,
)
enlist("seal", "the notebook", put(ours, "seal", "0" * 64), on_hashes=True)
enlist("seal taken out", "the notebook", taken(ours, "seal"), on_hashes=True)


@tampering("the notebook", on_hashes=True)
def chain_taken_out(notebook: Notebook) -> None:
    for one in notebook["cells"]:
        one["metadata"]["codeact"].pop("chain", None)
        one["metadata"]["codeact"].pop("digests", None)
    for key in ("seal", "digests"):
        ours(notebook).pop(key)


def _tags(notebook: Notebook, name: str) -> list[str]:
    found: list[str] = cell(notebook, name)["metadata"]["tags"]
    return found


def _printed(text: str) -> Notebook:
    return {"output_type": "stream", "name": "stdout", "text": text}


def grown(run: Trajectory, steps: int) -> Trajectory:
    """The run when so many steps were done."""
    turns = []
    for turn in run.turns:
        done = tuple(step for step in turn.steps if step.index <= steps)
        turns.append(replace(turn, steps=done, stop=turn.stop if done == turn.steps else None))
        if done != turn.steps:
            break
    return replace(run, turns=tuple(turns))
