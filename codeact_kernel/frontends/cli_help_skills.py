"""Owns the help texts of `codeact skill`. Standard library only."""

from __future__ import annotations

from .cli_help_parts import CAGE, COMMON, EXIT_CODES

_FOLDERS = """\
  --skills DIR           this folder instead of the user's own; may be repeated
"""

SKILL = f"""\
codeact skill: functions of saved runs, kept as plain Python files with tests, and offered to
later runs (--skills DIR), which import them: from skills import top_customers. Nothing of a
skill runs outside of a sandbox.

Usage
  codeact skill save RUN.ipynb FUNCTION... [OPTIONS]
  codeact skill list
  codeact skill show NAME
  codeact skill remove NAME...

{COMMON}
{EXIT_CODES}"""

SAVE = f"""\
codeact skill save: cut a function out of a saved run, with the imports, helpers and constants
that it needs, as FUNCTION.py; and its calls in the run as FUNCTION_test.py, which pytest runs.
The run is run again for that in a sandbox, its tools answered from the recorded calls; then
the new file is tried there alone. If it does something else, nothing is written.

Usage
  codeact skill save RUN.ipynb FUNCTION... [OPTIONS]

Options
  --to DIR               the folder that gets the files (default: one of this user's own, which
                         `codeact skill list` names)
  --doc TEXT             what the function is for, if it has no docstring
  --replace              write one anew that is there
  --untested             also a function that the run never called, or of whose calls no test
                         can be made (data frames, files); the file says so
  --force                also of a run that is not as it was recorded, or did something else when
                         it was replayed
  --data FILE...         the data the run was given, where the notebook does not carry it
  --json                 one JSON document on stdout, progress on stderr

{CAGE}
{COMMON}
Examples
  codeact skill save sales.ipynb top_customers --to skills
  codeact run "Who bought most in May?" --tools shop.py --skills skills
  pytest skills

{EXIT_CODES}"""

LIST = f"""\
codeact skill list: the skills there are: signature, first sentence, file.

Usage
  codeact skill list [OPTIONS]

Options
{_FOLDERS}\
  --json                 one JSON document on stdout

{COMMON}
{EXIT_CODES}"""

SHOW = f"""\
codeact skill show: print the source of a skill.

Usage
  codeact skill show NAME [OPTIONS]

Options
{_FOLDERS}
{COMMON}
{EXIT_CODES}"""

REMOVE = f"""\
codeact skill remove: take skills away, with their tests.

Usage
  codeact skill remove NAME... [OPTIONS]

Options
{_FOLDERS}
{COMMON}
{EXIT_CODES}"""

SKILL_TEXTS = {
    "skill": SKILL,
    "skill save": SAVE,
    "skill list": LIST,
    "skill show": SHOW,
    "skill remove": REMOVE,
}
