"""`codeact kernel install`, `uninstall`, `list`; with Jupyter's own reading of what was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends import kernelspecs
from codeact_kernel.frontends.cli import main

SHOP = ["kernel", "install", "--user", "--name", "shop"]
"""A name that the environment of the tests has not: it goes before the user's folder."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's data folder of Jupyter; empty."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "first"))
    return tmp_path / "data"


def test_installed_for_the_user(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "install", "--user", "--name", "CodeAct-Shop", "--display-name", "Shop"]) == 0
    folder = data / "kernels" / "codeact-shop"
    assert str(folder) in capsys.readouterr().out
    spec = KernelSpecManager().get_kernel_spec("codeact-shop")
    assert spec.resource_dir == str(folder)
    assert spec.argv[:5] == [sys.executable, "-E", "-P", "-m", "codeact_kernel.frontends.kernel"]
    assert (spec.display_name, spec.language, spec.interrupt_mode) == ("Shop", "codeact", "message")
    assert {path.name for path in folder.iterdir()} == {
        "kernel.json",
        "logo-32x32.png",
        "logo-64x64.png",
        "logo-svg.svg",
    }
    assert (folder / "kernel.json").stat().st_mode & 0o777 == 0o644


def test_what_is_there_is_replaced_when_that_is_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHOP]) == 0
    assert main([*SHOP, "--display-name", "Other"]) == 2
    assert "--replace" in capsys.readouterr().err
    assert KernelSpecManager().get_kernel_spec("shop").display_name == "CodeAct"
    (data / "kernels" / "shop" / "old").touch()
    assert main([*SHOP, "--display-name", "Other", "--replace"]) == 0
    assert KernelSpecManager().get_kernel_spec("shop").display_name == "Other"
    assert not (data / "kernels" / "shop" / "old").exists()


def test_its_environment_is_for_its_user_only(data: Path) -> None:
    assert main([*SHOP, "--env", "A=1", "--env", "B=x=y"]) == 0
    assert KernelSpecManager().get_kernel_spec("shop").env == {"A": "1", "B": "x=y"}
    assert (data / "kernels" / "shop" / "kernel.json").stat().st_mode & 0o777 == 0o600


def test_below_a_prefix(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = tmp_path / "env"
    assert main(["kernel", "install", "--prefix", str(prefix)]) == 0
    assert (prefix / "share" / "jupyter" / "kernels" / "codeact" / "kernel.json").is_file()
    assert "does not look there" in capsys.readouterr().out
    assert main(["kernel", "uninstall", "--prefix", str(prefix)]) == 0
    assert main(["kernel", "uninstall", "--prefix", str(prefix)]) == 2
    assert "there is no kernelspec 'codeact'" in capsys.readouterr().err


def test_the_place_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    assert kernelspecs.default_place() == "sys-prefix"
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert kernelspecs.default_place() == ("system" if os.geteuid() == 0 else "user")
    (tmp_path / "conda-meta").mkdir()
    assert kernelspecs.default_place() == "sys-prefix"
    assert kernelspecs.kernels_folder("sys-prefix") == tmp_path / "share" / "jupyter" / "kernels"


def test_list_and_uninstall(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first" / "kernels"  # JUPYTER_PATH goes before the user's folder.
    assert main(["kernel", "install", "--user", "--name", "mine"]) == 0
    first.mkdir(parents=True)
    (data / "kernels" / "mine").rename(first / "mine")
    assert main(["kernel", "install", "--user", "--name", "mine"]) == 0
    capsys.readouterr()
    assert main(["kernel", "list"]) == 0
    mine = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine ")]
    assert [str(first) in line for line in mine] == [True, False]
    assert ["hidden" in line for line in mine] == [False, True]
    assert main(["kernel", "uninstall", "--name", "mine"]) == 0
    assert f"Jupyter now finds the one in {data}" in capsys.readouterr().out
    assert KernelSpecManager().get_kernel_spec("mine").resource_dir == str(data / "kernels" / "mine")


def test_what_is_not_ours_stays(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernels = data / "kernels"
    for name, text in {
        "other": json.dumps({"argv": ["python", "-m", "ipykernel"], "display_name": "x", "language": "x"}),
        "broken": "{",
        "list": "[]",
        "deep": "[" * 100_000,
    }.items():
        (kernels / name).mkdir(parents=True)
        (kernels / name / "kernel.json").write_text(text)
        assert main(["kernel", "uninstall", "--name", name, "--user"]) == 2
        assert "is left alone" in capsys.readouterr().err
    assert main(["kernel", "list"]) == 0
    assert not any(line.startswith(("other", "broken", "list", "deep")) for line in capsys.readouterr().out)


def test_a_place_that_cannot_be_written(data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(UsageError, match="choose another place"):
        kernelspecs.install("user", "codeact", "", (), replace=False)


def test_a_link_is_removed_and_not_what_it_leads_to(data: Path, tmp_path: Path) -> None:
    assert main(["kernel", "install", "--prefix", str(tmp_path / "env")]) == 0
    real = tmp_path / "env" / "share" / "jupyter" / "kernels" / "codeact"
    (data / "kernels").mkdir(parents=True)
    (data / "kernels" / "codeact").symlink_to(real)
    assert main(["kernel", "uninstall", "--user"]) == 0
    assert not (data / "kernels" / "codeact").is_symlink()
    assert (real / "kernel.json").is_file()


def test_help_of_the_group(codeact: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert codeact("help", "kernel", "install").stdout == codeact("kernel", "install", "--help").stdout
    shown = codeact("kernel", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == codeact("kernel").stderr
