"""``python3 -m tools COMMAND``: begins on any Python that is recent enough, goes on in the virtual environment."""

import sys

# Old Pythons read this file too: nothing below may be new to them before the version is known.
if sys.version_info < (3, 11):  # noqa: UP036
    found = "%s is Python %d.%d" % (sys.executable, sys.version_info[0], sys.version_info[1])  # noqa: UP031
    sys.exit("error: " + found + "; install Python 3.11 or later, or name one: make up PYTHON=python3.12")

from tools.local.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
