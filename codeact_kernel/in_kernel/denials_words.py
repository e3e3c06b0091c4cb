"""Owns the sentences with which a denial is explained: what the limit is, and what would allow it."""

from __future__ import annotations

READ = (
    "the sandbox sees only its working folder, the data it was given and Python's packages; more is allowed "
    "with --data PATH or --readable PATH, SandboxProfile(data=…, readable=…)"
)
WRITE = (
    "the sandbox writes only to its working folder, by a relative name, and to tempfile.gettempdir(), never "
    "to its data; --workspace PATH, SandboxProfile(workspace=…), chooses the folder"
)
LINK = "the sandbox makes no links, pipes and devices and changes no owners; shutil.copy copies a file"
NETWORK = (
    "the sandbox has no network, and no option gives it one; a tool that runs on the host can fetch data"
)
PROGRAM = "the sandbox runs no programs, whatever the options; use a Python library, or a tool of the host's"
PROCESS = (
    "the sandbox starts no processes; threads work, and --allow-fork, SandboxProfile(allow_fork=True), "
    "allows multiprocessing"
)
SEMAPHORES = (
    "the sandbox has no shared memory for multiprocessing unless it has namespaces of its own; codeact "
    "doctor says why it has none; threads work"
)
SHARED = (
    "the sandbox has no shared memory without a file; mmap.mmap of a file in the working folder is shared "
    "with the processes that are forked"
)
SIGNAL = "the sandbox sends signals to no process but its own"
SYSTEM = "the sandbox changes no users, sessions, priorities and system settings"
MAYBE = (
    "The sandbox may be why: it reads and writes files in its working folder and tempfile.gettempdir() only, "
    "reads what --data and --readable name, has no network, and starts no programs."
)
SAYS = "(the sandbox "
"""What an explained error has in its text."""
