"""Owns the command line of the sandbox kernel: `python -I …/in_kernel/__main__.py -f FILE [--path DIR …]`.

Started by the supervisor by path, so that nothing is imported from a folder that action code can write.
"""

from __future__ import annotations

import argparse
import sys


def main() -> None:
    parser = argparse.ArgumentParser(prog="codeact-python")
    parser.add_argument("-f", dest="connection_file", required=True)
    parser.add_argument(
        "--path", action="append", default=[], help="folder to import from, after the default ones"
    )
    options = parser.parse_args()
    sys.path.extend(path for path in options.path if path not in sys.path)
    # After the path is set: the package may be in one of these folders.
    from codeact_kernel.in_kernel.app import launch

    launch(options.connection_file)


if __name__ == "__main__":
    main()
