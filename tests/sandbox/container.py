"""Owns the emulation of poorer hosts, so that the boundary can be tried as it is there.

    python tests/sandbox/container.py [--docker] [--no-landlock] [--no-userns] [--no-seccomp] -- COMMAND...

Installs a system-call filter and becomes COMMAND, which keeps user and folder. Of a Docker container it
has the default filter and, for root, the default capabilities; not its namespaces, its read-only /proc/sys,
its masked paths or its AppArmor profile. Programs of another ABI (32 bit, x32) are killed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from errno import EINVAL, ENOSYS, EPERM

from codeact_kernel.sandbox.confine import bpf
from codeact_kernel.sandbox.confine.libc import call
from codeact_kernel.sandbox.confine.syscalls import machine

LAYERS = ("docker", "no-landlock", "no-userns", "no-seccomp")

# What moby/profiles seccomp/default.json (mid 2026) does not allow a container without added capabilities.
NOT_IN_DOCKER = """
_sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module fanotify_init finit_module
fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter
io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind migrate_pages mount mount_setattr move_mount
move_pages nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root
process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security set_mempolicy
set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall
umount2 unshare uselib userfaultfd ustat vhangup vserver
"""
DOCKER_FAMILIES = (*range(12), *range(13, 19), 21, 22, 24, *range(26, 34), 35, 36, 39, *range(41, 46))
DOCKER_PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod
# audit_write setfcap
DOCKER_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
MOUNTS = """
mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
"""
NAMESPACES = 0x7E020000

DENY, ABSENT = bpf.fails(EPERM), bpf.fails(ENOSYS)
SAME_NAMESPACES = bpf.has_any(0, NAMESPACES, DENY, bpf.ALLOW)


def rules(layers: Sequence[str]) -> dict[str, bpf.Block]:
    """By call, what a host that is so poor does; the rest it allows."""
    found: dict[str, bpf.Block] = {}
    if "docker" in layers:
        found |= dict.fromkeys(NOT_IN_DOCKER.split(), DENY)
        found["socket"] = bpf.is_one_of(0, DOCKER_FAMILIES, bpf.ALLOW, DENY)
        found["personality"] = bpf.is_one_of(0, DOCKER_PERSONALITIES, bpf.ALLOW, DENY)
    if "no-userns" in layers:
        found |= dict.fromkeys((*MOUNTS.split(), "unshare", "setns"), DENY)
    if "docker" in layers or "no-userns" in layers:
        found |= {"clone": SAME_NAMESPACES, "clone3": ABSENT}
    if "no-landlock" in layers:
        calls = ("create_ruleset", "add_rule", "restrict_self")
        found |= {f"landlock_{name}": ABSENT for name in calls}
    if "no-seccomp" in layers:
        get_and_set = (21, 22)
        found["prctl"] = bpf.is_one_of(0, get_and_set, bpf.fails(EINVAL), bpf.ALLOW)
        found["seccomp"] = ABSENT
    return found


def program(layers: Sequence[str]) -> bytes:
    """The filter. Of calls newer than its profile, Docker says that they do not exist."""
    here = machine()
    calls = {here.numbers[name]: block for name, block in rules(layers).items() if name in here.numbers}
    if "docker" not in layers:
        return bpf.program(here.audit, calls, bpf.ALLOW)
    known = range(max(here.numbers.values()) + 1)
    gaps = dict.fromkeys(set(known) - set(here.numbers.values()), DENY)
    allowed = dict.fromkeys(here.numbers.values(), bpf.ALLOW)
    return bpf.program(here.audit, gaps | allowed | calls, ABSENT)


def enter(layers: Sequence[str]) -> None:
    """Makes this process one of the poorer host, for good. Raises OSError."""
    if os.geteuid() == 0 and "docker" in layers:
        drop = 24
        for capability in set(range(_last_capability() + 1)) - DOCKER_CAPABILITIES:
            call("prctl", drop, capability, 0, 0, 0)
    try:
        _install(program(layers))
    except PermissionError:  # who has no CAP_SYS_ADMIN gives up setuid programs
        no_new_privileges = 38
        call("prctl", no_new_privileges, 1, 0, 0, 0)
        _install(program(layers))


def _install(code: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    set_seccomp, filter_mode = 22, 2
    call("prctl", set_seccomp, filter_mode, ctypes.byref(Program(len(code) // 8, code)))


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Run a command as on a poorer host.")
    for layer in LAYERS:
        parser.add_argument(f"--{layer}", action="append_const", const=layer, dest="layers", default=[])
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    enter(given.layers)
    os.execvp(given.command[0], given.command)


if __name__ == "__main__":
    main(sys.argv[1:])
