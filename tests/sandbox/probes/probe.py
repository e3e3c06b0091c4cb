"""Owns the format of a probe: one attack, and how the host sees that it got out.

A probe is a Python snippet that is run as a cell of a kernel started by a stock jupyter_client with the
kernelspec `codeact-python` and no setup cell: no allow-lists, ctypes allowed. The names of `prelude.py` are
there: `T` (the targets, see below), `libc`, `syscall(name, *args)`, `show(value)`, `claim(words)`,
`leave_mark()`, `os`, `sys`, `ctypes`, `struct`.

Nothing has to be returned and nothing caught: an exception means the attack was denied. Whatever the probe
prints, shows or raises is searched for the scene's secrets; what it does to the scene is seen on the host
(`judge.reached`). So a probe only *does harm to the targets of T*:

    T["secret_file"]   a host file with a secret; T["secret_dir"] its folder (also T["secret_name"])
    T["home"]          the user's home on the host: .ssh/id_rsa, .netrc, .aws/credentials, .bashrc,
                       .config/pip/pip.conf, .ipython/profile_default/startup/own.txt: each a secret
    T["runtime"]       Jupyter's runtime folder; T["other_connection"] another kernel's connection file
    T["other_session"] session folder of another cage, with work/secret.txt, home/, tmp/
    T["venv_file"]     a secret in the root of the virtual environment (only as root)
    T["data"]          a declared data folder: readable (T["data_file"], not secret), never to be changed
    T["work"]          the workspace, writable
    T["outside"]       a host folder: any change of names, modes, times, owners, content, links is an escape
    T["drops"]         folders on the host where nothing may appear: use file names that start with T["mark"]
    T["mark"]          prefix of any file made to be found, also for System V keys' files and abstract names
    T["marker"]        file in the workspace that only an executed program or a second process writes
    T["victim"]        pid of a process of the same user; T["victim_address"], T["victim_length"]: a secret
                       in its memory that is writable; T["victim_fd"] a descriptor of it on a deleted
                       secret file; its environment and argv have secrets; T["victim_tid"]
    T["supervisor"]    pid of the supervisor on the host
    T["tcp"], T["tcp6"], T["udp"]        [host, port] of listeners; T["url"] the same as http://…
    T["unix"], T["unix_dgram"]           paths of host sockets
    T["abstract"], T["abstract_dgram"]   names (without the leading zero byte) of abstract host sockets
    T["host_env"]      name of a variable of the client's environment that holds a secret
    T["python"]        the interpreter; T["tools"] programs of the host by name (sh, touch, …)

Examples (`group_process.py`):

    Probe("pr-subprocess", "process", '''
    import subprocess
    subprocess.run([T["tools"]["touch"], T["marker"]])
    ''')
    Probe("ne-connect", "network", '''
    import socket
    socket.create_connection(T["tcp"], timeout=1).sendall(b"x")
    ''')
    Probe("pv-sethostname", "privilege", '''
    name = os.uname().nodename.encode()
    syscall("sethostname", name, len(name))
    claim("set the host name")
    ''', claims=True, alone=True, needs="root")

Rules: harmless when it succeeds (the control runs it unconfined, as root, on the developer's machine): it
touches nothing but the targets, ends within `seconds`, and takes no more than 1.5 GB or 20,000 files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .scene import Scene

GROUPS = (
    "imports", "objects", "gadgets", "hooks", "files_read", "files_write", "links", "network", "process",
    "privilege", "resources", "harness", "persistence",
)  # fmt: skip
SECONDS = 6.0


@dataclass(frozen=True)
class Usage:
    """Most that was measured on the host while the probe ran (sampled every 50 ms), in bytes and counts."""

    memory_bytes: int = 0
    """Proportional set size of the kernel, shared memory included."""
    threads: int = 0
    processes: int = 0
    """Of the session, supervisor and bubblewrap included."""
    open_files: int = 0
    disk_bytes: int = 0
    """Allocated blocks of workspace and session folders, deleted but open files included."""
    disk_files: int = 0
    host_bytes: int = 0
    """Growth of the supervisor's resident memory."""


@dataclass(frozen=True)
class Outcome:
    """What the host saw of one probe."""

    text: str = ""
    """All the kernel sent that is text: streams, results, errors, display data, file names."""
    ended: Literal["ok", "error", "interrupted", "killed", "died"] = "ok"
    """How the cell ended: `interrupted` after the time limit, `killed` after no answer to that."""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    then_text: str = ""
    """The same of the cell `then`."""
    answered: bool = True
    """Whether the kernel still ran `1 + 1` afterwards (False also when it is gone)."""


Judge = Callable[["Scene", Outcome], str | None]
"""What was reached beside that which `judge.reached` sees anyway; None: nothing."""


@dataclass(frozen=True)
class Probe:
    """One attack."""

    name: str
    group: str
    code: str
    judge: Judge | None = None
    """A further look of the host; the general one (`judge.reached`) is always taken."""
    claims: bool = False
    """Whether a `claim(…)` of the snippet counts: only where the host can see nothing of a success."""
    alone: bool = False
    """May die, hang, or leave a kernel that the next probe could not use: no other probe follows in it,
    unless it was denied by an exception."""
    needs: str = ""
    """"root": only as such can the control bite (why: a comment beside it). "user": only as an ordinary
    user may it be run, one that nothing else runs as. "": as both."""
    seconds: float = SECONDS
    """Before the cell is interrupted; 2 s later its process is killed."""
    then: str = ""
    """Code that is run in the *next* session, of the same workspace and home on the host (persistence)."""
    end: Literal["shutdown", "kill supervisor"] = "shutdown"
    """How the session ends after the probe; what is left of it then is an escape."""
    measured: bool = False
    """Whether `Outcome.usage` is wanted (resources)."""
    limits: dict[str, Any] = field(default_factory=dict)
    """Limits of the profile other than the defaults, by the names of `config.SandboxLimits`."""
    profile: dict[str, Any] = field(default_factory=dict)
    """Other fields of the profile, by the names of `confine.policy.Profile`."""
    provisioned: bool = True
    """False: the client ignores provisioners, and the supervisor gets its whole environment."""
    transport: str = ""
    """"ipc" or "tcp" where the probe makes sense only there."""
    through: Literal["jupyter", "codeact"] = "jupyter"
    """"codeact": the attack is on our own host (`KernelSession`), and `drive` runs it."""
    drive: Callable[[Scene, Probe, str], Outcome] | None = None
    """For `through="codeact"`: opens the session (third argument: "A", "B", "C" or "none"), runs, tells."""

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"probe {self.name!r}: no group {self.group!r}; take one of {', '.join(GROUPS)}")
        if (self.through == "codeact") != (self.drive is not None):
            raise ValueError(
                f"probe {self.name!r}: through='codeact' and drive go together; give both or none"
            )
