"""Owns inline styles and style sheets that only style: no address, no place of their own on the page.

A sheet keeps the rules that begin with the id of a pandas Styler's table, which reach that table and
nothing else.
"""

from __future__ import annotations

import re

from .allowed import PROPERTIES

MAX_DECLARATIONS = 100_000
_VALUE = re.compile(r"[\w\s#%.,()+*/'\"-]{1,500}+(?:![ ]?important)?", re.ASCII)
_FUNCTION = re.compile(r"([\w-]*)\(", re.ASCII)
_FUNCTIONS = frozenset(
    {
        "rgb",
        "rgba",
        "hsl",
        "hsla",
        "calc",
        "min",
        "max",
        "clamp",
        "linear-gradient",
        "minmax",
        "repeat",
        "fit-content",
        "",
    }
)
_QUOTES = re.compile(r"\"[\w\s.,-]*+\"|'[\w\s.,-]*+'", re.ASCII)
_NEGATIVE = re.compile(r"-\s*[\d.(]|calc|min|max|clamp", re.ASCII)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
TABLE_ID = re.compile(r"T_[0-9a-zA-Z]{1,40}(?:_[0-9a-zA-Z_]{1,100})?", re.ASCII)
_SELECTOR = re.compile(
    r"#T_[0-9a-zA-Z_]{1,140}(?:[.\s>]{1,3}[a-zA-Z_][\w-]{0,60}|:(?:hover|(?:first|last|only)-(?:child|of-type)"
    r"|nth-child\((?:even|odd|[0-9n+ ]{1,12})\))){0,8}",
    re.ASCII,
)


def value(text: str) -> str | None:
    """A value of a property, or None when it could do more than look like something."""
    text = text.strip()
    if not _VALUE.fullmatch(text):
        return None
    plain = _QUOTES.sub("", text)
    if '"' in plain or "'" in plain or "/*" in text:
        return None
    if any(name.lower() not in _FUNCTIONS for name in _FUNCTION.findall(plain)):
        return None
    return text


def declarations(text: str) -> str:
    """What stays of `a: b; c: d`."""
    kept = (_declaration(part) for part in text.split(";")[:MAX_DECLARATIONS])
    return "; ".join(part for part in kept if part)


def _declaration(text: str) -> str:
    name, colon, given = text.partition(":")
    name = name.strip().lower()
    if not colon or name not in PROPERTIES:
        return ""
    said = value(given)
    # What is moved out of its place could lie over the page.
    if said is None or (name.startswith(("margin", "text-indent")) and _NEGATIVE.search(said)):
        return ""
    if name == "text-shadow" or (name == "display" and said == "contents"):
        return ""
    return f"{name}: {said}"


def sheet(text: str) -> str:
    """The rules of a style sheet that reach one Styler's table and nothing else."""
    rules = []
    for rule in _COMMENT.sub("", text).split("}")[:-1]:
        selectors, _, body = rule.partition("{")
        names = [name.strip() for name in selectors.split(",")]
        if "{" not in body and all(map(_SELECTOR.fullmatch, names)) and (kept := declarations(body)):
            rules.append(f"{', '.join(names)} {{{kept}}}")
    return "\n".join(rules)
