"""Owns the CodeAct kernel: an agent picked in a launcher, as a full citizen of Jupyter's protocol.

Everything here runs on the main loop, but for what its docstring says. A cell awaits the agent, which runs on
the portal thread; so the loop stays free for interrupts, widgets and questions meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from ipykernel.kernelbase import Kernel
from traitlets import Bool, Dict, Int, List, TraitError, Unicode, Union

from codeact_kernel import __version__

from ..exceptions import CodeActError, UsageError
from ..outputs import MimeBundle
from . import notebook_view, traits
from .kernel_agent import AgentDesk, Choice
from .kernel_app import CodeActKernelApp
from .kernel_cells import Cell, read_cell
from .kernel_history import History
from .kernel_lookup import Lookup
from .kernel_publish import CellPublish, Silent, error_content
from .kernel_run import CellRun, Outcome, error_of
from .kernel_stdin import Asker, FrontEndStdin, approval_asker
from .kernel_widgets import Widgets
from .publishing import style_for

SHUTDOWN_S = 10.0
BANNER = f"""CodeAct {__version__}: say in plain words what is to be done; the agent writes Python, and runs
it in a sandbox. %%python runs your own code there. %help says more."""


class CodeActKernel(Lookup, Kernel):  # type: ignore[misc]  # ipykernel is untyped to us
    """An agent behind Jupyter's protocol: a cell in plain words is a task."""

    implementation = "codeact"
    implementation_version = __version__
    banner = BANNER
    language_info: ClassVar[dict[str, object]] = {
        # JupyterLab's name for its Markdown; VS Code takes a name that it does not know as plain text.
        "name": "codeact",
        "version": __version__,
        "mimetype": "text/x-ipythongfm",
        "codemirror_mode": "ipythongfm",
        "pygments_lexer": "markdown",
        "file_extension": ".md",
    }

    model = Unicode("", help="Which model, as anthropic:NAME or scripted:FILE.jsonl.").tag(config=True)
    tools = List(Unicode(), help="Tools: files, modules, toolkits; NAME=ENTRY: in a module.").tag(config=True)
    mcp = List(Unicode(), help="Files with MCP servers, as mcp.json.").tag(config=True)
    skills = List(Unicode(), help="Folders of skills (codeact skill save).").tag(config=True)
    verify = Bool(False, help="Whether each finished cell is replayed once from its notebook.").tag(
        config=True
    )
    spares = Int(
        0,
        min=0,
        help="So many sandboxes are kept ready, with numpy, pandas and matplotlib imported, so that neither "
        "the first cell nor %reset waits. With what they are made from the first takes some 170 MB.",
    ).tag(config=True)
    redact = List(
        Unicode(), help="What is masked in the record beside known secrets: NAME=REGULAR EXPRESSION."
    ).tag(config=True)

    approve = Union(
        [Unicode(), Dict()],
        default_value="",
        help="Which tool calls you are asked about: allow, ask, ask-writes, deny; or one of these by tool.",
    ).tag(config=True)

    def __init__(self, **traits_given: Any) -> None:  # ipykernel's own
        super().__init__(**traits_given)
        self._stdin = FrontEndStdin(self.session, self.stdin_socket)
        self._widgets = Widgets(self, self._stdin)
        self._desk = AgentDesk(self._choice, self._tell, self._widgets.attend)
        self._history = History()
        self._run: CellRun | None = None
        self._publish: CellPublish | Silent = Silent()

    # --- cells ---

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: Mapping[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: object = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """A task, or code of the user's own. A silent probe asks no model."""
        parent = self.get_parent("shell")
        self._publish = Silent() if silent else CellPublish(self, parent, self.execution_count)
        self._run = run = CellRun(
            self._desk, self._widgets, self._publish, style_for(cell_id, allow_stdin), user_expressions or {}
        )
        ident = self._get_shell_context_var(self._shell_parent_ident)
        self._stdin.open(Asker(parent, ident, run.flush) if allow_stdin and not silent else None)
        self._widgets.begin(parent)
        try:
            outcome = await self._outcome(run, code, silent)
        finally:
            self._run = None
            self._widgets.end()
            self._stdin.open(None)
        if outcome.error is not None and not outcome.shown:
            self._publish.error(outcome.error)
        return self._reply(outcome, code, kept=store_history and not silent, silent=silent)

    async def _outcome(self, run: CellRun, code: str, silent: bool) -> Outcome:
        try:
            cell = read_cell(code)
            if silent and cell.own is None:
                cell = Cell()
            return await run.run(cell)
        except CodeActError as problem:
            return Outcome(error_of(problem))

    def _reply(self, outcome: Outcome, code: str, *, kept: bool, silent: bool) -> dict[str, Any]:
        count = self.execution_count
        if kept:
            self._history.add(count, code, self._publish.said)
        elif not silent:
            self.execution_count -= 1  # ipykernel has counted it.
        reply: dict[str, Any] = {"execution_count": count, "payload": list(outcome.payload)}
        reply["user_expressions"] = dict(outcome.expressions)
        if outcome.error is not None:
            return {"status": "error", **reply, **error_content(outcome.error)}
        return {"status": "ok", **reply}

    def _tell(self, text: str) -> None:
        self._show(notebook_view.notice(text))

    def _show(self, data: MimeBundle) -> None:
        if self._run is not None:
            self._run.flush()
        self._publish.display(data)

    def _choice(self) -> Choice:
        if self.parent is not None and self.parent.config_problem:
            raise UsageError(self.parent.config_problem)
        try:
            settings = replace(traits.settings(self), redact=tuple(self.redact))
        except TraitError as problem:
            raise UsageError(f"the configuration of the kernel cannot be used: {problem}") from None
        asker = approval_asker(self._stdin, self._show, self._widgets.caught_up, self.io_loop.asyncio_loop)
        approve, tools, mcp = self.approve or None, tuple(self.tools), tuple(self.mcp)
        named = (tools, mcp, tuple(self.skills))
        return Choice(self.model, *named, settings, self.verify, approve, asker, self.spares)

    @property
    def kernel_info(self) -> dict[str, Any]:
        """Without the debugger that the base promises, and without subshells (`kernel_app`)."""
        return {**super().kernel_info, "supported_features": []}

    def start(self) -> None:
        """Also begins what takes a while; what is wrong with it, the first cell says."""
        super().start()
        with suppress(CodeActError):
            self._desk.spares.launcher()

    # --- stopping ---

    def pre_handler_hook(self) -> None:
        """Nothing: who is interrupted is `interrupt`'s matter, also while a handler runs."""

    def post_handler_hook(self) -> None:
        """Nothing, as before."""

    def interrupt(self) -> None:
        """From the signal handler: stops the cell that runs."""
        if self._run is not None:
            self.io_loop.asyncio_loop.call_soon_threadsafe(self._interrupted)

    def _interrupted(self) -> None:
        if self._run is not None:
            self._run.interrupt()

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """On the control thread: the agent is ended on the main loop."""
        closing = asyncio.run_coroutine_threadsafe(self._closed(), self.io_loop.asyncio_loop)
        try:
            async with asyncio.timeout(SHUTDOWN_S):
                await asyncio.wrap_future(closing)
        except TimeoutError:
            self.log.warning("The sandbox did not end in time; it ends with this process")
        return {"status": "ok", "restart": restart}

    async def _closed(self) -> None:
        for _ in range(2):  # A cell that runs gets no grace.
            self._interrupted()
        try:
            await self._desk.close()
        except CodeActError as problem:
            self.log.error("%s", problem)
        finally:
            self._desk.spares.close()


def main() -> None:
    """What the kernelspec starts."""
    # Else the base imports it to say whether it could debug: 0.15 s, and warnings in a console.
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # as import does for what cannot be had
    CodeActKernelApp.launch_instance()


if __name__ == "__main__":
    main()
