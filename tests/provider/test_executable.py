"""``pulumi-resource-stellaops``, as the engine starts it: from any directory, with the right Python, errors in one line."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.runtime.proto import provider_pb2

from provider.plugin import KINDS
from tests.provider.base.harness import stellaops
from tests.support.stack import PROJECT

EXECUTABLE = PROJECT / "provider" / "pulumi-resource-stellaops"


def started(executable: Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A start that fails."""
    return subprocess.run(
        [str(executable), "127.0.0.1:1"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_it_serves_every_kind_from_a_foreign_directory(tmp_path: Path) -> None:
    # Another project's package of the same name must not be taken for ours.
    script(tmp_path / "provider" / "__init__.py", "raise SystemExit('the wrong package')\n")
    with stellaops(cwd=tmp_path) as client:
        document = json.loads(client.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert document["resources"].keys() == {kind.token for kind in KINDS}
    assert all("import" in resource["description"].lower() for resource in document["resources"].values())


def test_the_active_virtual_environment_comes_first(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "python", f'#!/bin/sh\necho chosen >&2\nexec {sys.executable} -c "raise SystemExit(3)"\n')
    result = started(EXECUTABLE, tmp_path, VIRTUAL_ENV=str(tmp_path), PATH=os.environ["PATH"])
    assert (result.stderr, result.returncode) == ("chosen\n", 3)


@pytest.mark.parametrize("python", ["/usr/bin/env python3 -S", f"{sys.executable} -S"])
def test_a_python_without_the_packages_is_one_line(tmp_path: Path, python: str) -> None:
    script(tmp_path / "bin" / "python", f'#!/bin/sh\nexec {python} "$@"\n')
    result = started(EXECUTABLE, tmp_path, VIRTUAL_ENV=str(tmp_path), PATH=os.environ["PATH"])
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("provider stellaops cannot start: ") and result.stderr.count("\n") == 1, (
        result.stderr
    )
    assert "make up" in result.stderr


def test_without_any_python_it_is_one_line(tmp_path: Path) -> None:
    copied = tmp_path / "project" / "provider" / EXECUTABLE.name
    copied.parent.mkdir(parents=True)
    shutil.copy2(EXECUTABLE, copied)
    (tmp_path / "bin").mkdir()
    for program in ("sh", "dirname"):
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    result = started(copied, tmp_path, PATH=str(tmp_path / "bin"))
    assert result.returncode == 1 and "no python3 on the PATH" in result.stderr and result.stderr.count("\n") == 1
