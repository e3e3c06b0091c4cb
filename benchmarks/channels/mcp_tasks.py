"""Owns the tasks that are done with real MCP servers: files, a graph, times, and one call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeact_kernel.wire.messages import Json

from .task import Call, Plan, Round, chance_of

ZONES = (
    *("Asia/Tokyo", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Manila", "Asia/Bangkok"),
    *("Asia/Jakarta", "Asia/Dhaka", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Karachi", "Asia/Tashkent"),
    *("Asia/Dubai", "Asia/Baghdad", "Asia/Riyadh", "Africa/Nairobi", "Africa/Lagos", "Africa/Accra"),
    *("America/Sao_Paulo", "America/Bogota", "America/Lima", "America/Phoenix", "Pacific/Honolulu"),
    *("Pacific/Guam", "Pacific/Tongatapu"),
)
"""Without summer time, so that the answers are the same all year."""
ROLES = ("engineer", "designer", "analyst", "tester")
NOUNS = ("pump", "valve", "sensor", "filter", "motor", "gauge", "relay", "switch", "tank", "pipe")
LINES = 40


@dataclass(frozen=True)
class McpTask:
    """One request with its world. `state`: what the servers hold in the end; `right`: what they must."""

    asked: Round
    state: Callable[[], Json]
    right: Json


@dataclass(frozen=True)
class McpKind:
    """`servers`: whose tools are loaded; none: all. `make(folder, n)`: lays the data into the folder."""

    name: str
    n: int
    make: Callable[[Path, int], McpTask]
    servers: tuple[str, ...] = ()


def files(folder: Path, n: int) -> McpTask:
    """Copied by what the server has for it: reading and writing."""
    chance = chance_of("files")
    source, target = folder / "filesystem" / "reports", folder / "filesystem" / "archive"
    source.mkdir(parents=True)
    made = {f"report_{number:02}.txt": _report(chance.choices(NOUNS, k=LINES)) for number in range(n)}
    for name, text in made.items():
        (source / name).write_text(text)

    def plan(parallel: bool) -> Plan:
        within = "filesystem__"
        (listed,) = yield [Call(within + "list_directory", {"path": str(source)})]
        names = [line.removeprefix("[FILE] ") for line in listed["content"].splitlines()]
        paths = [f"{source}/{name}" for name in names]
        (read,) = yield [Call(within + "read_multiple_files", {"paths": paths})]
        parts = read["content"].split("\n---\n")
        texts = {name: part.partition(":\n")[2][:-1] for name, part in zip(names, parts, strict=True)}
        yield [Call(within + "create_directory", {"path": str(target)})]
        pairs = ({"path": f"{target}/{name}", "content": text} for name, text in texts.items())
        yield [Call(within + "write_file", pair) for pair in pairs]
        return _about(texts)

    cell = f"""\
from mcp_servers import filesystem

source, target = {str(source)!r}, {str(target)!r}
filesystem.create_directory(target)
listed = filesystem.list_directory(source)["content"]
names = [line.removeprefix("[FILE] ") for line in listed.splitlines()]
texts = {{name: filesystem.read_text_file(f"{{source}}/{{name}}")["content"] for name in names}}
for name, text in texts.items():
    filesystem.write_file(f"{{target}}/{{name}}", text)
lines = sum(len(text.splitlines()) for text in texts.values())
words = sum(len(text.split()) for text in texts.values())
longest = max(texts, key=lambda name: len(texts[name]))
print(f"{{len(texts)}} files, {{lines}} lines, {{words}} words; the longest is {{longest}}")
"""
    words = (
        f"Copy all files of {source} to the new folder {target}. How many files, lines and words are that, "
        "and which file is the longest? Answer as: N files, N lines, N words; the longest is NAME"
    )
    thought = "I list the folder, copy each file, and count on the way."
    named = ("create_directory", "list_directory", "read_text_file", "write_file")
    asked = Round(words, plan, thought, cell, _about(made), _look("filesystem", *named))
    return McpTask(asked, lambda: {path.name: path.read_text() for path in sorted(target.glob("*"))}, made)


def _report(nouns: Sequence[str]) -> str:
    return "".join(
        f"{place + 1}. The {noun} of line {len(noun)} was checked.\n" for place, noun in enumerate(nouns)
    )


def _about(texts: dict[str, str]) -> str:
    lines = sum(len(text.splitlines()) for text in texts.values())
    words = sum(len(text.split()) for text in texts.values())
    longest = max(texts, key=lambda name: len(texts[name]))
    return f"{len(texts)} files, {lines} lines, {words} words; the longest is {longest}"


def graph(folder: Path, n: int) -> McpTask:
    """From a file of one server into the memory of another."""
    chance = chance_of("graph")
    people = [(f"person_{number:02}", chance.choice(ROLES)) for number in range(n)]
    team = [(name, role, chance.choice(people[:5])[0]) for name, role in people]
    path = folder / "filesystem" / "team.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name},{role},{boss}\n" for name, role, boss in team))

    def plan(parallel: bool) -> Plan:
        (read,) = yield [Call("filesystem__read_text_file", {"path": str(path)})]
        rows = [line.split(",") for line in read["content"].splitlines()]
        entities = [{"name": name, "entityType": role, "observations": []} for name, role, _ in rows]
        yield [Call("memory__create_entities", {"entities": entities})]
        relations = [{"from": name, "to": boss, "relationType": "reports to"} for name, _, boss in rows]
        yield [Call("memory__create_relations", {"relations": relations})]
        (known,) = yield [Call("memory__read_graph", {})]
        return _boss([each["to"] for each in known["relations"]])

    cell = f"""\
