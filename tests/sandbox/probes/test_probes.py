"""The attacks, in a rotation: every day others, spread over groups, tiers and users; each with its control.

`make check-full` runs them all. To repeat a day's choice: CODEACT_PROBE_SEED=… pytest tests/sandbox/probes
"""

from __future__ import annotations

import ast
import datetime
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from .. import as_user
from .catalog import PROBES
from .judge import Result, reached
from .probe import GROUPS, Outcome, Probe
from .run import CONTROL, batches, bites, job, run_jobs, table, tiers, users, wrong
from .scene import Scene

SEED = os.environ.get("CODEACT_PROBE_SEED") or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
PER_RUN = 16
"""Of all users together."""
TRANSPORTS = ("ipc", "ipc", "tcp")
NEEDS = {"", "root", "user"}
PLAIN = Probe("plain", "process", "pass")


def rotation(user: str) -> dict[tuple[str, str, str], list[Probe]]:
    """The day's probes of one user by (tier, transport, start). All users' together: as many of each group
    as of the others. One tier's kernels are forks."""
    chance = random.Random(SEED)
    groups = [chance.sample(of_group, len(of_group)) for of_group in _by_group() if of_group]
    chance.shuffle(groups)
    in_turn = [
        probe
        for row in zip(*(g[: -(-PER_RUN // len(groups))] for g in groups), strict=False)
        for probe in row
    ]
    forked = chance.choice("AB")
    cages = [
        (tier, "ipc", "fork") if tier == forked else (tier, chance.choice(TRANSPORTS), "cold")
        for tier in tiers(user)
    ]
    chosen: dict[tuple[str, str, str], list[Probe]] = {cage: [] for cage in cages}
    for number, probe in enumerate(in_turn[users().index(user) : PER_RUN : len(users())]):
        chosen[cages[number % len(cages)]].append(probe)
    return chosen


def _by_group() -> list[list[Probe]]:
    return [[probe for probe in PROBES if probe.group == group] for group in GROUPS]


@cache
def results() -> tuple[Result, ...]:
    """Of the rotation and of its controls, all side by side: they wait more than they work."""
    jobs = []
    for user in users():
        chosen = rotation(user)
        controls = [p for probes in chosen.values() for p in probes if bites(p, user)]
        jobs += [
            job(probes, tier, user, transport, start=start)
            for (tier, transport, start), probes in chosen.items()
        ]
        jobs += [job(batch, CONTROL, user, "ipc") for batch in batches(controls, size=7)]
    return tuple(run_jobs(jobs, workers=4))


def told(results: list[Result]) -> str:
    lines = [
        f"{r.name} as {r.user}, {r.tier}, {r.start}, {r.transport}: {r.escaped or 'held'} {r.last_words}"
        for r in results
    ]
    return "\n".join([f"seed {SEED!r}", *lines])


@pytest.fixture(params=["root", "ordinary"])
def user(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in users():
        pytest.skip(f"as {name}: {as_user.unavailable() or 'only root can become another user'}")
    return name


@pytest.mark.kernel
@pytest.mark.timeout(400)
def test_cages_hold(user: str) -> None:
    found = [r for r in results() if r.user == user and r.tier != CONTROL]
    assert len(found) >= PER_RUN // len(users())
    assert not wrong(found), told(wrong(found))


@pytest.mark.kernel
@pytest.mark.timeout(400)
def test_without_the_sandbox_the_same_attacks_succeed(user: str) -> None:
    found = [r for r in results() if r.user == user and r.tier == CONTROL]
    assert len(found) >= PER_RUN // len(users()) // 2
    assert not wrong(found), told(wrong(found))


def test_rotation_is_the_same_for_the_same_seed_and_reaches_every_tier_and_group() -> None:
    for name in users():
        assert rotation(name) == rotation(name)
        assert {tier for tier, _, _ in rotation(name)} == set(tiers(name))
        assert all(rotation(name).values())
    chosen = [p for name in users() for probes in rotation(name).values() for p in probes]
    assert len({p.name for p in chosen}) == PER_RUN
    assert len({p.group for p in chosen}) == sum(map(bool, _by_group()))


def test_there_are_enough_of_every_kind() -> None:
    counts = Counter(probe.group for probe in PROBES)
    assert sum(counts.values()) >= 150
    assert all(
        counts[g] >= 20 for g in ("files_read", "files_write", "links", "network", "process", "privilege")
    )
    assert set(counts) <= set(GROUPS)
    word_only = [p.name for p in PROBES if p.claims]
    assert len(word_only) < len(PROBES) / 3, "a judgement of the host is better than the snippet's word"


def test_all_are_well_formed() -> None:
    for probe in PROBES:
        compile(probe.code, probe.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        compile(probe.then, probe.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        code = probe.code + probe.then
        assert re.fullmatch(r"\w+(-\w+)+", probe.name)
        assert probe.needs in NEEDS, probe.name
        assert probe.claims == ("claim(" in code or "granted(" in code), probe.name


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_judge_finds_nothing_in_an_untouched_scene(scene: Scene) -> None:
    assert reached(scene, PLAIN, Outcome("nothing of interest")) is None


def test_judge_sees_a_secret_in_what_is_printed(scene: Scene) -> None:
    for place, value in scene.secrets.items():
        assert reached(scene, PLAIN, Outcome(f"x{value}x")) == f"secret read: {place}"
        assert reached(scene, PLAIN, Outcome(then_text=value)) == f"secret read: {place}"


def test_judge_takes_a_word_only_where_it_may(scene: Scene) -> None:
    said = Outcome(f"{scene.claim}: root")
    assert reached(scene, PLAIN, said) is None
    assert reached(scene, replace(PLAIN, claims=True), said) == "claimed: root"


def test_judge_sees_changed_files(scene: Scene) -> None:
    (scene.root / "outside" / "plain.txt").chmod(0o600)
    assert str(reached(scene, PLAIN, Outcome())).startswith("host file changed")


def test_judge_sees_new_files(scene: Scene) -> None:
    (scene.root / "home" / scene.mark).touch()
    assert str(reached(scene, PLAIN, Outcome())).startswith("host file")


def test_judge_sees_links_and_marker_in_the_workspace(scene: Scene) -> None:
    (scene.work / "link").symlink_to("/etc")
    assert str(reached(scene, PLAIN, Outcome())).startswith("symbolic link in the workspace")
    scene.tidy()
    assert reached(scene, PLAIN, Outcome()) is None
    (scene.work / f"{scene.mark}-marker").touch()
    assert "marker" in str(reached(scene, PLAIN, Outcome()))


def test_tidying_follows_no_link(scene: Scene) -> None:
    (scene.work / "link").symlink_to(scene.root / "outside")
    scene.tidy()
    assert reached(scene, PLAIN, Outcome()) is None


def test_judge_sees_a_connection_that_is_over(scene: Scene) -> None:
    socket.create_connection(scene.listeners.targets()["tcp"]).close()  # type: ignore[arg-type]  # a pair
    assert reached(scene, PLAIN, Outcome()) == "listener reached: tcp"
    assert reached(scene, PLAIN, Outcome()) is None


@pytest.mark.parametrize("number", [9, 12, 19])
def test_judge_sees_what_happens_to_the_victim(scene: Scene, number: int) -> None:
    os.kill(scene.victim.pid, number)
    os.waitid(
        os.P_PID,
        scene.victim.pid,
        os.WEXITED | os.WSTOPPED | os.WNOWAIT | (os.WNOHANG if number == 12 else 0),
    )
    assert "victim" in str(reached(scene, PLAIN, Outcome()))


def test_a_table_counts_what_is_as_it_should_be() -> None:
    held = Result("a", "process", "A", "root", "ipc", "", "ok", 0.1, "")
    lines = table([held, replace(held, escaped="out"), replace(held, tier=CONTROL, escaped="out")])
    assert lines[0] == "| run | process | all |"
    assert lines[2:] == ["| tier A, root, ipc | 1 / 2 | 1 / 2 |", "| control, root, ipc | 1 / 1 | 1 / 1 |"]
    assert wrong([held, replace(held, tier=CONTROL)]) == [replace(held, tier=CONTROL)]


def test_an_ordinary_user_has_nothing_of_roots() -> None:
    reason = as_user.unavailable()
    if reason:
        pytest.skip(reason)
    done = as_user.run(
        ["sh", "-c", "id -u; ls -a /root; touch /root/x; cat /proc/self/status"], capture_output=True
    )
    assert done.stdout.startswith(f"{as_user.UID}\n")
    assert "CapEff:\t0000000000000000" in done.stdout
    assert "Permission denied" in done.stderr
