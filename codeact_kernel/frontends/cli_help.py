"""Owns the help texts of the command line, shaped by hand. Standard library only: help answers at once."""

from __future__ import annotations

EXIT_CODES = """\
Exit codes
  0    done
  1    the run ended without an answer, or a cell of `exec` did not end well
  2    the command line, a file or a tool cannot be used
  3    the sandbox kernel cannot be provided
  4    the model cannot answer, or its key is missing or refused
  10   replay: the code differs         11  the tool calls differ
  12   replay: the outputs differ
  70   a bug in codeact                 130 interrupted
"""

MODELS = """\
Models
  anthropic:NAME         key from ANTHROPIC_API_KEY; ANTHROPIC_BASE_URL names any
                         Anthropic-compatible endpoint (Ollama, llama.cpp, vLLM, LM Studio)
  anthropic+text:NAME    the same, for models that cannot use tools: code as marked text
  scripted:FILE.jsonl    one reply a line: {"thought": "...", "code": "..."} or {"answer": "..."}
"""

COMMON = """\
Common options
  --config FILE          read this config file instead of codeact_config.py
  --debug                show tracebacks and debug logs
  --show-config          print the configuration in effect, and do nothing
  --Class.trait=VALUE    set any trait; --help-all lists them
  -h, --help             this text
"""

CAGE = """\
Sandbox (`codeact doctor` shows what it holds on this machine)
  --sandbox TIER         auto (default): the best there is; A, B, C: at least that, or no start
  --readable PATH...     further files or folders the kernel may read, at their own path
  --memory SIZE          memory of the kernel, such as 512M or 2G (default 4G)
  --allow-fork           processes of its own inside the cage (multiprocessing)
  --unsandboxed          no cage: the code has every right that you have
"""

SANDBOX = """\
  --tools FILE.py        offer every tool of this file; may be repeated
  --workspace DIR        the working folder of the kernel (default: a temporary one)
  --data FILE...         files or folders the code may read, under data/
  --keep-files DIR       copy the files that the code wrote into DIR; overwrites nothing
  --allow-import NAME... modules the code may import beside the default list
  --step-timeout S       seconds one cell may run (default 120)
"""

ROOT = f"""\
codeact: an agent that acts by writing Python cells. They run in an isolated
IPython kernel with your tools as functions; the run is a notebook that re-runs.

Usage
  codeact COMMAND [OPTIONS]
  codeact COMMAND --help

Commands
  run      give the agent a task
  exec     run code in an isolated kernel, without a model
  replay   run a saved notebook again against its recorded tool calls, and compare
  show     print a saved run
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
  --out RUN.ipynb        where the run is saved (default: a new codeact-DATE-TIME.ipynb here)
  --schema FILE.json     the answer must be valid under this JSON Schema
  --json                 one JSON document on stdout, progress on stderr
{SANDBOX}
{CAGE}
Budgets ('none': no bound)
  --max-steps N          steps (default 30)
  --max-seconds S        wall time (default 1800)
  --max-tokens N         tokens in and out (default 2000000)
  --max-cost USD         cost; refused when the price of the model is not known

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

REPLAY = f"""\
codeact replay: run the cells of a saved run again in an isolated kernel. Tools answer
from the recorded calls, so nothing outside is touched. Says where the replay differs.

Usage
  codeact replay RUN.ipynb [OPTIONS]

Options
  --data FILE...         the data the run was given, where the notebook does not carry it
  --workspace DIR        the working folder of the kernel (default: a temporary one)
  --json                 one JSON document on stdout, progress on stderr

{CAGE}
{COMMON}
{EXIT_CODES}"""

SHOW = f"""\
codeact show: print a saved run: thoughts, code, outputs, tool calls, usage.

Usage
  codeact show RUN.ipynb

{COMMON}
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

TEXTS = {"": ROOT, "run": RUN, "exec": EXEC, "replay": REPLAY, "show": SHOW, "doctor": DOCTOR, "demo": DEMO}
