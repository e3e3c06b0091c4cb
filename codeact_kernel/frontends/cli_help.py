"""Owns the help texts of the command line, shaped by hand. Standard library only: help answers at once."""

from __future__ import annotations

from .cli_help_jupyter import JUPYTER_TEXTS
from .cli_help_parts import BUDGETS, CAGE, COMMON, EXIT_CODES, MODELS, RECORDING, SANDBOX
from .cli_help_saved import SAVED_TEXTS
from .cli_help_skills import SKILL_TEXTS
from .cli_help_tools import TOOL_TEXTS

ROOT = f"""\
codeact: an agent that acts by writing Python cells. They run in an isolated
IPython kernel with your tools as functions; the run is a notebook that re-runs.

Usage
  codeact COMMAND [OPTIONS]
  codeact COMMAND --help

Commands
  run      give the agent a task
  exec     run code in an isolated kernel, without a model
  resume   go on with a saved run: the same conversation, the same variables
  fork     start a new branch after a step of a saved run
  recover  save runs that were cut off
  replay   run a saved notebook again against its recorded tool calls, and compare
  verify   whether a saved run is as it was recorded; `sign` signs it
  show     print a saved run, or make one HTML page of it
  list     the saved runs of a folder
  diff     compare two saved runs step by step
  kernel   install CodeAct as a Jupyter kernel, list or uninstall it
  skill    keep functions of saved runs, with tests, for later runs
  trust    let notebooks load a tools file
  tools    the tools that an agent would have, and what they cost
  mcp-server
           offer the isolated kernel to any MCP client
  doctor   what the sandbox holds on this machine, measured
  demo     see it work: no key, no network

Options
  --version              print the version
  --help-all             every trait that a config file or --Class.trait can set
  --generate-config      write a codeact_config.py with all defaults commented out (-y: overwrite)

{COMMON}
Examples
  codeact demo
  codeact run "Which customers paid twice?" --data payments.csv
  codeact exec analysis.py --json

Settings are also read from codeact_config.py in Jupyter's config folders
(`jupyter --paths`), for instance: c.Limits.max_steps = 50

{EXIT_CODES}"""

RUN = f"""\
codeact run: give the agent a task.

Usage
  codeact run "TASK" [OPTIONS]
  codeact run - [OPTIONS]          reads the task from standard input

Options
  --model SPEC           which model (default: anthropic)
{RECORDING}{SANDBOX}
{CAGE}
{BUDGETS}
{COMMON}
{MODELS}
Examples
  codeact run "Refund every order over 100 EUR that was paid twice" --tools shop.py
  codeact run "Plot sales by month" --data sales.csv --out sales.ipynb
  codeact run "Total per region" --data sales.csv --schema totals.json --json

{EXIT_CODES}"""

EXEC = f"""\
codeact exec: run code where it can't hurt. One isolated kernel, no model.
The file is cut into cells at its `# %%` lines; a failed cell does not stop the next.

Usage
  codeact exec FILE.py [OPTIONS]
  codeact exec - [OPTIONS]         reads the code from standard input

Options
  --json                 one JSON document on stdout, progress on stderr
{SANDBOX}
{CAGE}
{COMMON}
Examples
  codeact exec analysis.py --data sales.csv
  echo "2 ** 100" | codeact exec - --json

{EXIT_CODES}"""

DOCTOR = f"""\
codeact doctor: which layers of the sandbox this machine gives, each tried, and what they
hold: every tier that can be had is started and attacked from inside by built-in probes.
They aim at files, sockets and a process made for it. Takes some seconds.

Usage
  codeact doctor [OPTIONS]

Options
  --control              run the probes without a cage instead: shows that they bite. They do
                         no harm, but what they try succeeds: program starts, files in /tmp
  --json                 one JSON document on stdout, progress on stderr

The exit code is 0 when the tier that runs get by default holds everything, else 3.

{COMMON}
{EXIT_CODES}"""

DEMO = f"""\
codeact demo: the agent refunds every order over 100 EUR that was paid twice, in a real
SQLite database made for it, through three tools. A scripted model plays the model:
no key, no network. The run is saved, replayed and checked.

Usage
  codeact demo [--out DIR]

Options
  --out DIR              the folder of the demo (default: codeact-demo)

{COMMON}
{EXIT_CODES}"""

TEXTS = {
    "": ROOT,
    "run": RUN,
    "exec": EXEC,
    **SAVED_TEXTS,
    **JUPYTER_TEXTS,
    **SKILL_TEXTS,
    **TOOL_TEXTS,
    "doctor": DOCTOR,
    "demo": DEMO,
}
