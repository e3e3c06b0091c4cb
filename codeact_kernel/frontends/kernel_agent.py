"""Owns the agent behind a front-end kernel: one from the first cell to %reset, made when it is needed.

Without a key there is still one: the user's own cells need no model, and a task says what to do.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from ..config import Limits, Settings
from ..events import ModelRequest
from ..exceptions import CredentialsError, UsageError
from ..interfaces import Emit, Model
from ..models.spec import DEFAULT_SPEC, load_model
from ..outputs import MimeBundle
from ..tools.registry import Tool
from ..trajectory import Reply, Step, Usage
from . import notebook_view
from .approval_modes import Approve
from .approving import Asker
from .assembly import Agent
from .kernel_spares import Spares
from .server_configs import Named
from .toolentries import load_entries

KEYLESS = (
    "the model {spec!r} cannot be used: {problem}\nSet ANTHROPIC_API_KEY in the environment that Jupyter is "
    "started from, or choose another model in a cell: %model scripted:FILE.jsonl. "
    "Cells that start with %%python need no model."
)
CLOSE_S = 3.0
"""Seconds that ending an agent may wait for a replay that verifies its notebook."""


@dataclass(frozen=True)
class Choice:
    """What the kernel is configured with. `model`: "" for the default one."""

    model: str = ""
    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    settings: Settings = Settings()
    verify: bool = False
    approve: Approve | None = None
    asker: Asker | None = None
    """As of `Agent`."""
    spares: int = 0
    """As of `Launcher`."""


class NoModel:
    """A `Model` that is not there yet, or cannot be had. It goes by the name of that one."""

    context_window = 200_000
    instructions = ""

    def __init__(self, spec: str, problem: object = "it was not loaded") -> None:
        self.name = spec.partition(":")[2] or spec
        self.problem = CredentialsError(KEYLESS.format(spec=spec, problem=problem))

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        raise self.problem

    async def aclose(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Branch:
    """Where the next agent goes on: after the last of these steps of a saved run; before all if none."""

    path: Path
    steps: tuple[Step, ...]


class AgentDesk:
    """The agent of a kernel, and what the next one will be made with.

    Args:
        choice: what is configured, read when the first agent is made. Raises: UsageError.
        tell: what the user should know of it.
        made: called with each new agent, before it runs anything.
    """

    def __init__(
        self, choice: Callable[[], Choice], tell: Callable[[str], None], made: Callable[[Agent], None]
    ) -> None:
        self._read_choice = choice
        self._choice: Choice | None = None
        self._tell = tell
        self._on_made = made
        self._agent: Agent | None = None
        self._model: Model | None = None
        self._branch: Branch | None = None
        self._tools: tuple[Tool, ...] | None = None
        self.servers = Named(lambda: self.choice.mcp)
        """MCP servers for the next agent."""
        self.spares = Spares(lambda: (self.choice.spares, self.choice.settings.profile))

    @property
    def current(self) -> Agent | None:
        """The agent; None: no cell has needed one yet."""
        return self._agent

    @property
    def choice(self) -> Choice:
        """Raises: UsageError for a configuration that cannot be used."""
        if self._choice is None:
            self._choice = self._read_choice()
        return self._choice

    @property
    def model_spec(self) -> str:
        return self.choice.model or DEFAULT_SPEC

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of the run so far, also when it waits to be restored."""
        if self._branch is not None:
            return self._branch.steps
        trajectory = self._agent.trajectory if self._agent is not None else None
        return trajectory.steps if trajectory is not None else ()

    async def agent(self, *, for_task: bool) -> Agent:
        """The agent, made if there is none. `for_task`: with a model. Raises: UsageError, CredentialsError,
        BudgetError, ToolDefinitionError."""
        if self._agent is None:
            self._agent = await self._made(for_task)
        if for_task and isinstance(self._model, NoModel):
            model = await self._loaded(self.model_spec)
            if isinstance(model, NoModel):
                raise model.problem
            self._agent.change(model=model)
            self._model = model
        return self._agent

    async def tools(self) -> tuple[Tool, ...]:
        """Those that are configured, and that trusted files gave. Raises: UsageError."""
        if self._tools is None:
            self._tools = await asyncio.to_thread(load_entries, self.choice.tools)
        return self._tools

    async def add_tools(self, tools: tuple[Tool, ...]) -> None:
        """For the next agent. Raises: UsageError while there is one."""
        if self._agent is not None:
            raise UsageError("the sandbox runs with the tools it has; %reset first, and name the file then")
        self._tools = (*await self.tools(), *tools)

    async def change_model(self, spec: str) -> None:
        """From the next task on. Raises: UsageError, CredentialsError, BudgetError."""
        model = await self._loaded(spec)
        if isinstance(model, NoModel):
            raise model.problem
        if self._agent is not None:
            self._agent.change(model=model)
        self._model = model
        self._choice = replace(self.choice, model=spec)

    def change_limits(self, limits: Limits) -> None:
        """From the next task on. Raises: UsageError, BudgetError."""
        if self._agent is not None:
            self._agent.change(limits=limits)
        settings = replace(self.choice.settings, limits=limits)
        self._choice = replace(self.choice, settings=settings)

    async def reset(self) -> None:
        """Ends the agent; the next cell gets a new one, with nothing of this one's."""
        self._branch = None
        await self.close()

    async def undo(self) -> Step:
        """The next cell goes on before the last step, which is returned: in a new run, a branch of this one.
        Raises: UsageError."""
        steps = self.steps
        if not steps:
            raise UsageError("nothing has been run yet, so there is nothing to undo")
        path = self._branch.path if self._branch is not None else self._agent.path if self._agent else None
        assert path is not None
        await self.close()
        self._branch = Branch(path, steps[:-1])
        return steps[-1]

    async def close(self) -> None:
        """Ends the agent and its sandbox, and saves its notebook. May be called twice."""
        agent, self._agent = self._agent, None
        if agent is None:
            return
        if not isinstance(self._model, NoModel):
            self._model = None  # It is closed with its agent.
        try:
            async with asyncio.timeout(CLOSE_S):
                await agent.aclose()
        except TimeoutError:
            pass  # The replay was cut off, and the notebook says so.

    async def _made(self, for_task: bool) -> Agent:
        tools, servers = await self.tools(), await asyncio.to_thread(lambda: self.servers.configs)
        if self._model is None:
            # The SDK takes seconds to import, and the user's own cells need no model.
            later = not for_task and self.model_spec.startswith("anthropic")
            self._model = NoModel(self.model_spec) if later else await self._loaded(self.model_spec)
        path, remark = path_of_run()
        if remark:
            self._tell(remark)
        choice = self.choice
        agent = Agent(
            tools,
            model=self._model,
            settings=choice.settings,
            out=path,
            verify=choice.verify,
            approve=choice.approve,
            asker=choice.asker,
            launcher=self.spares.launcher(),
            mcp=servers,
            skills=choice.skills,
        )
        if self._branch is not None:
            at = self._branch.steps[-1].index if self._branch.steps else 0
            agent.fork(self._branch.path, at)
            self._branch = None
        self._on_made(agent)
        return agent

    async def _loaded(self, spec: str) -> Model:
        try:
            return await asyncio.to_thread(load_model, spec)
        except CredentialsError as problem:
            return NoModel(spec, problem)


def path_of_run() -> tuple[Path, str]:
    """Where the next run is written: beside the user's notebook. And what is to be said of it."""
    folder, stem = notebook_place()
    remark = ""
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        temporary = Path(tempfile.mkdtemp(prefix="codeact-"))
        remark = f"the folder {str(folder)!r} cannot be written, so the run is saved in {str(temporary)!r}"
        folder = temporary
    name = f"{stem}-codeact" if stem else "codeact"
    name = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(folder / f"{free}.ipynb" for free in names if not any(folder.glob(f"{free}.*"))), remark


def notebook_place() -> tuple[Path, str]:
    """The folder of the user's notebook and its name without ending; "" where no front end tells it."""
    session = os.environ.get("JPY_SESSION_NAME", "")
    path = Path(session).absolute()
    if not session or not path.parent.is_dir():
        return Path.cwd(), ""
    return path.parent, path.stem[:80]


def saved_link(path: Path, said: str) -> MimeBundle:
    """Where a run is, with a link where the front end can follow one: from the notebook's own folder."""
    inside = path.parent == notebook_place()[0]
    return notebook_view.link(path.name, quote(path.name) if inside else "", str(path), said)
