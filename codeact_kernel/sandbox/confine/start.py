"""Owns the start of a confined kernel: the best cage that this machine gives, found by trying."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from . import bwrap, forked, seatbelt, sessions
from .policy import REPORT_BYTES, TIERS, Policy, Profile, Report, dumps, load_report

LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "launcher.py")
REPORT_S = 60.0
"""Seconds until a launcher has to have reported; it takes 0.1."""
TAIL = 2000
REMEDY = (
    "`codeact doctor` shows what this machine gives and how to get more; to run without any boundary, "
    "on your own risk: --unsandboxed, or Agent(sandbox='none')"
)


class Refused(Exception):
    """No cage that is good enough. The message says why, and what to do."""


SANDBOX_EXEC = "/usr/bin/sandbox-exec"


class Plan(NamedTuple):
    """What all attempts have in common. `python`: path of the interpreter. `roots`: where it imports from.
    `output`: descriptor for what the kernel's process writes itself; `read_output` is its other end.
    `group`: file that takes who enters the control group of the kernel, "" without one. `enter`: makes a fork
    of this process the kernel, whose libraries are loaded already; None: that is a new interpreter."""

    profile: Profile
    session: str
    workspace: str
    connection_file: str
    python: str
    roots: tuple[str, ...]
    readable: tuple[str, ...]
    sockets: dict[str, int]
    tcp: bool
    channel: int
    output: int
    read_output: int
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    group: str = ""
    enter: Callable[[Policy], None] | None = None


class Attempt(NamedTuple):
    """One way to a cage. `policy`: without the report's descriptor. `around`: the program to put around it.
    `enter`: as in the plan."""

    name: str
    policy: Policy
    around: str | None
    enter: Callable[[Policy], None] | None = None


class Cage(NamedTuple):
    """A started kernel. `pid` is its process, or that of bubblewrap around it."""

    pid: int
    report: Report


def start(plan: Plan) -> Cage:
    """Starts the kernel; returns once it is confined and its self-test has passed. Raises Refused."""
    demanded = plan.profile.sandbox
    remarks: list[str] = []
    for attempt in _attempts(plan, remarks):
        cage, problem = _try(plan, attempt)
        if cage is not None:
            if demanded not in TIERS or cage.report.tier <= demanded:
                return cage._replace(report=cage.report._replace(remarks=tuple(remarks)))
            end(cage.pid)
            problem = f"only tier {cage.report.tier}"
        remarks.append(f"{attempt.name}: {problem}")
    wanted = f"tier {demanded} is demanded" if demanded in TIERS else "no cage is to be had"
    raise Refused(f"{wanted}, and this machine does not give it ({'; '.join(remarks)}). {REMEDY}")


def end(pid: int) -> int:
    """Kills a process and its group; its wait status."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return os.waitpid(pid, 0)[1]


def _attempts(plan: Plan, remarks: list[str]) -> Iterator[Attempt]:
    """Best first; what a fork does not give, a new interpreter may."""
    for attempt in _cages(plan, remarks):
        if plan.enter is not None:
            yield attempt._replace(name=f"fork, {attempt.name}", enter=plan.enter)
        yield attempt


def _cages(plan: Plan, remarks: list[str]) -> Iterator[Attempt]:
    profile = plan.profile
    if profile.sandbox == "none":
        yield Attempt("without a sandbox", _policy(plan, namespaces=False)._replace(confined=False), None)
        return
    if sys.platform == "darwin":
        yield Attempt("Seatbelt", _policy(plan, namespaces=False), SANDBOX_EXEC)
        return
    found = bwrap.find_all()
    if "namespaces" in profile.without:
        remarks.append("namespaces: switched off")
    elif not found:
        remarks.append("namespaces: bubblewrap is not installed")
    else:
        for path in found:
            yield Attempt(f"namespaces ({path})", _policy(plan, namespaces=True), path)
    yield Attempt("without namespaces", _policy(plan, namespaces=False), None)


def _policy(plan: Plan, *, namespaces: bool) -> Policy:
    profile, session = plan.profile, plan.session
    write = (plan.workspace, *(os.path.join(session, name) for name in sessions.OWN))
    if profile.allow_fork and namespaces:
        write += (bwrap.SHARED_MEMORY,)  # Of its own; multiprocessing keeps its semaphores there.
    return Policy(
        connection_file=plan.connection_file,
        workspace=plan.workspace,
        roots=plan.roots,
        read=(*plan.readable, *profile.data, *profile.readable, plan.connection_file),
        write=write,
        sockets=plan.sockets,
        channel=plan.channel,
        report=-1,
        parent=0 if namespaces else os.getpid(),
        canary=os.path.join(session, "canary"),
        namespaces=namespaces,
        landlock="landlock" not in profile.without,
        fork=profile.allow_fork,
        tcp=plan.tcp,
        limits=profile.limits,
        arguments=plan.arguments,
    )


