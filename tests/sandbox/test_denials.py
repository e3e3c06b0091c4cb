"""What a program in the cage is told when the system says no, and what the host records, in each tier."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.digest import digest
from codeact_kernel.events import Text
from codeact_kernel.sandbox.confine import bwrap, landlock
from codeact_kernel.trajectory import Observation

from .support import SLOW, Calls, Cell, Lab, OpenLab, setup_with

pytestmark = pytest.mark.kernel
WITHOUT = {"A": (), "B": ("namespaces",), "C": ("landlock",)}
NEEDED = {"A": bwrap.find() and landlock.abi(), "B": landlock.abi(), "C": bwrap.find()}


class Host(NamedTuple):
    """A folder of the host's: `secret` is not for the kernel, `shared` is, for reading."""

    secret: Path
    shared: Path

    @property
    def places(self) -> dict[str, str]:
        return {"secret": str(self.secret), "shared": str(self.shared)}


class Caged(NamedTuple):
    tier: str
    lab: Lab
    host: Host

    def run(self, code: str) -> tuple[Cell, list[tuple[str, str]]]:
        """The cell, and what was recorded of it."""
        handler = Calls()
        cell = self.lab.run(code, handler)
        return cell, [(refusal.kind, refusal.name) for refusal in handler.refusals]


def caged_settings(**profile: Any) -> Settings:
    return Settings(limits=SLOW.limits, profile=SandboxProfile(**profile))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    made = Host(tmp_path_factory.mktemp("secret"), tmp_path_factory.mktemp("shared"))
    for folder in made:
        for name in ("text.csv", "data.db", "array.npy"):
            (folder / name).write_text("a,b\n1,2\n")
    connection = sqlite3.connect(made.shared / "good.db")
    connection.execute("create table t (x)")
    connection.close()
    (made.shared / "tree").mkdir()
    (made.shared / "tree/leaf").write_text("")
    return made


def tiers() -> Iterator[Any]:
    for tier, there in NEEDED.items():
        missing = pytest.mark.skipif(not there, reason=f"this host does not give tier {tier}")
        yield pytest.param(tier, id=tier, marks=missing)


@pytest.fixture(scope="module", params=[*tiers()])
def caged(request: pytest.FixtureRequest, host: Host) -> Iterator[Caged]:
    lab = Lab(caged_settings(without=WITHOUT[request.param], readable=(host.shared,))).start()
    assert lab.session.report is not None
    assert lab.session.report.tier == request.param
    lab.run(PREPARE)
    yield Caged(request.param, lab, host)
    lab.close()


