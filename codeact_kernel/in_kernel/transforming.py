"""Owns the way from what a cell says to Python: IPython's, but no tokenizer where all is Python."""

from __future__ import annotations

import ast

from IPython.core.inputtransformer2 import TransformerManager

_STOCK = tuple(TransformerManager().token_transformers)


class Transformers(TransformerManager):  # type: ignore[misc]  # IPython publishes no types
    """IPython's own. What parses as Python has no `%magic`, `!command` or `help?` for them to find; and to
    look for one, in Python's slow tokenizer, takes longer than all else of a step: 3 ms for forty lines."""

    def do_token_transforms(self, lines: list[str]) -> list[str]:
        if tuple(self.token_transformers) == _STOCK and _is_python("".join(lines)):
            return lines
        transformed: list[str] = super().do_token_transforms(lines)
        return transformed


def _is_python(text: str) -> bool:
    try:
        ast.parse(text, "<>")
    except Exception:  # Nested too deeply, too: whatever it is, stock will say it.
        return False
    return True
