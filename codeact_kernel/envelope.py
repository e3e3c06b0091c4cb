"""Owns the envelope: text of the sandbox made safe, cut to size and put between tags of the host.

    <stdout>
    … the program's text …
    </stdout>

Only the host writes tags. In text that comes from the sandbox, a `<` that would begin one of our tags
gets a backslash (`<\\stdout>`), one more where backslashes stand already: no output can end its section
or fake another, and `unescape` gives the text back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

TAGS = (
    *("status", "stdout", "stderr", "result", "display", "error"),
    *("refused", "tool_calls", "files", "note", "cut"),
)
MAX_LISTED = 12
MAX_NAME = 60
MAX_SENTENCE = 1000
_LOOKED_AT = 4
"""Characters of raw text looked at, on each end of a long text, for each that may be shown: escape
sequences and overwritten lines vanish. It bounds the work on ten megabytes to what is shown of them."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b]*+(?:\x07|\x1b\\)|[@-Z\\^_])")
# C0 and C1 but tab and newline, line separators, zero-width and direction controls, invisible tag characters.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENS_TAG = rf"(?=\s*+(?:/\s*+)?(?:{'|'.join(TAGS)})\b)"
_FORGED = re.compile(rf"<(\\*+){_OPENS_TAG}", re.IGNORECASE)
_ESCAPED = re.compile(rf"<\\(\\*+){_OPENS_TAG}", re.IGNORECASE)


def clean(text: str) -> str:
    """`text` as a terminal would leave it: no escape sequences, no overwritten lines, no control,
    direction or invisible characters, no lone surrogates."""
    text = _ANSI.sub("", text)
    if "\r" in text:
        text = "\n".join(row.rstrip("\r").rpartition("\r")[2] for row in text.split("\n"))
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def escape(text: str) -> str:
    """`text` with none of our tags in it."""
    return _FORGED.sub(r"<\\\1", text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _ESCAPED.sub(r"<\1", text)


def line(tag: str, sentence: str) -> str:
    """A sentence of the host in its tag, on one line; safe also when it quotes the sandbox."""
    return f"<{tag}>{escape(_short(' '.join(clean(sentence).split()), MAX_SENTENCE))}</{tag}>"


def note(sentence: str) -> str:
    """Something the host says beside the output."""
    return line("note", sentence)


def named(text: str, limit: int = MAX_NAME) -> str:
    """A name that the sandbox chose, on one line and bounded."""
    return _short(" ".join(clean(text[: 2 * MAX_NAME]).split()), limit)


def listed(items: Iterable[str], open_end: bool = False) -> str:
    """`a, b, c and 3 more`, each item bounded. `open_end`: nobody knows how many more there are."""
    every = list(items)
    count = len(every) - MAX_LISTED
    more = " and more" if open_end else f" and {count:,} more" if count > 0 else ""
    return ", ".join(map(named, every[:MAX_LISTED])) + more


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- sections ----------------------------------------------------------------------------------


def laid_out(sections: Sequence[tuple[str, str]], budget: int, where: Mapping[str, str]) -> list[str]:
    """Sections (tag, raw text) as the model sees them, `budget` characters in all.

    Short texts are shown in full and what they leave goes to the long ones. Error and result come
    first: they get up to half of the budget however much else there is. `note` is the host's own.

    Args:
        where: by tag, what to say of where the rest can be had.
    """
    texts = {i: len(text) for i, (tag, text) in enumerate(sections) if tag != "note"}
    first = {i: size for i, size in texts.items() if sections[i][0] in ("error", "result")}
    rest = {i: size for i, size in texts.items() if i not in first}
    shares = _shares(first, max(budget // 2, budget - sum(rest.values())))
    shares |= _shares(rest, budget - sum(shares.values()))
    return [
        note(text) if tag == "note" else f"<{tag}>\n{excerpt(text, shares[i], where.get(tag))}\n</{tag}>"
        for i, (tag, text) in enumerate(sections)
    ]


def _shares(sizes: dict[int, int], budget: int) -> dict[int, int]:
    """Each its size, or a fair share of the budget, the smallest served first."""
    shares: dict[int, int] = {}
    for rank, i in enumerate(sorted(sizes, key=sizes.__getitem__)):
        shares[i] = min(sizes[i], budget // (len(sizes) - rank))
        budget -= shares[i]
    return shares


def excerpt(raw: str, limit: int, where: str | None) -> str:
    """`raw` cleaned and escaped; if longer than `limit` characters, its head and tail and what is missing."""
    looked_at = max(_LOOKED_AT * limit, 1)
    if len(raw) <= 2 * looked_at:
        whole = clean(raw)
        if len(whole) <= limit:
            return escape(whole.removesuffix("\n"))
        skipped, head, tail = len(whole) - limit, whole, whole
    else:
        head, tail = clean(raw[:looked_at]), clean(raw[-looked_at:])
        skipped = len(raw) - limit
    half = limit // 2
    head, tail = head[: limit - half], tail[len(tail) - half :].removesuffix("\n")
    rest = f"; {where}" if where else ""
    cut = line("cut", f"… {skipped:,} characters not shown{rest} …")
    return f"{escape(head)}\n{cut}\n{escape(tail)}"