PREPARE = """
import asyncio, importlib.machinery, io, multiprocessing, os, pathlib, shutil, socket, sqlite3
import subprocess, urllib.request
import numpy, pandas
pathlib.Path('mine').write_text('mine')
"""
READ, WRITE, LINK = "--data PATH", "working folder, by a relative name", "shutil.copy"
NETWORK, PROGRAM, PROCESS = "no network", "runs no programs", "--allow-fork"
DENIED: Sequence[tuple[str, str, str, str]] = [
    ("open('{secret}/text.csv')", READ, "read", "{secret}/text.csv"),
    ("io.open(b'{secret}/text.csv', 'rb')", READ, "read", "{secret}/text.csv"),
    ("pathlib.Path('{shared}/tree/../../secret0/text.csv').read_text()", READ, "read", "{secret}/text.csv"),
    ("os.open('{secret}/text.csv', os.O_RDONLY)", READ, "read", "{secret}/text.csv"),
    ("os.listdir(pathlib.Path('{secret}'))", READ, "read", "{secret}"),
    ("shutil.copy('{secret}/text.csv', 'copy')", READ, "read", "{secret}/text.csv"),
    ("pandas.read_csv('{secret}/text.csv')", READ, "read", "{secret}/text.csv"),
    ("numpy.load('{secret}/array.npy')", READ, "read", "{secret}/array.npy"),
    (
        "importlib.machinery.SourceFileLoader('m', '{secret}/text.csv').get_code('m')",
        READ,
        "read",
        "{secret}/text.csv",
    ),
    ("sqlite3.connect('{secret}/data.db')", READ, "read", "{secret}/data.db"),
    ("sqlite3.connect('file:{secret}/data.db?mode=ro', uri=True)", READ, "read", "{secret}/data.db"),
    ("sqlite3.connect('{shared}/new.db')", WRITE, "write", "{shared}/new.db"),
    ("open('{secret}/new', 'w')", WRITE, "write", "{secret}/new"),
    ("open('{shared}/text.csv', 'r+')", WRITE, "write", "{shared}/text.csv"),
    ("os.open('{shared}/new', os.O_CREAT | os.O_WRONLY)", WRITE, "write", "{shared}/new"),
    ("os.makedirs('{shared}/a/b')", WRITE, "write", "{shared}/a"),
    ("os.remove('{shared}/text.csv')", WRITE, "write", "{shared}/text.csv"),
    ("shutil.rmtree('{shared}/tree')", WRITE, "write", "{shared}/tree/leaf"),
    ("shutil.copy('mine', '{shared}/')", WRITE, "write", "{shared}/mine"),
    ("os.rename('mine', '{shared}/mine')", WRITE, "write", "{shared}/mine"),
    ("pandas.DataFrame().to_csv('{shared}/new.csv')", WRITE, "write", "{shared}/new.csv"),
    ("os.symlink('mine', 'link')", LINK, "write", "mine link"),
    ("socket.create_connection(('example.com', 80))", NETWORK, "network", "example.com"),
    ("urllib.request.urlopen('http://198.51.100.7/')", NETWORK, "network", "socket(AF_INET, SOCK_STREAM)"),
    ("socket.socket(type=socket.SOCK_DGRAM)", NETWORK, "network", "socket(AF_INET, SOCK_DGRAM)"),
    ("socket.socketpair()[0].connect('/run/docker.sock')", NETWORK, "network", "/run/docker.sock"),
    ("subprocess.run(['ls', '-l'])", PROGRAM, "process", "ls"),
    ("os.system('ls -l')", PROGRAM, "process", "ls -l"),
    ("os.popen('id')", PROGRAM, "process", "id"),
    ("os.execvp('/usr/bin/id', ['id'])", PROGRAM, "process", "/usr/bin/id"),
    ("get_ipython().system('ls')", PROGRAM, "process", "ls"),
    ("await asyncio.create_subprocess_exec('ls')", PROGRAM, "process", "ls"),
    ("os.fork()", PROCESS, "process", "fork"),
    ("multiprocessing.Process(target=print).start()", PROCESS, "process", "fork"),
    ("multiprocessing.Pool(2)", PROCESS, "process", "multiprocessing"),
    (
        "multiprocessing.get_context('spawn').Process(target=print).start()",
        PROCESS,
        "process",
        "multiprocessing",
    ),
    ("os.kill(1, 15)", "signals to no process", "process", "signal 15 to 1"),
    ("os.setuid(65534)", "no users", "system", "setuid"),
]
CAUGHT = """
try:
    {}
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize(("code", "says", "kind", "name"), DENIED, ids=[case[0] for case in DENIED])
def test_a_denial_says_what_it_is_and_is_recorded(
    caged: Caged, code: str, says: str, kind: str, name: str
) -> None:
    code, name = code.format(**caged.host.places), name.format(**caged.host.places)
    ended, recorded = caged.run(code)
    assert ended.status == "error", ended.shown
    assert "(the sandbox " in ended.error.evalue
    assert says in ended.error.evalue
    assert recorded == [(kind, name)]
    caught, recorded = caged.run(CAUGHT.format(code))
    assert "(the sandbox " in caught.out
    assert says in caught.out
    assert recorded == [(kind, name)]


def test_class_number_and_names_are_the_systems(caged: Caged) -> None:
    cell, _ = caged.run(
        f"""
import pickle
found = []
for path, mode in (({str(caged.host.secret / "text.csv")!r}, "r"), ({str(caged.host.shared / "new")!r}, "w")):
    try:
        open(path, mode)
    except OSError as error:
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.filename) == (str(error), path)
        found.append((type(error).__name__, error.errno))
