"""Config files: which are read, and what their names of tools are relative to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from traitlets.config import Config

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.config_files import merge, read_folders

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def tools_of(config: Config, *, default: list[str] | None = None) -> list[str]:
    value = config["CodeActKernel"]["tools"]
    found: list[str] = value if isinstance(value, list) else value.get_value(default or [])
    return found


def test_tools_are_named_relative_to_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("HOME", "/home/of/the/user")
    named = ["tools.py", "sub/tools.py", "/srv/tools.py", "~/tools.py", "acme.shop", "acme.shop:tools"]
    meant = [
        str(tmp_path / "tools.py"),
        str(tmp_path / "sub" / "tools.py"),
        "/srv/tools.py",
        "/home/of/the/user/tools.py",
        "acme.shop",
        "acme.shop:tools",
    ]
    (tmp_path / "a_config.py").write_text(f"c.CodeActKernel.tools = {named!r}\nc.Limits.max_steps = 7\n")
    (tmp_path / "b_config.json").write_text(json.dumps({"CodeActKernel": {"tools": named}}))
    for name in ("a_config.py", "b_config.json"):
        config = Config()
        assert merge(config, name, str(tmp_path)) == str(tmp_path / name)
        assert tools_of(config) == meant


def test_tools_that_are_added(tmp_path: Path) -> None:
    for folder, text in {
        "system": "c.CodeActKernel.tools = ['s.py']\n",
        "user": "c.CodeActKernel.tools.append('u.py')\nc.CodeActKernel.tools.prepend(['v.py'])\n"
        "c.CodeActKernel.tools.insert(1, 'w.py')\n",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x_config.py").write_text(text)
    config, paths = read_folders(["x_config"], [str(tmp_path / "user"), str(tmp_path / "system")])
    assert paths == [str(tmp_path / folder / "x_config.py") for folder in ("system", "user")]
    assert tools_of(config) == [
        str(tmp_path / name) for name in ("user/v.py", "system/s.py", "user/w.py", "user/u.py")
    ]


@pytest.mark.parametrize("text", ["c.CodeActKernel.tools = 3\n", "c.CodeActKernel.tools = [3, None]\n"])
def test_tools_of_a_wrong_type_are_left_to_their_trait(tmp_path: Path, text: str) -> None:
    (tmp_path / "x_config.py").write_text(text)
    config, _ = read_folders(["x_config"], [str(tmp_path)])
    assert config["CodeActKernel"]["tools"] in (3, [3, None])


@pytest.mark.parametrize("text", ["c.Limits.max_steps = = 3\n", "raise SystemExit(3)\n", "1 / 0\n"])
def test_what_is_wrong_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "x_config.py").write_text(text)
    with pytest.raises(UsageError, match=r"x_config\.py' cannot be used: "):
        read_folders(["x_config"], [str(tmp_path)])


def test_the_current_folder_is_never_read(command: Command, folder: Path) -> None:
    """Empty and relative entries of JUPYTER_CONFIG_PATH would name it."""
    for name in ("codeact_config", "jupyter_config"):
        (folder / f"{name}.py").write_text("open('ran', 'w').close()\nc.Limits.max_steps = 7\n")
        (folder / f"{name}.json").write_text('{"Limits": {"max_steps": 7}}')
    for path in ("", ":", ".", ":.:/nowhere", f":{folder.name}"):
        shown = command("run", "t", "--show-config", JUPYTER_CONFIG_PATH=path)
        assert shown.returncode == 0
        assert "max_steps" not in shown.stdout
    assert not (folder / "ran").exists()
    shown = command("run", "t", "--show-config", JUPYTER_CONFIG_PATH=str(folder))
    assert "max_steps = 7" in shown.stdout
    assert (folder / "ran").exists()
