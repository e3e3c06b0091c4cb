"""Owns a tool as text: a stub, a signature, one line of a list, the parameters that an error names."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

from .messages import ToolParameter, ToolSpec

LINE = 200
"""Characters of a tool in a list."""
SHOWN = 40
"""Parameters that an error names."""
HINT = "Parameters (* = required): "
_SENTENCE = re.compile(r"(?<=[.!?])\s|\n\s*\n")


_KINDS = {
    "positional_only": inspect.Parameter.POSITIONAL_ONLY,
    "positional_or_keyword": inspect.Parameter.POSITIONAL_OR_KEYWORD,
    "var_positional": inspect.Parameter.VAR_POSITIONAL,
    "keyword_only": inspect.Parameter.KEYWORD_ONLY,
    "var_keyword": inspect.Parameter.VAR_KEYWORD,
}


class _Source:
    """Source text in a signature: shown as written, never evaluated."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def signature_of(tool: ToolSpec) -> inspect.Signature:
    """The tool's signature, annotations and defaults as source text."""
    return inspect.Signature(
        [_inspected(parameter) for parameter in tool.parameters],
        return_annotation=_Source(tool.returns) if tool.returns else inspect.Signature.empty,
    )


def _inspected(parameter: ToolParameter) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        parameter.name,
        _KINDS[parameter.kind],
        annotation=_Source(parameter.annotation) if parameter.annotation else empty,
        default=empty if parameter.default is None else _Source(parameter.default),
    )


def tool_stub(tool: ToolSpec) -> str:
    """The tool as a Python stub: signature and docstring."""
    returns = f" -> {tool.returns}" if tool.returns else ""
    kind = "async def" if tool.is_async else "def"
    head = f"{kind} {tool.function}({', '.join(parameter_texts(tool))}){returns}:"
    doc = inspect.cleandoc(tool.doc).replace('"""', "'''")
    if not doc:
        return f"{head} ..."
    end = "\n" if "\n" in doc or doc.endswith('"') else ""
    docstring = f'"""{doc}{end}"""'
    return f"{head}\n{textwrap.indent(docstring, '    ')}"


def signature_text(tool: ToolSpec) -> str:
    """`filesystem.read_text_file(path: str, *, tail: float = ...) -> str`; of a long one only the names."""
    returns = f" -> {tool.returns}" if tool.returns else ""
    full = f"{tool.name}({', '.join(parameter_texts(tool))}){returns}"
    if len(full) <= LINE:
        return full
    names = ", ".join(parameter.name for parameter in tool.parameters)
    return _cut(f"{tool.name}({_cut(names, LINE)})", LINE)


def tool_line(tool: ToolSpec) -> str:
    """The signature, and the first sentence of what the tool is said to do."""
    said = summary(tool.doc)
    return f"{signature_text(tool)} — {said}" if said else signature_text(tool)


def summary(doc: str, limit: int = LINE) -> str:
    """The first sentence, on one line."""
    return _cut(" ".join(_SENTENCE.split(doc.strip()[: 4 * limit], maxsplit=1)[0].split()), limit)


def parameters_hint(tool: ToolSpec) -> str:
    """`Parameters (* = required): path*, tail, head`."""
    names = [
        f"{parameter.name}{'' if parameter.default is not None or 'var_' in parameter.kind else '*'}"
        for parameter in tool.parameters[:SHOWN]
    ]
    more = [f"… {len(tool.parameters) - SHOWN} more"] if len(tool.parameters) > SHOWN else []
    return HINT + (", ".join([*names, *more]) or "none")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def parameter_texts(tool: ToolSpec) -> Iterator[str]:
    """The parameters as in source, with the `/` and `*` that their kinds need."""
    starred = before = False
    for parameter in tool.parameters:
        if before and parameter.kind != "positional_only":
            yield "/"
        before = parameter.kind == "positional_only"
        if parameter.kind == "keyword_only" and not starred:
            yield "*"
        starred = starred or parameter.kind in ("var_positional", "keyword_only")
        yield _parameter(parameter)
    if before:
        yield "/"


def _parameter(parameter: ToolParameter) -> str:
    stars = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
    text = stars + parameter.name + (f": {parameter.annotation}" if parameter.annotation else "")
    if parameter.default is None:
        return text
    return f"{text} = {parameter.default}" if parameter.annotation else f"{text}={parameter.default}"
