"""Owns the help texts of the commands that put CodeAct into Jupyter. Standard library only."""

from __future__ import annotations

from .cli_help_parts import COMMON, EXIT_CODES

KERNEL = f"""\
codeact kernel: the Jupyter kernel CodeAct, which front ends offer in their launcher.
`pip install` puts it there; these are for the other cases.

Usage
  codeact kernel install [OPTIONS]
  codeact kernel uninstall [OPTIONS]
  codeact kernel list

{COMMON}
{EXIT_CODES}"""

_PLACE = """\
  --user                 in this user's data folder of Jupyter
  --sys-prefix           in the environment that runs this command
  --prefix DIR           below DIR, in share/jupyter/kernels
"""

INSTALL = f"""\
codeact kernel install: put CodeAct into the launchers of Jupyter, to run with the Python that runs
this command: for a Jupyter in another environment, or several kernels with settings of their own.

Usage
  codeact kernel install [OPTIONS]

Options
{_PLACE}\
                         (default: --sys-prefix in an environment, the whole machine for root,
                         else --user)
  --name NAME            its name (default: codeact)
  --display-name TEXT    what launchers show (default: CodeAct)
  --env NAME=VALUE       set in its environment; may be repeated
  --replace              write one anew that is there

{COMMON}
Examples
  codeact kernel install --user
  codeact kernel install --name codeact-shop --display-name "CodeAct (shop)" \\
      --env JUPYTER_CONFIG_PATH=/srv/shop

{EXIT_CODES}"""

UNINSTALL = f"""\
codeact kernel uninstall: remove a kernelspec of this package; no other is touched.

Usage
  codeact kernel uninstall [OPTIONS]

Options
{_PLACE}\
                         (default: the one that Jupyter finds)
  --name NAME            its name (default: codeact)

{COMMON}
{EXIT_CODES}"""

LIST = f"""\
codeact kernel list: the kernelspecs of this package, where this Jupyter looks.

Usage
  codeact kernel list

{COMMON}
{EXIT_CODES}"""

TRUST = f"""\
codeact trust: let notebooks load a tools file, or the MCP servers of an mcp.json. Both run
outside the sandbox, with your rights; so a file that a notebook names, or that lies beside it,
is loaded only when it was trusted with exactly the content that it has. Read it first. Files
that your own codeact_config.py names need no trust.

Usage
  codeact trust FILE.py...
  codeact trust --remove FILE.py...
  codeact trust --list

Options
  --list                 what is trusted, and whether it was changed since
  --remove               end the trust in these files

{COMMON}
{EXIT_CODES}"""

JUPYTER_TEXTS = {
    "kernel": KERNEL,
    "kernel install": INSTALL,
    "kernel uninstall": UNINSTALL,
    "kernel list": LIST,
    "trust": TRUST,
}
