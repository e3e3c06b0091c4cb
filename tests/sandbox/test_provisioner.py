"""Any Jupyter client gets the cage: over ipc and TCP, with our kernelspec or another's."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ipykernel
import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from codeact_kernel.exceptions import SandboxError, UsageError
from codeact_kernel.sandbox import supervisor
from codeact_kernel.sandbox.provisioner import supervised

pytestmark = pytest.mark.kernel
Run = Callable[[str], str]


def stock(argv: list[str], **config: Any) -> KernelSpec:
    """A kernelspec as anybody may write one."""
    provisioner = {"provisioner_name": "codeact-sandbox", "config": config}
    return KernelSpec(
        argv=argv, display_name="Other", language="python", metadata={"kernel_provisioner": provisioner}
    )


PLAIN = "text/plain"
STOCK = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@contextmanager
def kernel(
    folder: Path, spec: KernelSpec | None = None, transport: str = "ipc", **traits: Any
) -> Iterator[Run]:
    """A kernel behind a stock client; gives a function that runs code and returns what was shown."""
    if transport == "ipc":
        traits |= {"ip": str(folder / "k"), "connection_file": str(folder / "c.json")}
    manager = KernelManager(kernel_name="codeact-python", transport=transport, **traits)
    if spec is not None:
        manager._kernel_spec = spec
    notebooks = folder / "notebooks"
    notebooks.mkdir(exist_ok=True)
    manager.start_kernel(cwd=str(notebooks))
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield lambda code: shown(client, code)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def shown(client: BlockingKernelClient, code: str) -> str:
    texts: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        content = message["content"]
        texts.append(
            content.get("text") or content.get("evalue") or content.get("data", {}).get("text/plain", "")
        )

    client.execute_interactive(code, output_hook=keep, timeout=60)
    return "".join(texts).strip()


CAGED = """
tried = {}
def attempt(name, function):
    try:
        function()
        tried[name] = 'worked'
    except OSError as problem:
        tried[name] = type(problem).__name__
import os, socket
attempt('read', lambda: open(SECRET).read())
attempt('connect', lambda: socket.create_connection(('127.0.0.1', 9)))
attempt('fork', os.fork)
print(tried)
"""


def assert_caged(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("for nobody")
    tried = run(f"SECRET = {str(secret)!r}\n{CAGED}")
    assert "worked" not in tried
    assert "'read'" in tried
    assert "'fork'" in tried


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("without", [[], ["namespaces"], ["landlock"]])
def test_our_kernelspec_under_a_stock_client(
    tmp_path: Path, transport: str, without: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEACT_PROFILE", f'{{"without": {str(without).replace(chr(39), chr(34))}}}')
    monkeypatch.setenv("ANTHROPIC_API_KEY", "tell-nobody")
    with kernel(tmp_path, transport=transport) as run:
        assert run("6 * 7") == "42"
        assert_caged(run, tmp_path)
        assert run("import os; 'tell-nobody' in str(os.environ)") == "False"
        assert run("os.listdir(), os.getcwd().endswith('/work')") == "([], True)"


@pytest.mark.parametrize("provisioned", [True, False], ids=["provisioner", "none, as in VS Code"])
def test_a_strangers_folder_runs_nothing_outside(
    tmp_path: Path, provisioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "tell-nobody")
    monkeypatch.setenv("JPY_SESSION_NAME", "somewhere/private/notes.ipynb")
    spec = KernelSpecManager().get_kernel_spec("codeact-python") if not provisioned else None
    if spec is not None:
        spec.metadata = {}
    marker = tmp_path / "ran"
    planted = f"open({str(marker)!r}, 'w').close()"
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("json", "select", "sitecustomize", "usercustomize", "ipykernel_launcher", "codeact_kernel"):
        (folder / f"{name}.py").write_text(planted)
    (folder / "codeact_kernel").mkdir()
    (folder / "codeact_kernel" / "__init__.py").write_text(planted)
    with kernel(tmp_path, spec) as run:
        assert_caged(run, tmp_path)
        assert run("import os; 'tell-nobody' in str(os.environ)") == "False"
        assert run("os.environ['JPY_SESSION_NAME']") == "'notes.ipynb'"
        assert run("os.listdir()") == "[]"
    assert not marker.exists()


def test_tcp_with_transport_encryption(tmp_path: Path) -> None:
    with kernel(tmp_path, transport="tcp", transport_encryption="required") as run:
        assert run("6 * 7") == "42"


def test_another_kernelspec_of_this_interpreter(tmp_path: Path) -> None:
    data = tmp_path / "table.csv"
    data.write_text("a,b")
    spec = stock([*STOCK, "--InteractiveShell.autoindent=False"], profile={"data": [str(data)]})
    with kernel(tmp_path, spec) as run:
        assert_caged(run, tmp_path)
        assert run("open('data/table.csv').read()") == "'a,b'"
        assert run("get_ipython().autoindent") == "False"
        with_failure = run("open('data/table.csv', 'w')")
        assert "Errno" in with_failure


def test_another_interpreter(tmp_path: Path) -> None:
    """One that has ipykernel, and not this package."""
    folder = tmp_path / "other"
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    source = Path(ipykernel.__file__).parents[1]
    for entry in source.iterdir():  # Its own packages, in its own folder: nothing else is readable.
        if (
            not entry.name.startswith(("codeact", "_codeact", "numpy", "__editable"))
            and entry.suffix != ".pth"
        ):
            (packages / entry.name).symlink_to(entry)
    python = str(folder / "bin" / "python")
    spec = stock([python, *STOCK[1:]], profile={"readable": [str(source)]})
    with kernel(tmp_path, spec) as run:
        assert run("import sys; sys.prefix") == repr(str(folder))
        assert_caged(run, tmp_path)
        assert run("import numpy") == "No module named 'numpy'"


def test_a_kernel_that_is_no_python_is_refused() -> None:
    with pytest.raises(SandboxError, match=r"starts Python kernels .* this kernelspec starts 'R --slave"):
        supervised(["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"])


def test_a_profile_with_a_wrong_field_is_refused(tmp_path: Path) -> None:
    manager = KernelManager(transport="ipc", ip=str(tmp_path / "k"), connection_file=str(tmp_path / "c.json"))
    manager._kernel_spec = stock(STOCK, profile={"dta": []})
    with pytest.raises(UsageError, match="'dta' is no field of a Profile; known: workspace, data, "):
        manager.start_kernel()


def test_an_interpreter_that_does_not_run_is_named(tmp_path: Path) -> None:
    connection = tmp_path / "c.json"
    connection.write_text('{"transport": "ipc", "ip": "%s", "key": ""}' % (tmp_path / "k"))
    done = subprocess.run(
        [sys.executable, supervisor.__file__, "-f", str(connection), "--python", "/bin/false"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 98
    assert "'/bin/false', which the kernelspec names, does not run" in done.stderr
    assert not list(tmp_path.glob("codeact-*"))
