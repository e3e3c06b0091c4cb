"""Owns cells that show every attack of `tests/frontends/attacks.py`, with a listener of the test to call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from textwrap import indent

from ..frontends.attacks import BUNDLES, WIDGETS

ELSEWHERE = ("https://evil.invalid", "//evil.invalid")
"""Whom the attacks call."""
FEW, MANY = 20, 150
"""Displays of a step of the agent's, and of a cell of the user's own: below what is shown of one."""
SHOW = """\
import json
from IPython.display import display
for data, metadata in json.loads({shown!r}):
    display(data, raw=True, metadata=metadata)
print('<script>window.pwned=1</script>', '\\x1b]8;;javascript:window.pwned=1\\x07click\\x1b]8;;\\x07')
print('all', 'shown')"""


def bundle_cells(url: str) -> list[str]:
    """Code that shows all bundles, `url` being the listener's; the first cell only a few."""
    bundles = list(BUNDLES.values())
    parts = [bundles[:FEW], *(bundles[at : at + MANY] for at in range(FEW, len(bundles), MANY))]
    return [SHOW.format(shown=called(json.dumps(part), url)) for part in parts]


def widget_cell(url: str) -> str:
    """Code that shows all widgets."""
    return "from IPython.display import display\n" + "\n".join(attempts(url)) + "\nprint('all', 'shown')"


def attempts(url: str) -> Iterable[str]:
    for name, code in WIDGETS.items():
        failed = f"except Exception as problem:\n    print({name!r}, 'failed:', problem)"
        yield f"try:\n{indent(called(code, url), '    ')}\n{failed}"


def called(text: str, url: str) -> str:
    for elsewhere in ELSEWHERE:
        text = text.replace(elsewhere, url)
    return text