found
"""
    )
    expected = {
        "A": "[('FileNotFoundError', 2), ('OSError', 30)]",
        "B": "[('PermissionError', 13), ('PermissionError', 13)]",
        "C": "[('FileNotFoundError', 2), ('OSError', 30)]",
    }
    assert cell.result == expected[caged.tier]


def test_only_frames_of_the_cell_are_shown(caged: Caged) -> None:
    cell, _ = caged.run(f"def load(path):\n    return pandas.read_csv(path)\nload('{caged.host.secret}/x')\n")
    text = "\n".join(cell.error.traceback)
    assert text.count("In[") == 2
    assert ".py" not in text


def test_a_lookup_that_fails_for_another_reason_is_left_alone(caged: Caged) -> None:
    cell, recorded = caged.run("socket.getaddrinfo('198.51.100.7', 'no such service')")
    assert cell.error.ename == "gaierror"
    assert "sandbox" not in cell.error.evalue
    assert recorded == []


def test_what_is_the_programs_own_fault_is_left_alone(caged: Caged) -> None:
    locked = Path(caged.lab.session.workspace) / "locked"
    locked.write_text("")
    locked.chmod(0)
    for code in (
        "open('no/such/file')",
        "os.listdir('nowhere')",
        f"open('{caged.host.shared}/nothing')",
        "open('locked')",
        "open('mine/file', 'w')",
        "os.mkdir('mine')",
        "sqlite3.connect('no/such.db')",
        "os.kill(os.getpid(), 1000)",
        "raise PermissionError(13, 'Permission denied', '/etc/shadow')",
        "raise PermissionError('not for you')",
        "subprocess.Popen([])",
    ):
        cell, recorded = caged.run(code)
        assert cell.status == "error", code
        assert "sandbox" not in "".join(cell.error.traceback) + cell.error.evalue, code
        assert recorded == [], code


def test_what_libraries_look_for_and_do_without_is_not_recorded(caged: Caged) -> None:
    cell, recorded = caged.run(
        f"""
import ctypes.util, glob
library = dict(__name__="library")
exec('''
def probe():
    for path in ("{caged.host.secret}/text.csv", "/nowhere/library.conf"):
        try:
            open(path)
        except OSError:
            pass
''', library)
for _ in range(100):
    library["probe"]()
ctypes.util.find_library("nothing-of-this-name"), glob.glob("{caged.host.secret}/*")
"""
    )
    assert cell.result == "(None, [])"
    assert recorded == []


def test_a_denial_is_recorded_once_a_cell(caged: Caged) -> None:
    code = f"""
for _ in range(300):
    for name in ("text.csv", "data.db"):
        try:
            open("{caged.host.secret}/" + name)
        except OSError:
            pass
"""
    expected = [("read", f"{caged.host.secret}/{name}") for name in ("text.csv", "data.db")]
    for _ in range(2):
        cell, recorded = caged.run(code)
        assert cell.status == "ok"
        assert recorded == expected


def test_denials_of_one_cell_are_bounded(caged: Caged) -> None:
    cell, recorded = caged.run(
        f"for n in range(1000):\n    try: open(f'{caged.host.secret}/{{n}}', 'w')\n    except OSError: pass"
    )
    assert cell.status == "ok"
    assert recorded == [("write", f"{caged.host.secret}/{n}") for n in range(200)]


def test_a_denial_in_a_thread_is_recorded(caged: Caged) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"with ThreadPoolExecutor() as pool:\n    pool.submit(open, '{caged.host.secret}/x', 'w').result()"
    )
    cell, recorded = caged.run(code)
    assert WRITE in cell.error.evalue
    assert recorded == [("write", f"{caged.host.secret}/x")]


def test_an_extension_modules_error_gets_a_note(caged: Caged) -> None:
    cell, recorded = caged.run(
        "library = dict(__name__='library')\n"
        "exec('def f():\\n    import _socket\\n    _socket.socket(2, 1)', library)\n"
        "library['f']()"
    )
    assert cell.error.evalue == "[Errno 1] Operation not permitted"
    assert "The sandbox may be why: " in "".join(cell.error.traceback)
    assert recorded == [("system", "[Errno 1] Operation not permitted")]


def test_a_library_that_looks_before_it_opens_gets_a_note(caged: Caged) -> None:
    cell, recorded = caged.run(f"numpy.loadtxt('{caged.host.secret}/text.csv')")
    assert "he sandbox " in "".join(cell.error.traceback)
    assert recorded == [("read", f"{caged.host.secret}/text.csv")]
    cell, recorded = caged.run("numpy.loadtxt('nothing.csv')")
    assert "sandbox" not in "".join(cell.error.traceback)
    assert recorded == []


def test_a_database_of_the_data_cannot_be_written(caged: Caged) -> None:
    cell, _ = caged.run(f"sqlite3.connect('{caged.host.shared}/good.db').execute('insert into t values (1)')")
    assert cell.error.ename == "OperationalError"
    assert "The sandbox may be why: " in "".join(cell.error.traceback)


def test_a_denial_that_a_library_turns_into_an_own_error_is_recorded(caged: Caged) -> None:
    cell, recorded = caged.run(
        f"""
