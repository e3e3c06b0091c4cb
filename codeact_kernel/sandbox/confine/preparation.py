"""Owns what has to be there before a kernel can start: its folders, sockets, environment and plan."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from . import paths, sessions, sockets
from .policy import Profile, Report, dumps, load_profile
from .start import Plan

PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
FONT_CACHE = "fontlist-"
THREAD_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
FOR_FORKS = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MIMALLOC_ARENA_RESERVE": "0",
}
"""As the kernel has it when matplotlib is imported; and no thread of pyarrow's, which pandas imports, nor the
gigabyte that it sets aside, which the limit of memory would count in every fork."""
MOST_THREADS = 8
"""Each takes up to 40 MiB of the memory limit, used or not; large machines would have a hundred."""


class Prepared(NamedTuple):
    """`owns_session`: the folder was made here, for a client that brought none."""

    plan: Plan
    lifeline: int
    owns_session: bool


def prepare(connection_file: str, python: str = "", arguments: tuple[str, ...] = ()) -> Prepared:
    """Reads the environment, makes the folders, binds the sockets. Raises: OSError, ValueError."""
    host = dict(os.environ)
    profile = load_profile(host.get("CODEACT_PROFILE") or "{}")
    given = host.get("CODEACT_SESSION_DIR")
    base = host.get("TMPDIR") or "/tmp"
    if given is None:
        sessions.sweep(base)
    session = given or sessions.make(base)
    try:
        plan = _plan(os.path.abspath(connection_file), python, arguments, session, profile, host)
    except BaseException:
        if given is None:
            sessions.remove_tree(session)
        raise
    if given is None:
        _link_data(plan.workspace, profile.data)
    return Prepared(plan, int(host.get("CODEACT_LIFELINE_FD", "-1")), given is None)


def _plan(
    connection_file: str,
    python: str,
    arguments: tuple[str, ...],
    session: str,
    profile: Profile,
    host: dict[str, str],
) -> Plan:
    interpreter = _interrogated(python) if python else paths.running()
    workspace = profile.workspace or os.path.join(session, "work")
    _make_folders(session, workspace)
    bound = sockets.bind(connection_file)
    read_output, output = os.pipe()
    return Plan(
        profile=profile,
        session=session,
        workspace=workspace,
        connection_file=connection_file,
        python=interpreter.executable,
        roots=paths.roots(interpreter, profile.readable),
        readable=paths.readable(interpreter),
        sockets=bound.descriptors,
        tcp=bound.tcp,
        channel=int(host.get("CODEACT_CHANNEL_FD", "-1")),
        output=output,
        read_output=read_output,
        environment=environment(session, profile, host),
        arguments=arguments,
    )


def environment(session: str, profile: Profile, host: dict[str, str]) -> dict[str, str]:
    """The whole environment of the kernel, made from an allow-list."""
    home = os.path.join(session, "home")
    env = {
        "PATH": "/usr/bin:/bin",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "HOME": home,
        "TMPDIR": os.path.join(session, "tmp"),
        "IPYTHONDIR": os.path.join(home, "ipython"),
        "JUPYTER_CONFIG_DIR": os.path.join(home, "jupyter"),
        "MPLCONFIGDIR": os.path.join(home, "matplotlib"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    if (os.cpu_count() or 1) > MOST_THREADS:
        env |= dict.fromkeys(THREAD_POOLS, str(MOST_THREADS))
    if profile.allow_fork and profile.sandbox != "none":
        env["JOBLIB_MULTIPROCESSING"] = "0"  # Its workers are programs; it would fail, not work in this one.
    if "CODEACT_CHANNEL_FD" in host:
        env["CODEACT_CHANNEL_FD"] = host["CODEACT_CHANNEL_FD"]
    if "JPY_SESSION_NAME" in host:  # The notebook, for messages; its folder is none of the kernel's business.
        env["JPY_SESSION_NAME"] = os.path.basename(host["JPY_SESSION_NAME"])
    if profile.import_ceiling is not None:
        env["CODEACT_IMPORT_CEILING"] = ",".join(profile.import_ceiling)
    return env | {name: host[name] for name in (*PASSED_ON, *profile.env) if name in host}


def of_launcher(folder: str) -> dict[str, str]:
    """The environment of a process that kernels are forked from, and its folders, in `folder`."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    for name in sessions.OWN:
        os.makedirs(os.path.join(folder, name), mode=0o700)
    _copy_font_cache(os.path.join(folder, "home", "matplotlib"))
    return environment(folder, Profile(), passed) | FOR_FORKS


def report(found: Report) -> None:
    """Writes the report where the client asked for it, whole or not at all."""
    path = os.environ.get("CODEACT_REPORT")
    if path is None:
        return
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(dumps(found))
    os.replace(f"{path}.new", path)


def _make_folders(session: str, workspace: str) -> None:
    for name in sessions.OWN:
        folder = os.path.join(session, name)
        sessions.remove_tree(folder)
        os.makedirs(folder, mode=0o700)
    os.makedirs(workspace, mode=0o700, exist_ok=True)
    with open(os.path.join(session, "canary"), "w", encoding="ascii") as file:
        file.write(os.urandom(16).hex())
    _copy_font_cache(os.path.join(session, "home", "matplotlib"))


def _link_data(workspace: str, data: tuple[str, ...]) -> None:
    if os.path.islink(os.path.join(workspace, "data")):
        return  # Of an earlier session, or the user's: what is behind it is not to be changed.
    for path in data:
        link = os.path.join(workspace, "data", os.path.basename(path))
        os.makedirs(os.path.dirname(link), mode=0o700, exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(path, link)


def _copy_font_cache(folder: str) -> None:
    """The user's own, where there is one: matplotlib takes seconds to make another in every session."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    source = os.path.join(cache, "matplotlib")
    os.mkdir(folder, 0o700)
    try:
        names = [name for name in os.listdir(source) if name.startswith(FONT_CACHE)]
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(source, name), "rb") as file:
                data = file.read()
            with open(os.path.join(folder, name), "wb") as copy:
                copy.write(data)
        except OSError:
            pass  # A cache: without it the first plot is slow.


def _interrogated(python: str) -> paths.Interpreter:
    """What another interpreter says of itself. Raises ValueError."""
    import json  # Only where a kernelspec names another interpreter; so is `subprocess`.
    import subprocess

    code = "import json, sys; print(json.dumps([sys.executable, sys.prefix, sys.base_prefix, sys.path]))"
    try:
        said = subprocess.run([python, "-I", "-c", code], capture_output=True, check=True, timeout=60)
        executable, prefix, base_prefix, path = json.loads(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        raise ValueError(f"{python!r}, which the kernelspec names, does not run: {problem}") from None
    return paths.Interpreter(executable, prefix, base_prefix, tuple(path))


def refuse_platform() -> str:
    """Why no kernel can be confined on this platform at all; "" where it can."""
    if sys.platform == "win32":
        return (
            "Windows has no boundary that codeact_kernel can use; run it in WSL2 (wsl --install, then pip "
            "install codeact_kernel inside)"
        )
    return ""
