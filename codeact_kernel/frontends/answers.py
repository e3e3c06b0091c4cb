"""Owns the check of a final answer against the output type that the caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..exceptions import CodeActError, ToolCallError
from ..tools.failures import failure
from ..wire.messages import Json, Raised, Returned, ToolOutcome
from ..wire.values import DecodeError, decode

if TYPE_CHECKING:
    from ..tools.output_type import OutputType


class AnswerCheck:
    """A `toolcalls.FinalCheck`: accepts what fits, and says where what does not fit is wrong.

    Args:
        output_type: a pydantic model, dataclass, TypedDict, other annotation or JSON Schema; None
            for any value.

    Raises:
        UsageError: `output_type` is none of these.
    """

    def __init__(self, output_type: Any = None) -> None:
        self._type: OutputType | None = None
        if output_type is not None:
            # pydantic and jsonschema are dear, and most answers may be anything.
            from ..tools.output_type import OutputType

            self._type = OutputType.of(output_type)

    @property
    def description(self) -> str:
        """What the task's text says of it."""
        if self._type is None:
            return ""
        return f"\n\nGive the answer with `final_answer(value)`; it must fit:\n{self._type.describe()}"

    def __call__(self, value: Json) -> ToolOutcome:
        try:
            self.value(value)
        except ToolCallError as problem:
            return Raised(problem.kind, str(problem))
        except DecodeError as problem:
            return Raised("ValueError", f"final_answer: {problem}")
        except CodeActError:
            raise
        except Exception as problem:  # the answer's data in the hands of other libraries, as of a tool
            return Raised("ValueError", f"final_answer: the value cannot be checked: {failure(problem)}")
        return Returned(None)

    def value(self, encoded: Json) -> Any:
        """The answer as the caller gets it. Raises ToolCallError, DecodeError."""
        return decode(encoded) if self._type is None else self._type.check(encoded)
