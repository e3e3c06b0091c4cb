"""What data work needs works inside the cage; what cannot work there says that it is the sandbox's doing.

One kernel for each kind of cage runs all snippets in turn, as this user and as an ordinary one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from codeact_kernel.sandbox.confine import bwrap, landlock

from . import as_user
from .useful import CAGES, SNIPPETS, Outcome

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]
SELF, ORDINARY = "self", "ordinary"
WHERE = [(SELF, "A"), (SELF, "B"), (SELF, "C"), (ORDINARY, "A"), (ORDINARY, "B")]
AT_ONCE = 2
"""Kernels; what they compute with has a few threads of its own."""


def unavailable(user: str, cage: str) -> str | None:
    if user == ORDINARY and (why := as_user.unavailable()):
        return why
    if cage != "C" and not landlock.abi():
        return "no Landlock on this machine"
    return "no bubblewrap on this machine" if cage != "B" and not bwrap.find() else None


def outcomes(user: str, cage: str) -> dict[str, Outcome]:
    command = [sys.executable, "-m", "tests.sandbox.useful", cage]
    with tempfile.TemporaryDirectory() as home:  # Without the caches of whoever tests.
        own = partial(subprocess.run, text=True, check=False, env={**os.environ, "HOME": home})
        done = (as_user.run if user == ORDINARY else own)(
            command, cwd=as_user.REPOSITORY, capture_output=True, timeout=280
        )
    assert done.returncode == 0, done.stderr
    return {name: Outcome(**said) for name, said in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[tuple[str, str], Future[dict[str, Outcome]]]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {where: pool.submit(outcomes, *where) for where in WHERE if unavailable(*where) is None}


@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize(("user", "cage"), WHERE)
def test_it_works_or_says_why_not(
    runs: dict[tuple[str, str], Future[dict[str, Outcome]]], user: str, cage: str, name: str
) -> None:
    snippet = SNIPPETS[name]
    why = unavailable(user, cage) or snippet.missing
    if why:
        pytest.skip(why)
    outcome = runs[user, cage].result()[name]
    if snippet.refused is None:
        assert outcome == Outcome("ok", "", "")
    else:
        assert outcome.status == "error"
        assert outcome.error.endswith(snippet.refused[0])
        assert snippet.refused[1] in outcome.text


def test_every_cage_is_tried() -> None:
    assert {cage for _, cage in WHERE} == set(CAGES)
