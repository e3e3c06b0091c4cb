"""Owns the laboratory of the guard tests: runs cells in real IPython shells, in a process of its own.

Reads `{"guard": bool, "cases": [{"cells": [...], "allow": [...]}, ...]}` from stdin. Each case gets a fresh
namespace and an empty working folder; the answer says for each what came out, what was reported, and
whether the folder then holds a `canary`.
"""

from __future__ import annotations

import builtins
import gc
import io
import json
import os
import sys
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout

from IPython.core.interactiveshell import InteractiveShell

from codeact_kernel.in_kernel.guard import Guard
from codeact_kernel.in_kernel.recorded import register_recorded


def run_case(shell, cells, guard, allow):
    gc.freeze()  # reset() collects garbage, which takes long once pandas is there
    shell.reset()
    shell.user_ns["__builtins__"] = builtins
    reported = []
    active = Guard(shell, allow, lambda kind, name: reported.append([kind, name])) if guard else None
    if active:
        active.install()
    try:
        results = [run_cell(shell, cell) for cell in cells]
        again = run_cell(shell, "1 + 1")
    finally:
        if active:
            active.remove()
    return {
        "cells": results,
        "reported": reported,
        "canary": os.path.exists("canary"),
        "guard_alive": active is None or not again["error"],
    }


def run_cell(shell, cell):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            result = shell.run_cell(cell, store_history=True)
            before, error = result.error_before_exec, result.error_in_exec
        except RecursionError as problem:  # IPython's own compile of the cell gave up
            before, error = problem, None
    error = before or error
    return {
        "error": type(error).__name__ if error else None,
        "bases": [base.__name__ for base in type(error).__mro__] if error else [],
        "before": before is not None,
        "message": str(error) if error else "",
        "out": out.getvalue(),
        "err": err.getvalue(),
    }


def main():
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    shell = InteractiveShell.instance(colors="nocolor")
    shell.history_manager.enabled = False
    register_recorded(shell)
    sys.path.insert(0, "")  # as in a kernel
    path, home, answers = sys.path[:], os.getcwd(), []
    for case in job["cases"]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                answers.append(run_case(shell, case["cells"], job["guard"], case["allow"]))
            finally:
                os.chdir(home)
        assert sys.path == path, "the guard gives the import path back"
    json.dump(answers, sys.__stdout__)


if __name__ == "__main__":
    main()
