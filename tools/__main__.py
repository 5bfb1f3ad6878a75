"""The command line: ``python3 -m tools COMMAND``, or ``python3 /path/to/project/tools COMMAND`` from any directory.

Begins on any Python that is recent enough and continues in the virtual environment.
"""

import os.path
import sys

# Old Pythons read this file too: nothing below may be new to them before the version is known.
if sys.version_info < (3, 11):  # noqa: UP036
    found = "%s is Python %d.%d" % (sys.executable, sys.version_info[0], sys.version_info[1])  # noqa: UP031
    sys.exit("error: " + found + "; install Python 3.11 or later, or name one: make up PYTHON=python3.12")

if not __package__:
    # Called by its path: Python looks for modules beside this file, not in the project.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

from tools.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
