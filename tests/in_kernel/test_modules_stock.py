"""A notebook with calls of modules in stock Jupyter: the setup cell is all there is; no host, no server."""

from __future__ import annotations

from collections.abc import Mapping

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel.wire.media import ResourceLink
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolOutcome
from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_modules import tools_value
from codeact_kernel.wire.values import encode

from .modules_lab import FILES, GREET, LIST, NEW, READ, REFUND, SHOP, TEXT, UPDATES, remote

MANY = tuple(remote(f"files.many_{number}", "One of many. " * 20, path=TEXT) for number in range(50))


def call(tool: str, kwargs: Mapping[str, object], outcome: object, *args: object) -> ToolCall:
    encoded: ToolOutcome = (
        outcome if isinstance(outcome, Raised) else Returned(encode(outcome, fallback=True))
    )
    named = {name: encode(value) for name, value in kwargs.items()}
    return ToolCall(1, len(named), tool, tuple(map(encode, args)), named, encoded)


TAPE = (
    call("files.read_text", {"path": "a"}, {"content": "of a"}),
    call("files.read_text", {"path": "b", "from_": "end"}, {"content": "of b"}),
    call("files.list_directory", {"path": "x"}, Raised("ToolError", "no such folder")),
    call("files._updates", {}, tools_value([NEW])),
    call("files.delete_file", {"path": "a"}, "deleted"),
    call("files._resources", {}, [ResourceLink("files", "file:///a", "a")]),
    call("files._read_resource", {}, "its text", "file:///a"),
    call("files.many_7", {"path": "c"}, 7),
    call("shop.refund", {}, "paid", 7),
)
CELLS = (
    "from mcp_servers import files\nimport asyncio\n"
    "found = await asyncio.gather(files.read_text('b', from_='end'), files.read_text('a'))\n"
    "[one['content'] for one in found]",
    "files.list_directory('x')",
    "files.delete_file('a')",
    "[link.read() for link in tools.resources('files')]",
    "from toolkits import shop\nfiles.many_7('c'), shop.refund(7)",
    "tools.search('delete file')",
    "files.many_8('c')",
    "files.nothing_at_all",
)
SHOWN: tuple[str | tuple[str, str], ...] = (
    "['of b', 'of a']",
    ("ToolError", "no such folder\nParameters (* = required): path*"),
    "'deleted'",
    "['its text']",
    "(7, 'paid')",
    'files.delete_file(path: str) -> Any — server: "Deletes a file."\n',
    ("TapeMiss", "is not on the tape"),
    ("AttributeError", "mcp_servers.files has no function 'nothing_at_all'"),
)


@pytest.mark.kernel
def test_all_cells_again_and_the_setup_cell_twice() -> None:
    tools = (GREET, READ, LIST, *MANY, UPDATES, REFUND)
    setup = setup_source(SetupSpec("", tools=tools, tape=TAPE, modules=(FILES, SHOP)))
    assert '"tools":"files"' in setup
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (setup, *CELLS, setup, *CELLS)]
    )
    NotebookClient(notebook, kernel_name="python3", timeout=60, allow_errors=True).execute()
    for cell, shown in zip(notebook.cells, ("", *SHOWN, "", *SHOWN), strict=True):
        said = [
            (output.ename, output.evalue)
            if output.output_type == "error"
            else output.get("text") or output.data["text/plain"]
            for output in cell.outputs
        ]
        if not shown:
            assert said == []
        elif isinstance(shown, tuple):
            ((name, text),) = said
            assert name == shown[0]
            assert shown[1] in text
        else:
            assert len(said) == 1
            assert str(said[0]).startswith(shown)
