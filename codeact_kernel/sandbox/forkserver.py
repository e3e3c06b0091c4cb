"""Owns the preloaded process that sessions are forks of: it imports, waits, and forks.

One thread, no secret, and nothing of any session: it takes one byte and one descriptor for each, forks, and
only the fork reads from that descriptor what it is to do. The fork is the supervisor of the session, as a
cold start has one, and forks the kernel in turn, which enters the same cage (`confine`) before any code of a
session runs in it. What they share is what forks share: the layout of memory, and the seed of hashes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from codeact_kernel.sandbox.confine import sessions
from codeact_kernel.sandbox.confine.policy import Policy, dumps
from codeact_kernel.sandbox.launcher import enter
from codeact_kernel.sandbox.supervisor import Supervisor, subreaper

OWN = (
    "codeact_kernel.sandbox.confine.apply",
    *(f"codeact_kernel.in_kernel.{name}" for name in ("app", "session", "channel")),
    *("ipykernel.debugger", "pdb", "faulthandler", "importlib.readers"),
    *(f"tornado.{name}" for name in ("gen", "locks", "queues", "platform.asyncio")),
    *(f"IPython.core.{name}" for name in ("completerlib", "debugger", "logger", "oinspect", "pylabtools")),
    *("IPython.extensions.storemagic", "IPython.utils.wildcard"),
)
"""What every kernel imports at its start, or for its setup cell, and when its first figure is shown."""
REQUEST_BYTES = 256 * 1024
PARENT_CHECK_S = 1.0
PROBLEM_LETTERS = 500
LAST_LETTERS = 4000
"""Each may take six bytes of a message, which has to be taken at once or not at all."""


def serve(descriptor: str, modules: str) -> None:
    """Until the host closes its end, or has ended.

    Args:
        descriptor: of a socket. Each message brings the socket of a session; first we say how it went.
        modules: JSON: what to import besides the kernel's own.
    """
    parent, control = os.getppid(), socket.socket(fileno=int(descriptor))
    sys.argv[1:] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1) if os.getppid() != parent else None)
    signal.setitimer(signal.ITIMER_REAL, PARENT_CHECK_S, PARENT_CHECK_S)  # An import may take for ever.
    problem = preload(json.loads(modules))
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    control.send(json.dumps({"problem": problem[:PROBLEM_LETTERS], "data_bytes": _data_bytes()}).encode())
    if not problem:
        _fork_until_the_end(control, parent)
    sessions.remove_tree(os.getcwd())  # The host does, where it lives.


def _fork_until_the_end(control: socket.socket, parent: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # So no fork that ends has to be waited for,
    subreaper()  # nor what a supervisor that was killed leaves: a namespace ends when its dead are reaped.
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    while True:
        if not waiting.poll(PARENT_CHECK_S * 1000):
            if os.getppid() != parent:
                return
            continue
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        os.set_inheritable(descriptors[0], False)  # What is received is: bubblewrap would keep it open.
        try:
            child = os.fork()
        except OSError:  # As many processes as there may be: who has asked hears the end, and starts cold.
            child = -1
        if child == 0:
            control.close()
            _supervise(socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def preload(modules: Iterable[str]) -> str:
    """Imports; "", or why this process should not be forked."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # As the kernel does (`in_kernel.app`).
    for name in (*OWN, *modules):
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as problem:
            return f"{name!r} cannot be imported: {type(problem).__name__}: {problem}"
    _warm()
    # Libraries for linear algebra have threads, which they end by themselves before a fork.
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return (
            f"{threads - 1} threads run after {', '.join(modules)} were imported, and a fork would lose them"
        )
    gc.collect()
    gc.freeze()  # Or collecting garbage would copy every page that is shared.
    return ""


def _data_bytes() -> int:
    """What of this process a kernel's limit of memory counts, from its start."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))


def _warm() -> None:
    """What is loaded and compiled when it is first used: every session would."""
    from IPython.core.inputtransformer2 import TransformerManager
    from IPython.core.ultratb import FormattedTB

    from codeact_kernel.in_kernel.guard_lists import load_lists

    TransformerManager().transform_cell("%pass\nprint(1)\n")
    load_lists()
    try:
        raise ValueError("the first traceback")
    except ValueError as error:
        FormattedTB("Context").structured_traceback(type(error), error, error.__traceback__)
    if "pandas" in sys.modules:
        from pandas import DataFrame

        repr(DataFrame({"a": [1]})), DataFrame({"a": [1]})._repr_html_()
    if "matplotlib" in sys.modules:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots().plot([0, 1])
        FigureCanvasAgg(figure)
        figure.savefig(io.BytesIO())


# --- in a fork: the supervisor ---


def _supervise(session: socket.socket) -> NoReturn:
    code = 1
    try:
        gc.disable()
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        code = _run(session)
    except BaseException as problem:
        _say(session, exit=1, words=f"{type(problem).__name__}: {problem}")
    finally:
        os._exit(code)


def _run(session: socket.socket) -> int:
    own = os.pidfd_open(os.getpid())
    socket.send_fds(session, [json.dumps({"pid": os.getpid()}).encode()], [own])
    os.close(own)
    request, descriptors, _, _ = socket.recv_fds(session, REQUEST_BYTES, 1)
    if not request:
        return 1  # The host is gone.
    os.set_inheritable(descriptors[0], False)
    asked = json.loads(request)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.environ["CODEACT_LIFELINE_FD"] = str(session.fileno())
    os.environ["CODEACT_CHANNEL_FD"] = str(descriptors[0])
    sys.stderr = words = io.StringIO()
    code = Supervisor(
        asked["connection_file"], enter=become, tell=lambda report: _say(session, report=dumps(report))
    ).run()
    _say(session, exit=code, words=words.getvalue()[-LAST_LETTERS:])
    return code


def _say(session: socket.socket, **message: object) -> None:
    try:
        session.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
    except OSError:
        pass  # The host is gone, and is told by that.


# --- in a fork of that: the kernel ---


def become(policy: Policy) -> None:
    """The kernel, and ends with it."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # As in every Python that is started.
    sys.stderr = sys.__stderr__
    renew()
    enter(policy)
    atexit._run_exitfuncs()
    os._exit(0)


def renew() -> None:
    """What must not be the same in every fork, or is of another environment."""
    time.tzset()
    tempfile.tempdir = None
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # Python's own it has renewed itself.
    ssl: Any = sys.modules.get("ssl")
    if ssl is not None:  # It knows a fork by its process id, which is the same in every namespace.
        ssl.RAND_add(os.urandom(32), 32.0)
    matplotlib: Any = sys.modules.get("matplotlib")
    if matplotlib is not None:
        matplotlib.get_configdir = matplotlib.get_cachedir = lambda: os.environ["MPLCONFIGDIR"]
