"""Owns printing finished lines: styled on a terminal, plain text anywhere else."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from .highlighting import highlightable
from .terminal import clean, clip

MAX_WIDTH = 100
MAX_TEXT = 1_000_000
"""Characters of one text that are shown; the notebook has all of it."""
THEME = "ansi_dark"
_ASCII = str.maketrans(
    {"─": "-", "│": "|", "✓": "ok", "✗": "x", "→": ">", "·": "-", "…": "...", "×": "x"}
    | dict(zip("═║╔╚", "=|++", strict=True))
)


def stdout_console() -> Console:
    """For results. Colours and movement only on a terminal; NO_COLOR and TERM=dumb are respected."""
    return Console(markup=False, emoji=False, highlight=False)


def stderr_console() -> Console:
    """For progress, where stdout carries a document."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


class Page:
    """Lines that stay. Text given to it is clean already (`terminal.clean`), unless said otherwise."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._utf = (console.encoding or "").lower().startswith("utf")
        self._title = ""
        self._gone = False

    def title(self, text: str) -> None:
        """A header that is printed with the next line, so that nothing stands without content."""
        width = min(self.console.width, MAX_WIDTH)
        self._title = f"── {text} ".ljust(width, "─") if text else ""

    def line(self, text: str, style: str = "") -> None:
        """One line or several; flushed."""
        self._print_title()
        if not self._utf:
            text = text.translate(_ASCII)
        if self.console.is_terminal:
            self.console.print(Text(text, style=style), soft_wrap=True)
        elif not self._gone:
            self._write(text)

    def prose(self, text: str, style: str = "") -> None:
        """Sentences: a terminal wraps them between words. Cleans the text."""
        self._prose(clean(clip(text, MAX_TEXT)).strip(), style)

    def _prose(self, text: str, style: str) -> None:
        if self.console.is_terminal and self._utf:
            self._print_title()
            self.console.print(Text(text, style=style))
        else:
            self.line(text, style)

    def lines(self, lines: Iterable[str], style: str = "", prefix: str = "  ") -> None:
        block = "\n".join(prefix + line for line in lines)
        if block:
            self.line(block, style)

    def labelled(self, label: str, text: str, style: str) -> None:
        """`label: text`, the further lines of a text indented. Cleans the text."""
        first, *others = clean(clip(text, MAX_TEXT)).strip("\n").split("\n")
        self._prose(f"{label}: {first}".strip(), style)
        self.lines(others)

    def code(self, text: str) -> None:
        """Python code, highlighted on a terminal. Cleans the text."""
        text = clean(clip(text, MAX_TEXT)).strip("\n")
        if not self.console.is_terminal or not highlightable(text):
            self.lines(text.split("\n"), prefix="│ ")
            return
        self._print_title()
        self.console.print(highlighted(text))

    def _write(self, text: str) -> None:
        # Not through rich, which lays out every character: a cell may print a million lines.
        try:
            self.console.file.write(f"{text}\n")
            self.console.file.flush()
        except BrokenPipeError:
            # Said once; what is shown while the run is ended has no reader either.
            self._gone = True
            raise

    def _print_title(self) -> None:
        if self._title:
            title, self._title = self._title, ""
            self.line(f"\n{title}", "bold cyan")


def highlighted(code: str) -> Padding:
    """Python code in the colours of the terminal's own palette."""
    from rich.syntax import Syntax  # With Pygments; only a terminal is shown colours.

    syntax = Syntax(code, "python", theme=THEME, background_color="default", word_wrap=True)
    return Padding(syntax, (0, 0, 0, 2))
