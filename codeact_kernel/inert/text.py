"""Owns text made harmless for terminals and pages: what is removed of it, and what colours may stay.

Removed: escape sequences (CSI, OSC and the other string sequences, with their payload), C0 and C1 controls,
and the controls that reorder text (bidi), which can make code look like other code. References: ECMA-48;
CVE-2021-42574.
"""

from __future__ import annotations

import re

# What opens a string sequence is in no payload: else the rest is searched for an end from each opening.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # CSI
    r"|(?:\x1b[\]P_^X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"  # OSC DCS …
    r"|\x1b[ -/]*+[0-~]"
)
_CONTROLS = dict.fromkeys(
    [
        *(code for code in range(0x20) if chr(code) not in "\n\t"),
        *range(0x7F, 0xA0),
        *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    ]
)
_CONTROLS |= dict.fromkeys([0x2028, 0x2029], " ")  # some terminals and pagers break lines at these
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile(r"\r++\n")
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,40}m|\r(?!\n))")
"""What a stream in a notebook may have: colours, and the return that a progress bar starts over with."""


def clean(text: str) -> str:
    """`text` without anything but printable characters, newlines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n")).translate(_CONTROLS)
    return _SURROGATES.sub("\ufffd", text)


def coloured(text: str) -> str:
    """As `clean`, but colours (SGR) and carriage returns stay: front ends draw them and nothing else."""
    if "\x1b" not in text and "\r" not in text:
        return clean(text)
    parts = _COLOUR.split(text)
    kept = "".join(part if index % 2 else clean(part) for index, part in enumerate(parts))
    return _LINE_END.sub("\n", kept)