def _try(plan: Plan, attempt: Attempt) -> tuple[Cage | None, str]:
    """A started kernel, or why there is none."""
    read_end, write_end = os.pipe()
    holder = None
    try:
        attempt = attempt._replace(policy=attempt.policy._replace(report=write_end))
        try:
            if attempt.enter is not None and attempt.around is not None:
                holder = forked.hold(attempt.around, attempt.policy, plan.output)
            pid = _begin(plan, attempt, holder)
        except OSError as problem:
            _let_go(holder)
            return None, str(problem)
        os.close(write_end)
        write_end = -1
        line = _first_line(read_end)
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    if not line:
        status = os.waitstatus_to_exitcode(end(pid))
        _let_go(holder)
        return None, _last_words(plan.read_output) or f"it ended with exit code {status}"
    report = load_report(line)
    if report.problem:
        end(pid)
        _let_go(holder)
        return None, report.problem
    return Cage(pid, report._replace(start="cold" if attempt.enter is None else "fork")), ""


def _let_go(holder: forked.Holder | None) -> None:
    """Of namespaces that no kernel is in."""
    if holder is not None:
        os.close(holder.keep)
        end(holder.pid)


def _begin(plan: Plan, attempt: Attempt, holder: forked.Holder | None) -> int:
    """The process that becomes the kernel, or bubblewrap around it. Raises OSError."""
    policy, around, enter = attempt.policy, attempt.around, attempt.enter
    # Opened here: in the namespaces of a fork there is no such file.
    group = os.open(plan.group, os.O_WRONLY | os.O_CLOEXEC) if plan.group else -1
    try:
        if enter is not None:
            return forked.start(partial(_go_on, plan, policy, group, enter), holder)
        command = [plan.python, "-I", "-B", LAUNCHER, dumps(policy)]
        if around == SANDBOX_EXEC:
            command = [around, "-p", seatbelt.profile_text(policy, plan.python), *command]
        elif around is not None:
            command = bwrap.arguments(around, policy, command)
        return forked.start(partial(_become, plan, command, policy.report, group))
    finally:
        if group >= 0:
            os.close(group)


def _go_on(plan: Plan, policy: Policy, group: int, enter: Callable[[Policy], None]) -> None:
    _prepare(plan, policy.report, group)
    os.environ.clear()
    os.environ.update(plan.environment)
    enter(policy)


def _become(plan: Plan, command: list[str], report: int, group: int) -> None:
    for descriptor in _prepare(plan, report, group):
        os.set_inheritable(descriptor, True)
    try:
        os.execve(command[0], command, plan.environment)
    except OSError as problem:
        os.write(2, f"{command[0]!r} cannot be started: {problem.strerror}".encode())


def _prepare(plan: Plan, report: int, group: int) -> list[int]:
    """A session and a control group of its own, no signal handler and no descriptor that it need not have;
    those it keeps. `group`: takes who enters the control group; -1 without one."""
    os.setsid()
    if group >= 0:
        os.write(group, b"0")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(plan.output, 1)
    os.dup2(plan.output, 2)
    keep = sorted({0, 1, 2, plan.channel, report, *plan.sockets.values()} - {-1})
    for low, high in zip(keep, [*keep[1:], 65536], strict=True):
        os.closerange(low + 1, high)
    os.chdir(plan.workspace)
    return keep


def _first_line(descriptor: int) -> str:
    """What is written up to the first newline; "" when the writer ended without one."""
    data = b""
    deadline = time.monotonic() + REPORT_S
    while not data.endswith(b"\n") and len(data) < REPORT_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return ""
        more = os.read(descriptor, REPORT_BYTES)
        if not more:
            return ""
        data += more
    return data.decode("utf-8", "replace")


def _last_words(descriptor: int) -> str:
    """What has been written to the output so far, its last lines."""
    words = b""
    while select.select([descriptor], [], [], 0)[0]:
        more = os.read(descriptor, 65536)
        if not more:
            break
        words = (words + more)[-TAIL:]
    return " | ".join(words.decode("utf-8", "replace").split("\n")[-6:]).strip(" |")
