"""Modules of tools: what can be imported, what the functions are, what is said of what is not there."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import linecache
import pickle  # noqa: TID251  # what is tested is that nothing of a tool is in it
import pydoc
import sys
import typing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.in_kernel import functions as made
from codeact_kernel.in_kernel.catalogue import Catalogue
from codeact_kernel.in_kernel.functions import awaitable
from codeact_kernel.in_kernel.modules import check_import
from codeact_kernel.in_kernel.tools import ToolDenied, ToolError, ToolFunction, ToolUnavailable
from codeact_kernel.wire.lines import dump_line
from codeact_kernel.wire.messages import Returned, ToolModule, ToolSchema, ToolSpec
from codeact_kernel.wire.setup_modules import PackedTools, tools_value
from codeact_kernel.wire.values import encode

from .modules_lab import FILES, GREET, LIST, NEW, READ, REFUND, SHOP, TEXT, UPDATES, Place, place, remote


@pytest.fixture
def here() -> Iterator[Place]:
    with place(GREET, READ, LIST, UPDATES, REFUND) as made:
        yield made


@pytest.fixture
def files(here: Place) -> Any:
    return importlib.import_module("mcp_servers.files")


# --- imports ---


def test_all_ways_to_import(here: Place) -> None:
    space: dict[str, Any] = {}
    exec(
        "from mcp_servers import files\n"
        "import mcp_servers.files as fs\n"
        "import mcp_servers\n"
        "from mcp_servers.files import read_text as read\n"
        "from toolkits import *\n"
        "from mcp_servers.files import *\n",
        space,
    )
    assert space["files"] is space["fs"] is space["mcp_servers"].files is sys.modules["mcp_servers.files"]
    assert space["read"] is space["files"].read_text is space["read_text"]
    assert space["shop"].refund(7) == ["shop.refund", [7], {}]
    assert "_updates" not in space
    assert dir(space["mcp_servers"]) == ["files"]
    assert here.host.asked == [("shop.refund", [7], {})]


def test_a_package_gives_its_modules_when_they_are_asked_for(here: Place) -> None:
    package = importlib.import_module("mcp_servers")
    assert "mcp_servers.files" not in sys.modules
    assert package.files.__name__ == "mcp_servers.files"
    with pytest.raises(AttributeError, match=r"mcp_servers has no module 'fils'; did you mean 'files'\?"):
        _ = package.fils
    with pytest.raises(AttributeError):
        _ = package.shop


@pytest.mark.parametrize(
    "code", ["from mcp_servers import fils", "import mcp_servers.fils", "from mcp_servers.fils import read"]
)
def test_a_module_that_is_not_there(here: Place, code: str) -> None:
    said = r"^mcp_servers has no module 'fils'; did you mean 'files'\? There are: files\."
    with pytest.raises(ImportError, match=said):
        exec(code, {})


def test_a_function_that_is_not_there(here: Place, files: Any) -> None:
    check_import(files, "read_text")
    check_import(files, "*")
    check_import(typing, "nothing")
    with pytest.raises(ImportError, match=r"no function 'reed_text'; did you mean 'read_text'\?"):
        check_import(files, "reed_text")
    with pytest.raises(ImportError, match=r"^cannot import name 'reed_text'"):
        exec("from mcp_servers.files import reed_text", {})


def test_without_modules_it_is_said_how_to_have_some() -> None:
    with place(modules=(), others=("numpy",)):
        for package, how in (("mcp_servers", "--mcp FILE"), ("toolkits", "--tools NAME=FILE.py")):
            with pytest.raises(
                ModuleNotFoundError, match=f"No module named '{package}': this run has no .*{how}"
            ):
                importlib.import_module(package)


def test_a_module_of_the_users_own_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a run has no such modules, and the user allowed it."""
    (tmp_path / "toolkits.py").write_text("own = 1")
    monkeypatch.syspath_prepend(tmp_path)
    with place(modules=(FILES,), others=("toolkits",)):
        assert importlib.import_module("toolkits").own == 1
    del sys.modules["toolkits"]
    with place(modules=(SHOP,), others=("toolkits",)):
        assert not hasattr(importlib.import_module("toolkits"), "own")


