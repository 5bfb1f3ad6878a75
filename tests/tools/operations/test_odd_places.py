"""Commands on a live stack without HOME, in an ASCII locale, from a subdirectory, and for a reader that leaves."""

import os
import subprocess

import pytest

from tests.support.command_line import BARE, CHEAP, PROGRAM
from tests.support.stack import PROJECT, LocalStack
from tools.cli.command import CommandGroup
from tools.cli.registry import COMMANDS

pytestmark = pytest.mark.xdist_group("live_stack")
TIMEOUT_SECONDS = 300
ALL = {
    **{command.name: CHEAP[command.name] for command in COMMANDS if command.group is CommandGroup.DAY_TWO},
    "backup": ["--list"],
    "undelete": ["evidence/no-such-object", "--list"],
    "preview": [],
    "env": ["scanner"],
    "pulumi": ["stack"],
    "review": [],
}
# They need arguments that no stack has at first, or run for minutes: their own tests run them.
ELSEWHERE = {"migrations baseline", "migrations repair", "restore", "drill"}
FINDINGS = 2


@pytest.fixture
def environment(live_stack: LocalStack) -> dict[str, str]:
    kept = ("STELLAOPS_STATE_DIR", "RUSTFS_BUCKET_PREFIX", "RUSTFS_ENDPOINT", "XDG_CACHE_HOME")
    return {**BARE, **{name: live_stack.environment[name] for name in kept if name in live_stack.environment}}


@pytest.mark.parametrize("name", sorted(ALL.keys() - ELSEWHERE))
def test_a_command_works_without_home_in_an_ascii_locale_and_for_a_reader_that_leaves(
    name: str, environment: dict[str, str]
) -> None:
    command = [*PROGRAM, *name.split(), *ALL[name]]
    done = subprocess.run(
        command, cwd=PROJECT / "docs", env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=TIMEOUT_SECONDS, encoding="utf-8",
    )  # fmt: skip
    expected = {0, 1} if name == "undelete" else {0, FINDINGS}
    assert done.returncode in expected and "Traceback" not in done.stderr, done.stdout + done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    try:
        left = subprocess.run(
            command, cwd=PROJECT / "docs", env=environment, stdin=subprocess.DEVNULL, stdout=writing,
            stderr=subprocess.PIPE, text=True, check=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert "Traceback" not in left.stderr and "Exception" not in left.stderr, left.stderr
