"""What parses as Python goes past IPython's tokenizer, and comes out as it would have from it."""

from __future__ import annotations

import ast
import random
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import EscapedCommand, TransformerManager

from codeact_kernel.in_kernel.transforming import Transformers

SPECIAL = """\
%time 1
!ls
x = %env
files = !ls *.py
print?
print??
%%time
x
  indented = 1
>>> 1 + 1
In [1]: 2
,f a b
;f a b
/f a
if 1:
    !ls
    %cd
# what?
x = 1  # why?
(1
% 2)
'''
%no magic
'''
x = 1 \\
% 2
f(
""".splitlines()


def stock(code: str) -> str | None:
    try:
        return str(TransformerManager().transform_cell(code))
    except SyntaxError:
        return None


def ours(code: str) -> str | None:
    try:
        return str(Transformers().transform_cell(code))
    except SyntaxError:
        return None


@given(st.lists(st.sampled_from(SPECIAL), max_size=6).map("\n".join))
def test_as_stock_whatever_is_special(code: str) -> None:
    assert ours(code) == stock(code)


def test_as_stock_for_modules_of_the_standard_library() -> None:
    modules = sorted(Path(ast.__file__).parent.glob("*.py"))
    chosen = [path for path in random.Random(6).sample(modules, 30) if path.stat().st_size < 20_000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some are there to be warned of.
        for path in chosen:
            code = path.read_text(errors="replace")
            assert ours(code) == stock(code), path.name


def test_nesting_that_no_parser_takes_is_left_to_stock() -> None:
    code = "(" * 5000 + ")" * 5000
    assert ours(code) == stock(code)


@pytest.mark.parametrize("code", ["1 + 1", "x = 1\ny = 2\n"])
def test_a_transformer_of_somebody_elses_is_asked(code: str) -> None:
    asked: list[object] = []

    class Own(EscapedCommand):  # type: ignore[misc]  # IPython publishes no types
        @classmethod
        def find(cls, tokens_by_line: object) -> None:
            asked.append(tokens_by_line)

    transformers = Transformers()
    transformers.token_transformers.append(Own)
    transformers.transform_cell(code)
    assert asked
