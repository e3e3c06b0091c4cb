"""Owns the one line that says which cage a run had, from the report in `RunInfo.sandbox`."""

from __future__ import annotations

from collections.abc import Mapping

from ..wire.messages import Json

UNSANDBOXED = "UNSANDBOXED"
HELD = "held"


def cage_line(sandbox: Mapping[str, Json]) -> str:
    """`tier A, self-test held`; `UNSANDBOXED` and why; "" when nothing is known. Not cleaned."""
    if not sandbox:
        return ""
    tier, tests = sandbox.get("tier", "none"), sandbox.get("selftest", {})
    if tier == "none":
        problem = sandbox.get("problem")
        said = f"{UNSANDBOXED}, the code had every right of the user who ran it"
        return f"{said} ({problem})" if problem else said
    tried = tests if isinstance(tests, Mapping) else {}
    wrong = [f"{name}: {said}" for name, said in tried.items() if said != HELD]
    verdict = f"self-test NOT held ({'; '.join(wrong)})" if wrong else "self-test held"
    return f"tier {tier}, {verdict if tried else 'self-test not run'}"
