"""Owns what a test file of a skill has in place of a kernel: tools, their errors, values with fields."""

from __future__ import annotations

from .literals import RECORD

RECORDS = f'''
class {RECORD}(dict):
    """A value with fields: order.total and order["total"] are one."""

    def __init__(self, fields):
        super().__init__(fields)
        self.__dict__.update(fields)  # A field called `items` comes before the method, as in a kernel.
'''
TOOLS = '''
answers = []
"""Of the test that runs: tool, arguments, and what it returned or raised."""


def tool(name, *parameters):
    """Stands for a tool: answers as it did in the run."""

    def call(*args, **kwargs):
        given = {**dict(zip(parameters, args)), **kwargs}
        given = {key: value for key, value in given.items() if value is not None}
        for place, (called, asked, answer) in enumerate(answers):
            if called == name and asked == given:
                del answers[place]
                if isinstance(answer, Exception):
                    raise answer
                return answer
        raise AssertionError(f"{name} was not called like this in the run: {given!r}")

    return call
'''
ASYNC = """
def awaited(call):
    async def acall(*args, **kwargs):
        return call(*args, **kwargs)

    return acall
"""
ERRORS = '''
class tools:
    """What a failed call of a tool raises, by the names that a kernel has for it."""

    class ToolError(Exception):
        pass

    class ToolUnavailable(ToolError):
        pass

    class ToolSchemaError(ToolError):
        pass

    class ToolProtocolError(ToolError):
        pass

    class ToolDenied(PermissionError):
        pass
'''
