"""Owns the definition of a tool: `tool` makes one from a function, and refuses what cannot be one."""

from __future__ import annotations

import functools
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args, overload

from ..exceptions import ToolDefinitionError
from ..wire.frames import FINAL_ANSWER
from ..wire.messages import Effect, ToolModule, ToolSpec
from .approval import Way, checked_way
from .binding import Binding
from .home import toolkit
from .signature import parameters_of, resolve, returns_of
from .typetext import described_types

Thread: TypeAlias = Literal["caller", "worker", "loop"]
"""caller: the thread that called `run_sync` (the loop's, under `await run`). worker: any other
thread. loop: the event loop's. Not given: caller under `run_sync`, worker under `await run`."""

UPDATES = "_updates"
"""The hidden tool of a module that says which tools it has got since: it asks nobody for anything."""
Bind: TypeAlias = Callable[
    [Sequence[object], Mapping[str, object]], tuple[tuple[object, ...], dict[str, object]]
]


class Tool:
    """A function that action code may call. Calling the Tool calls the function, unchecked.

    Attributes:
        name: as action code calls it; with that of its module before it, if it is in one.
        home: that module, of Python functions.
        function: what runs.
        thread: where a sync tool must run, None for the door's default.
        is_async: defined with `async def`.
        arguments: binds, checks and converts decoded arguments. Raises ToolCallError.
        spec: what the sandbox kernel and the model are told.
        approval: what was said of its calls; None: nothing. The sandbox kernel does not learn it.
        here: whether it is awaited on the loop of the registry itself, where its server lives.
        hidden: whether nobody is told of it: it is called by what we put into the kernel.
        claim: what somebody else says of its effect, for a person.
    """

    home: ToolModule | None = None
    here = False
    hidden = False

    @property
    def claim(self) -> str:
        return ""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        thread: Thread | None = None,
        effect: Effect = "write",
        approval: Way | None = None,
        home: ToolModule | None = None,
    ) -> None:
        from .checking import Checker  # pydantic is dear, and who makes no tool needs none.

        self.function = function
        self.thread = thread
        self.home = home
        self.name = _checked_name(function, name, home)
        self.is_async = _is_async(function)
        if thread is not None and thread not in get_args(Thread):
            raise ToolDefinitionError(f"tool {self.name!r}: thread={thread!r}; use one of {get_args(Thread)}")
        if effect not in get_args(Effect):
            raise ToolDefinitionError(f"tool {self.name!r}: effect={effect!r}; use one of {get_args(Effect)}")
        self.signature, hints = resolve(function, self.name)
        self.approval = None if approval is None else checked_way(approval, self.name, self.signature)
        checkers = {
            parameter: Checker(hints.get(parameter, Any), f"tool {self.name!r}: parameter {parameter!r}")
            for parameter in self.signature.parameters
        }
        self.arguments: Bind = Binding(self.name, self.signature, checkers)
        doc = "\n\n".join(filter(None, [_doc(function), described_types(hints.values())]))
        self.spec = ToolSpec(
            name=self.name,
            parameters=parameters_of(self.signature, hints),
            returns=returns_of(hints),
            doc=doc,
            is_async=self.is_async,
            effect=effect,
        )
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def within(self, module: str | ToolModule) -> Tool:
        """The same tool as a function of a module: `from toolkits import shop`, `shop.refund(7)`.

        Raises: ToolDefinitionError for a name that no module can have.
        """
        return Tool(
            self.function,
            name=self.spec.function,
            thread=self.thread,
            effect=self.spec.effect,
            approval=self.approval,
            home=toolkit(module) if isinstance(module, str) else module,
        )

    def named(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
        """Checked arguments as an approval rule gets them: by parameter, those that were left out too; what
        `**kwargs` takes by its own names."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            parameter = self.signature.parameters[name]
            found |= value if parameter.kind is parameter.VAR_KEYWORD else {name: value}
        return found

    def __repr__(self) -> str:
        return f"<tool {self.name}{self.signature}>"


@overload
def tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    thread: Thread | None = None,
    effect: Effect | None = None,
    approval: Way | None = None,
) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    thread: Thread | None = None,
    effect: Effect | None = None,
    approval: Way | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    thread: Thread | None = None,
    effect: Effect | None = None,
    approval: Way | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a tool: ``@tool``, ``@tool(effect="read")``, ``tool(db.refund)``, ``tool(f, name="g")``.

    `effect`: "write" (the default) when a call changes something; a call of which nobody knows whether it
    was done is then never repeated unattended. "read": asking twice does no harm.

    `approval`: "allow" (the default), "ask" (a person, each time), "deny", or a function of the arguments
    that it names, which returns one of these or a bool: ``approval=lambda amount: amount < 100 or "ask"``.

    Every parameter needs an annotation, by which arguments are checked and converted; only a lambda,
    which cannot have any, is taken without, and needs `name`.

    Raises:
        ToolDefinitionError: naming the function and the parameter.
    """
    if function is None:
        return lambda decorated: tool(decorated, name=name, thread=thread, effect=effect, approval=approval)
    if isinstance(function, Tool):
        return Tool(
            function.function,
            name=name or function.spec.function,
            thread=thread or function.thread,
            effect=effect or function.spec.effect,
            approval=approval if approval is not None else function.approval,
            home=function.home,
        )
    return Tool(function, name=name, thread=thread, effect=effect or "write", approval=approval)


def _checked_name(function: Any, name: str | None, home: ToolModule | None) -> str:
    if not callable(function) or isinstance(function, type):
        raise ToolDefinitionError(
            f"{function!r} is no function; offer a function or a bound method as a tool"
        )
    inner = function.func if isinstance(function, functools.partial) else function
    name = name if name is not None else getattr(inner, "__name__", None)
    if name is None or name == "<lambda>":
        raise ToolDefinitionError(f"{function!r} has no name of its own; pass name=, as in tool(…, name='f')")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ToolDefinitionError(f"a tool cannot be called {name!r}; pass name= with a Python identifier")
    if name == FINAL_ANSWER:
        raise ToolDefinitionError(f"{name!r} is the tool that every run has; pass another name=")
    if home is None:
        return name
    if name.startswith("_"):
        raise ToolDefinitionError(f"tool {name!r}: in a module no tool begins with an underscore; pass name=")
    return f"{home.name}.{name}"


def _is_async(function: Any) -> bool:
    inner = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    call = type(inner).__call__  # of an object that is callable by its class
    candidates = (inner, call)
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in candidates):
        raise ToolDefinitionError(f"{function!r} is a generator; return a list instead")
    return any(inspect.iscoroutinefunction(each) for each in candidates)


def _doc(function: Any) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    if not inspect.isroutine(inner):
        inner = type(inner).__call__ if type(inner).__call__.__doc__ else type(inner)
    return inspect.getdoc(inner) or ""
