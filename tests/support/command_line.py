"""The command line as a process: how it is called, in which bare environment, and with which arguments it ends soon."""

import os
import sys

from tools.cli.command import CommandGroup
from tools.cli.registry import COMMANDS
from tools.local.paths import ROOT

PROGRAM = [sys.executable, str(ROOT / "tools")]
# Without HOME, in an ASCII locale that Python must not replace.
BARE = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# Arguments with which a command ends soon where there is no local stack, without starting, building or writing anything.
CHEAP = {
    "down": [],
    "destroy": ["--yes"],
    "clean": ["--yes"],
    "env": ["scanner"],
    "pulumi": ["stack"],
    "undelete": ["evidence/a"],
    "streams repair": ["scanner:jobs", "--yes"],
    "docs": ["--check"],
    "schemas": ["--check"],
    "check-mapping": [],
    "check-migrations": [],
    "review": ["--stack", "local"],
    "review publish": ["no-such-file", "--number", "1"],
    **{
        command.name: []
        for command in COMMANDS
        if command.group is CommandGroup.DAY_TWO and command.name not in ("undelete", "streams repair")
    },
}