from collections import Counter

from mcp_servers import filesystem, memory

read = filesystem.read_text_file({str(path)!r})["content"]
rows = [line.split(",") for line in read.splitlines()]
memory.create_entities([{{"name": name, "entityType": role, "observations": []}} for name, role, _ in rows])
memory.create_relations(
    [{{"from": name, "to": boss, "relationType": "reports to"}} for name, _, boss in rows]
)
bosses = Counter(each["to"] for each in memory.read_graph()["relations"])
boss, reports = min(bosses.items(), key=lambda item: (-item[1], item[0]))
print(f"{{boss}}: {{reports}}")
"""
    words = (
        f"{path} has a line for each person: name, role, boss. Put every person into memory, the role as "
        'type, and a relation "reports to" for each. Then read the graph: to whom do most people report? '
        "Answer as: NAME: COUNT"
    )
    thought = "I read the file, make entities and relations of its lines, and count in the graph."
    look = _look("memory", "create_entities", "create_relations", "read_graph") + _more(
        "filesystem", "read_text_file"
    )
    asked = Round(words, plan, thought, cell, _boss([boss for *_, boss in team]), look)
    saved = folder / "memory" / "memory.jsonl"
    right = sorted([name, role] for name, role, _ in team), sorted([name, boss] for name, _, boss in team)
    return McpTask(asked, lambda: _remembered(saved), right)


def _boss(bosses: Sequence[str]) -> str:
    counts = {boss: bosses.count(boss) for boss in bosses}
    boss = min(counts, key=lambda name: (-counts[name], name))
    return f"{boss}: {counts[boss]}"


def _remembered(path: Path) -> Json:
    """Entities and relations, as the server keeps them."""
    known = [json.loads(line) for line in path.read_text().splitlines()]
    entities = sorted([each["name"], each["entityType"]] for each in known if each["type"] == "entity")
    relations = sorted([each["from"], each["to"]] for each in known if each["type"] == "relation")
    return entities, relations


def zones(folder: Path, n: int) -> McpTask:
    asked_for = ZONES[:n]

    def call(zone: str) -> Call:
        given = {"source_timezone": "UTC", "time": "12:00", "target_timezone": zone}
        return Call("time__convert_time", given)

    def plan(parallel: bool) -> Plan:
        found = yield [call(zone) for zone in asked_for]
        times = {zone: one["target"]["datetime"] for zone, one in zip(asked_for, found, strict=True)}
        return _late(times)

    cell = f"""\
from mcp_servers import time

zones = {" ".join(asked_for)!r}.split()
times = {{zone: time.convert_time("UTC", "12:00", zone)["target"]["datetime"] for zone in zones}}
print(", ".join(sorted(zone for zone, at in times.items() if at[11:16] >= "18:00")))
"""
    words = (
        "When it is 12:00 in UTC, in which of these zones is it 18:00 or later on its clock? Sorted, with "
        f"commas. {', '.join(asked_for)}"
    )
    thought = "I convert the time to each zone and keep the late ones."
    late = _late({zone: _clock(zone) for zone in asked_for})
    asked = Round(words, plan, thought, cell, late, _look("time", "convert_time"))
    return McpTask(asked, lambda: None, None)


def _late(times: dict[str, str]) -> str:
    return ", ".join(sorted(zone for zone, at in times.items() if at[11:16] >= "18:00"))


def _clock(zone: str) -> str:
    """By another library than the server's."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    return datetime.now(UTC).replace(hour=12, minute=0).astimezone(ZoneInfo(zone)).isoformat()


def one_call(folder: Path, n: int) -> McpTask:
    """Nothing to compose: what code has around it is not earned back."""

    def plan(parallel: bool) -> Plan:
        given = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        (found,) = yield [Call("time__convert_time", given)]
        return str(found["target"]["datetime"][11:16])

    cell = """\
from mcp_servers import time

print(time.convert_time("UTC", "12:00", "Asia/Tokyo")["target"]["datetime"][11:16])
"""
    words = "It is 12:00 in UTC. What time is it in Asia/Tokyo? Answer as HH:MM"
    asked = Round(words, plan, "I ask the server.", cell, "21:00", _look("time", "convert_time"))
    return McpTask(asked, lambda: None, None)


def _look(module: str, *functions: str) -> str:
    """A cell that asks for what is needed, and no more."""
    return "".join(_more(module, each) for each in functions)


def _more(module: str, function: str) -> str:
    return f"print(tools.describe({f'{module}.{function}'!r}))\n"


KINDS = (
    McpKind("copy files and count", 20, files),
    McpKind("a file into a graph", 40, graph),
    McpKind("times in zones", 24, zones),
    McpKind("one call", 1, one_call),
    McpKind("one call, only its server loaded", 1, one_call, ("time",)),
)
