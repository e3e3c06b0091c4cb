"""Owns how a test runs a command as an ordinary user, with the interpreter of the test.

Where that interpreter lies in a folder only root may enter, a private mount namespace covers the folder
by an empty one that has the interpreter's own folder in it, and nothing else.
As a command: `python -m tests.sandbox.as_user COMMAND …`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

UID = 61234
"""Nobody's: no process of this user is there but the test's."""
REPOSITORY = Path(__file__).parents[2]
STAGE = "/mnt"
# Arguments: USER, COUNT, then COUNT times COVER FOLDER, then the command.
SCRIPT = f"""
set -e
user=$1; count=$2; shift 2
mount -t tmpfs -o mode=0755 stage {STAGE}
covered=
number=0
pairs=
while [ $number -lt $count ]; do
  mkdir {STAGE}/$number
  mount --rbind "$2" {STAGE}/$number
  pairs="$pairs
$1	$2	$number"
  shift 2
  number=$((number + 1))
done
echo "$pairs" | while IFS='	' read -r cover folder number; do
  [ -n "$cover" ] || continue
  [ -e "$cover/.covered-by-the-test" ] || {{
    mount -t tmpfs -o mode=0755 cover "$cover"
    : > "$cover/.covered-by-the-test"
  }}
  mkdir -p "$folder"
  mount --rbind {STAGE}/$number "$folder"
done
umount -l {STAGE}
exec setpriv --reuid $user --regid $user --clear-groups --inh-caps=-all --bounding-set=-all "$@"
"""


def unavailable() -> str | None:
    """Why no command can be run as another user; None: it can."""
    if os.geteuid() != 0:
        return "the tests run as an ordinary user already"
    for tool in ("unshare", "setpriv", "mount"):
        if shutil.which(tool) is None:
            return f"no {tool!r} on this machine; install util-linux"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True, check=False)
    return f"no private mount namespace: {probe.stderr.strip()}" if probe.returncode else None


def command(argv: list[str], uid: int = UID) -> list[str]:
    """The command that runs `argv` as the user `uid`, who need not exist. Only for root."""
    covers = [word for pair in _covers() for word in pair]
    unshare = ["unshare", "-m", "--propagation", "private", "sh", "-c", SCRIPT, "as_user"]
    return [*unshare, str(uid), str(len(covers) // 2), *covers, *argv]


def environment(home: str, extra: Mapping[str, str]) -> dict[str, str]:
    """What the command gets: nothing of root's."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": home, "TMPDIR": "/tmp", "LANG": "C.UTF-8", "USER": "ordinary", **extra}


def run(
    argv: list[str], env: Mapping[str, str] | None = None, uid: int = UID, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Like `subprocess.run` in text mode, in a home of its own that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="as-user-") as home:
        os.chown(home, uid, uid)
        return subprocess.run(
            command(argv, uid), env=environment(home, env or {}), text=True, check=False, **options
        )


def _covers() -> Iterator[tuple[str, str]]:
    """(folder that others may not enter, folder in it that they need)."""
    given = {Path(folder).resolve() for folder in (sys.base_prefix, sys.prefix, REPOSITORY)}
    for folder in sorted(given):
        closed = [parent for parent in reversed(folder.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            yield str(closed[0]), str(folder)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:] or ["id"]).returncode)
