"""Owns the file of a skill: the function and what it needs, as a person would have written it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..exceptions import UsageError
from ..wire.setup_skills import Skill, check_skill, parsed_source
from .cells import Binding, Function
from .gathering import Gathered

_BIDI = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"[^\w.,: ()/-]", re.ASCII)
_WIDTH = 96


@dataclass(frozen=True)
class Saved:
    """Where a skill comes from: texts of a notebook, which are a stranger's. `chain`: the step's hash."""

    notebook: str
    run_id: str
    step: int
    chain: str
    date: str

    @property
    def text(self) -> str:
        parts = [f"run {self.run_id}" if self.run_id else "", f"step {self.step}", f"chain {self.chain[:16]}"]
        said = ", ".join(_plain(part) for part in parts if part and not part.endswith("chain "))
        return f"Saved by codeact from {_plain(self.notebook)} ({said}) on {_plain(self.date)}."


def docstring_of(gathered: Gathered) -> str:
    """What the function says of itself; "" when it says nothing."""
    node = gathered.function.node
    return (ast.get_docstring(node) or "").strip() if isinstance(node, Function) else ""


def skill_source(gathered: Gathered, saved: Saved, doc: str, tested: str) -> str:
    """The text of the file. `doc`: what the function is for, used where it does not say so itself; `tested`:
    a sentence on its tests. Raises UsageError for what a file cannot hold."""
    name = gathered.function.name
    head = [_first_paragraph(docstring_of(gathered) or doc), "", saved.text, *_needs(gathered), tested]
    doc = "" if docstring_of(gathered) else doc
    parts = [
        _documented(part, doc) if doc and part is gathered.function else part.source.rstrip()
        for part in gathered.parts
    ]
    text = "\n".join([_quoted("\n".join(head)), "", *gathered.imports, *([""] if gathered.imports else [])])
    text += "\n".join(_spaced(gathered.parts, parts))
    source = text.rstrip() + "\n"
    if found := _BIDI.search(source):
        line = source.count("\n", 0, found.start()) + 1
        raise UsageError(
            f"{name!r} holds an invisible character (U+{ord(found[0]):04X}, line {line} of the file): it can "
            "make code look like other code; write it as an escape in a cell, then save again"
        )
    try:
        tree = check_skill(Skill(name, source))
    except ValueError as problem:
        raise UsageError(f"{name!r} cannot be saved as a file: {problem}") from None
    if not _says_the_same(tree, gathered, doc):
        raise UsageError(f"{name!r} cannot be cut out of its cell; write it anew in a cell of its own")
    return source


def _says_the_same(tree: ast.Module, gathered: Gathered, doc: str) -> bool:
    """Whether the file holds the statements of the cells, no more and no others."""
    nodes = tree.body[1 + len(gathered.imports) :]
    if len(nodes) != len(gathered.parts):
        return False
    for node, part in zip(nodes, gathered.parts, strict=True):
        if doc and part is gathered.function and isinstance(node, Function):
            del node.body[0]
        if ast.dump(node) != ast.dump(part.node):
            return False
    return True


def _needs(gathered: Gathered) -> Iterable[str]:
    if gathered.tools:
        yield f"It calls the tools: {', '.join(gathered.tools)}."
    if gathered.modules:
        yield f"It calls tools of: {', '.join(gathered.modules)}."


def _documented(part: Binding, doc: str) -> str:
    """The function with a docstring put in."""
    node = part.node
    assert isinstance(node, Function)
    source = parsed_source(part.source).body[0]
    assert isinstance(source, Function)
    first, lines = source.body[0], part.source.split("\n")
    header = source.lineno
    if first.lineno <= header or len(lines) < first.lineno:
        source.body.insert(0, ast.Expr(ast.Constant(doc)))
        return ast.unparse(ast.fix_missing_locations(source))
    decorators: Sequence[ast.expr] = getattr(first, "decorator_list", ())
    place = min((first.lineno, *(decorator.lineno for decorator in decorators))) - 1
    space = re.match(r"\s*", lines[place])
    indent = space[0] if space is not None else "    "
    quoted = "\n".join(f"{indent}{line}" if line else line for line in _quoted(doc).split("\n"))
    return "\n".join([*lines[:place], quoted, *lines[place:]]).rstrip()


def _spaced(parts: Sequence[Binding], texts: Sequence[str]) -> Iterable[str]:
    """Two empty lines around functions and classes."""
    before = ""
    for part, text in zip(parts, texts, strict=True):
        block = part.kind in ("function", "class")
        yield from ["", ""] if block or before in ("function", "class") else [""] if not before else []
        yield text
        before = part.kind


def _quoted(text: str) -> str:
    """A docstring that holds any text."""
    if '"""' in text or "\\" in text or not all(c.isprintable() or c == "\n" for c in text):
        return repr(text)
    end = "\n" if "\n" in text else " " if text.endswith('"') else ""
    return f'"""{text}{end}"""'


def _first_paragraph(text: str) -> str:
    lines = text.strip().split("\n\n")[0].split("\n")
    return "\n".join(line.strip() for line in lines)


def _plain(text: str) -> str:
    """Of a name that a stranger chose: letters, digits and a few signs."""
    return _WORD.sub("?", text)[:100]
