"""Owns the inside of the sandbox kernel. `setup` is what a trajectory notebook's setup cell calls."""

from __future__ import annotations


def setup(text: str) -> None:
    """Puts the tools described by `text` (`wire.setup`) into the namespace and the allow-lists in force.

    Attached to a running agent, the tools answer from the host; otherwise from the recorded calls.
    Raises: RuntimeError outside IPython; ValueError for text that is no setup.
    """
    # Imported here: the launcher imports this package before it knows whether IPython is needed.
    from codeact_kernel.in_kernel.session import start_session

    start_session(text)
