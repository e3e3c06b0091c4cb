"""Owns the cells of a trajectory notebook: what each kind shows and what its metadata keeps.

Every cell of ours has `metadata.codeact.kind`, and an id made from its place in the run, so that two
recordings of the same run differ only where the runs did. The kinds are listed in
docs/trajectory-format.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import lru_cache

from ..config import Limits, SandboxProfile
from ..outputs import Error, Shown
from ..trajectory import OWN_CELL, Action, Observation, Reply, RunInfo, Step, Stop, Trajectory, Turn
from ..wire.lines import canonical, writable
from ..wire.messages import Json, ToolCall
from ..wire.recorded import recorded_source
from ..wire.setup import SetupSpec, read_setup_source, setup_cell, setup_source
from ..wire.tape import show_value
from .cage import UNSANDBOXED, cage_line
from .codec import to_json
from .markdown import fenced, inline, quoted, table
from .outputs import extras_of, outputs_of
from .tape_table import tape_source

TASK_HEADING = "## Task\n\n"
VERDICT_LINE = "* verified:"
MAX_ANSWER = 20_000
"""Characters of an answer that JSON cannot say; the metadata has it whole."""
# As they are recorded; what is as usual does not stand in the title.
_LIMITS: Mapping[str, Json] = json.loads(json.dumps(asdict(Limits())))
_PROFILE: Mapping[str, Json] = json.loads(json.dumps(asdict(SandboxProfile())))
Cell = dict[str, Json]


@lru_cache(maxsize=2)
def setup_spec(source: str) -> SetupSpec | None:
    """What a setup source says, when it is one that we would write in the very same words."""
    try:
        spec = read_setup_source(source)
    except ValueError:
        return None
    return spec if spec is not None and setup_source(spec) == source else None


def recorded_error(observation: Observation) -> Error:
    """What Run All raises in place of a step that ended in timeout or killed."""
    ename = "StepTimeout" if observation.status == "timeout" else "KernelKilled"
    evalue = observation.reason or f"the step ended {observation.status} when it was recorded"
    return Error(ename, evalue, (f"{ename}: {evalue}",))


def code_digest(code: str) -> str:
    """Tells whether a person has edited the code of a step."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def task_source(task: str) -> str:
    return TASK_HEADING + quoted(task)


# --- what stands before the first task ---------------------------------------------------------


def title_cell(trajectory: Trajectory, redacted: str = "") -> Cell:
    info = trajectory.info
    tasks = (turn.task for turn in trajectory.turns if turn.task != OWN_CELL)
    whole = next(tasks, "a run without a task")
    task = whole.strip().partition("\n\n")[0]  # The rest may say of which type the answer is to be.
    # Nothing of when and how long: those are in the metadata, two recordings have the same sources.
    lines = [f"# {inline(task)}", "", f"* model: {inline(info.model)}"]
    lines += [f"* sandbox: {_cage(info.sandbox)}"] if info.sandbox else []
    for name, values, usual in (("limits", info.limits, _LIMITS), ("profile", info.profile, _PROFILE)):
        given = {key: value for key, value in sorted(values.items()) if value != usual.get(key, ())}
        said = ", ".join(
            f"{key} {value if isinstance(value, str) else canonical(value)}" for key, value in given.items()
        )
        lines += [f"* {name}: {inline(said, 400)}"] if said else []
    lines += [f"* redacted: {inline(redacted, 400)}"] if redacted else []
    if info.parent is not None:
        lines.append(
            f"* forked: from {inline(info.parent.name or info.parent.run_id)}, after step {info.parent.step}"
        )
    if trajectory.verdict is not None:
        lines.append(f"{VERDICT_LINE} {inline(trajectory.verdict.text, 400)}")
    return _markdown("title", "\n".join(lines), {"kind": "title"})


def _cage(sandbox: Mapping[str, Json]) -> str:
    said = inline(cage_line(sandbox), 400)
    return f"**{said}**" if said.startswith(UNSANDBOXED) else said


def setup_cells(info: RunInfo, calls: Sequence[ToolCall]) -> list[Cell]:
    """The cell that brings tools and tape into the kernel, and the tape for a person to read."""
    kept: Mapping[str, Json] = {"kind": "setup"}
    spec = setup_spec(info.setup)
    if spec is None:  # Not one of ours; its tape cannot be in its source.
        source, left_out = info.setup, setup_cell(SetupSpec("", tape=tuple(calls)), 0)[1]
        kept = {**kept, "verbatim": True}
    else:
        source, left_out = setup_cell(replace(spec, tape=tuple(calls)))
    if left_out:
        kept = {**kept, "tape": left_out}
    cell = _code("setup", source, kept, count=1, tags=["codeact-setup"])
    cell["metadata"] = {**_mapping(cell["metadata"]), "jupyter": {"source_hidden": True}}
    return [cell, _tape_table(calls)] if calls else [cell]


def _tape_table(calls: Sequence[ToolCall]) -> Cell:
    return _markdown("tape", tape_source(calls), {"kind": "tape"})


# --- turns and steps ---------------------------------------------------------------------------


def turn_cells(turn: Turn, number: int) -> list[Cell]:
    """The task, its steps, and how it ended. `number`: from 1."""
    kept: dict[str, Json] = {"kind": "task", "turn": number, "task": turn.task}
    if turn.notes:
        kept["notes"] = list(turn.notes)
    cells = [_markdown(f"turn-{number}", task_source(turn.task), kept, tags=["codeact-task"])]
    for step in turn.steps:
        cells += step_cells(step)
    return [*cells, _stop_cell(turn.stop, number)] if turn.stop is not None else cells


