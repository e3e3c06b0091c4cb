"""Owns the setup cell: the source that brings tools and tape into a kernel, which sees nothing but sources.

The cell calls `setup` with a raw string of JSON lines: a header, one line per tool, one per recorded
call. Lines are printable ASCII without a single quote, so that no value can end the string.

    {"codeact":1,"run":"…","imports":["…"]}
    {"tool":"refund","parameters":[{"name":"order_id","annotation":"int"}],"returns":"None","doc":"…"}
    {"step":1,"call":1,"name":"refund","args":[7],"kwargs":{},"returns":null}

Arguments or results of more than 8 KiB stand once in a line of their own, zlib and base64, and are named
by digest: {"data":"sha256:…","bytes":9000,"preview":"…","zlib":"…"}, then "returns_data":"sha256:…".
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from .lines import dump_line, load_line
from .messages import Json, ParameterKind, ToolCall, ToolParameter, ToolSpec
from .tape import call_from_json, call_to_json

VERSION = 1
CAP_BYTES = 4 * 1024 * 1024
"""Of tape in a setup cell; front ends grow slow with longer sources."""
LARGE_BYTES = 8 * 1024
MAX_DATA_BYTES = 256 * 1024 * 1024
"""Of one compressed value, expanded."""
MAX_EXPANDED_BYTES = 1024 * 1024 * 1024
"""Of all compressed values of a setup cell together."""
_PREVIEW = 100
_KINDS: tuple[ParameterKind, ...] = get_args(ParameterKind)
_LARGE_KEYS = ("args", "kwargs", "returns")
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

    `external_bytes`: when not 0, the tape has this size and is not in the cell: only
    `codeact replay` can answer the calls.
    """

    run_id: str
    allow_imports: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tape: tuple[ToolCall, ...] = ()
    external_bytes: int = 0


def setup_source(spec: SetupSpec, cap_bytes: int = CAP_BYTES) -> str:
    """The source of the setup cell. Durations are left out: they would be noise between recordings.

    Args:
        cap_bytes: of tape; a longer one is left out and the header says `"tape":"external"`.
    """
    return setup_cell(spec, cap_bytes)[0]


def setup_cell(spec: SetupSpec, cap_bytes: int = CAP_BYTES) -> tuple[str, tuple[str, ...]]:
    """The source as `setup_source`, and the lines of tape that it has no room for: all or none."""
    lines = tuple(tape_lines(spec.tape))
    size = sum(map(len, lines)) + len(lines)
    external = size if size > cap_bytes else spec.external_bytes
    header: dict[str, Json] = {"codeact": VERSION, "run": spec.run_id, "imports": spec.allow_imports}
    if external:
        header |= {"tape": "external", "tape_bytes": external}
    said = [_quotable(header), *(_quotable(_tool_to_json(tool)) for tool in spec.tools)]
    body = "\n".join([*said, *(() if external else lines), ""])
    return f"{_HEAD}{_OPEN}{body}{_CLOSE}", lines if external else ()


