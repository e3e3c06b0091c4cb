"""Owns one-line descriptions for people: values, tool calls, outputs, amounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from ..events import ToolProgress
from ..notebook.recover import Recovered
from ..outputs import MimeBundle, WorkspaceFile
from ..trajectory import Usage
from ..wire.frames import FINAL_ANSWER, is_ours
from ..wire.messages import Json, Raised, Returned, ToolCall
from ..wire.values import decode
from .terminal import clean, clip

_NODES = 400
"""Values with more parts are described, not spelled out."""
_NAME = 64
_ARGUMENTS = 8
_LONGEST_S = 1e9
_MOST_TOKENS = 10**15


def value(encoded: Json, width: int = 60) -> str:
    """An encoded value in about `width` characters; `[40 items]` where it is big."""
    if isinstance(encoded, str):
        text = repr(encoded[: width + 1])
        return clean(text if len(text) <= width else f"{text[: width - 1]}…")
    if _nodes(encoded, _NODES) <= 0:
        return _size(encoded)
    try:
        text = repr(decode(encoded))
    except Exception:  # the value is hostile: whatever its parts raise must not end the run that shows it
        return _size(encoded)
    text = clean(text).replace("\n", " ")
    if len(text) <= width:
        return text
    return _size(encoded) if isinstance(encoded, list) else text[: width - 1] + "…"


def call(entry: ToolCall) -> str:
    """As `called`, with the time it took and who approved of it."""
    by = f"  approved by {name(entry.approved_by)}" if entry.approved_by else ""
    if entry.denied_by:
        return called(entry)  # What it raised says by whom.
    return f"{called(entry)}  {seconds(entry.duration_s)}{by}"


def listed(entry: ToolCall) -> bool:
    """Whether people are shown it as a call: not what only we ask of a module, nor the answer, which is shown
    at the end; but that it was refused is shown."""
    if entry.tool == FINAL_ANSWER:
        return isinstance(entry.outcome, Raised)
    return not is_ours(entry.tool)


def counted(calls: Iterable[ToolCall]) -> int:
    """How many calls of tools the code made, as people count them."""
    return sum(entry.tool != FINAL_ANSWER and not is_ours(entry.tool) for entry in calls)


def called(entry: ToolCall) -> str:
    """`refund(7, amount=Decimal('12.50')) = Refund(…)`; a short line."""
    made = f", changed to ({_listed(*entry.edited)})" if entry.edited is not None else ""
    match entry.outcome:
        case Returned(result):
            outcome = f"= {value(result)}"
        case Raised(kind, message):
            said = clean(f"{kind[:1000]}: {message[:1000]}").replace("\n", " ")
            outcome = f"raised {clip(said, 100)}"
        case None:
            outcome = "never came back"
    return f"{name(entry.tool)}({_listed(entry.args, entry.kwargs)}){made} {outcome}"


def _listed(args: Sequence[Json], kwargs: Mapping[str, Json]) -> str:
    shown = [value(arg, 30) for arg in args[:_ARGUMENTS]]
    named = islice(kwargs.items(), _ARGUMENTS - len(shown))
    shown += [f"{name(key)}={value(arg, 30)}" for key, arg in named]
    hidden = len(args) + len(kwargs) - len(shown)
    return ", ".join([*shown, f"… {hidden:,} more"] if hidden else shown)


def name(text: str) -> str:
    """A name that the sandbox chose: of a tool, of an argument; on one line and short."""
    return clip(" ".join(clean(text[: 4 * _NAME]).split()), _NAME) + "…" * (len(text) > 4 * _NAME)


def under_way(event: ToolProgress) -> str:
    """`in filesystem.search 30/100: reading b.txt`; how far, and the word, are the server's."""
    said = clip(" ".join(clean(event.message).split()), _NAME)
    of = f"/{event.total:g}" if event.total else ""
    return f"in {name(event.tool)} {event.done:g}{of}{f': {said}' if said else ''}"


def bundle(data: MimeBundle) -> str:
    """The text of a MIME bundle, or what it is when it has none."""
    text = data.get("text/plain")
    pictures = [
        f"[{name(mime)}, {size(len(str(content)) * 3 // 4)}]"
        for mime, content in islice(data.items(), 100)
        if mime.startswith(("image/", "audio/", "video/"))
    ]
    if text is not None:
        return "\n".join([str(text), *map(clean, pictures)])
    return "\n".join(map(clean, pictures)) or f"[{', '.join(map(name, sorted(data)[:_ARGUMENTS]))}]"


def file(entry: WorkspaceFile) -> str:
    """`out.csv (12 kB, text/csv)`; on one line, whatever the name holds."""
    shown = " ".join(clean(entry.name[:1000]).split())
    facts = ", ".join(filter(None, (size(entry.size), name(entry.media_type))))
    return f"{clip(shown, 120)} ({facts})"


def seconds(duration: float) -> str:
    """`3 ms`, `1.2 s`, `2 min 05 s`; a file may say what no clock does."""
    if not 0 <= duration < _LONGEST_S:
        return "? s"
    if duration < 1:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.1f} s"
    return f"{int(duration) // 60} min {int(duration) % 60:02d} s"


def size(count: int) -> str:
    """Bytes: `900 B`, `12 kB`, `3.4 MB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def usage(tokens: Usage, cost_usd: float | None) -> str:
    """`12,345 tokens in (80 % cached), 678 out, $0.0312`."""
    counts = (tokens.input_tokens, tokens.output_tokens, tokens.cache_read_tokens, tokens.cache_write_tokens)
    if not all(0 <= number < _MOST_TOKENS for number in counts):
        return "? tokens"
    if not tokens.total:
        return "no tokens"
    cached = f" ({tokens.cache_read_tokens / tokens.prompt:.0%} cached)" if tokens.cache_read_tokens else ""
    cost = "cost unknown" if cost_usd is None else f"${cost_usd:.4f}"
    return f"{tokens.prompt:,} tokens in{cached}, {tokens.output_tokens:,} out, {cost}"


def count(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(encoded: Json) -> str:
    if isinstance(encoded, Mapping) and "$" in encoded:
        return f"<{clean(clip(str(encoded['$']), 20))}>"
    if isinstance(encoded, Mapping):
        return f"{{{count(len(encoded), 'key')}}}"
    if isinstance(encoded, Sequence):
        return f"[{count(len(encoded), 'item')}]"
    return "<value>"


def _nodes(encoded: Json, budget: int) -> int:
    """What is left of `budget` after walking the value; not positive when it is bigger or too deep."""
    pending: list[Json] = [encoded]
    while pending and budget > 0:
        item = pending.pop()
        budget -= 1 + (len(item) // 200 if isinstance(item, str) else 0)
        if isinstance(item, Mapping):
            budget -= len(item)
            pending.extend(item.values() if budget > 0 else ())
        elif isinstance(item, list | tuple):
            budget -= len(item)
            pending.extend(item if budget > 0 else ())
    return budget


def recovered(found: Recovered) -> str:
    """A run that was cut off and is saved now; not cleaned."""
    doubt = f", {count(len(found.in_doubt), 'call')} in doubt" if found.in_doubt else ""
    kept = f"; what was changed in it by hand is in {found.kept.name}" if found.kept is not None else ""
    return f"an earlier run that was cut off was saved: {found.path.name}{doubt}{kept}"
