"""Owns the built-in probes of `codeact doctor`: what code in the kernel tries, and who it is aimed at.

A probe is a piece of Python that runs in the sandbox kernel with full control of its process: no
allow-lists, ctypes at hand. `T` are its targets (`doctor_scene.Scene.targets`), all of them made for it.
Whether it got through is judged on the host, by what happened to the targets. `got(…)` is for what the
host cannot see, a descriptor of the kernel's own for instance. That a probe bites at all is shown by the
control run, without a cage; in it the probes must do no harm, so they do not attack anything else.

Written as text: `#% group name [needs]: what is tried`, then the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import indent

from ..wire.messages import Json
from .doctor_snippets import FILES
from .doctor_snippets_calls import PROCESSES, RIGHTS


@dataclass(frozen=True)
class Probe:
    """`needs`: what it cannot bite without, also where there is no cage: "root", a kernel feature."""

    name: str
    group: str
    title: str
    code: str
    needs: str = ""


PRELUDE = '''\
import asyncio, ctypes, errno, fcntl, mmap, os, platform, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
NR = {"x86_64": dict(ptrace=101, kcmp=312, openat2=437, pidfd_getfd=438, pidfd_open=434, keyctl=250, bpf=321,
        add_key=248, perf_event_open=298, userfaultfd=323, io_uring_setup=425, process_vm_readv=310,
        pidfd_send_signal=424, tgkill=234, ioprio_set=251, memfd_create=319, execveat=322),
      "aarch64": dict(ptrace=117, kcmp=272, openat2=437, pidfd_getfd=438, pidfd_open=434, keyctl=219, bpf=280,
        add_key=217, perf_event_open=241, userfaultfd=282, io_uring_setup=425, process_vm_readv=270,
        pidfd_send_signal=424, tgkill=131, ioprio_set=30, memfd_create=279, execveat=281),
}[platform.machine()]

def done(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def syscall(name, *args):
    kept = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]  # bytes: as a pointer
    libc.syscall.restype = ctypes.c_long
    return done(libc.syscall(ctypes.c_long(NR[name]), *kept))

def got(what):
    print(T["token"], what, flush=True)

def allowed_but_for(number, act):
    """Runs `act`, a call with a senseless argument: it got through when that is what is complained about."""
    try:
        act()
    except OSError as problem:
        if problem.errno != number:
            raise
    got("only the argument was refused")
'''
"""The setup cell of an examined kernel."""

_CELL = """\
T = {targets!r}
try:
{code}
except BaseException as problem:
    print(f"refused: {{type(problem).__name__}}: {{problem}}")
"""

_HEAD = re.compile(r"^#% (\w+) ([\w-]+)(?: \[([\w -]+)\])?: (.+)$", re.MULTILINE)


def cell(probe: Probe, targets: Mapping[str, Json]) -> str:
    """What the kernel runs for a probe. A refusal is printed: a traceback takes longer than the attack."""
    return _CELL.format(targets=dict(targets), code=indent(probe.code, "    "))


def parsed(text: str) -> tuple[Probe, ...]:
    """The probes in a text. Raises ValueError where the format is not kept."""
    if not text.lstrip().startswith("#% "):
        raise ValueError(f"probes begin with '#% group name: title', not {text[:40]!r}")
    group_name_needs_title_code = _HEAD.split(text)[1:]
    fields = [group_name_needs_title_code[start::5] for start in range(5)]
    return tuple(
        Probe(name, group, title, code.strip() + "\n", needs or "")
        for group, name, needs, title, code in zip(*fields, strict=True)
    )


PROBES = (*parsed(FILES), *parsed(PROCESSES), *parsed(RIGHTS))
GROUPS = tuple(dict.fromkeys(probe.group for probe in PROBES))
