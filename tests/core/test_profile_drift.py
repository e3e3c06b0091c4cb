"""What a replay runs on: which changes of versions, imports and cages are a drift, and which are not."""

from __future__ import annotations

import pytest

from codeact_kernel.profile_drift import profile_drift
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step

USES = Step(1, Reply(code=""), Action("def f():\n    import pandas as pd\n    return pd"), Observation("ok"))


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"python": "3.11.7"}, {"python": "3.11.9"}, []),
        ({"python": "3.11.7"}, {"python": "3.12.0"}, ["python: 3.11.7 → 3.12.0"]),
        ({"pandas": "2.2.1"}, {"pandas": "2.2.9"}, []),
        ({"pandas": "2.2.1"}, {"pandas": "2.3.0"}, ["pandas: 2.2.1 → 2.3.0"]),
        ({"pandas": "2.2.1"}, {}, ["pandas: 2.2.1 → not installed"]),
        ({"numpy": "1.26.0"}, {}, []),  # No cell imports it.
        ({}, {"pandas": "2.2.1"}, []),  # Newly there.
        ({"ipykernel": "7.1.0"}, {"ipykernel": "7.4.0"}, []),
        ({"ipykernel": "7.1.0"}, {"ipykernel": "8.0.0"}, ["ipykernel: 7.1.0 → 8.0.0"]),
        ({"codeact_kernel": "0.1.0"}, {"codeact_kernel": "0.2.0"}, []),
        ({"python": "odd"}, {"python": "3.11.7"}, ["python: odd → 3.11.7"]),
    ],
)
def test_versions(then: dict[str, str], now: dict[str, str], said: list[str]) -> None:
    found = profile_drift(RunInfo("r", "m", "", "", then), [USES], now, {})
    assert [(drift.kind, drift.detail) for drift in found] == [("profile", text) for text in said]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"tier": "A"}, {"tier": "A"}, []),
        ({"tier": "B"}, {"tier": "A"}, []),
        ({"tier": "A"}, {"tier": "C"}, ["sandbox: tier A → tier C"]),
        ({"tier": "C"}, {"tier": "none"}, ["sandbox: tier C → UNSANDBOXED"]),
        ({"tier": "none"}, {"tier": "none"}, []),
        ({}, {"tier": "none"}, []),
        ({"tier": ["A"]}, {"tier": "none"}, []),
    ],
)
def test_cages(then: dict[str, str], now: dict[str, str], said: list[str]) -> None:
    found = profile_drift(RunInfo("r", "m", "", "", {}, sandbox=then), [], {}, now)
    assert [drift.detail for drift in found] == said


def test_imports_that_are_not_allowed_any_more() -> None:
    found = profile_drift(RunInfo("r", "m", "", ""), [], {}, {}, ["os", "ctypes"])
    assert [d.detail for d in found] == [f"import {n}: allowed → not allowed" for n in ("ctypes", "os")]
