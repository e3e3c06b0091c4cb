"""Tools as text: one line, and what an error names."""

from __future__ import annotations

from codeact_kernel.wire.messages import ToolParameter, ToolSpec
from codeact_kernel.wire.stubs import parameters_hint, signature_text, summary, tool_line

READ = ToolSpec(
    "filesystem.read",
    (ToolParameter("path", annotation="str"), ToolParameter("tail", "keyword_only", "float", "...")),
    "str",
    "Reads a file. It is text.",
)


def test_line() -> None:
    assert tool_line(READ) == "filesystem.read(path: str, *, tail: float = ...) -> str — Reads a file."
    assert tool_line(ToolSpec("f")) == "f()"


def test_a_long_signature_has_the_names_only_and_ends() -> None:
    many = tuple(ToolParameter(f"parameter_{n}", annotation="dict[str, int]") for n in range(30))
    text = signature_text(ToolSpec("m.f", many))
    assert text.startswith("m.f(parameter_0, parameter_1, ")
    assert len(text) <= 200


def test_first_sentence() -> None:
    assert summary("Reads a file\nof version 1.2. Then more.") == "Reads a file of version 1.2."
    assert summary("Title\n\nMore.") == "Title"
    assert summary("x" * 10_000) == "x" * 199 + "…"
    assert summary("") == ""


def test_parameters_of_an_error() -> None:
    assert parameters_hint(READ) == "Parameters (* = required): path*, tail"
    assert parameters_hint(ToolSpec("f")) == "Parameters (* = required): none"
    many = ToolSpec(
        "f", (*map(ToolParameter, map("p{}".format, range(50))), ToolParameter("more", "var_keyword"))
    )
    assert parameters_hint(many).endswith("p39*, … 11 more")
