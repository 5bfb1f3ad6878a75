"""``python3 -m local COMMAND``: begins on any Python that is recent enough, goes on in the virtual environment."""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: %s is Python %d.%d; install Python 3.11 or later, or name it: make PYTHON=python3.12 up"
             % (sys.executable, sys.version_info[0], sys.version_info[1]))  # fmt: skip  # noqa: UP031, YTT

from local.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
