"""The self-test, with a cage, with a cage that lacks a bar, and with none: it has to tell them apart."""

from __future__ import annotations

from typing import Any

import pytest

from codeact_kernel.sandbox.confine.selftest import ALLOWED, HELD

from .inside import Caller, needs_landlock

FILES = {"read", "write", "create"}
CALLS = {"network", "unix socket", "exec", "fork", "clone3", "ptrace", "shared memory"}
MEMORY = {"memory"}
RIGHTS = {"new privileges", "capabilities"}
EVERYTHING = FILES | CALLS | MEMORY | RIGHTS | {"signal"}
TEST = """
import time
off = arguments[0].split()
options = json.loads(arguments[1])
read_end, write_end = os.pipe()
victim = os.fork()
if victim == 0:
    os.close(write_end)
    os._exit(len(os.read(read_end, 1)))  # When the test is over. Linux asks Landlock about PDEATHSIG too.
policy = Policy(connection_file="", workspace=place, roots=(), read=paths.readable(paths.running()),
    write=(place + "/work",),
    sockets={}, channel=-1, report=-1, parent=victim, canary=place + "/canary", namespaces=False,
    landlock=True, tcp=False, fork=False, limits=Bounds(memory_bytes=512 * MIB))._replace(**options)
if "limits" not in off:
    privileges.set_limits(policy.limits)
if "rights" not in off:
    privileges.drop_capabilities()
    privileges.no_new_privileges()
if "landlock" not in off:
    landlock.restrict(policy.read, policy.write)
if "seccomp" not in off:
    seccomp.install(seccomp.Rules(fork=policy.fork, pid_namespace=policy.namespaces))
answers["tried"] = selftest.selftest(policy)
times = []
for _ in range(5):
    began = time.perf_counter()
    selftest.selftest(policy)
    times.append(time.perf_counter() - began)
answers["seconds"] = min(times)
answers["left behind"] = os.waitpid(-1, os.WNOHANG)
"""


def tried(caller: Caller, off: str = "", options: str = "{}") -> dict[str, Any]:
    """What the self-test says, in a cage without the layers in `off`."""
    canary = caller.write("canary")
    caller.folder("work")
    answers = caller.ask(TEST, off, options)
    assert answers["left behind"] == [0, 0], "only the victim is there, and lives"
    assert canary.read_text() == "text"
    assert sorted(path.name for path in caller.place.iterdir()) == ["canary", "work"]
    result = answers["tried"]
    assert isinstance(result, dict)
    assert set(result) == EVERYTHING
    assert answers["seconds"] < 0.030
    return result


def failing(result: dict[str, Any]) -> set[str]:
    assert all(how in (HELD, ALLOWED) or how.startswith("not held: ") for how in result.values())
    return {what for what, how in result.items() if how not in (HELD, ALLOWED)}


@needs_landlock
def test_everything_is_held_in_a_cage(caller: Caller) -> None:
    assert set(tried(caller).values()) == {HELD}


def test_without_a_cage_everything_is_reported(caller: Caller) -> None:
    result = tried(caller, "limits rights landlock seccomp")
    # An ordinary user has no capabilities in the first place.
    assert failing(result) == EVERYTHING - ({"capabilities"} if caller.ordinary else set())
    assert result["read"] == "not held: it worked"
    assert result["exec"] == "not held: it got as far as 'No such file or directory'"


@needs_landlock
@pytest.mark.parametrize(("off", "expected"), [("limits", MEMORY), ("landlock", FILES), ("seccomp", CALLS)])
def test_a_missing_layer_is_noticed(caller: Caller, off: str, expected: set[str]) -> None:
    assert failing(tried(caller, off)) == expected


@needs_landlock
def test_rights_that_stay_are_noticed(caller: Caller) -> None:
    if caller.ordinary:
        pytest.skip("an ordinary user's cage cannot be built with them")
    assert failing(tried(caller, "rights")) == RIGHTS


@needs_landlock
def test_a_canary_that_is_not_there_proves_nothing(caller: Caller) -> None:
    result = tried(caller, options='{"canary": "/codeact-not-there"}')
    assert failing(result) == {"read", "write"}


@needs_landlock
def test_what_a_policy_allows_is_not_tried(caller: Caller) -> None:
    assert tried(caller, options='{"fork": true}')["fork"] == ALLOWED
