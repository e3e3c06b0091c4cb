"""Owns `codeact kernel install`, `uninstall` and `list`."""

from __future__ import annotations

from traitlets import Bool, List, Unicode

from .app import CodeactApp
from .doors import outlets
from .facts import one_line
from .kernelspecs import default_place, install, installed, is_found, uninstall
from .page import Page
from .terminal import clean


class KernelPlace(CodeactApp):
    """Which kernelspec, and where."""

    place = Unicode("", help='"user", "sys-prefix", or the path of a prefix.').tag(config=True)
    kernel_name = Unicode("codeact", help="The name of the kernelspec.").tag(config=True)


class KernelInstallApp(KernelPlace):
    """The traits of `codeact kernel install`."""

    name = "codeact-kernel-install"
    command = "kernel install"
    display_name = Unicode("", help="What launchers show; empty: CodeAct.").tag(config=True)
    env = List(Unicode(), help="NAME=VALUE, set in the kernel's environment.").tag(config=True)
    replace = Bool(False, help="Write one anew that is there.").tag(config=True)

    def start(self) -> int:
        place = self.place or default_place()
        folder = install(place, self.kernel_name, self.display_name, self.env, replace=self.replace)
        with outlets(False) as (console, _):
            page = Page(console)
            page.line(f"Installed in {clean(str(folder))}")
            if not is_found(folder):
                page.line("Jupyter of this environment does not look there (`jupyter --paths`)", "yellow")
            if self.env and place == "system":
                page.line("Every user of this machine can read what --env sets", "yellow")
        return 0


class KernelUninstallApp(KernelPlace):
    """The traits of `codeact kernel uninstall`."""

    name = "codeact-kernel-uninstall"
    command = "kernel uninstall"

    def start(self) -> int:
        folder = uninstall(self.place, self.kernel_name)
        with outlets(False) as (console, _):
            page = Page(console)
            page.line(f"Removed {clean(str(folder))}")
            for other in installed() if is_found(folder) else ():
                if other.name == self.kernel_name and not other.hidden:
                    page.line(f"Jupyter now finds the one in {clean(str(other.folder))}", "yellow")
        return 0


class KernelListApp(CodeactApp):
    """The traits of `codeact kernel list`."""

    name = "codeact-kernel-list"
    command = "kernel list"

    def start(self) -> int:
        with outlets(False) as (console, _):
            page, found = Page(console), installed()
            for each in found:
                hidden = "   (hidden: another of this name goes before it)" if each.hidden else ""
                shown = f"{one_line(each.display_name)}   {clean(str(each.folder))}"
                page.line(f"{one_line(each.name)}   {shown}{hidden}")
            if not found:
                page.line("None where Jupyter looks; codeact kernel install", "dim")
        return 0
