"""Owns the first instructions of a sandbox kernel: into the cage, then into the kernel's own code.

Run by path as `python -I launcher.py POLICY`, so that nothing is imported from a folder that action code
can write. Until `confine` has returned, only the standard library and this package's own modules run.

As `launcher.py --serve DESCRIPTOR ROOTS MODULES` it is the process that kernels are forked from, and these
modules have been imported by then.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codeact_kernel.sandbox.confine.policy import Policy

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REFUSED = 98
"""Exit code when there is no cage to be had."""


def load_package() -> None:
    """Makes this `codeact_kernel` importable, and nothing that lies beside it: the interpreter may be
    another one than the host's, with packages of its own."""
    spec = spec_from_file_location(
        "codeact_kernel", os.path.join(PACKAGE, "__init__.py"), submodule_search_locations=[PACKAGE]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["codeact_kernel"] = module_from_spec(spec)
    spec.loader.exec_module(module)


def enter(policy: Policy) -> None:
    """Into the cage that `policy` describes, and then the kernel, until it is told to shut down."""
    from codeact_kernel.sandbox.confine.apply import confine
    from codeact_kernel.sandbox.confine.policy import dumps

    report = confine(policy)
    os.write(policy.report, dumps(report).encode() + b"\n")
    os.close(policy.report)
    if report.problem:
        os._exit(REFUSED)
    sys.argv[1:] = []
    gc.disable()  # Until the kernel is up: what it imports is no garbage, and looking for some takes 20 ms.
    sys.path.extend(root for root in policy.roots if root not in sys.path)
    from codeact_kernel.in_kernel.app import launch

    cage = policy if policy.confined else None
    launch(policy.connection_file, policy.sockets, policy.arguments, cage)


def main() -> None:
    load_package()
    match sys.argv[1:]:
        case ["--serve", descriptor, roots, modules]:
            sys.path.extend(root for root in json.loads(roots) if root not in sys.path)
            from codeact_kernel.sandbox.forkserver import serve

            serve(descriptor, modules)
        case [policy]:
            from codeact_kernel.sandbox.confine.policy import load_policy

            enter(load_policy(policy))


if __name__ == "__main__":
    main()
