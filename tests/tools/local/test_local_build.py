"""Building tools, with a `go` that does what each test needs."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.local.console import Console
from tools.local.engine import build, tools
from tools.local.errors import UserError
from tools.local.paths import ROOT

GOOD = """#!/bin/sh
case "$1" in
  env) [ "$2" = GOVERSION ] && echo go1.26.0 || printf '%s\\n%s\\n' /tmp /tmp ;;
  build)
    echo build >> "$GO_CALLS"
    while [ "$1" != -o ]; do shift; done
    echo runtime; printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""
FAILING = GOOD.replace("echo runtime;", "echo 'main.go:1:1: syntax error'; exit 1;")
FULL = GOOD.replace("echo runtime;", "echo 'link: write: no space left on device'; exit 1;")
OLD = GOOD.replace("go1.26.0", "go1.24.9")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no package index, and a PATH on which `go` and `rustfs` are what the test puts into tmp_path/bin."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def use(tmp_path: Path, script: str, name: str = "go") -> None:
    path = tmp_path / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


@pytest.mark.usefixtures("calls")
def test_without_go_and_its_wheel_the_message_says_what_to_install() -> None:
    if shutil.which("go"):
        pytest.skip("this machine has go in /usr/bin")
    with pytest.raises(UserError, match=r"go is not on the PATH.*install Go 1\.26 or later"):
        build.ensure(build.MINIO, Console())


@pytest.mark.usefixtures("calls")
def test_too_old_a_go_is_named(tmp_path: Path) -> None:
    use(tmp_path, OLD)
    with pytest.raises(UserError, match=r"go1\.24\.9 on the PATH is too old; install Go 1\.26"):
        build.ensure(build.MINIO, Console())


def test_a_second_run_builds_nothing(tmp_path: Path, calls: Path) -> None:
    use(tmp_path, GOOD)
    first = build.ensure(build.MINIO, Console())
    second = build.ensure(build.MINIO, Console())
    assert first == second and (first / "minio").exists()
    assert calls.read_text().split() == ["build"], "every make up would take minutes"


@pytest.mark.usefixtures("calls")
def test_a_failed_build_shows_the_compilers_last_lines_and_leaves_nothing(tmp_path: Path) -> None:
    use(tmp_path, FAILING)
    with pytest.raises(UserError, match="building minio failed") as caught:
        build.ensure(build.MINIO, Console())
    assert "syntax error" in caught.value.details
    assert "minio.log" in str(caught.value), "the whole output would be lost"
    assert not build.tool_directory(build.MINIO).exists(), "the next run would take the broken tool for built"
    use(tmp_path, GOOD)
    assert (build.ensure(build.MINIO, Console()) / "minio").exists()


@pytest.mark.usefixtures("calls")
def test_a_disk_that_runs_full_during_a_build_is_called_that(tmp_path: Path) -> None:
    use(tmp_path, FULL)
    with pytest.raises(OSError, match="No space left"):
        build.ensure(build.MINIO, Console())


@pytest.mark.usefixtures("calls")
def test_too_little_room_is_said_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(tmp_path, GOOD)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**8))
    with pytest.raises(UserError, match=r"building minio needs .* GB below .*, 0\.1 GB are free"):
        build.ensure(build.MINIO, Console())
    assert not build.tool_directory(build.MINIO).exists()


@pytest.mark.usefixtures("calls")
def test_what_a_killed_build_left_is_cleared_away(tmp_path: Path) -> None:
    use(tmp_path, GOOD)
    left = build.tool_directory(build.MINIO).parent / ".minio.partial-1"
    left.mkdir(parents=True)
    build.ensure(build.MINIO, Console())
    assert not left.exists()


@pytest.mark.usefixtures("calls")
def test_another_pin_is_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.tool_directory(build.MINIO)
    copy = tmp_path / "modules"
    shutil.copytree(build.MODULES, copy)
    sums = copy / "minio" / "go.sum"
    sums.write_text(sums.read_text() + "\n")
    monkeypatch.setattr(build, "MODULES", copy)
    assert build.tool_directory(build.MINIO) != before, "an upgrade would go on with the old tool"


@pytest.mark.usefixtures("calls")
def test_rustfs_on_the_path_is_taken_and_nothing_is_built(tmp_path: Path) -> None:
    use(tmp_path, "#!/bin/sh\n", "rustfs")
    assert tools.object_store_program(Console()) == tmp_path / "bin" / "rustfs"


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("version", "taken"), [("v3.272.0", True), ("v3.300.1", True), ("v3.271.9", False), ("", False)]
)
def test_a_pulumi_on_the_path_is_taken_when_it_is_recent_enough(tmp_path: Path, version: str, taken: bool) -> None:
    use(tmp_path, f"#!/bin/sh\necho {version}\n", "pulumi")
    assert tools.on_path() is None, "without its language host it can run no program"
    use(tmp_path, "#!/bin/sh\n", "pulumi-language-python")
    assert (tools.on_path() is not None) == taken


def test_the_first_part_needs_nothing_but_the_standard_library() -> None:
    names = "tools.cli.main, tools.local.bootstrap, tools.local.engine.build, tools.local.engine.tools"
    check = f"import {names}, sys; bad = {{'yaml', 'psutil', 'pydantic', 'pulumi'}} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-S", "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make up would fail on a machine that has only Python: {done.stderr}"