library = dict(__name__="library")
exec('''
def load():
    try:
        return open("{caged.host.secret}/text.csv")
    except OSError as error:
        raise ValueError("no data") from error
''', library)
library["load"]()
"""
    )
    assert cell.error.evalue == "no data"
    assert READ in "".join(cell.error.traceback)
    assert recorded == [("read", f"{caged.host.secret}/text.csv")]


def test_the_model_reads_what_was_denied(caged: Caged) -> None:
    handler = Calls()
    cell = caged.lab.run("try: subprocess.run('ls')\nexcept OSError: pass", handler)
    observation = Observation(cell.status, cell.shown, refusals=tuple(handler.refusals))
    text = digest(observation, SLOW.output)[0]
    assert isinstance(text, Text)
    assert "<refused>process ls</refused>" in text.text


def test_allow_lists_and_cage_together(open_lab: OpenLab, host: Host) -> None:
    lab = open_lab(SLOW, setup_with(allow=("subprocess",)))
    caged = Caged("", lab, host)
    cell, recorded = caged.run(f"from pathlib import Path\nPath('{host.secret}/text.csv').read_text()")
    assert READ in cell.error.evalue
    assert recorded == [("read", f"{host.secret}/text.csv")]
    cell, recorded = caged.run(f"open('{host.secret}/text.csv')")
    assert READ in cell.error.evalue
    assert recorded == [("read", f"{host.secret}/text.csv")]
    cell, recorded = caged.run("import subprocess\nsubprocess.run('ls')")
    assert PROGRAM in cell.error.evalue
    assert recorded == [("process", "ls")]
    cell, recorded = caged.run("import os")
    assert "allow-import os" in cell.error.evalue
    assert recorded == [("import", "os")]


def test_processes_may_be_allowed_and_programs_still_not(open_lab: OpenLab, host: Host) -> None:
    caged = Caged("", open_lab(caged_settings(allow_fork=True)), host)
    cell, recorded = caged.run(
        "import os\npid = os.fork()\nif not pid: os._exit(7)\nos.waitpid(pid, 0)[1] >> 8"
    )
    assert cell.result == "7"
    assert recorded == []
    cell, recorded = caged.run("import subprocess\nsubprocess.run('ls')")
    assert PROGRAM in cell.error.evalue
    assert recorded == [("process", "ls")]
    cell, recorded = caged.run(
        "if not os.fork():\n"
        "    for _ in range(2):\n"
        "        try: open('/nowhere/file', 'w')\n"
        "        except OSError as error: open('said', 'w').write(str(error))\n"
        "    os._exit(0)\n"
        "os.wait()\nopen('said').read()"
    )
    assert WRITE in cell.result
    assert recorded == []  # Two processes on one channel would garble what the other says.


def test_without_a_cage_nothing_is_touched(open_lab: OpenLab) -> None:
    lab = open_lab(caged_settings(sandbox="none"))
    code = "import os, sys\n[f.__name__ for f in (open, os.open, os.system) if hasattr(f, '__wrapped__')]"
    assert lab.run(code).result == "['open']"  # IPython's own
    cell = lab.run("open('/no/such/file')")
    assert cell.error.evalue == "[Errno 2] No such file or directory: '/no/such/file'"
