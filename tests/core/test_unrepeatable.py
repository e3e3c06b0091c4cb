"""What a replay cannot show is said: clocks, unseeded randomness, sets, steps that were not run again."""

from __future__ import annotations

import pytest

from codeact_kernel.replay import Drift, StepVerdict
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory, Turn
from codeact_kernel.unrepeatable import MAX_SAID, explanations, imported_modules, remarks


def steps(*codes: str) -> tuple[Step, ...]:
    return tuple(Step(i, Reply(code=c), Action(c), Observation("ok")) for i, c in enumerate(codes, 1))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time\nprint(time.time())", "reads the clock (time.time)"),
        ("import time as t\nt.perf_counter()", "reads the clock (time.perf_counter)"),
        ("from time import time\ntime()", "reads the clock (time.time)"),
        ("from datetime import datetime\ndatetime.now()", "reads the clock (datetime.datetime.now)"),
        ("import datetime as dt\ndt.date.today()", "reads the clock (datetime.date.today)"),
        ("import random\nrandom.random()", "draws random numbers without a seed (random.random)"),
        ("import numpy as np\nnp.random.rand(3)", "draws random numbers without a seed (numpy.random.rand)"),
        (
            "import numpy as np\nnp.random.default_rng()",
            "draws random numbers without a seed (numpy.random.d",
        ),
        ("import random\nrandom.Random().random()", "draws random numbers without a seed (random.Random)"),
        (
            "import random\nrandom.seed()\nrandom.random()",
            "draws random numbers without a seed (random.random)",
        ),
        ("import uuid\nuuid.uuid4()", "draws random numbers without a seed (uuid.uuid4)"),
        ("import secrets\nsecrets.token_hex()", "draws random numbers without a seed (secrets.token_hex)"),
        ("list({'a', 'b'})", "uses a set, whose order is another in each kernel"),
        ("list(set(words))", "uses a set, whose order is another in each kernel"),
    ],
)
def test_why_an_output_differs_is_said(code: str, said: str) -> None:
    (found,) = explanations(steps(code), frozenset({1}))
    assert found.startswith(f"step 1 {said}")
    assert found.endswith(": its output cannot be the same")


def test_widgets_that_somebody_may_have_used_are_said_of_later_steps_too() -> None:
    run = steps("import ipywidgets as w\ns = w.IntSlider()\ns", "print(s.value)")
    (said,) = explanations(run, frozenset({2}))
    assert said.startswith(
        "step 1 has widgets (ipywidgets), which somebody may have used: what depends on it"
    )
    assert explanations(run[1:], frozenset({2})) == ()


@pytest.mark.parametrize(
    "code",
    [
        "x = 1",
        "import time\ntime.sleep(1)",
        "import random\nrandom.seed(7)\nrandom.random()",
        "import random\nrandom.Random(7).random()",
        "import numpy as np\nnp.random.seed(7)\nnp.random.rand()",
        "import numpy as np\nnp.random.default_rng(7).normal()",
        "time.time()",  # Of whatever is called time here.
        "from datetime import datetime\ndatetime(2026, 1, 1)",
        "%matplotlib inline\nimport time",
        "def (",
        "(" * 100_000,
    ],
)
def test_what_can_be_repeated_is_not_accused(code: str) -> None:
    assert explanations(steps(code), frozenset({1})) == ()


def test_names_and_seeds_of_earlier_steps_count_and_later_steps_do_not() -> None:
    told = explanations(
        steps("import time", "start = time.time()", "print(start)", "time.time()"), frozenset({3})
    )
    assert told == ("step 2 reads the clock (time.time): what depends on it cannot be the same",)
    assert explanations(steps("import random\nrandom.seed(1)", "random.random()"), frozenset({2})) == ()
    assert explanations(steps("import time\ntime.time()"), frozenset()) == ()


def test_what_is_said_is_bounded() -> None:
    assert len(explanations(steps(*["import time\ntime.time()"] * 50), frozenset({50}))) == MAX_SAID


def test_imports_are_found_inside_of_functions() -> None:
    code = "def f():\n    import pandas as pd\nfrom numpy.linalg import norm\nimport os.path"
    assert imported_modules(code) == {"pandas", "numpy", "os"}


def test_steps_that_were_not_run_again_are_told() -> None:
    slow = Step(2, Reply(code="b"), Action("b"), Observation("timeout"))
    dead = Step(3, Reply(code="c"), Action("c"), Observation("killed"))
    run = Trajectory(RunInfo("r", "m", "", ""), (Turn("t", (*steps("a"), slow, dead, steps("d")[0])),))
    told = remarks(run, [StepVerdict(1), StepVerdict(2), StepVerdict(3)])
    assert told == (
        "step 2 timed out when it was recorded and was not run again: the state after it may differ",
        "step 3 was killed when it was recorded and was not run again: what it had done is missing",
    )
    assert remarks(run, [StepVerdict(1)], to=1) == ("stopped after step 1, as asked; not run: 2",)
    drifted = StepVerdict(1, (Drift("output", "d"),))
    clock = Trajectory(RunInfo("r", "m", "", ""), (Turn("t", steps("import time\ntime.time()")),))
    assert len(remarks(clock, [drifted])) == 1
    assert remarks(clock, [StepVerdict(1)]) == ()
