"""Owns what the setup cell does: tools into the namespace, allow-lists in force, `%%recorded` known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from IPython.core.getipython import get_ipython

from codeact_kernel.in_kernel import attach
from codeact_kernel.in_kernel.awaiting import AwaitTools
from codeact_kernel.in_kernel.catalogue import Catalogue
from codeact_kernel.in_kernel.channel import Caller
from codeact_kernel.in_kernel.digest import install_digests
from codeact_kernel.in_kernel.functions import AWAITABLE
from codeact_kernel.in_kernel.guard import Guard
from codeact_kernel.in_kernel.hostless import allowed_here, provide_data, say_external
from codeact_kernel.in_kernel.modules import PACKAGES, ToolFinder
from codeact_kernel.in_kernel.recorded import register_recorded
from codeact_kernel.in_kernel.skills import Skills
from codeact_kernel.in_kernel.toolbox import Toolbox, read_resource
from codeact_kernel.in_kernel.tools import DENIED, ERRORS, FINAL_ANSWER_SPEC, ToolDenied, ToolFunction
from codeact_kernel.wire.messages import Json, ToolOutcome
from codeact_kernel.wire.setup import SetupSpec, parse_setup
from codeact_kernel.wire.setup_skills import PACKAGE, skill_spec
from codeact_kernel.wire.tape import Tape

_active: _Session | None = None


class TapeCaller:
    """Answers from the calls recorded in the notebook. Nothing outside is touched."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        return self._tape.answer(tool, args, kwargs)

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        return self._tape.answer(tool, args, kwargs)

    def refused(self, kind: str, name: str) -> None:
        """Nobody listens: the refusal is in the cell's own output."""


class _Session:
    """One setup in force in one shell."""

    def __init__(self, shell: Any, spec: SetupSpec, caller: Caller, imports: tuple[str, ...]) -> None:
        self._shell = shell
        instead = {each.name: f"from {each.package} import {each.name}" for each in spec.modules}
        instead |= {"tools": "the object tools is there already: tools.search('words')"} if instead else {}
        self._guard = Guard(shell, imports, caller.refused, (*PACKAGES, PACKAGE), instead)
        # By what the name stands for now: a cell may have given it to something else.
        helper = AWAITABLE if spec.modules else ""
        self._awaiting = AwaitTools(
            lambda name: isinstance(shell.user_ns.get(name), ToolFunction), helper, shell.user_ns.get
        )
        flat = [tool for tool in (*spec.tools, FINAL_ANSWER_SPEC) if not tool.module]
        stubs = {tool.name: ToolFunction(tool, caller) for tool in flat}
        self._catalogue = Catalogue(
            spec.modules, spec.tools, caller, spec.packed, map(skill_spec, spec.skills)
        )
        self._finder = ToolFinder(self._catalogue, imports, OnceACell(shell))
        several = spec.modules or spec.skills
        further = _further(self._catalogue) if several else {DENIED: ToolDenied}
        given = {**further, **stubs}
        self._skills = Skills(spec.skills, self._guard, given, helper, imports)
        shell.user_ns.update(given)
        shell.user_ns_hidden.update(given)  # Not variables of the user's: %who does not list them.
        _ask_by(stubs, getattr(shell, "kernel", None))

    def start(self) -> None:
        self._finder.install()
        self._skills.install()
        self._guard.install()
        self._shell.ast_transformers.append(self._awaiting)

    def stop(self) -> None:
        self._finder.remove()
        self._skills.remove()
        self._guard.remove()
        self._shell.ast_transformers.remove(self._awaiting)


class OnceACell:
    """Whether a server may be asked for a name that its module has not: by code of a cell, and once in it.
    Completion and inspection ask nobody; and a cell makes the same calls when it runs again."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._asked: dict[str, int] = {}

    def __call__(self, module: str) -> bool:
        now = self._shell.execution_count
        if self._asked.get(module) == now or not self._in_a_cell():
            return False
        self._asked[module] = now
        return True

    def _in_a_cell(self) -> bool:
        frame, namespace = sys._getframe(2), self._shell.user_global_ns
        while frame.f_globals is not namespace:
            if frame.f_back is None:
                return False
            frame = frame.f_back
        return True


def _further(catalogue: Catalogue) -> dict[str, object]:
    """What else the namespace has where there are modules; a tool of such a name comes before it."""
    toolbox = Toolbox(catalogue)
    read_resource(toolbox)
    return {"tools": toolbox, **ERRORS}


def _ask_by(stubs: Mapping[str, ToolFunction], kernel: Any) -> None:
    """Libraries that call `input()` or `getpass.getpass()` ask as the tools of that name do, where they are:
    ipykernel puts these methods of its kernel there for each cell."""
    for name, method in (("input", "raw_input"), ("getpass", "getpass")):
        if kernel is not None and name in stubs:
            setattr(kernel, method, _asking(stubs[name]))


def _asking(tool: ToolFunction) -> Callable[..., str]:
    def ask(*prompt: object, **ignored: object) -> str:
        return str(tool(*map(str, prompt[:1])))

    return ask


def start_session(text: str) -> None:
    """See `codeact_kernel.in_kernel.setup`."""
    global _active
    shell = get_ipython()
    if shell is None:
        raise RuntimeError("setup() belongs into the setup cell of a notebook; there is no IPython here")
    spec = parse_setup(text, lazily=True)
    register_recorded(shell)
    if attach.channel is not None:
        if _active is not None:
            raise RuntimeError("this kernel is set up already; the agent that runs it does that once")
        install_digests(shell)
        _active = _Session(shell, spec, attach.channel, spec.allow_imports)
    else:
        if _active is not None:
            _active.stop()
        say_external(spec)
        provide_data(spec)
        # Without a host, the setup cell may be run again by hand, so its own import stays allowed.
        imports = (*allowed_here(spec.allow_imports), "codeact_kernel.in_kernel")
        _active = _Session(shell, spec, TapeCaller(Tape(spec.tape)), imports)
    _active.start()
