"""Owns the help texts of the commands about tools. Standard library only."""

from __future__ import annotations

from .cli_help_parts import COMMON, EXIT_CODES

TOOLS = f"""\
codeact tools: the tools that an agent would have, and what they cost: the tokens of what
the system prompt says of them, and of their stubs (which a model asks for in the kernel).

Usage
  codeact tools [OPTIONS]                          all of them, by module
  codeact tools NAME [OPTIONS]                     the full stub of one, as shop.refund
  codeact tools PATTERN [OPTIONS]                  those of a module, or as 'shop.re*'
  codeact tools --search "WORDS" [OPTIONS]         ranked, as tools.search in the kernel

Options
  --tools FILE.py        the tools of this file; may be repeated. Or an ENTRY as below
  --mcp FILE             the MCP servers of this mcp.json; may be repeated. They are started
  --approve MODE         as of `codeact run`, to see what it means for each tool
  --search WORDS         what is searched for
  --json                 one JSON document on stdout, progress on stderr

Where tools come from (ENTRY)
  shop.py                every object made by `tool` in the file, as a plain function
  acme.shop              the same of an installed module; acme.shop:refund one object of it:
                         a tool, a function, or a list of them
  acme-shop              an installed toolkit: an entry point of the group codeact_kernel.tools,
                         in a module of its name (from toolkits import acme_shop). It comes before
                         a module of the same name, which is then named as acme_shop:*
  NAME=ENTRY             any of them in the module NAME (from toolkits import NAME)

An entry point names a tool, a function, a list of them, a module that makes some with
`tool`, or a function without parameters that returns them. Nothing of an installed toolkit
is loaded before it is named: loading runs its code on the host, with your rights.

{COMMON}
Examples
  codeact tools --tools shop.py --tools crm=acme.crm
  codeact tools --mcp mcp.json 'filesystem.read_*'
  codeact tools --mcp mcp.json --search "list a folder"

{EXIT_CODES}"""

TOOL_TEXTS = {"tools": TOOLS}
