"""Trust in tools files: one path, one content; exactly those bytes run, and nothing beside them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends import trusting
from codeact_kernel.frontends.trusting import (
    MAX_TOOLS_BYTES,
    forget,
    load_trusted_tools,
    store_path,
    trust,
    trusted,
    trusted_files,
)

TOOLS = "from codeact_kernel import tool\n@tool\ndef answer() -> int: return 42\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tools file in the folder of a notebook, and a data folder in which nothing is trusted."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / "shop.py"
    path.write_text(TOOLS)
    return path


def test_not_trusted_is_not_run(tools: Path) -> None:
    tools.write_text(TOOLS + "from pathlib import Path\nPath('ran').touch()\n")
    assert not trusted(tools)
    with pytest.raises(UsageError, match="is not trusted") as caught:
        load_trusted_tools("shop.py")
    assert f"codeact trust {tools}" in str(caught.value)
    assert not Path("ran").exists()
    trust(tools)
    load_trusted_tools("shop.py")
    assert Path("ran").exists()


def test_trusted_runs_until_it_is_changed(tools: Path) -> None:
    assert trust("shop.py").path == tools.resolve()
    assert trusted(tools)
    (answer,) = load_trusted_tools("./shop.py")
    assert answer() == 42
    tools.write_text(TOOLS.replace("42", "43"))
    assert not trusted(tools)
    with pytest.raises(
        UsageError, match=r"was changed since you trusted it .SHA-256 was \w{12}…, is \w{12}…"
    ):
        load_trusted_tools(tools)
    trust(tools)
    assert load_trusted_tools(tools)[0]() == 43


def test_the_same_content_elsewhere_is_not_trusted(tools: Path) -> None:
    trust(tools)
    copy = tools.with_name("copy.py")
    copy.write_text(TOOLS)
    with pytest.raises(UsageError, match="is not trusted"):
        load_trusted_tools(copy)


def test_a_link_is_as_good_as_the_file_that_it_leads_to(tools: Path) -> None:
    trust(tools)
    link = tools.with_name("link.py")
    link.symlink_to(tools)
    assert trusted(link)
    other = tools.with_name("other.py")
    other.write_text(TOOLS)
    link.unlink()
    link.symlink_to(other)
    assert not trusted(link)
    with pytest.raises(UsageError, match=r"other\.py' is not trusted"):
        load_trusted_tools(link)


def test_what_is_run_is_what_was_compared(tools: Path) -> None:
    """The file is exchanged at every moment; whatever is loaded had the trusted digest."""
    trust(tools)
    other, good = tools.with_name("evil"), tools.with_name("good")
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            for path, text in ((other, TOOLS.replace("42", "666")), (good, TOOLS)):
                path.write_text(text)
                os.replace(path, tools)

    thread = threading.Thread(target=exchange)
    thread.start()
    answers: list[int] = []
    refusals: list[str] = []
    deadline = time.monotonic() + 60
    try:
        while min(len(answers), len(refusals)) < 20 and time.monotonic() < deadline:
            try:
                answers.append(load_trusted_tools(tools)[0]())
            except UsageError as problem:
                refusals.append(str(problem))
    finally:
        stop.set()
        thread.join()
    assert set(answers) == {42}
    assert refusals
    assert all("was changed" in refusal for refusal in refusals)


def test_nothing_beside_it_is_imported(tools: Path) -> None:
    """A stranger's `tariff.py`, or one that takes the name of a library, is not covered by the trust."""
    marker = tools.with_name("ran")
    for name in ("tariff_of_the_trust_test", "colorsys"):
        tools.with_name(f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\nRATE = 3\n")
    sys.modules.pop("colorsys", None)
    tools.write_text(f"import colorsys\nassert colorsys.rgb_to_hsv\n{TOOLS}")
    trust(tools)
    load_trusted_tools(tools)
    tools.write_text(f"from tariff_of_the_trust_test import RATE\n{TOOLS}")
    trust(tools)
    with pytest.raises(UsageError, match="what lies beside it cannot be imported"):
        load_trusted_tools(tools)
    assert not marker.exists()


def test_trust_ends(tools: Path) -> None:
    trust(tools)
    other = tools.with_name("other.py")
    other.write_text(TOOLS)
    trust(other)
    assert [(file.path.name, file.state) for file in trusted_files()] == [
        ("other.py", "as trusted"),
        ("shop.py", "as trusted"),
    ]
    tools.unlink()
    other.write_text("")
    assert [file.state for file in trusted_files()] == ["changed", "cannot be read"]
    assert forget("shop.py") == tools
    with pytest.raises(UsageError, match="--list"):
        forget("shop.py")
    assert [file.path for file in trusted_files()] == [other]


def test_modules_are_not_named_by_notebooks(tools: Path) -> None:
    with pytest.raises(UsageError, match=r"c\.CodeActKernel\.tools = \['os'\]"):
        load_trusted_tools("os")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _large(path: Path) -> None:
    path.write_bytes(b"#" * (MAX_TOOLS_BYTES + 1))


@pytest.mark.parametrize(
    "spoil", [Path.unlink, _pipe, _folder, _loop, _large], ids=lambda each: each.__name__
)
def test_what_is_no_file_is_refused_at_once(tools: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tools)
    for use in (trust, load_trusted_tools):
        with pytest.raises(UsageError, match=r"shop\.py"):
            use(tools)


def test_the_record_is_this_users_own(tools: Path) -> None:
    trust(tools)
    assert store_path().stat().st_mode & 0o777 == 0o600
    assert store_path().parent.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in store_path().parent.iterdir()} == {
        "trusted_tools.json",
        "trusted_tools.lock",
    }
    store_path().chmod(0o666)
    for use in (lambda: load_trusted_tools(tools), lambda: trusted(tools), lambda: trust(tools)):
        with pytest.raises(UsageError, match="can be written by others"):
            use()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "files": {}}', '{"version": 1, "files": {"/a": 1}}', "[" * 100_000],
)
def test_a_broken_record_trusts_nothing(tools: Path, text: str) -> None:
    trust(tools)
    store_path().write_text(text)
    with pytest.raises(UsageError, match="cannot be read; remove it"):
        load_trusted_tools(tools)


def test_commands_at_once_lose_nothing(tools: Path) -> None:
    paths = [tools.with_name(f"t{number}.py") for number in range(24)]
    for path in paths:
        path.write_text(TOOLS)
    threads = [threading.Thread(target=trust, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [file.path for file in trusted_files()] == sorted(paths)


def test_names_that_are_no_text(tools: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tools.parent) + b"/caf\xe9.py"))
    path.write_text(TOOLS)
    trust(path)
    assert [file.path for file in trusted_files()] == [path]
    assert len(load_trusted_tools(path)) == 1
    json.loads(store_path().read_text("ascii"))


def test_the_command(
    tools: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from codeact_kernel.frontends.cli import main

    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    assert main(["trust", "shop.py"]) == 0
    assert str(tools) in capsys.readouterr().out
    assert trusting.trusted(tools)
    tools.write_text("")
    assert main(["trust", "--list"]) == 0
    assert "changed" in capsys.readouterr().out
    assert main(["trust", "--remove", "shop.py"]) == 0
    assert main(["trust", "--list"]) == 0
    assert "No tools file is trusted" in capsys.readouterr().out
    assert main(["trust", "no.py"]) == 2
    assert main(["trust", "--list", "shop.py"]) == 2
