"""Owns what people and programs read of an examination by the doctor. The JSON is a contract."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..sandbox.confine.policy import dumps
from ..sandbox.doctor import Cage, Examination, Verdict
from ..sandbox.doctor_layers import Layer
from ..wire.messages import Json
from . import brief
from .documents import SCHEMA_VERSION
from .page import Page
from .terminal import clean, clip

SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "")}
NAME = 16
NOT_CLAIMED = (
    "Errors in the kernel of this machine's operating system: the cage shares it.",
    "Side channels: how long things take, how busy the machine is.",
    "What your tools do, on your side, with the arguments that the code gives them.",
)
LESS = {
    "B": "Tier B: names, sizes and times of files of the host can be seen (stat), their content not.",
    "C": "Tier C: one fence around files, the mount namespace, where tier A has two.",
}
ABOUT = {
    "files": "files of the host: read, listed, changed",
    "persistence": "traces that outlive the session",
    "links": "links, devices, sockets and setuid files in the workspace",
    "proc": "/proc of other processes, switches of the system's kernel",
    "network": "every family of sockets, listening and inherited ones too",
    "process": "programs and processes started",
    "signals": "signals to a process of the host, by every way there is",
    "others": "its memory, descriptors, priority and limits",
    "privilege": "system calls that change rights, or reach deep into the kernel",
    "memory": "limits on memory, files, descriptors and threads",
}
MADE_OF = {
    "A": "namespaces, Landlock ABI {abi}, seccomp",
    "B": "Landlock ABI {abi}, seccomp",
    "C": "namespaces, seccomp",
}


def not_claimed(examination: Examination) -> tuple[str, ...]:
    """What no tier promises, then what the tier of this machine does not."""
    default = examination.default
    return (*NOT_CLAIMED, *([LESS[default.tier]] if default is not None and default.tier in LESS else []))


# --- for programs ------------------------------------------------------------------------------


def document_of(examination: Examination) -> dict[str, Json]:
    """What `codeact doctor --json` prints."""
    default = examination.default
    return {
        "schema_version": SCHEMA_VERSION,
        "default": None if default is None else default.tier,
        "holds": examination.sound,
        "layers": [_layer_document(layer) for layer in examination.layers],
        "tiers": [_cage_document(cage) for cage in examination.cages],
        "not_claimed": list(not_claimed(examination)),
    }


def control_document(cage: Cage) -> dict[str, Json]:
    """What `codeact doctor --control --json` prints: every probe that got through is one that bites."""
    return {"schema_version": SCHEMA_VERSION, "control": _cage_document(cage)}


def _layer_document(layer: Layer) -> Json:
    return {"name": layer.name, "there": layer.there, "detail": layer.detail, "remedy": layer.remedy}


def _cage_document(cage: Cage) -> Json:
    report: Json = json.loads(dumps(cage.report))
    return {
        "tier": cage.tier,
        "problem": cage.problem,
        "holds": cage.holds,
        "start_ms": cage.start_ms,
        "probes": len(cage.verdicts),
        "held": len(cage.verdicts) - len(cage.escapes),
        "report": report,
        "verdicts": [_verdict_document(verdict) for verdict in cage.verdicts],
    }


def _verdict_document(verdict: Verdict) -> Json:
    probe = verdict.probe
    return {
        "group": probe.group,
        "name": probe.name,
        "title": probe.title,
        "needs": probe.needs,
        "held": verdict.reached is None,
        "reached": verdict.reached,
        "end": verdict.end,
    }


# --- for people --------------------------------------------------------------------------------


def show_examination(page: Page, examination: Examination) -> None:
    """Layers, tiers, what is not held, what is not claimed, and the verdict."""
    page.title("This machine")
    for layer in examination.layers:
        _show_layer(page, layer)
    page.title("Tiers")
    for cage in examination.cages:
        _show_cage(page, cage, cage is examination.default)
    for cage in examination.cages:
        _show_escapes(page, cage)
    default = examination.default
    if default is not None:
        _show_held(page, default)
    page.title("Not claimed")
    page.lines(not_claimed(examination))
    _show_verdict(page, examination)


def show_control(page: Page, cage: Cage) -> None:
    """How many probes got through where nothing holds them, and why the others did not."""
    if cage.problem:
        page.line(f"The control could not be run: {clean(cage.problem)}", "bold red")
        return
    page.line(
        f"Without a cage {len(cage.escapes)} of {brief.count(len(cage.verdicts), 'probe')} get through."
    )
    for verdict in cage.verdicts:
        if verdict.reached is None:
            needs = f" (needs {verdict.probe.needs})" if verdict.probe.needs else ""
            page.line(f"  {_name(verdict)}{needs}: {clean(verdict.end)}", "yellow")


def _show_layer(page: Page, layer: Layer) -> None:
    sign, style = SIGNS[layer.there]
    page.line(f"  {sign} {layer.name:<{NAME}}{clean(layer.detail)}", style)
    if layer.remedy:
        page.line(f"  {'':<{NAME + 2}}→ {layer.remedy}", "yellow")


def _show_cage(page: Page, cage: Cage, default: bool) -> None:
    if cage.problem:
        page.line(f"  ✗ {cage.tier}  not to be had: {clip(clean(cage.problem), 300)}", "yellow")
        return
    held = f"holds {len(cage.verdicts) - len(cage.escapes)} of {brief.count(len(cage.verdicts), 'probe')}"
    times = f"start {cage.start_ms:.0f} ms, of it cage and self-test {cage.report.milliseconds:.0f} ms"
    sign, style = SIGNS[cage.holds]
    page.line(f"  {sign} {cage.tier}  {held}; {times}{'  <- the default here' if default else ''}", style)
    page.line(f"       {MADE_OF[cage.tier].format(abi=cage.report.landlock_abi)}", "dim")


def _show_escapes(page: Page, cage: Cage) -> None:
    if cage.escapes:
        page.title(f"Tier {cage.tier} does not hold")
    for verdict in cage.escapes:
        page.line(f"  ✗ {_name(verdict)}: {clean(verdict.reached or '')}", "red")


def _show_held(page: Page, cage: Cage) -> None:
    page.title(f"What tier {cage.tier} holds")
    groups: dict[str, list[Verdict]] = {}
    for verdict in cage.verdicts:
        groups.setdefault(verdict.probe.group, []).append(verdict)
    for group, verdicts in groups.items():
        held = sum(verdict.reached is None for verdict in verdicts)
        page.line(f"  {group:<{NAME - 4}}{held:>3} of {len(verdicts):<4}{ABOUT.get(group, '')}")
    page.line(f"  limits kept by: {_kept_by(cage)}", "dim")


def _kept_by(cage: Cage) -> str:
    keepers: dict[str, list[str]] = {}
    for limit, keeper in cage.report.limits.items():
        keepers.setdefault(keeper, []).append(limit)
    return "; ".join(f"{keeper}: {', '.join(limits)}" for keeper, limits in keepers.items())


def _show_verdict(page: Page, examination: Examination) -> None:
    default = examination.default
    if default is None:
        page.line("\nNo cage is to be had here: codeact refuses to run code.", "bold red")
        _show_remedies(page, examination.layers)
    elif default.holds:
        page.line(f"\nRuns here get tier {default.tier}, and it holds every probe.", "bold green")
        page.line("That the probes bite is shown by: codeact doctor --control", "dim")
    else:
        page.line(f"\nRuns here get tier {default.tier}, and it does NOT hold.", "bold red")
        page.line("Do not run code that you do not trust on this machine; please report this.", "red")


def _show_remedies(page: Page, layers: Sequence[Layer]) -> None:
    missing = [layer for layer in layers if layer.there is False and layer.remedy]
    page.lines(f"{layer.name}: {layer.remedy}" for layer in missing)


def _name(verdict: Verdict) -> str:
    return f"{verdict.probe.group}, {verdict.probe.title}"
