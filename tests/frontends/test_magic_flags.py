"""The line of `%codeact`: flags, the task as it is written, and what is said of a wrong one."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError as OfIPython
from IPython.core.inputtransformer2 import TransformerManager

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.magic import CodeActMagics
from codeact_kernel.frontends.magic_flags import FLAGS, Request, read
from codeact_kernel.frontends.magic_questions import Question

PARSER = CodeActMagics.codeact.parser  # type: ignore[attr-defined]  # IPython puts it there


def test_flags_stand_before_a_task_that_is_taken_as_it_is_written() -> None:
    line = """--with df, model --out r --max-cost 0.5 --max-steps=3 What's "the {x}" of $5 -- or more?"""
    assert read(PARSER, line, None) == Request(
        """What's "the {x}" of $5 -- or more?""",
        send=("df", "model"),
        take=("r",),
        max_cost=0.5,
        max_steps=3,
    )


def test_every_flag_is_read_and_a_cell_is_a_task() -> None:
    line = "--tools f,g,f --model scripted:x.jsonl --save 'my run.ipynb' --insert --dry --no-verify"
    line += " --approve ask first line"
    assert read(PARSER, line, "and <more>\n--out x\n") == Request(
        "first line\nand <more>\n--out x",
        tools=("f", "g"),
        model="scripted:x.jsonl",
        save="my run.ipynb",
        approve="ask",
        insert=True,
        dry=True,
        verify=False,
    )
    assert read(PARSER, '--save="a b.ipynb" go', None).save == "a b.ipynb"
    assert read(PARSER, "-- --dry is a flag", None).task == "--dry is a flag"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--outt x y", r"unknown flag '--outt'\. Did you mean '--out'\?"),
        ("--frobnicate y", r"unknown flag '--frobnicate'\. There are: --with, .*--no-verify"),
        ("plot it --out fig", "--out stands inside the task; flags come before it"),
        ("--with", "--with needs a value: --with NAMES"),
        ("--with --out x y", "--with needs a value"),
        ("--dry=1 x", "--dry takes no value"),
        ("", r"the task is empty: say after the flags what is to be done; %codeact\? tells more"),
        ("--insert", "the task is empty"),
        ("--with 1a x", "'1a' is no name of a variable; write them with commas, as in df,model"),
        ("--with df.x x", "'df.x' is no name"),
        ("--with class x", "'class' is no name"),
        ("--max-steps 0 x", "argument --max-steps: '0': 1 is the least"),
        ("--max-steps 1.5 x", "'1.5' is no whole number"),
        ("--max-cost -1 x", "'-1' is no amount of US dollars above 0"),
        ("--max-cost nan x", "'nan' is no amount"),
        ("--max-cost cheap x", "'cheap' is no number"),
    ],
)
def test_a_wrong_line_is_told_in_a_sentence(line: str, said: str) -> None:
    with pytest.raises((UsageError, OfIPython), match=said):
        read(PARSER, line, None)


def test_the_help_names_every_flag() -> None:
    text = CodeActMagics.codeact.__doc__ or ""
    assert all(flag.name in text and flag.help.split()[0] in text for flag in FLAGS)


@pytest.fixture
def transform() -> TransformerManager:
    manager = TransformerManager()
    manager.token_transformers.append(Question)
    return manager


@pytest.mark.parametrize(
    ("cell", "call"),
    [
        ("%codeact how many rows?", "run_line_magic('codeact', 'how many rows?')"),
        ("x = %codeact what's up??", """x = get_ipython().run_line_magic('codeact', "what's up??")"""),
        (
            "x.y = 1\nif x:\n    %codeact (is it?\nz = 2",
            "    get_ipython().run_line_magic('codeact', '(is it?')",
        ),
        ("%codeact --dry --with df really ?", "run_line_magic('codeact', '--dry --with df really ?')"),
        ("%codeact is 'it f\"{x?\ny = 1", """'is \\'it f"{x?')\ny = 1"""),
        ("%codeact let's go\nx = %codeact and it's?", """run_line_magic('codeact', "and it's?")"""),
        ("%codeact?", "run_line_magic('pinfo', '%codeact')"),
        ("%codeact ??", "run_line_magic("),
        ("%codeactx a?", "run_line_magic('pinfo', 'a')"),
        ("x = y?", "run_line_magic('pinfo', 'y')"),
        ("s = '''\n%codeact how many?\n'''", "%codeact how many?\n"),
        ("%%timeit\n%codeact what?", "run_cell_magic('timeit', '', '%codeact what?\\n')"),
    ],
)
def test_a_task_may_be_a_question(transform: TransformerManager, cell: str, call: str) -> None:
    assert call in transform.transform_cell(cell)
