"""Owns the help texts of the commands that take saved runs. Standard library only."""

from __future__ import annotations

from .cli_help_parts import BUDGETS, CAGE, COMMON, EXIT_CODES, MODELS, RECORDING, SANDBOX

RESUME = f"""\
codeact resume: go on with a saved run. Its cells run again in a fresh isolated kernel,
tools answered from the recorded calls (none is called twice), then the task goes on.
A cell that was cut off runs again: calls that were done are answered from the record.

Usage
  codeact resume RUN.ipynb "NEXT TASK" [OPTIONS]
  codeact resume RUN.ipynb [OPTIONS]        goes on with the task that was cut off

Options
  --in-doubt WHAT        calls that began and may have been done: ask (default) a person at the
                         terminal, skip (the cell gets an error), retry (call again)
  --model SPEC           which model (default: the one of the run)
{RECORDING}{SANDBOX}
Without --out the run goes on in RUN.ipynb itself.

{CAGE}
{BUDGETS}
{COMMON}
{MODELS}
Examples
  codeact resume sales.ipynb "And now by region"
  codeact resume refunds.ipynb --tools shop.py --in-doubt skip

{EXIT_CODES}"""

FORK = f"""\
codeact fork: start a new branch after a step of a saved run, as a notebook of its own
that names its parent. The steps up to there are restored from the record.

Usage
  codeact fork RUN.ipynb --at K ["INSTRUCTION"] [OPTIONS]

Options
  --at K                 the last step that is kept; 0: none
  --edit                 change the code of step K in $EDITOR; it runs in place of the recorded one
  --code FILE.py         take the code of step K from this file
  --model SPEC           which model (default: the one of the run)
{RECORDING}{SANDBOX}
{CAGE}
{BUDGETS}
{COMMON}
{MODELS}
Examples
  codeact fork sales.ipynb --at 3 "Use the median instead" --data sales.csv
  codeact fork sales.ipynb --at 2 --edit --model anthropic:claude-opus-4-6

{EXIT_CODES}"""

RECOVER = f"""\
codeact recover: save runs that were cut off (a crash, a kill, a power cut). Each tool
call that was done is in the notebook; one that may have been done is marked in doubt.
Runs of this folder are also recovered when the next one starts.

Usage
  codeact recover [PATH...]        a RUN.ipynb, or a folder (default: this one)

Options
  --json                 one JSON document on stdout, progress on stderr

{COMMON}
{EXIT_CODES}"""

REPLAY = f"""\
codeact replay: run the cells of saved runs again, each in a fresh isolated kernel. Tools
answer from the recorded calls, so nothing outside is touched. Says where a replay differs.

Usage
  codeact replay RUN.ipynb... [OPTIONS]

Options
  --strict               versions, allow-list and profile that differ count too
  --except CLASS         do not count this class: code, tool, output, profile; may be repeated
  --to K                 stop after step K
  --live                 call the real tools again (--tools, --mcp); asks before each that is not
                         declared as reading only
  --yes                  with --live: do not ask
  --tools FILE.py        the tools of --live; may be repeated
  --mcp FILE             the MCP servers of --live, in an mcp.json; may be repeated
  --data FILE...         the data the run was given, where the notebook does not carry it
  --workspace DIR        the working folder of the kernel (default: a temporary one)
  --json                 one JSON document on stdout, progress on stderr

{CAGE}
{COMMON}
{EXIT_CODES}"""

VERIFY = f"""\
codeact verify: whether saved runs are as they were recorded. Each step carries a hash over
its code, outputs and tool calls, and the hash before it; this names the step that was changed,
moved, removed or added. Nothing is run. docs/trajectory-format.md says what it does not prove.

Usage
  codeact verify RUN.ipynb... [OPTIONS]

Options
  --signer KEY           a public key to trust, as text or as a file; may be repeated
                         (default: this user's own)
  --require-signature    unsigned runs fail
  --json                 one JSON document on stdout, progress on stderr

{COMMON}
{EXIT_CODES}"""

SIGN = f"""\
codeact sign: sign saved runs with an Ed25519 key, after checking them as `verify` does.
Needs the extra: pip install 'codeact_kernel[sign]'

Usage
  codeact sign RUN.ipynb... [OPTIONS]

Options
  --key FILE             a private key, PEM or OpenSSH, such as ~/.ssh/id_ed25519 (default:
                         one of this user's own, made at the first use)

{COMMON}
{EXIT_CODES}"""

SHOW = f"""\
codeact show: print a saved run: thoughts, code, outputs, tool calls, usage.

Usage
  codeact show RUN.ipynb [--html OUT.html]

Options
  --html OUT.html        one self-contained page instead, with a timeline; nothing in it is active;
                         - for standard output

{COMMON}
{EXIT_CODES}"""

LIST = f"""\
codeact list: the saved runs of folders, newest first: task, steps, how it ended, verdict.

Usage
  codeact list [DIR...]

Options
  --json                 one JSON document on stdout, progress on stderr

{COMMON}
{EXIT_CODES}"""

DIFF = f"""\
codeact diff: compare two saved runs step by step: code, tool calls, outputs, answer.
The exit code is 1 when they differ.

Usage
  codeact diff A.ipynb B.ipynb

Options
  --json                 one JSON document on stdout, progress on stderr

{COMMON}
{EXIT_CODES}"""

SAVED_TEXTS = {
    "resume": RESUME,
    "fork": FORK,
    "recover": RECOVER,
    "replay": REPLAY,
    "verify": VERIFY,
    "sign": SIGN,
    "show": SHOW,
    "list": LIST,
    "diff": DIFF,
}
