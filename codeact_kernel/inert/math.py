"""Owns LaTeX that only typesets. JupyterLab runs MathJax over LaTeX, HTML and Markdown, with its HTML macros.

Macros that make links, set attributes or styles, load packages or name other macros are not typeset. A name
of a macro is nothing but the letters after its backslash, and what could define another is among them.
References: MathJax documentation, "Supported TeX/LaTeX commands" and "MathJax Safe-mode".
"""

from __future__ import annotations

import re

_NAMES = (
    "href|url|class|cssId|style|data|require|unicode|mmlToken|toggle|endtoggle|mathtip|texttip|bbox|includegraphics"
    "|def|edef|gdef|xdef|let|futurelet|csname|catcode|char|Newextarrow|DeclareMathOperator|DeclarePairedDelimiters?X?"
    "|DeclarePairedDelimiterXPP|(?:re)?newcommand|providecommand|(?:re)?newenvironment|begingroup|endgroup|input"
    "|global|breakAlign|setOptions|htmlClass|htmlId|htmlStyle|htmlData|special|write|read|openin|openout|immediate"
)
_ACTIVE = re.compile(rf"\\(?=(?:{_NAMES})(?![a-zA-Z]))")
_JOINER = "\u2060"
"""Has no width. After it, the letters are no macro's name any more."""


def is_active(latex: str) -> bool:
    """Whether a macro in it could do more than typeset."""
    return _ACTIVE.search(latex) is not None


def defused(text: str) -> str:
    """Text in which MathJax finds no such macro; it looks the same where it is not typeset."""
    return _ACTIVE.sub(lambda _: "\\" + _JOINER, text) if "\\" in text else text