def test_a_planted_file_is_not_taken(here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mcp_servers"
    folder.mkdir()
    for name in ("__init__.py", "files.py"):
        (folder / name).write_text("raise SystemExit('planted')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = importlib.import_module("mcp_servers.files")
    assert found.read_text("a")
    assert "planted" not in inspect.getsource(found.read_text)


def test_nothing_is_made_before_it_is_imported(here: Place) -> None:
    whole = here.catalogue.whole
    assert not here.catalogue._whole
    importlib.import_module("toolkits.shop")
    assert not here.catalogue._whole
    importlib.import_module("mcp_servers.files")
    assert whole(READ) is whole(READ)


def test_a_setup_leaves_nothing_behind() -> None:
    with place(READ, modules=(FILES,)):
        old = importlib.import_module("mcp_servers.files")
    assert "mcp_servers" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'mcp_servers'$"):
        importlib.import_module("mcp_servers")
    with place(LIST, modules=(FILES,)):
        assert importlib.import_module("mcp_servers.files").__all__ == ["list_directory"]
    assert old.read_text("a")[0] == "files.read_text"  # Who has it keeps it.


def test_reload_changes_nothing(files: Any) -> None:
    before = files.read_text
    assert importlib.reload(files) is files
    assert files.read_text is before
    assert files.__all__ == ["read_text", "list_directory"]


def test_a_server_may_have_the_name_of_a_library() -> None:
    with place(remote("os.system", path=TEXT), modules=(ToolModule("os", "mcp_servers"),)):
        made = importlib.import_module("mcp_servers.os")
        assert made.system("x") == ["os.system", [], {"path": "x"}]
        assert sys.modules["os"] is not made
        assert importlib.import_module("os") is not made


# --- functions ---


def test_it_is_a_function_like_any(files: Any) -> None:
    assert inspect.isfunction(files.read_text)
    assert (files.read_text.__name__, files.read_text.__module__) == ("read_text", "mcp_servers.files")
    signature = inspect.signature(files.read_text)
    assert [*signature.parameters] == ["path", "tail", "head", "from_"]
    assert signature.parameters["from_"].default == "start"
    hints = typing.get_type_hints(files.read_text)
    assert (hints["path"], hints["head"]) == (str, float | None)
    assert typing.get_type_hints(hints["return"]) == {"content": str}
    assert hints["return"] is files.ReadTextResult
    text = pydoc.plain(pydoc.render_doc(files.read_text))
    assert "read_text(path: str, *, tail: float" in text
    assert "Reads a text file. All of it." in text
    assert "Where it is" in text
    assert "A server of files." in files.__doc__
    assert dir(files) == sorted(["read_text", "list_directory", "ReadTextResult"])


def test_source_is_shown(files: Any) -> None:
    linecache.checkcache()
    source = inspect.getsource(files.read_text)
    assert source.startswith("def read_text(path: str, *, tail: float = ..., ")
    assert source.rstrip().endswith("...")


def test_arguments_travel_by_name(here: Place, files: Any) -> None:
    files.read_text("a")
    files.read_text(path="a")
    files.read_text("a", from_="end", tail=...)
    files.read_text("a", head=None)
    assert [kwargs for _, _, kwargs in here.host.asked] == [
        {"path": "a"},
        {"path": "a"},
        {"path": "a", "from_": "end"},
        {"path": "a", "head": None},
    ]
    assert all(not args for _, args, _ in here.host.asked)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("read_text()", "got no 'path'"),
        ("read_text('a', 'b')", "takes at most 1 by place, got 2; give the others by name"),
        ("read_text('a', path='b')", "got 'path' twice, by place and by name"),
        ("read_text('a', tial=1)", "got an unexpected 'tial' (did you mean 'tail'?)"),
        ("read_text('a', **{'from': 'end'})", "got an unexpected 'from' (did you mean 'from_'?)"),
        ("read_text.aio()", "got no 'path'"),
    ],
)
def test_wrong_arguments(here: Place, files: Any, code: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        eval(code, vars(files).copy())
    assert (
        str(caught.value) == f"files.read_text() {said}. Parameters (* = required): path*, tail, head, from_"
    )
    assert not here.host.asked


def test_further_arguments_where_the_schema_takes_them() -> None:
    open_ended = remote("files.write", path=TEXT)
    assert open_ended.schema is not None
    schema = {**open_ended.schema.input, "additionalProperties": {"type": "integer"}}
    spec = ToolSpec(open_ended.name, schema=type(open_ended.schema)("write", schema))
    with place(spec, modules=(FILES,)) as made:
        importlib.import_module("mcp_servers.files").write("a", size=3)
        assert made.host.asked == [("files.write", [], {"path": "a", "size": 3})]


def test_an_argument_that_cannot_cross(files: Any) -> None:
    with pytest.raises(TypeError, match=r"^files\.read_text\(\): argument 'path': cannot send"):
        files.read_text(object())


def test_awaited(here: Place, files: Any) -> None:
    async def scene() -> list[Any]:
        return [*await asyncio.gather(files.read_text.aio("a"), files.read_text.aio(path="b"))]

    assert [found[2] for found in asyncio.run(scene())] == [{"path": "a"}, {"path": "b"}]


def test_what_is_called_in_place_of_an_awaited_function(files: Any) -> None:
    tool = made._tools[files.read_text]
    assert awaitable(files.read_text) == tool.aio
    assert awaitable(tool) == tool.aio

    async def own() -> None: ...

    copied = typing.cast(Any, inspect.unwrap(files.read_text))
    for other in (own, print, len, str, copied, lambda: None, typing, None, 7):
        assert awaitable(other) is other

    @functools.wraps(files.read_text)
    async def wrapped(path: str) -> str:
        return path

    assert awaitable(wrapped) is wrapped


MANY = "it may be called 2 times in a run (max_calls), and was"


def test_failures(here: Place, files: Any) -> None:
    hint = "\nParameters (* = required): path*"
    for kind, error, message, said in (
        ("ToolError", ToolError, "no such folder", f"no such folder{hint}"),
        ("ToolError", ToolError, f"no{hint}", f"no{hint}"),
        ("ToolError", ToolError, f"f(): {MANY}", f"f(): {MANY}"),
        ("ToolUnavailable", ToolUnavailable, "it has ended", "it has ended"),
        ("ToolDenied", ToolDenied, "by hand", "by hand"),
        ("TimeoutError", TimeoutError, "too late", "too late"),
        ("sqlite3.Error", ToolError, "no", "sqlite3.Error: no"),
    ):
        here.host.fails("files.list_directory", kind, message)
        with pytest.raises(error) as caught:
            files.list_directory("a")
        assert type(caught.value) is error
        assert str(caught.value) == said
        assert caught.value.__cause__ is None
    assert issubclass(ToolUnavailable, ToolError)


def test_threads(here: Place) -> None:
    def call(number: int) -> Any:
        return importlib.import_module("mcp_servers.files").read_text(str(number))[2]

    with ThreadPoolExecutor(16) as pool:
        assert [*pool.map(call, range(200))] == [{"path": str(number)} for number in range(200)]


def test_pickled_it_is_a_name(here: Place, files: Any) -> None:
    """As of any function; a tool that is none is refused."""
    assert pickle.loads(pickle.dumps(files.read_text)) is files.read_text
    with pytest.raises(TypeError, match=r"the tool shop\.refund is part of this kernel"):
        pickle.dumps(importlib.import_module("toolkits.shop").refund)
    with pytest.raises(TypeError):
        pickle.dumps(files)


def test_toolkits_have_tools_of_python(here: Place) -> None:
    shop = importlib.import_module("toolkits.shop")
    assert isinstance(shop.refund, ToolFunction)
    assert str(inspect.signature(shop.refund)) == "(order: int) -> str"
    assert shop.__doc__ == "What a shop can do."
    with pytest.raises(
        AttributeError, match=r"toolkits\.shop has no function 'refnd'; did you mean 'refund'"
    ):
        _ = shop.refnd
    assert not here.host.asked  # Nothing is added to a toolkit.


# --- what comes later ---


def test_a_name_that_is_not_there_is_asked_for(here: Place, files: Any) -> None:
    before = files.read_text
    here.host.offers(NEW, READ)
    assert files.delete_file("a") == ["files.delete_file", [], {"path": "a"}]
    assert files.read_text is before
    assert files.__all__ == ["read_text", "list_directory", "delete_file"]
    assert "def delete_file(path: str)" in inspect.getsource(files.delete_file)
    assert "def read_text(path: str" in inspect.getsource(files.read_text)
    assert [tool for tool, _, _ in here.host.asked] == ["files._updates", "files.delete_file"]


def test_it_is_asked_when_that_is_allowed_only(here: Place, files: Any) -> None:
    here.host.offers(NEW)
    here.may_ask = False
    assert not hasattr(files, "delete_file")
    assert not here.host.asked
    here.may_ask = True
    assert not hasattr(files, "__wrapped__")
    assert not hasattr(files, "_ipython_display_")
    assert not here.host.asked
    assert hasattr(files, "delete_file")


@pytest.mark.parametrize(
    "answer",
    [None, "x", 7, {}, [7], [{"tool": "shop.refund"}], [{"tool": "files.x y"}], [{"tool": "files.__x"}]],
)
def test_an_answer_that_is_none(here: Place, files: Any, answer: Any) -> None:
    here.host.outcomes["files._updates"] = Returned(encode(answer))
    with pytest.raises(AttributeError, match=r"mcp_servers\.files has no function 'x'"):
        _ = files.x
    assert files.__all__ == ["read_text", "list_directory"]


def test_a_server_that_has_failed_says_why() -> None:
    with place(UPDATES, modules=(FILES,)) as made:
        made.host.fails("files._updates", "ToolUnavailable", "the server 'files' did not start")
        broken = importlib.import_module("mcp_servers.files")
        with pytest.raises(AttributeError, match="'read': ToolUnavailable: the server 'files' did not start"):
            broken.read("a")
        made.host.fails("files._updates", "ToolUnavailable", "files._updates(): it did not start")
        with pytest.raises(AttributeError, match="'dir': ToolUnavailable: files: it did not start"):
            broken.dir("a")
        made.host.fails("files._updates", "ToolUnavailable", "files._updates(): MCP server 'files': no")
        with pytest.raises(AttributeError, match="'ls': ToolUnavailable: MCP server 'files': no"):
            broken.ls("a")


# --- a hostile server ---


def test_names_and_words_of_a_hostile_server() -> None:
    nasty = '"""\nimport os\nos.system("touch /tmp/x")\n"""\n\x1b[31m\u202e' + "\\" * 3
    specs = tuple(
        remote(
            f"files.{name}",
            nasty,
            {"type": "object", "title": nasty, "properties": {nasty: TEXT}},
            **{nasty: {}},
        )
        for name in ("list", "str", "Any", "TypedDict", "print", "type", "dict")
    )
    with place(*specs, modules=(ToolModule("files", "mcp_servers", nasty, nasty),)):
        made = importlib.import_module("mcp_servers.files")
        assert sorted(made.__all__) == sorted(spec.function for spec in specs)
        for name in made.__all__:
            function = getattr(made, name)
            assert inspect.isfunction(function)
            typing.get_type_hints(function)
            assert function("v")[0] == f"files.{name}"
        assert "\x1b" not in str(made.__doc__)
        assert "os" not in vars(made)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[7]",
        b"nothing",
        b'[{"tool":"other.f","doc":""}]',
        b'[{"tool":"files.f","doc":7}]',
        b"[" * 100_000,
    ],
)
def test_packed_tools_that_are_none(data: bytes) -> None:
    """Of a stranger's setup cell. They are read late, and then refused."""
    with place(modules=(FILES,)) as made:
        catalogue = Catalogue((FILES,), (), made.host, [PackedTools("files", data)])
        for _ in range(2):
            with pytest.raises(ValueError, match=r"tool|JSON|Expecting|'doc' is a string"):
                catalogue.functions("files")
            with pytest.raises(ValueError, match=r"tool|JSON|Expecting|'doc' is a string"):
                catalogue.specs()


def test_packed_tools_are_read_when_they_are_wanted() -> None:
    packed = PackedTools("files", dump_line(tools_value([READ, UPDATES])).encode())
    with place(modules=(FILES, SHOP)) as made:
        catalogue = Catalogue((FILES, SHOP), (LIST, REFUND), made.host, [packed])
        assert [*catalogue.functions("shop")] == ["refund"]
        assert catalogue._packed == [packed]
        assert [*catalogue.functions("files")] == ["list_directory", "read_text"]
        assert catalogue._packed == []
        assert catalogue.specs() == (LIST, READ, REFUND)


def test_schemas_that_are_none() -> None:
    junk: list[Any] = [{}, {"type": 7}, {"properties": []}, {"properties": {"a": 7}}, {"$ref": "#"}]
    specs = tuple(ToolSpec(f"files.f{n}", schema=ToolSchema("f", schema)) for n, schema in enumerate(junk))
    with place(*specs, modules=(FILES,)):
        made = importlib.import_module("mcp_servers.files")
        for name in made.__all__:
            assert getattr(made, name)()[0] == f"files.{name}"
