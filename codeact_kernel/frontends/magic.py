"""Owns the magics of `%load_ext codeact_kernel`: an agent from within a notebook of one's own."""

from __future__ import annotations

import atexit
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import parse_argstring
from jupyter_core.paths import jupyter_config_path
from traitlets import Bool, Enum, Unicode
from traitlets.config import Config

from ..config import Settings
from ..exceptions import CodeActError, UsageError
from ..sandbox.confine.policy import TIERS
from . import cage
from .approving_terminal import TerminalAsker
from .config_files import OURS, read_folders
from .doors import saved_run
from .magic_complete import matcher
from .magic_dry import dry
from .magic_flags import Request, files_magic, plain_magic, read, run_magic, task_magic
from .magic_place import home, place
from .magic_questions import Question
from .magic_saved import replayed, shown
from .magic_session import Done, Options, Session, code_of
from .magic_view import Answer, ShellPublish, TerminalView, in_terminal, view_of
from .notebook_view import stopped
from .page import stdout_console
from .server_configs import listed
from .terminal import clean
from .traits import settings

MATCHER = "codeact_kernel"


@magics_class
class CodeActMagics(Magics):  # type: ignore[misc]  # IPython is untyped to us
    """The magics, and what holds for all tasks of a notebook: `%config CodeActMagics.model = "…"`."""

    model = Unicode("", help="Which model, where --model does not say; empty: the default one.").tag(
        config=True
    )
    approve = Unicode("", help="Which calls need approval, where --approve does not say.").tag(config=True)
    verify = Bool(True, help="Replay each run in the background, to see whether it re-runs.").tag(config=True)
    sandbox = Enum(("", "auto", *TIERS, "none"), "", help="The cage; empty: as configured.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell, config=_config(shell))
        self._session = Session()
        self._process = os.getpid()
        self._asker = TerminalAsker(stdout_console()) if in_terminal(shell) else None

    @task_magic
    def codeact(self, line: str, cell: str | None = None) -> Any:
        """Gives an agent a task; it writes Python, runs it in an isolated kernel, and answers.

        The answer is what the magic returns: `x = %codeact how many rows lack a date?`. The next task goes on
        in the same kernel, until %codeact_reset. Every run is saved as a notebook that re-runs.

            %codeact --with df which customers came back within a week?

            %%codeact --with df --out weekly,fig --max-cost 0.5
            Sum up the sales by week, and draw them.

        Variables go and come as copies: frames, series, arrays, numbers, texts, dates, bytes, containers of
        them; a figure as a picture. Flags stand before the task. See also %codeact_replay, %codeact_show.
        """
        with _plainly():
            return self._solve(read(_parser(self.codeact), line, cell))

    @run_magic
    def codeact_replay(self, line: str) -> None:
        """Runs a saved run again, in a fresh kernel and with no tool called, and says where it differs."""
        with _plainly():
            path = self._saved(parse_argstring(type(self).codeact_replay, line).run)
            replayed(self.shell, path, self._settings())

    @run_magic
    def codeact_show(self, line: str) -> None:
        """Shows a saved run here, with all steps, calls and outputs; nothing in it is active."""
        with _plainly():
            shown(self.shell, self._saved(parse_argstring(type(self).codeact_show, line).run))

    @files_magic
    def mcp(self, line: str) -> None:
        """Gives the agent the MCP servers of these files, from the next task on; says which it has.

            %mcp mcp.json

        Each server is a module in the agent's kernel: `from mcp_servers import filesystem`. The servers run
        here, outside of the sandbox, with your rights. No file is read that is not named.
        """
        with _plainly():
            self._session.servers.add(parse_argstring(type(self).mcp, line).files)
            print(
                clean(listed(self._session.server_states())) or "No MCP servers; name a file: %mcp mcp.json"
            )

    @plain_magic
    def codeact_reset(self, line: str) -> None:
        """Ends the agent and its kernel; the next %codeact starts a run of its own."""
        with _plainly():
            parse_argstring(type(self).codeact_reset, line)
            path = self._session.path
            self.close("the agent was reset")
            print("There was no agent." if path is None else f"The agent is gone; its run is in {path.name}")

    def close(self, why: str = "the notebook's kernel has ended") -> None:
        """Ends the agent, if there is one. In a child of `os.fork` nothing is done: it is the parent's."""
        if os.getpid() == self._process:
            session, self._session = self._session, Session()
            session.close(why)

    # --- a task ---

    def _solve(self, request: Request) -> Any:
        shell, namespace = self.shell, self.shell.user_ns
        beside = partial(place, namespace)
        options = Options(self._settings(), self.model, self.approve, self.verify, beside, self._asker)
        plan = self._session.plan(request, namespace, options)
        if request.dry:
            print(dry(self._session, plan, options))
            return None
        view = view_of(shell, home(namespace))
        if self._asker is not None and isinstance(view, TerminalView):
            self._asker.paused = view.paused
        with view:
            done = self._session.solve(plan, options, view)
        if request.insert:
            shell.set_next_input(code_of(done.turn))
        if done.run.stop_reason != "answer":
            raise CodeActError(f"{stopped(done.run.stop)}. The kernel keeps its state: give the next task")
        shell.push(dict(done.values))
        answer = Answer(done.run.answer) if isinstance(done.run.answer, str) else done.run.answer
        if done.problems:
            self._tell_problems(done, answer)
        return answer

    def _tell_problems(self, done: Done, answer: object) -> None:
        """The answer is not lost. Raises UsageError."""
        data, metadata = self.shell.display_formatter.format(answer)
        ShellPublish(self.shell).display(data, metadata)
        came = f"; brought back: {', '.join(done.values)}" if done.values else ""
        raise UsageError(f"--out {'; '.join(done.problems)}{came}")

    def _settings(self) -> Settings:
        given = settings(self)
        profile = cage.with_sandbox(given.profile, self.sandbox or None)
        return Settings(given.limits, given.tools, given.output, given.context, profile)

    def _saved(self, name: str | None) -> Path:
        if name:
            return saved_run(name)
        if self._session.path is None:
            raise UsageError("nothing has run here yet: name a saved run, RUN.ipynb")
        return self._session.path


def _config(shell: Any) -> Config:
    """Of the folders of `jupyter --paths`, and of IPython, which wins."""
    found, _ = read_folders([OURS], jupyter_config_path())
    found.merge(shell.config)
    return found


def _parser(magic: Any) -> ArgumentParser:
    parser: ArgumentParser = magic.parser
    return parser


@contextmanager
def _plainly() -> Iterator[None]:
    """What goes wrong is said in a sentence: our own frames help nobody."""
    try:
        yield
    except (CodeActError, KeyboardInterrupt) as problem:
        kept = "interrupted; the agent keeps its state" if isinstance(problem, KeyboardInterrupt) else problem
        said = f"{type(problem).__name__}: {clean(str(kept))}"
        problem._render_traceback_ = lambda: [said]  # type: ignore[union-attr]  # IPython asks for it
        raise


def load(shell: Any) -> None:
    """`%load_ext codeact_kernel`. Raises UsageError for a config file that cannot be used."""
    unload(shell)
    with _plainly():
        magics = CodeActMagics(shell)
    shell.register_magics(magics)
    shell.Completer.custom_matchers.append(matcher(shell))
    shell.input_transformer_manager.token_transformers.append(Question)
    shell.codeact_magics = magics
    atexit.register(magics.close)


def unload(shell: Any) -> None:
    """Ends the agent and takes the magics away."""
    magics = getattr(shell, "codeact_magics", None)
    if magics is None:
        return
    del shell.codeact_magics
    atexit.unregister(magics.close)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != MATCHER]
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [one for one in transformers if one is not Question]
    for kind in ("line", "cell"):
        for name in magics.magics[kind]:
            shell.magics_manager.magics[kind].pop(name, None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    magics.close("the extension was unloaded")