def step_cells(step: Step) -> list[Cell]:
    """Thought, action with what it showed, and notes; one cell of markdown when nothing was run."""
    name = f"step-{step.index}"
    if step.action is None:
        problem = f"*No code was run:* {inline(step.reply.problem, 400)}" if step.reply.problem else ""
        texts = [quoted(step.reply.thought) if step.reply.thought else "", problem]
        cells = [_markdown(name, "\n\n".join(filter(None, texts)), _kept(step))]
    else:
        cells = [_action_cell(name, step, step.action)]
        if step.reply.thought.strip():
            kept: Mapping[str, Json] = {"kind": "thought", "step": step.index}
            cells.insert(0, _markdown(f"{name}-thought", quoted(step.reply.thought), kept))
    if step.notes:
        kept = {"kind": "notes", "step": step.index}
        text = "\n".join(f"* {inline(note, 400)}" for note in step.notes)
        cells.append(_markdown(f"{name}-notes", f"*Told to the model:*\n\n{text}", kept))
    return cells


def _action_cell(name: str, step: Step, action: Action) -> Cell:
    observation, source = step.observation, action.code
    shown: tuple[Shown, ...] = observation.shown
    kept = _kept(step)
    if observation.status == "timeout" or observation.status == "killed":
        error = recorded_error(observation)
        source = recorded_source(observation.status, error.ename, error.evalue, source)
        if observation.error is None:
            shown = (*shown, error)
            kept["error_added"] = True
    tags = ["codeact-step"] if observation.status == "ok" else ["codeact-step", "raises-exception"]
    cell = _code(name, source, kept, count=observation.execution_count, tags=tags)
    cell["outputs"] = outputs_of(shown)
    times = _execution_times(step)
    if times:
        cell["metadata"] = {**_mapping(cell["metadata"]), "execution": times}
    return cell


def _kept(step: Step) -> dict[str, Json]:
    """What the cell itself cannot hold; outputs, source, count and tape are not said twice."""
    observation = replace(step.observation, tool_calls=())
    if step.action is not None:
        observation = replace(observation, shown=(), execution_count=None)
    kept: dict[str, Json] = {"kind": "step", "step": step.index, **to_json(observation)}
    kept["reply"] = _kept_reply(step.reply, step.action)
    if step.action is not None:
        kept["code_digest"] = code_digest(step.action.code)
    if step.notes:
        kept["notes"] = list(step.notes)
    if step.started:
        kept["started"] = step.started
    seconds = [call.duration_s for call in step.observation.tool_calls]
    if any(seconds):
        kept["call_seconds"] = seconds
    extras = extras_of(step.observation.shown) if step.action is not None else {}
    return {**kept, "extras": extras} if extras else kept


def _kept_reply(reply: Reply, action: Action | None) -> dict[str, Json]:
    """A reply without `code` asked for what the cell holds."""
    if action is None:
        return to_json(reply)
    kept = to_json(replace(reply, code=None))
    return kept if reply.code == action.code else {**kept, "code": reply.code}


def _execution_times(step: Step) -> dict[str, Json]:
    """Jupyter's own keys, as nbclient writes them."""
    try:
        began = datetime.fromisoformat(step.started)
        ended = began + timedelta(seconds=step.observation.duration_s)
    except (ValueError, OverflowError):
        return {}
    began_text, ended_text = (moment.isoformat().replace("+00:00", "Z") for moment in (began, ended))
    return {
        "iopub.status.busy": began_text,
        "iopub.execute_input": began_text,
        "shell.execute_reply": ended_text,
        "iopub.status.idle": ended_text,
    }


# --- how it ended ------------------------------------------------------------------------------


def _stop_cell(stop: Stop, number: int) -> Cell:
    kept: dict[str, Json] = {"kind": "stop", "turn": number, "stop": writable(to_json(stop))}
    if stop.reason == "answer":
        source = f"## Answer\n\n{_answer(stop.answer)}"
    elif stop.reason == "own_cell":
        source = "*The end of the user's own cell.*"
    else:
        detail = f": {inline(stop.detail, 400)}" if stop.detail else ""
        source = f"## No answer\n\nThe run stopped ({inline(stop.reason)}){detail}"
    return _markdown(f"turn-{number}-end", source, kept, tags=["codeact-answer"])


def _answer(answer: Json) -> str:
    if isinstance(answer, str):
        return quoted(answer)
    text = canonical(answer)
    if '"$"' in text:  # Something that JSON has no word for; as Python writes it.
        return fenced(show_value(answer, MAX_ANSWER), "python")
    return fenced(text, "json")


def usage_cell(trajectory: Trajectory) -> Cell:
    usage, cost = trajectory.usage, trajectory.cost_usd
    head = ("steps", "input tokens", "output tokens", "cache read", "cache written", "USD")
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    price = "unknown" if cost is None else f"{cost:.4f}"
    row = [str(len(trajectory.steps)), *(f"{count:,}" for count in counts), price]
    return _markdown("usage", f"**Usage**\n\n{table(head, [row])}", {"kind": "usage"})


# --- nbformat ----------------------------------------------------------------------------------


def _markdown(name: str, source: str, kept: Mapping[str, Json], tags: Sequence[str] = ()) -> Cell:
    metadata: dict[str, Json] = {"codeact": kept, **({"tags": list(tags)} if tags else {})}
    return {"cell_type": "markdown", "id": name, "metadata": metadata, "source": source}


def _code(name: str, source: str, kept: Mapping[str, Json], count: int | None, tags: Sequence[str]) -> Cell:
    cell = _markdown(name, source, kept, tags)
    return {**cell, "cell_type": "code", "execution_count": count, "outputs": []}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
