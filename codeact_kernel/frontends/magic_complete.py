"""Owns completion in `%codeact` and `%%codeact`: flags, and the names that fit one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from ..models.spec import FORMS
from ..tools.tool import Tool
from .magic_flags import FLAGS, Flag, names_given
from .magic_values import is_users, user_names

MAX_LIST = 200
"""Items of a list that may be one of functions."""
# `x = %codeact --wi`; a line of prose never comes here twice: everything is possessive.
_LINE = re.compile(r"\s*+(?:[\w.,\[\]\t ]++=\s*+)?%{1,2}codeact\s++")
Found = tuple[str, str, list[str]]
"""What is completed, the kind of the completions, and their texts."""


def matcher(shell: Any) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Of an IPython shell, for its `Completer.custom_matchers`. Works with jedi and without."""

    @context_matcher(identifier="codeact_kernel", priority=100)  # type: ignore[untyped-decorator]  # IPython's
    def codeact_matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.text_until_cursor
        start = _LINE.match(line)
        ours = start is not None and not (context.cursor_line and "%%" in start[0])
        found = _found(line[start.end() :], shell.user_ns) if start and ours else None
        if found is None:
            return {"completions": [], "suppress": False}
        fragment, kind, texts = found
        made = [SimpleCompletion(text, type=kind) for text in texts if text.startswith(fragment)]
        return {"completions": made, "matched_fragment": fragment, "suppress": bool(made)}

    return codeact_matcher  # type: ignore[no-any-return]  # IPython's


def _found(text: str, namespace: Mapping[str, object]) -> Found | None:
    """What can stand at the end of `text`, the line after `%codeact `; None: prose, or nothing of ours."""
    words = re.split(r"\s+", text)
    flags = {flag.name: flag for flag in FLAGS}
    waiting: Flag | None = None
    begun = ""
    for word in words[:-1]:
        name, equals, value = word.partition("=")
        if waiting is not None:
            more = waiting.kind is names_given and word.endswith(",")
            waiting, begun = (waiting, begun + word) if more else (None, "")
        elif (flag := flags.get(name)) is None:
            return None  # The task has begun.
        elif flag.value and (not equals or (flag.kind is names_given and value.endswith(","))):
            waiting, begun = flag, value
    last = words[-1]
    name, equals, value = last.partition("=")
    if waiting is None and equals and name in flags:
        return _values(flags[name], value, namespace)
    if waiting is not None:
        return _values(waiting, begun + last, namespace)
    return (last, "keyword", list(flags)) if last.startswith("-") else None


def _values(flag: Flag, text: str, namespace: Mapping[str, object]) -> Found | None:
    if flag.kind is names_given:
        *given, fragment = text.split(",")
        names = _functions(namespace) if flag.name == "--tools" else user_names(namespace)
        return (
            fragment,
            "function" if flag.name == "--tools" else "instance",
            [name for name in names if name not in given],
        )
    if flag.name == "--model":
        return text, "text", [f"{form}:" for form in FORMS]
    if flag.choices:
        return text, "text", list(flag.choices)
    return None


def _functions(namespace: Mapping[str, object]) -> Iterator[str]:
    for name, value in namespace.items():
        is_list = isinstance(value, list | tuple) and len(value) <= MAX_LIST
        several: Any = value if is_list else [value]
        if is_users(name) and several and all(map(_is_function, several)):
            yield name


def _is_function(value: object) -> bool:
    return isinstance(value, Tool) or inspect.isfunction(value)