def parse_setup(text: str) -> SetupSpec:
    """Reads the JSON lines that a setup cell gives to `setup`.

    Raises: ValueError, naming the line, when they are not what `setup_source` writes.
    """
    spec, tools, tape = None, list[ToolSpec](), _TapeReader()
    for number, line in enumerate(text.strip("\n").split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = load_line(line)
            if spec is None:
                spec = _header_from_json(entry)
            elif "tool" in entry:
                tools.append(_tool_from_json(entry))
            else:
                tape.take(entry)
        except ValueError as problem:
            raise ValueError(f"line {number} of the setup cell cannot be used: {problem}") from None
    if spec is None:
        raise ValueError("the setup cell has no header line; it should be the one codeact_kernel wrote")
    return replace(spec, tools=tuple(tools), tape=tuple(tape.calls))


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


# --- the tape as lines -------------------------------------------------------------------------


def tape_lines(calls: Sequence[ToolCall]) -> Iterator[str]:
    """Calls as lines, each large value once and before the first call that names it."""
    written: set[str] = set()
    for call in calls:
        entry = call_to_json(call, seconds=False)
        line = _quotable(entry)
        if len(line) > LARGE_BYTES:
            for key in _LARGE_KEYS:
                text = dump_line(entry[key]) if key in entry else ""
                if len(text) <= LARGE_BYTES:
                    continue
                digest = "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()
                del entry[key]
                entry[f"{key}_data"] = digest
                if digest not in written:
                    written.add(digest)
                    yield _data_line(digest, text)
            line = _quotable(entry)
        yield line


def read_tape(lines: Sequence[str]) -> tuple[ToolCall, ...]:
    """The calls of `tape_lines`. Raises ValueError on malformed lines."""
    reader = _TapeReader()
    for line in lines:
        reader.take(load_line(line))
    return tuple(reader.calls)


class _TapeReader:
    """Puts large values back into the entries that name them; what it expands is bounded."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._data: dict[str, Json] = {}
        self._left = MAX_EXPANDED_BYTES

    def take(self, entry: dict[str, Json]) -> None:
        if "data" in entry:
            name, text = _expand(entry, min(self._left, MAX_DATA_BYTES))
            self._left -= len(text)
            self._data[name] = load_line(b'{"v":' + text + b"}")["v"]
            return
        for key in _LARGE_KEYS:
            data = entry.pop(f"{key}_data", None)
            if data is None:
                continue
            if not isinstance(data, str) or data not in self._data:
                raise ValueError(f"no data line for {key} {data!r:.100} stands before this call")
            entry[key] = self._data[data]
        self.calls.append(call_from_json(entry))


def _data_line(digest: str, text: str) -> str:
    packed = base64.b64encode(zlib.compress(text.encode("ascii"), 6)).decode("ascii")
    return _quotable({"data": digest, "bytes": len(text), "preview": text[:_PREVIEW], "zlib": packed})


def _expand(entry: Mapping[str, Json], limit: int) -> tuple[str, bytes]:
    digest, packed, size = entry.get("data"), entry.get("zlib"), entry.get("bytes")
    if not isinstance(digest, str) or not isinstance(packed, str) or not isinstance(size, int):
        raise ValueError("a data line needs 'data', 'bytes' and 'zlib'")
    if size > limit:
        raise ValueError(f"a recorded value of {size} bytes; at most {limit} are taken here")
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), size + 1)
    except (zlib.error, binascii.Error) as problem:
        raise ValueError(f"the recorded value {digest!r:.100} cannot be expanded: {problem}") from None
    if len(data) != size or digest != "sha256:" + hashlib.sha256(data).hexdigest():
        raise ValueError(f"the recorded value {digest!r:.100} is not what its digest says")
    return digest, data


# --- header and tools --------------------------------------------------------------------------


def _header_from_json(entry: Mapping[str, Json]) -> SetupSpec:
    version = entry.get("codeact")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"format version {version!r:.100}; this codeact_kernel reads {VERSION}. "
            "A newer one may read it: pip install -U codeact_kernel"
        )
    imports, size = entry.get("imports", []), entry.get("tape_bytes", 0)
    if not isinstance(imports, list) or not all(isinstance(name, str) for name in imports):
        raise ValueError(f"'imports' is a list of module names, not {imports!r:.100}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError(f"'tape_bytes' is a number of bytes, not {size!r:.100}")
    external = max(size, 1) if entry.get("tape") == "external" else 0
    names = tuple(name for name in imports if isinstance(name, str))
    return SetupSpec(_text(entry, "run"), names, external_bytes=external)


def _tool_to_json(tool: ToolSpec) -> dict[str, Json]:
    parameters = [_parameter_to_json(parameter) for parameter in tool.parameters]
    entry: dict[str, Json] = {"tool": tool.name, "parameters": parameters}
    entry |= {"returns": tool.returns, "doc": tool.doc}
    return entry | ({"async": True} if tool.is_async else {})


def _parameter_to_json(parameter: ToolParameter) -> dict[str, Json]:
    entry: dict[str, Json] = {"name": parameter.name}
    if parameter.kind != "positional_or_keyword":
        entry["kind"] = parameter.kind
    if parameter.annotation:
        entry["annotation"] = parameter.annotation
    if parameter.default is not None:
        entry["default"] = parameter.default
    return entry


def _tool_from_json(entry: Mapping[str, Json]) -> ToolSpec:
    parameters = entry.get("parameters", [])
    if not isinstance(parameters, list):
        raise ValueError(f"'parameters' is a list, not {parameters!r:.100}")
    return ToolSpec(
        _text(entry, "tool"),
        tuple(_parameter_from_json(parameter) for parameter in parameters),
        _text(entry, "returns", ""),
        _text(entry, "doc", ""),
        entry.get("async") is True,
    )


def _parameter_from_json(entry: Json) -> ToolParameter:
    if not isinstance(entry, dict):
        raise ValueError(f"a parameter is an object, not {entry!r:.100}")
    kind = _text(entry, "kind", "positional_or_keyword")
    default = _text(entry, "default") if "default" in entry else None
    for known in _KINDS:
        if kind == known:
            return ToolParameter(_text(entry, "name"), known, _text(entry, "annotation", ""), default)
    raise ValueError(f"{kind!r:.100} is no kind of parameter; known: {', '.join(_KINDS)}")


def _text(entry: Mapping[str, Json], key: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a string, not {value!r:.100}")
    return value


def _quotable(value: Json) -> str:
    """One line that cannot end the raw string it stands in: JSON needs no ' outside its strings."""
    return dump_line(value).replace("'", "\\u0027").replace("\x7f", "\\u007f")
