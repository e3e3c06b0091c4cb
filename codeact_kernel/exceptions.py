"""Owns the exception tree: every error this package raises on the host.

CodeActError
├── UsageError               what the caller gave cannot be used (a file, a flag, a tool, a schema)
│   ├── ToolDefinitionError  a function cannot be offered as a tool
│   └── NotebookError        a notebook or journal is not a trajectory we can read
│       └── ForeignNotebook  a notebook that no run has saved
├── SandboxError             the sandbox kernel cannot be provided, or stopped being one
├── ModelError               the model cannot answer
│   ├── CredentialsError     no key, or one that the endpoint refuses
│   ├── ModelRefusal         the model declined; `category` says why, where the endpoint says so
│   └── ScriptExhausted      a scripted model ran past its last reply
├── ToolCallError            a tool call is wrong before the tool runs (bad argument, limit reached)
└── BudgetError              a budget cannot be enforced as asked (price of the model unknown)

What a *program* in the sandbox does wrong is never one of these: it is an Observation.
"""

from __future__ import annotations


class CodeActError(Exception):
    """Root of the tree. The message says what failed, the value, and what to do."""


class UsageError(CodeActError):
    """Something the caller gave cannot be used."""


class ToolDefinitionError(UsageError):
    """A function cannot be offered as a tool; the message names the function and the parameter."""


class NotebookError(UsageError):
    """A notebook or journal is not a trajectory that this version can read."""


class ForeignNotebook(NotebookError):
    """A notebook, but none that a run has saved."""


class SandboxError(CodeActError):
    """The sandbox kernel cannot be provided. Never shown to the model as an observation."""


class ModelError(CodeActError):
    """The model could not give a usable reply after the retries that make sense."""


class CredentialsError(ModelError):
    """No key, or one that the endpoint refuses."""


class ModelRefusal(ModelError):
    """The model declined to go on."""

    def __init__(self, message: str, category: str | None = None) -> None:
        super().__init__(message)
        self.category = category


class ScriptExhausted(ModelError):
    """A scripted model was asked for more replies than its script has."""


class ToolCallError(CodeActError):
    """A tool call that never reached the tool.

    Args:
        message: what was wrong, naming the tool and the parameter.
        kind: name of the builtin exception that action code sees (``TypeError``, ``ValueError``, …).
    """

    def __init__(self, message: str, kind: str = "TypeError") -> None:
        super().__init__(message)
        self.kind = kind


class BudgetError(CodeActError):
    """A budget cannot be enforced as asked."""
