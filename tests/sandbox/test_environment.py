"""What the kernel gets of the host: an environment from an allow-list, a workspace, linked data."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.exceptions import SandboxError, UsageError
from codeact_kernel.sandbox.confine.usage import tree

from .support import SLOW, Lab, OpenLab, kernel_of, supervisor_of, value_of

pytestmark = pytest.mark.kernel
SECRETS = ("ANTHROPIC_API_KEY", "PLANTED_SECRET", "SSH_AUTH_SOCK", "PYTHONPATH")


def test_secrets_of_the_host_stay_outside(open_lab: OpenLab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "tell-nobody")
    monkeypatch.setenv("WANTED", "for everybody")
    monkeypatch.setenv("TZ", "Europe/Paris")
    lab = open_lab(Settings(profile=SandboxProfile(env=("TZ", "WANTED", "NOT_SET"))))
    inside = ast.literal_eval(value_of(lab, "import os\ndict(os.environ)"))
    assert inside["WANTED"] == "for everybody"
    assert inside["TZ"] == "Europe/Paris"
    assert not set(SECRETS) & set(inside)
    assert not any(name.startswith(("CODEACT", "JPY")) for name in inside)
    started_with = Path(f"/proc/{kernel_of(lab)}/environ").read_text()
    assert "WANTED=for everybody" in started_with
    assert "tell-nobody" not in started_with + str(inside)


@pytest.mark.parametrize("without", [(), ("namespaces",), ("landlock",)])
def test_no_process_around_the_kernel_holds_the_secrets(
    open_lab: OpenLab, monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "tell-nobody")
    lab = open_lab(Settings(profile=SandboxProfile(without=without)))
    session = tree([supervisor_of(lab)])
    assert kernel_of(lab) in session[1:]
    assert not [pid for pid in session if "tell-nobody" in Path(f"/proc/{pid}/environ").read_text()]


def test_home_and_temporary_files_are_in_the_session_folder(shared: Lab) -> None:
    folder = Path(shared.session.workspace).parent
    code = "import os, pathlib, tempfile\nstr(pathlib.Path.home()), tempfile.gettempdir(), os.getcwd()"
    assert ast.literal_eval(value_of(shared, code)) == (f"{folder}/home", f"{folder}/tmp", f"{folder}/work")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_kernel_holds_no_descriptor_of_the_host(open_lab: OpenLab, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        lab = open_lab()
        for pid in tree([supervisor_of(lab)])[1:]:
            links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
            assert links
            assert not [link for link in links if str(tmp_path) in link]


def test_nothing_is_planted_for_the_next_kernel(open_lab: OpenLab) -> None:
    lab = open_lab()
    lab.run(
        "import os, pathlib\n"
        "startup = pathlib.Path(os.environ['IPYTHONDIR'], 'profile_default/startup')\n"
        "startup.mkdir(parents=True, exist_ok=True)\n"
        "(startup / '00.py').write_text('planted = 1')\n"
        "pathlib.Path('json.py').write_text('raise SystemError')"
    )
    lab.restart()
    assert value_of(lab, "'planted' in globals()") == "False"


def test_named_workspace_and_data(open_lab: OpenLab, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,b\n")
    work = tmp_path / "deep" / "work"
    lab = open_lab(Settings(profile=SandboxProfile(workspace=work, data=(table,))))
    assert lab.session.workspace == str(work)
    assert value_of(lab, "open('data/table.csv').read()") == "'a,b\\n'"
    lab.run("open('report.txt', 'w').write('done')")
    lab.wait(lab.session.aclose())
    assert (work / "report.txt").read_text() == "done"
    assert not (work / "data").exists()
    assert table.exists()


def test_what_takes_the_place_of_a_data_link_is_the_runs(open_lab: OpenLab, tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    work = tmp_path / "work"
    lab = open_lab(Settings(profile=SandboxProfile(workspace=work, data=(tmp_path / "table.csv",))))
    assert lab.session._folder is not None
    folder = lab.session._folder.path
    value_of(lab, "import os\nos.remove('data/table.csv'), os.makedirs('data/table.csv/kept')")
    lab.wait(lab.session.aclose())
    assert (work / "data" / "table.csv" / "kept").is_dir()
    assert not folder.exists()


def test_workspace_outlives_a_restart(open_lab: OpenLab) -> None:
    lab = open_lab()
    lab.run("open('kept.txt', 'w').write('still here')")
    lab.restart()
    assert value_of(lab, "open('kept.txt').read()") == "'still here'"


def refused(profile: SandboxProfile) -> str:
    lab = Lab(Settings(limits=SLOW.limits, profile=profile))
    try:
        with pytest.raises(UsageError) as caught:
            lab.start()
    finally:
        lab.close()
    return str(caught.value)


def test_missing_data_is_named(tmp_path: Path) -> None:
    said = refused(SandboxProfile(data=(tmp_path / "no.csv",)))
    assert said == f"data {str(tmp_path / 'no.csv')!r} does not exist; check the path and its permissions"


def test_data_that_would_hide_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "a.csv").touch()
    said = refused(SandboxProfile(workspace=tmp_path / "work", data=(tmp_path / "a.csv",)))
    assert "the workspace has a data/a.csv already; rename one" in said


def test_workspace_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused(SandboxProfile(workspace=tmp_path / "file" / "work"))
    assert said.endswith("/file/work' cannot be made: Not a directory")


def test_misuse_is_told(tmp_path: Path) -> None:
    lab = Lab()
    with pytest.raises(SandboxError, match="has not been started"):
        lab.restart()
    with pytest.raises(SandboxError, match="is down"):
        lab.run("1")
    lab.start()
    with pytest.raises(SandboxError, match="started already"):
        lab.start()
    lab.close()
    assert not os.path.exists(lab.session.workspace)
