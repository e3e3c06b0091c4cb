"""Owns the table of commands: what each takes on the command line. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from .cli_options import Command, Option
from .cli_values import (
    amount,
    approval,
    assignment,
    count,
    drift_kind,
    folder,
    in_doubt,
    is_notebook,
    is_path,
    is_script,
    is_sentence,
    kernel_name,
    module,
    positive,
    redaction,
    seconds,
    size,
    some,
    tier,
    whole,
)

COMMON = (
    Option("--config", "JupyterApp.config_file", some),
    Option("--debug", "CodeactApp.debug", flag=True),
    Option("--log-level", "Application.log_level", some),
    Option("--show-config", "Application.show_config", flag=True),
)
WORKSPACE = Option("--workspace", "SandboxProfile.workspace", some)
DATA = Option("--data", "SandboxProfile.data", some, many=True, greedy=True, holds=is_path)
TOOLS = (
    Option("--tools", "CodeactApp.tools", some, many=True),
    Option("--mcp", "CodeactApp.mcp", some, many=True),
)
SKILLS = Option("--skills", "CodeactApp.skills", some, many=True)
ALLOW_IMPORT = Option(
    "--allow-import", "SandboxProfile.allow_imports", module, many=True, greedy=True, holds=str.isascii
)
STEP_TIMEOUT = Option("--step-timeout", "Limits.step_timeout_s", amount)
APPROVE = Option("--approve", "CodeactApp.approve", approval, many=True)
JSON = Option("--json", "CodeactApp.json", flag=True)
CAGE = (
    Option("--sandbox", "SandboxProfile.sandbox", tier),
    Option("--unsandboxed", "SandboxProfile.sandbox", flag=True, sets="none"),
    Option("--readable", "SandboxProfile.readable", some, many=True, greedy=True, holds=is_path),
    Option("--memory", "SandboxLimits.memory_bytes", size),
    Option("--allow-fork", "SandboxProfile.allow_fork", flag=True),
)
SANDBOX = (
    *TOOLS,
    SKILLS,
    APPROVE,
    WORKSPACE,
    DATA,
    ALLOW_IMPORT,
    STEP_TIMEOUT,
    *CAGE,
    Option("--keep-files", "CodeactApp.keep_files", some),
    JSON,
)
BUDGETS = (
    Option("--max-steps", "Limits.max_steps", whole),
    Option("--max-seconds", "Limits.max_seconds", amount),
    Option("--max-tokens", "Limits.max_tokens", whole),
    Option("--max-cost", "Limits.max_cost_usd", amount),
)
RECORDING = (
    Option("--model", "CodeactApp.model", some),
    Option("--out", "RunApp.out", some),
    Option("--schema", "RunApp.schema", some),
    Option("--no-verify", "RunApp.verify", flag=True, sets=False),
    Option("--redact", "CodeactApp.redact", redaction, many=True),
    Option("--sign", "RunApp.sign", flag=True),
    Option("--profile", "RunApp.timings", flag=True),
)
RUN = (*RECORDING, *SANDBOX, *BUDGETS)
IN_DOUBT = Option("--in-doubt", "ResumeApp.in_doubt", in_doubt)
KEY = Option("--key", "CodeactApp.signing_key", some)
PLACE = (
    Option("--user", "KernelPlace.place", flag=True, sets="user"),
    Option("--sys-prefix", "KernelPlace.place", flag=True, sets="sys-prefix"),
    Option("--prefix", "KernelPlace.place", folder),
    Option("--name", "KernelPlace.kernel_name", kernel_name),
)
COMMANDS = {
    "run": Command("run", (*RUN, *COMMON), "TASK", claims=is_sentence),
    "resume": Command("resume", (IN_DOUBT, *RUN, *COMMON), "RUN.ipynb", ("TASK",), claims=is_notebook),
    "fork": Command(
        "fork",
        (
            Option("--at", "ForkApp.at", count),
            Option("--edit", "ForkApp.edit", flag=True),
            Option("--code", "ForkApp.code", some),
            *RUN,
            *COMMON,
        ),
        "RUN.ipynb",
        ("INSTRUCTION",),
        claims=is_notebook,
    ),
    "recover": Command("recover", (JSON, *COMMON), "PATH", least=0, many=True),
    "exec": Command("exec", (*SANDBOX, *COMMON), "FILE.py", claims=is_script),
    "replay": Command(
        "replay",
        (
            Option("--strict", "ReplayApp.strict", flag=True),
            Option("--except", "ReplayApp.excepted", drift_kind, many=True),
            Option("--live", "ReplayApp.live", flag=True),
            Option("--yes", "ReplayApp.yes", flag=True),
            *TOOLS,
            Option("--to", "ReplayApp.to", count),
            DATA,
            WORKSPACE,
            *CAGE,
            JSON,
            *COMMON,
        ),
        "RUN.ipynb",
        claims=is_notebook,
        many=True,
    ),
    "show": Command("show", (Option("--html", "ShowApp.html", some), *COMMON), "RUN.ipynb"),
    "list": Command("list", (JSON, *COMMON), "DIR", least=0, many=True),
    "diff": Command("diff", (JSON, *COMMON), "A.ipynb", ("B.ipynb",), least=2),
    "verify": Command(
        "verify",
        (
            Option("--signer", "VerifyApp.signers", some, many=True),
            Option("--require-signature", "VerifyApp.require_signature", flag=True),
            JSON,
            *COMMON,
        ),
        "RUN.ipynb",
        many=True,
    ),
    "sign": Command("sign", (KEY, *COMMON), "RUN.ipynb", many=True),
    "skill save": Command(
        "skill save",
        (
            Option("--to", "SkillSaveApp.to", some),
            Option("--doc", "SkillSaveApp.doc", some),
            Option("--replace", "SkillSaveApp.replace", flag=True),
            Option("--untested", "SkillSaveApp.untested", flag=True),
            Option("--force", "SkillSaveApp.force", flag=True),
            DATA,
            *CAGE,
            JSON,
            *COMMON,
        ),
        "RUN.ipynb",
        ("FUNCTION",),
        least=2,
        many=True,
    ),
    "skill list": Command("skill list", (SKILLS, JSON, *COMMON)),
    "skill show": Command("skill show", (SKILLS, *COMMON), "NAME"),
    "skill remove": Command("skill remove", (SKILLS, *COMMON), "NAME", many=True),
    "doctor": Command("doctor", (Option("--control", "DoctorApp.control", flag=True), JSON, *COMMON)),
    "kernel install": Command(
        "kernel install",
        (
            *PLACE,
            Option("--display-name", "KernelInstallApp.display_name", some),
            Option("--env", "KernelInstallApp.env", assignment, many=True),
            Option("--replace", "KernelInstallApp.replace", flag=True),
            *COMMON,
        ),
    ),
    "kernel uninstall": Command("kernel uninstall", (*PLACE, *COMMON)),
    "kernel list": Command("kernel list", COMMON),
    "trust": Command(
        "trust",
        (
            Option("--list", "TrustApp.listing", flag=True),
            Option("--remove", "TrustApp.remove", flag=True),
            *COMMON,
        ),
        "FILE.py",
        least=0,
        many=True,
    ),
    "tools": Command(
        "tools",
        (
            *TOOLS,
            SKILLS,
            APPROVE,
            ALLOW_IMPORT,
            Option("--search", "ToolsApp.search", some),
            JSON,
            *COMMON,
        ),
        "PATTERN",
        least=0,
    ),
    "mcp-server": Command(
        "mcp-server",
        (
            Option("--http", "McpServerApp.http", some),
            Option("--out", "McpServerApp.out", some),
            Option("--sessions", "McpServerApp.sessions", positive),
            Option("--idle", "McpServerApp.idle_s", seconds),
            *TOOLS,
            APPROVE,
            WORKSPACE,
            DATA,
            ALLOW_IMPORT,
            STEP_TIMEOUT,
            *CAGE,
            Option("--redact", "CodeactApp.redact", redaction, many=True),
            *COMMON,
        ),
    ),
    "demo": Command("demo", (Option("--out", "DemoApp.out", some), *COMMON)),
    "": Command(
        "",
        (
            Option("--generate-config", "JupyterApp.generate_config", flag=True),
            Option("-y", "JupyterApp.answer_yes", flag=True),
            *COMMON,
        ),
    ),
}


def command_of(words: Sequence[str]) -> str:
    """The command that a command line begins with; some have two words. "": none, or none that there is."""
    return next((name for n in (2, 1) if (name := " ".join(words[:n])) in COMMANDS), "")
