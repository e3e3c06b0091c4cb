"""Completion in `%codeact`, as the user's own IPython gives it, with jedi and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from tests.frontends.shells import a_shell


@pytest.fixture(params=[True, False], ids=["jedi", "plain"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InteractiveShell]:
    with a_shell(tmp_path) as made:
        made.Completer.use_jedi = request.param
        made.run_cell("import math\ndf, dfs, model = 1, 2, 3\ndef fetch(n: int) -> int: ...\nkit = [fetch]\n")
        yield made


def completed(shell: InteractiveShell, text: str) -> list[str]:
    """The whole line, with each completion at the place of the `|`."""
    before, _, after = text.partition("|")
    with provisionalcompleter():
        found = list(shell.Completer.completions(before + after, len(before)))
    return sorted({before[: one.start] + one.text for one in found})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%codeact --wi|", ["%codeact --with"]),
        (
            "%codeact --m|",
            ["%codeact --max-cost", "%codeact --max-steps", "%codeact --mcp", "%codeact --model"],
        ),
        ("x = %codeact --dry --ou|", ["x = %codeact --dry --out"]),
        ("%%codeact --ins|\nthe task", ["%%codeact --insert"]),
        ("%codeact --with d|", ["%codeact --with df", "%codeact --with dfs"]),
        ("%codeact --with df,m|", ["%codeact --with df,model"]),
        ("%codeact --with df, |", [f"%codeact --with df, {name}" for name in ("dfs", "kit", "model")]),
        ("%codeact --with=df,d|", ["%codeact --with=df,dfs"]),
        ("%codeact --with df --out m|", ["%codeact --with df --out model"]),
        ("%codeact --tools |", ["%codeact --tools fetch", "%codeact --tools kit"]),
        ("%codeact --model scr|", ["%codeact --model scripted:"]),
        ("if df:\n    %codeact --inse|", ["if df:\n    %codeact --insert"]),
    ],
)
def test_flags_and_names(shell: InteractiveShell, text: str, expected: list[str]) -> None:
    assert completed(shell, text) == expected


@pytest.mark.parametrize(
    "text", ["%codeact plot --wi|", "x --wi|", "%%codeact\nplot --wi|", "%codeactx --wi|"]
)
def test_nothing_of_ours_in_prose_or_elsewhere(shell: InteractiveShell, text: str) -> None:
    assert not any("--with" in line for line in completed(shell, text))


def test_the_magics_themselves_and_the_users_code_complete_as_ever(shell: InteractiveShell) -> None:
    assert "%codeact_replay" in completed(shell, "%codeact_r|")
    assert "math.factorial" in completed(shell, "math.facto|")
