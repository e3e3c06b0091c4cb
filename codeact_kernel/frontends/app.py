"""Owns the Jupyter application `codeact`: config files, traits from the command line, subcommands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from jupyter_core.application import JupyterApp
from traitlets import Bool, Dict, List, TraitError, Unicode
from traitlets.config import Config, Configurable
from traitlets.config.loader import DeferredConfigList, DeferredConfigString
from traitlets.utils.importstring import import_item

from codeact_kernel import __version__

from ..config import Settings
from ..exceptions import UsageError
from ..notebook.patterns import Patterns
from . import cage
from .cli_commands import COMMANDS, command_of
from .cli_help import TEXTS
from .cli_options import Parsed, nearest, parse
from .config_files import JUPYTER, OURS, merge, read_folders
from .traits import GROUPS, settings

HERE = "codeact_kernel.frontends"


class CodeactApp(JupyterApp):  # type: ignore[misc]  # jupyter_core is untyped to us
    """The root command; its subcommands inherit its traits, so `c.CodeactApp.model = …` reaches them."""

    name = "codeact"
    version = __version__
    command: ClassVar[str] = ""
    """Which entry of `COMMANDS` and `TEXTS` this is."""
    classes = List(list(GROUPS))
    subcommands = Dict(
        {
            # By name: a command's modules are imported when it runs, not before.
            "run": (f"{HERE}.command_run.RunApp", "give the agent a task"),
            "exec": (f"{HERE}.command_exec.ExecApp", "run code in an isolated kernel, without a model"),
            "resume": (f"{HERE}.command_resume.ResumeApp", "go on with a saved run"),
            "fork": (f"{HERE}.command_fork.ForkApp", "start a new branch from a step of a saved run"),
            "recover": (f"{HERE}.command_recover.RecoverApp", "save runs that were cut off"),
            "replay": (f"{HERE}.command_replay.ReplayApp", "run a saved notebook again, and compare"),
            "verify": (f"{HERE}.command_verify.VerifyApp", "whether a saved run is as it was recorded"),
            "sign": (f"{HERE}.command_sign.SignApp", "sign a saved run"),
            "show": (f"{HERE}.command_show.ShowApp", "print a saved run"),
            "list": (f"{HERE}.command_list.ListApp", "the saved runs of a folder"),
            "diff": (f"{HERE}.command_diff.DiffApp", "compare two saved runs step by step"),
            "doctor": (f"{HERE}.command_doctor.DoctorApp", "what the sandbox holds on this machine"),
            "kernel install": (f"{HERE}.command_kernel.KernelInstallApp", "put CodeAct into launchers"),
            "kernel uninstall": (f"{HERE}.command_kernel.KernelUninstallApp", "take it out again"),
            "kernel list": (f"{HERE}.command_kernel.KernelListApp", "where it is installed"),
            "skill save": (f"{HERE}.command_skill_save.SkillSaveApp", "keep a function of a saved run"),
            "skill list": (f"{HERE}.command_skill.SkillListApp", "the skills there are"),
            "skill show": (f"{HERE}.command_skill.SkillShowApp", "the source of a skill"),
            "skill remove": (f"{HERE}.command_skill.SkillRemoveApp", "take skills away"),
            "trust": (f"{HERE}.command_trust.TrustApp", "tools files that notebooks may load"),
            "tools": (f"{HERE}.command_tools.ToolsApp", "the tools that an agent would have"),
            "mcp-server": (f"{HERE}.command_mcp_server.McpServerApp", "the kernel for any MCP client"),
            "demo": (f"{HERE}.demo.command.DemoApp", "see it work: no key, no network"),
        }
    )

    model = Unicode("", help="Which model, as anthropic:NAME or scripted:FILE.jsonl.").tag(config=True)
    tools = List(Unicode(), help="Tools: files, modules, toolkits; NAME=ENTRY puts them into a module.").tag(
        config=True
    )
    mcp = List(Unicode(), help="Files with MCP servers, as mcp.json.").tag(config=True)
    skills = List(Unicode(), help="Folders of skills (codeact skill save).").tag(config=True)
    approve = List(
        Unicode(), help="Which tool calls you are asked about: allow, ask, ask-writes, deny, or TOOL=MODE."
    ).tag(config=True)
    keep_files = Unicode("", help="A folder that gets copies of the files that the cells wrote.").tag(
        config=True
    )
    redact = List(
        Unicode(), help="What is masked in the record beside known secrets: NAME=REGULAR EXPRESSION."
    ).tag(config=True)
    signing_key = Unicode("", help="The private key that signs; empty: this user's own.").tag(config=True)
    json = Bool(False, help="One JSON document on stdout, progress on stderr.").tag(config=True)
    debug = Bool(False, help="Tracebacks and debug logs.").tag(config=True)

    arguments: tuple[str, ...] = ()
    """The positional arguments."""

    @property
    def argument(self) -> str:
        """The first positional argument; "" when there is none."""
        return self.arguments[0] if self.arguments else ""

    def _config_file_name_default(self) -> str:
        return OURS  # one file for all subcommands

    def _log_level_default(self) -> int:
        return logging.WARNING

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        """Reads the command line, then the config files; the command line wins. Raises UsageError."""
        # Not `JupyterApp.initialize`: it would look for programs named codeact-*, migrate the
        # configuration of IPython 3, and turn a bad value into exit code 1.
        try:
            self.parse_command_line(argv)
            if self.subapp is None and not self.generate_config:
                self.load_config_file()
                self.update_config(self.cli_config)
        except TraitError as problem:
            raise UsageError(f"{problem}\nSee: codeact {self.command} --help") from None

    def parse_command_line(self, argv: Sequence[str] | None = None) -> None:
        """Sets `cli_config` and `argument`, or makes the subcommand's application."""
        words = list(argv or ())
        if not self.command and (name := command_of(words)) in self.subcommands:
            self.initialize_subcommand(name, words[len(name.split()) :])
            return
        if "--help-all" in words:
            self.print_help(classes=True)
            self.exit(0)
        parsed = parse(COMMANDS[self.command], words)
        self.arguments = parsed.positionals
        self.cli_config = self._as_config(parsed)
        self.update_config(self.cli_config)
        if self.debug:
            self.log_level = logging.DEBUG

    def initialize_subcommand(self, subc: str, argv: Sequence[str] | None = None) -> None:
        """Imports the command's application and hands it the rest of the command line."""
        # Not traitlets' own: that makes singletons, which keep the traits of an earlier launch.
        application = import_item(self.subcommands[subc][0])
        self.subapp = application(parent=self)
        self.subapp.initialize(argv)

    def load_config_file(self, suppress_errors: bool = False) -> None:
        """Every jupyter_config and codeact_config on Jupyter's path, or the file of `--config`."""
        found = Config()
        if self.config_file and not merge(found, self.config_file, None):
            raise UsageError(f"--config {self.config_file!r} does not exist; check the path")
        names = [JUPYTER] if self.config_file else [JUPYTER, self.config_file_name]
        base, self._loaded_config_files = read_folders(names, self.config_file_paths)  # for --show-config
        base.merge(found)
        self.update_config(base)

    def settings(self) -> Settings:
        """The value objects that all commands pass on; loud when they ask for no cage. Raises UsageError."""
        try:
            given = replace(settings(self), redact=tuple(self.redact))
        except TraitError as problem:
            raise UsageError(f"{problem}\nSee: codeact {self.command} --help-all") from None
        Patterns(given.redact)  # What is wrong with one is said before anything starts.
        cage.say(given.profile)
        return given

    def start(self) -> int:
        """Runs the command; returns the exit code."""
        if self.subapp is not None:
            code: int | None = self.subapp.start()
            return code or 0
        if self.generate_config:
            self.write_default_config()
            return 0
        raise UsageError("no command given\nSee: codeact --help")

    def print_help(self, classes: bool = False) -> None:
        """The hand-made text; with `classes` every trait after it."""
        print(TEXTS[self.command], end="")
        if classes:
            print("\nTraits\n")
            for group in (*GROUPS, type(self)):
                print(group.class_get_help() + "\n")

    def _as_config(self, parsed: Parsed) -> Config:
        config = Config()
        for target, value in parsed.traits.items():
            group, _, trait = target.partition(".")
            config[self._section(group)][trait] = value
        for target, texts in parsed.texts.items():
            group, _, trait = target.partition(".")
            self._check_trait(group, trait)
            many = len(texts) > 1
            value = DeferredConfigList(texts) if many else DeferredConfigString(texts[0])
            config[self._section(group)][trait] = value
        return config

    def _section(self, group: str) -> str:
        """A config file's `c.RunApp.x` must not win over an option that sets `CodeactApp.x`."""
        return type(self).__name__ if group in {cls.__name__ for cls in type(self).__mro__} else group

    def _check_trait(self, group: str, trait: str) -> None:
        known: dict[str, type[Configurable]] = {cls.__name__: cls for cls in GROUPS}
        known |= {cls.__name__: cls for cls in type(self).__mro__ if issubclass(cls, Configurable)}
        if group not in known:
            hint = nearest(group, list(known))
            raise UsageError(f"unknown class {group!r} in --{group}.{trait}.{hint}\nSee: codeact --help-all")
        names = list(known[group].class_trait_names(config=True))
        if trait not in names:
            hint = nearest(trait, names)
            raise UsageError(f"{group} has no trait {trait!r}.{hint}\nSee: codeact --help-all")


def launch(argv: Sequence[str]) -> int:
    """Runs `codeact ARGV…`; returns the exit code. Raises what `cli.main` translates."""
    app = CodeactApp()
    app.initialize(argv)
    return app.start() or 0  # `--show-config` starts something that returns None
