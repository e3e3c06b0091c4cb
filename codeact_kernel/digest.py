"""Owns the digest: what the model sees of an observation, as one text and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never

from .config import OutputLimits
from .envelope import MAX_NAME, clean, escape, laid_out, line, listed, named
from .events import Image, Part, Text
from .images import MEDIA_TYPES, for_model
from .outputs import Display, Error, MimeBundle, Result, Shown, Stream, WorkspaceFile
from .trajectory import Observation
from .wire.messages import Json, Raised, Returned

DIGEST_MIME = "application/vnd.codeact.digest"
"""Made in the kernel for frames and arrays: shape, dtypes, head. Used instead of text/plain."""
MAX_SECTIONS = 40

_TEXT_TYPES = (DIGEST_MIME, "text/plain", "text/markdown", "text/latex")
_STREAMS: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stderr")
_STATUS = {"ok": "ok", "error": "error", "timeout": "timed out", "killed": "killed"}


def digest(observation: Observation, limits: OutputLimits) -> tuple[Part, ...]:
    """What the model sees: one text part, then the images it mentions. Depends on nothing else.

    The work is bounded by `limits`, not by how much the cell printed. Text of the program takes at
    most `limits.model_chars` characters; cuts are stated and say where the rest is. Never raises on
    malformed content.
    """
    reader = _Reader(limits)
    reader.read(observation.shown)
    lines = list(_facts(observation))
    lines += laid_out(reader.sections, limits.model_chars, _where(observation))
    if not reader.sections:
        lines.append("(no output)")
    return (Text("\n".join(lines)), *reader.images)


def condensed(observation: Observation) -> str:
    """One line that stands for an old observation."""
    size = sum(_length(shown) for shown in observation.shown)
    error = observation.error
    status = _STATUS[observation.status]
    facts = [f"{status} ({named(error.ename)})" if error else status, f"{size:,} characters"]
    names = [name for name in observation.names if name.isidentifier()]
    if names:
        facts.append(f"names: {listed(names)}")
    if observation.files:
        facts.append(f"files: {listed((file.name for file in observation.files), observation.more_files)}")
    kinds = {_tag(shown) for shown in observation.shown}
    facts += dict.fromkeys(phrase for tag, phrase in _where(observation).items() if tag in kinds)
    return escape("[condensed] " + "; ".join(facts))


# --- facts about the execution -----------------------------------------------------------------


def _facts(observation: Observation) -> Iterator[str]:
    yield line("status", _status(observation))
    if observation.refusals:
        refused = dict.fromkeys(f"{refusal.kind} {refusal.name}" for refusal in observation.refusals)
        yield line("refused", listed(refused))
    if observation.status != "ok" and observation.tool_calls:
        yield line("tool_calls", "; ".join(_calls(observation)))
    if observation.files:
        yield line("files", f"written: {listed(map(_file, observation.files), observation.more_files)}")
    if observation.truncated:
        yield line("note", "the cell showed more than is kept; only the beginning and the end were kept")


def _status(observation: Observation) -> str:
    parts = [_STATUS[observation.status]]
    if observation.execution_count is not None:
        parts.append(f"In[{observation.execution_count}]")
    if observation.duration_s >= 1:
        parts.append(f"{observation.duration_s:,.1f} s")
    return ", ".join(parts) + (f": {observation.reason}" if observation.reason else "")


def _calls(observation: Observation) -> Iterator[str]:
    """What had an effect although the cell failed: a model that retries must not do it twice."""
    found: dict[str, Counter[str]] = {}
    for call in observation.tool_calls:
        match call.outcome:
            case Returned():
                kind = "completed tool calls before the failure"
            case Raised():
                kind = "tool calls that raised"
            case None:
                kind = "tool calls whose outcome is unknown"
            case _:
                assert_never(call.outcome)
        found.setdefault(kind, Counter())[f"{named(call.tool)}(…)"] += 1
    for kind, counts in found.items():
        yield f"{kind}: {listed(f'{tool} ×{count:,}' for tool, count in counts.items())}"


def _file(file: WorkspaceFile) -> str:
    """`out.csv (12.3 kB, text/csv)`, with a long name shortened, not what is said of it."""
    size = f"{file.size:,} B" if file.size < 1000 else f"{file.size / 1000:,.1f} kB"
    said = f" ({size}, {file.media_type})" if 0 < len(file.media_type) < 25 else f" ({size})"
    return named(file.name, MAX_NAME - len(said)) + said


def _where(observation: Observation) -> dict[str, str]:
    """By section, where the rest of it can be had. A killed kernel took everything along."""
    count = observation.execution_count
    if count is None or observation.status == "killed":
        return {}
    printed = f"the full text is in _obs[{count}]"
    return {"stdout": printed, "stderr": printed, "result": f"the value is Out[{count}]"}


# --- what was shown ----------------------------------------------------------------------------


@dataclass
class _Reader:
    """Turns outputs into sections (tag, raw text) and images; what the host says is under `note`."""

    limits: OutputLimits
    sections: list[tuple[str, str]] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    tried: int = 0

    def read(self, shown: Sequence[Shown]) -> None:
        outputs = list(_merged(shown))
        skipped = len(outputs) - MAX_SECTIONS
        if skipped > 0:
            self._read_all(outputs[: MAX_SECTIONS // 2])
            self.sections.append(("note", f"{skipped:,} outputs not shown"))
            outputs = outputs[-MAX_SECTIONS // 2 :]
        self._read_all(outputs)
        more = self.tried - self.limits.model_images
        if more > 0:
            self.sections.append(("note", f"{more:,} images more than the {self.limits.model_images} shown"))

    def _read_all(self, outputs: Iterable[Shown]) -> None:
        for output in outputs:
            match output:
                case Stream():
                    self.sections.append((_tag(output), output.text))
                case Error():
                    self.sections.append((_tag(output), _traceback(output)))
                case Result() | Display():
                    self._bundle(_tag(output), output.data)
                case _:
                    assert_never(output)

    def _bundle(self, tag: str, data: MimeBundle) -> None:
        text = _text(data)
        if text is not None:
            self.sections.append((tag, text))
        picture = next((kind for kind in MEDIA_TYPES if kind in data), None)
        if picture is not None:  # a second one is the same picture in another format
            self._image(picture, data[picture])
        if text is None and picture is None:
            self.sections.append(("note", f"a {tag} that only the user can see: {listed(_kinds(data))}"))
        elif "image/svg+xml" in data and picture is None:
            self.sections.append(("note", f"the {tag} is a drawing (SVG) that only the user can see"))

    def _image(self, kind: str, data: Json) -> None:
        self.tried += 1
        if self.tried > self.limits.model_images:
            return
        seen = for_model(data, self.limits.model_image_pixels) if isinstance(data, str) else "is not base64"
        if isinstance(seen, Image):
            self.images.append(seen)
            said = f"image {len(self.images)} ({seen.media_type}) is attached below"
        else:
            said = f"the image ({kind}) {seen}"
        self.sections.append(("note", said))


def _tag(shown: Shown) -> str:
    match shown:
        case Stream():
            return shown.name
        case Result():
            return "result"
        case Display():
            return "display"
        case Error():
            return "error"
        case _:
            assert_never(shown)


def _text(data: MimeBundle) -> str | None:
    texts = (data[kind] for kind in _TEXT_TYPES if kind in data)
    return next((text for text in texts if isinstance(text, str)), None)


def _kinds(data: MimeBundle) -> Iterator[str]:
    for kind, value in data.items():
        yield f"{kind} ({len(value):,} characters)" if isinstance(value, str) else kind


def _merged(shown: Sequence[Shown]) -> Iterator[Shown]:
    """Between two other outputs, all text of a stream becomes one output."""
    texts: dict[str, list[str]] = {name: [] for name in _STREAMS}

    def streams() -> Iterator[Stream]:
        for name in _STREAMS:
            if text := "".join(texts[name]):
                yield Stream(name, text)
            texts[name].clear()

    for output in shown:
        if isinstance(output, Stream):
            texts[output.name].append(output.text)
        else:
            yield from streams()
            yield output
    yield from streams()


def _traceback(error: Error) -> str:
    """The traceback, which ends with the error's own line."""
    lines = list(error.traceback)
    if lines and not clean(lines[0][:400]).strip("- \n"):
        lines = lines[1:]
    if not lines or error.ename not in lines[-1]:
        lines.append(f"{error.ename}: {error.evalue}")
    return "\n".join(lines)


def _length(shown: Shown) -> int:
    match shown:
        case Stream():
            return len(shown.text)
        case Error():
            return len(_traceback(shown))
        case Display() | Result():
            return len(_text(shown.data) or "")
        case _:
            assert_never(shown)
