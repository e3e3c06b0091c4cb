"""Owns the order in which a process gives up what it could do. Called once, by the launcher, while
nothing but the standard library is loaded and there is one thread."""

from __future__ import annotations

import os
import sys
import time

from . import landlock, privileges, seccomp
from .policy import Bounds, Policy, Report
from .selftest import selftest

SEATBELT_HOLDS = ("read", "write", "create", "network", "unix socket", "exec", "fork", "signal")


def confine(policy: Policy) -> Report:
    """Puts this process into the cage that `policy` describes, and tries its bars.

    Never raises: when `problem` is set in what it returns, the caller must end the process.
    """
    began = time.perf_counter()
    try:
        if not policy.confined:
            report = _unconfined(policy)
        elif sys.platform == "darwin":
            report = _in_seatbelt(policy)
        else:
            report = _confined(policy)
    except (OSError, ValueError) as problem:
        report = Report(problem=str(problem), uid=os.getuid())
    return report._replace(milliseconds=round((time.perf_counter() - began) * 1000, 1))


def _confined(policy: Policy) -> Report:
    _prepare(policy)
    privileges.private_files()
    enforced = privileges.set_limits(policy.limits, own_user_namespace=policy.namespaces)
    privileges.drop_capabilities()
    privileges.no_new_privileges()
    version = landlock.abi() if policy.landlock else 0
    if version:
        landlock.restrict(policy.read, policy.write, version=version)
    elif not policy.namespaces:
        missing = "this kernel has none" if policy.landlock else "it was switched off"
        return Report(problem=f"neither namespaces nor Landlock ({missing})", uid=os.getuid())
    rules = seccomp.Rules(
        fork=policy.fork,
        tcp=policy.tcp,
        pid_namespace=policy.namespaces,
        truncate=policy.namespaces or version >= 3,
    )
    digest = seccomp.install(rules)
    tried = selftest(policy)
    return Report(
        tier="C" if not version else "A" if policy.namespaces else "B",
        landlock_abi=version,
        filter=digest,
        uid=os.getuid(),
        limits={name: "kernel" if name in enforced else "watchdog" for name in Bounds._fields},
        selftest=tried,
        problem=_problem(tried),
    )


def _in_seatbelt(policy: Policy) -> Report:
    """macOS. Written without a Mac at hand and never run; see `seatbelt`."""
    _prepare(policy)
    privileges.private_files()
    tried = {name: how for name, how in selftest(policy).items() if name in SEATBELT_HOLDS}
    return Report(tier="M", uid=os.getuid(), selftest=tried, problem=_problem(tried))


def _problem(tried: dict[str, str]) -> str:
    failed = [f"{what} {how}" for what, how in tried.items() if how not in ("held", "allowed")]
    return f"the self-test failed: {'; '.join(failed)}" if failed else ""


def _unconfined(policy: Policy) -> Report:
    _prepare(policy)
    return Report(uid=os.getuid())


def _prepare(policy: Policy) -> None:
    if sys.platform == "linux":
        privileges.die_with_parent(policy.parent)
    kept = {*policy.sockets.values(), policy.channel, policy.report}
    privileges.close_descriptors(kept - {-1})
    for descriptor in kept - {-1}:
        os.set_inheritable(descriptor, False)
