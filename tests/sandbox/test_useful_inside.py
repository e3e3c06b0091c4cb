"""What data work needs works inside the cage; what cannot work there says that it is the sandbox's doing.

One kernel for each kind of cage runs all snippets in turn, as this user and as an ordinary one: every day in
two of them, others; in all with CODEACT_FULL=1, as `make check-full` does. CODEACT_PROBE_SEED repeats a day.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.sandbox.confine import bwrap, landlock

from . import as_user
from .support import SLOW, OpenLab, value_of
from .useful import CAGES, SNIPPETS, Outcome

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]
SELF, ORDINARY = "self", "ordinary"
EVERYWHERE = [(SELF, "A"), (SELF, "B"), (SELF, "C"), (ORDINARY, "B")]
A_DAY = 2
SEED = os.environ.get("CODEACT_PROBE_SEED") or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
AT_ONCE = 2
"""Kernels; what they compute with has a few threads of its own."""


def unavailable(user: str, cage: str) -> str | None:
    if user == ORDINARY and (why := as_user.unavailable()):
        return why
    if cage != "C" and not landlock.abi():
        return "no Landlock on this machine"
    return "no bubblewrap on this machine" if cage != "B" and not bwrap.find() else None


def today() -> list[tuple[str, str]]:
    """Where the snippets run: of those that this machine has."""
    possible = [where for where in EVERYWHERE if unavailable(*where) is None]
    if os.environ.get("CODEACT_FULL") or len(possible) <= A_DAY:
        return EVERYWHERE
    return random.Random(SEED).sample(possible, A_DAY)


WHERE = today()


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
    assert {cage for _, cage in EVERYWHERE} == set(CAGES)


def test_the_users_font_cache_is_copied(
    open_lab: OpenLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making one takes matplotlib 5 ms for each font of the machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "matplotlib"
    cache.mkdir()
    (cache / "fontlist-v1.json").write_text("{}")
    (cache / "matplotlibrc").write_text("backend: none of the sandbox's business")
    lab = open_lab()
    assert value_of(lab, "import os\nos.listdir(os.environ['MPLCONFIGDIR'])") == "['fontlist-v1.json']"


def test_joblib_stays_in_its_process_where_others_are_allowed(open_lab: OpenLab) -> None:
    """Its workers are programs, which nothing allows; left to itself it tries them, and fails."""
    lab = open_lab(Settings(limits=SLOW.limits, profile=SandboxProfile(allow_fork=True)))
    code = SNIPPETS["scikit-learn in processes"]
    if code.missing:
        pytest.skip(code.missing)
    cell = lab.run(code.code)
    assert (cell.status, cell.err) == ("ok", "")
