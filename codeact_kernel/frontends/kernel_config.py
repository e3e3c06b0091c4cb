"""Owns how the front-end kernel is configured: by Jupyter's own folders, never by the one of the notebook.

A front end starts a kernel in the folder of the notebook, which may be a stranger's. So:

* the kernelspec starts Python with `-E -P`: neither the current folder nor PYTHONPATH is searched for modules
  (an empty entry of PYTHONPATH is the current folder); packages of `pip install --user` are;
* config files are read in the folders of `jupyter --paths`, as the command line does (`config_files`), not
  in those of IPython's profiles, which configure another kernel;
* tools that a config file names are the user's own, wherever they lie: the name was written by the user. A
  tools file that a notebook names needs trust (`trusting`).
"""

from __future__ import annotations

from typing import Any

from jupyter_core.paths import jupyter_config_path
from traitlets.config import Config

from ..exceptions import UsageError
from .config_files import JUPYTER, OURS, read_folders


class JupyterConfigured:
    """For `class KernelApp(JupyterConfigured, IPKernelApp)`: where its configuration comes from.

    A config file that cannot be used is no reason not to start: nobody would see why. It is said in
    `config_problem`, for the kernel to say it in place of the first task.
    """

    config_problem: str = ""

    def load_config_file(self: Any, suppress_errors: bool = False) -> None:
        """In place of IPython's: jupyter_config and codeact_config, .py or .json, of Jupyter's folders."""
        try:
            found, paths = read_folders([JUPYTER, OURS], jupyter_config_path())
        except UsageError as problem:
            self.config_problem = str(problem)
            self.log.error("%s", problem)
            found, paths = Config(), []
        self._loaded_config_files = paths
        self.update_config(found)
