"""Owns the help texts of the commands about tools. Standard library only."""

from __future__ import annotations

from .cli_help_parts import CAGE, COMMON, EXIT_CODES

TOOLS = f"""\
codeact tools: the tools and skills that an agent would have, and what they cost: the tokens of what
the system prompt says of them, and of their stubs (which a model asks for in the kernel).

Usage
  codeact tools [OPTIONS]                          all of them, by module
  codeact tools NAME [OPTIONS]                     the full stub of one, as shop.refund
  codeact tools PATTERN [OPTIONS]                  those of a module, or as 'shop.re*'
  codeact tools --search "WORDS" [OPTIONS]         ranked, as tools.search in the kernel

Options
  --tools FILE.py        the tools of this file; may be repeated. Or an ENTRY as below
  --mcp FILE             the MCP servers of this mcp.json; may be repeated. They are started.
                         Where one of them cannot be had, the rest is shown, and the exit code is 2
  --skills DIR           the skills in this folder, as far as they could be used with these tools;
                         may be repeated
  --allow-import NAME... modules that skills may import beside the default list
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
  codeact tools --tools shop.py --skills skills

{EXIT_CODES}"""

MCP_SERVER = f"""\
codeact mcp-server: the isolated kernel for any MCP client, so that another agent can run
Python where it can't hurt, and leave a notebook that can be checked. No model, no key.
It offers run_cell, list_variables, reset and save_trajectory; figures come back as images.

Usage
  codeact mcp-server [OPTIONS]                     on the standard streams: the client starts it
  codeact mcp-server --http PORT [OPTIONS]         on http://127.0.0.1:PORT/mcp

Options
  --out DIR              where notebooks are saved (default: codeact-runs in the current folder);
                         every kernel has one, and save_trajectory copies it under a name
  --http [HOST:]PORT     serve HTTP. Each client has a kernel of its own. Other hosts than this
                         one need a token, CODEACT_MCP_TOKEN in the environment, which clients
                         send as `Authorization: Bearer TOKEN`; on this host it is asked for too
                         when it is set: without it, any user of this machine can connect
  --sessions N           with --http: kernels at once (default 8)
  --idle S               with --http: seconds after which an unused kernel ends (default 1800)
  --tools FILE.py        tools for the code in the kernel, as of `codeact run`; may be repeated.
                         Kernels may call them at the same time
  --mcp FILE             MCP servers for the code in the kernel, as modules; may be repeated
  --approve MODE         as of `codeact run`; asked is the person at the client, where it supports
                         that (elicitation); else such calls are denied
  --workspace DIR        the working folder of the kernel (default: a temporary one)
  --data FILE...         files or folders the code may read, under data/
  --allow-import NAME... modules the code may import beside the default list
  --step-timeout S       seconds one cell may run (default 120)
  --redact NAME=REGEX    mask what matches in the record, as [NAME 1]; may be repeated

A client with an mcp.json starts it as
  {{"mcpServers": {{"python": {{"command": "codeact", "args": ["mcp-server", "--out", "/runs"]}}}}}}

{CAGE}
{COMMON}
Examples
  codeact mcp-server --out runs --data sales.csv
  codeact mcp-server --http 8765 --out runs --sessions 4

{EXIT_CODES}"""

TOOL_TEXTS = {"tools": TOOLS, "mcp-server": MCP_SERVER}
