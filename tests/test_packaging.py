"""Wheel and sdist: built from the tree, complete, and asking for nothing but the core dependencies."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOGOS = ("logo-svg.svg", "logo-32x32.png", "logo-64x64.png")  # What a launcher shows.
CONNECTION = "{connection_file}"
CORE = {
    "anthropic",
    "genai-prices",
    "ipykernel",
    "ipython",
    "jupyter-client",
    "markdown-it-py",
    "nbformat",
    "nh3",
    "pydantic",
    "pygments",
    "rich",
    "traitlets",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(built.glob("*.whl")))


def test_wheel_holds_what_runs(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    source = {str(p.relative_to(ROOT)) for p in (ROOT / "codeact_kernel").rglob("*.py")}
    assert source <= set(names)
    assert {"codeact_kernel/py.typed", "codeact_kernel/in_kernel/allowlist.json"} <= set(names)
    assert "codeact_kernel/notebook/schema/trajectory-1.json" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_wheel_installs_the_kernelspec(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith("share/jupyter/kernels/codeact-python/kernel.json")]
    spec = json.loads(wheel.read(name))
    assert spec["argv"][:4] == ["python", "-P", "-m", "codeact_kernel.sandbox.supervisor"]
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == "codeact-sandbox"
    assert {name.replace("kernel.json", logo) for logo in LOGOS} <= set(wheel.namelist())


def test_wheel_puts_codeact_into_the_launcher(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith("share/jupyter/kernels/codeact/kernel.json")]
    spec = json.loads(wheel.read(name))
    # jupyter_client puts its own interpreter in the place of "python". -E -P: nothing of the notebook's
    # folder is imported, also not by an empty entry of PYTHONPATH; packages of `pip install --user` are.
    assert spec["argv"] == ["python", "-E", "-P", "-m", "codeact_kernel.frontends.kernel", "-f", CONNECTION]
    assert (spec["display_name"], spec["language"]) == ("CodeAct", "codeact")
    assert spec["interrupt_mode"] == "message"
    assert spec["metadata"] == {"debugger": False, "supported_encryption": ["curve"]}
    for source in ("kernel.json", *LOGOS):  # `codeact kernel install` copies the same.
        copied = wheel.read(f"codeact_kernel/frontends/kernelspec/{source}")
        assert copied == wheel.read(name.replace("kernel.json", source))


@pytest.mark.parametrize("kernel", ["codeact", "codeact-python"])
def test_logos_have_the_size_that_they_say(wheel: zipfile.ZipFile, kernel: str) -> None:
    for pixels in (32, 64):
        (name,) = [n for n in wheel.namelist() if n.endswith(f"kernels/{kernel}/logo-{pixels}x{pixels}.png")]
        data = wheel.read(name)
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)] == [pixels, pixels]


def test_only_core_dependencies_are_required(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    found = {line.split(">")[0].split("<")[0].strip().lower().replace("_", "-") for line in required}
    assert found == CORE
    assert metadata["License-Expression"] == "Apache-2.0"


def test_sdist_holds_what_is_needed_to_work_on_it(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml", "tests/test_layers.py"} <= names
    assert "kernelspec/codeact-python/kernel.json" in names
    assert "codeact_kernel/frontends/kernelspec/kernel.json" in names
