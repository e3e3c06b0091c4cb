"""Owns what the help texts of several commands share. Standard library only."""

from __future__ import annotations

EXIT_CODES = """\
Exit codes
  0    done
  1    the run ended without an answer, or a cell of `exec` did not end well
  2    the command line, a file or a tool cannot be used
  3    the sandbox kernel cannot be provided
  4    the model cannot answer, or its key is missing or refused
  10   replay: the code differs         11  the tool calls differ
  12   replay: the outputs differ       13  versions or profile differ (--strict)
  20   verify: not as it was recorded   21  no signature that is trusted
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
  --tools FILE.py        offer every tool of this file; may be repeated. Or of an installed module:
                         package.module, package.module:object. Or an installed toolkit, by name.
                         NAME=FILE.py puts them into a module (from toolkits import NAME)
  --mcp FILE             the MCP servers of this mcp.json, as modules (from mcp_servers import x);
                         may be repeated. None is read unless it is named here
  --skills DIR           offer the functions in this folder (from skills import x; see
                         `codeact skill --help`); may be repeated
  --approve MODE         which tool calls you are asked about: allow (default: none), ask,
                         ask-writes (not about reading), deny; or TOOL=MODE, also of a module or
                         a pattern (shop=ask, shop.get_*=allow); may be repeated
  --workspace DIR        the working folder of the kernel (default: a temporary one)
  --data FILE...         files or folders the code may read, under data/
  --keep-files DIR       copy the files that the code wrote into DIR; overwrites nothing
  --allow-import NAME... modules the code may import beside the default list
  --step-timeout S       seconds one cell may run (default 120)
"""

RECORDING = """\
  --out RUN.ipynb        where the run is saved (default: a new codeact-DATE-TIME.ipynb here)
  --no-verify            do not replay the finished run to see whether it re-runs
  --redact NAME=REGEX    mask what matches in the record, as [NAME 1]; may be repeated
  --sign                 sign the saved run (see `codeact sign --help`)
  --profile              show where the time went: model, cells, tools, ours
  --schema FILE.json     the answer must be valid under this JSON Schema
  --json                 one JSON document on stdout, progress on stderr
"""

BUDGETS = """\
Budgets ('none': no bound)
  --max-steps N          steps (default 30)
  --max-seconds S        wall time (default 1800)
  --max-tokens N         tokens in and out (default 2000000)
  --max-cost USD         cost; refused when the price of the model is not known
"""
