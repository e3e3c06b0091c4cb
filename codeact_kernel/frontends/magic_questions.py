"""Owns that a task may be a question: to IPython `%codeact how many?` asks for help on `many`."""

from __future__ import annotations

import tokenize
from collections.abc import Sequence

from IPython.core.inputtransformer2 import TokenTransformBase

_LAYOUT = {tokenize.INDENT, tokenize.DEDENT}


class Question(TokenTransformBase):  # type: ignore[misc]  # IPython is untyped to us
    """Of a line that ends in `?`, with or without `x =` before it. `%codeact?` still asks for help."""

    priority = 4  # Before HelpEnd, which has 5 and begins at the same place.

    def __init__(self, start: tuple[int, int], column: int) -> None:
        super().__init__(start)
        self._column = column

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[tokenize.TokenInfo]]) -> Question | None:
        """The first one. Called by IPython, until there is none."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.type not in _LAYOUT]
            at = _magic(tokens)
            if at is None:
                continue
            (row, column), text = tokens[at].start, tokens[at].line
            said = text.split("\n")[0] if tokens[0].start[0] == row else ""
            task = said[column:].removeprefix("%").strip().removeprefix("codeact")
            if task.endswith("?") and task.strip(" ?"):
                return cls(tokens[0].start, column)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        line = lines[self.start_line]
        name, _, task = line[self._column + 1 :].rstrip().partition(" ")
        call = f"{line[: self._column]}get_ipython().run_line_magic({name!r}, {task!r})\n"
        return [*lines[: self.start_line], call, *lines[self.start_line + 1 :]]


def _magic(tokens: Sequence[tokenize.TokenInfo]) -> int | None:
    """Where `%codeact` stands: at the start, or after the first `=`."""
    after = [place + 1 for place, token in enumerate(tokens) if token.string == "="]
    for place in (0, *after[:1]):
        words = [token.string for token in tokens[place : place + 2]]
        if words == ["%", "codeact"]:
            return int(place)
    return None
