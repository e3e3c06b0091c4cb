"""Owns the setup cell: the source that brings tools and tape into a kernel, which sees nothing but sources.

The cell calls `setup` with a raw string of JSON lines: a header, one line per module of tools
(`setup_modules`) and per tool (`setup_tools`), per data file (`setup_files`), per recorded call
(`setup_tape`). Lines are printable ASCII without a single quote, so that no value can end the string.

    {"codeact":1,"imports":["…"]}
    {"tool":"refund","parameters":[{"name":"order_id","annotation":"int"}],"returns":"None","doc":"…"}
    {"file":"data/orders.csv","bytes":120,"sha256":"…","zlib":"…"}
    {"step":1,"call":1,"name":"refund","args":[7],"kwargs":{},"returns":null}
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .lines import load_line
from .messages import Json, ToolCall, ToolModule, ToolSpec
from .setup_files import FileReader, RecordedFile, file_to_json
from .setup_lines import count_field, quotable, text_field
from .setup_modules import PackedTools, ToolReader, tool_lines
from .setup_skills import Skill, SkillReader, skill_to_json
from .setup_tape import TapeReader, tape_lines

VERSION = 1
CAP_BYTES = 4 * 1024 * 1024
"""Of tape in a setup cell; front ends grow slow with longer sources."""
_OPEN, _CLOSE = "setup(r'''\n", "''')\n"
_HEAD = """\
# codeact: the tools of this trajectory, answered from the calls recorded below. Nothing outside is touched.
try:
    from codeact_kernel.in_kernel import setup
except ImportError:
    raise ImportError("this notebook needs codeact_kernel: pip install codeact_kernel") from None
"""


@dataclass(frozen=True)
class SetupSpec:
    """What a setup cell says.

    `run_id`: empty in what is written now: two recordings of a run are to have the same cells.
    `external_bytes`: when not 0, the tape has this size and is not in the cell: only
    `codeact replay` can answer the calls. `files`: the data that the run was given. `packed`: tools that
    are not read yet, and so not among `tools` (`parse_setup`).
    """

    run_id: str
    allow_imports: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tape: tuple[ToolCall, ...] = ()
    modules: tuple[ToolModule, ...] = ()
    external_bytes: int = 0
    files: tuple[RecordedFile, ...] = ()
    skills: tuple[Skill, ...] = ()
    packed: tuple[PackedTools, ...] = ()


def setup_source(spec: SetupSpec, cap_bytes: int = CAP_BYTES) -> str:
    """The source of the setup cell.

    Args:
        cap_bytes: of tape; a longer one is left out and the header says `"tape":"external"`.
    """
    return setup_cell(spec, cap_bytes)[0]


def setup_cell(spec: SetupSpec, cap_bytes: int = CAP_BYTES) -> tuple[str, tuple[str, ...]]:
    """The source as `setup_source`, and the lines of tape that it has no room for: all or none."""
    lines = tuple(tape_lines(spec.tape))
    size = sum(map(len, lines)) + len(lines)
    external = size if size > cap_bytes else spec.external_bytes
    named: dict[str, Json] = {"run": spec.run_id} if spec.run_id else {}
    header: dict[str, Json] = {"codeact": VERSION, **named, "imports": spec.allow_imports}
    if external:
        header |= {"tape": "external", "tape_bytes": external}
    others = map(quotable, [*map(skill_to_json, spec.skills), *map(file_to_json, spec.files)])
    said = [quotable(header), *tool_lines(spec.modules, spec.tools), *others]
    body = "\n".join([*said, *(() if external else lines), ""])
    return f"{_HEAD}{_OPEN}{body}{_CLOSE}", lines if external else ()


def parse_setup(text: str, *, lazily: bool = False) -> SetupSpec:
    """Reads the JSON lines that a setup cell gives to `setup`. `lazily`: without those of packed tools.

    Raises: ValueError, naming the line, when they are not what `setup_source` writes.
    """
    spec, tools, files, tape, skills = None, ToolReader(lazily), FileReader(), TapeReader(), SkillReader()
    for number, line in enumerate(text.strip("\n").split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = load_line(line)
            if spec is None:
                spec = _header_from_json(entry)
            elif "skill" in entry:
                skills.take(entry)
            elif "file" in entry:
                files.take(entry)
            elif not tools.takes(entry):
                tape.take(entry)
        except ValueError as problem:
            raise ValueError(f"line {number} of the setup cell cannot be used: {problem}") from None
    if spec is None:
        raise ValueError("the setup cell has no header line; it should be the one codeact_kernel wrote")
    return replace(
        spec,
        modules=tuple(tools.modules.values()),
        tools=tuple(tools.tools),
        packed=tuple(tools.packed),
        files=tuple(files.files),
        skills=tuple(skills.skills),
        tape=tuple(tape.calls),
    )


def read_setup_source(source: str) -> SetupSpec | None:
    """What a setup cell says, from its source; None when it has no such call (it is another cell).

    Nothing is run. Raises: ValueError as `parse_setup`.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in body:
        match node:
            case ast.Expr(ast.Call(ast.Name("setup"), [ast.Constant(str() as text)], [])):
                return parse_setup(text)
    return None


def beyond_ceiling(imports: Iterable[str], ceiling: Iterable[str] | None) -> tuple[str, ...]:
    """Those of the modules that a ceiling does not name, nor a package they are in; None: any may be had."""
    if ceiling is None:
        return ()
    allowed = set(ceiling)
    return tuple(name for name in imports if not allowed.intersection(_prefixes(name)))


def _prefixes(dotted: str) -> Iterable[str]:
    """`a.b.c`, `a.b`, `a`."""
    while dotted:
        yield dotted
        dotted = dotted.rpartition(".")[0]


def _header_from_json(entry: Mapping[str, Json]) -> SetupSpec:
    version = entry.get("codeact")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"format version {version!r:.100}; this codeact_kernel reads {VERSION}. "
            "A newer one may read it: pip install -U codeact_kernel"
        )
    imports, size = entry.get("imports", []), count_field(entry, "tape_bytes", 0)
    if not isinstance(imports, list) or not all(isinstance(name, str) for name in imports):
        raise ValueError(f"'imports' is a list of module names, not {imports!r:.100}")
    external = max(size, 1) if entry.get("tape") == "external" else 0
    names = tuple(name for name in imports if isinstance(name, str))
    return SetupSpec(text_field(entry, "run", ""), names, external_bytes=external)
