"""Which plugins are installed where, and how long that takes."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tools.offline_plugins import install

NAMES = ("postgresql", "aws", "kubernetes")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def pulumi(tmp_path: Path) -> Path:
    """An engine whose downloads fail, and which notes that it was asked."""
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit 1\n')
    program.chmod(0o700)
    return program


@pytest.fixture
def downloading(tmp_path: Path) -> Path:
    """An engine whose downloads succeed."""
    program = tmp_path / "downloading"
    program.write_text(
        '#!/bin/sh\nwhile [ "$1" != resource ]; do shift; done\n'
        'd="$PULUMI_HOME/plugins/resource-$2-v$3"; mkdir -p "$d"\n'
        'echo official > "$d/pulumi-resource-$2"; chmod 700 "$d/pulumi-resource-$2"\n'
    )
    program.chmod(0o700)
    return program


def program(home: Path, name: str) -> Path:
    (found,) = home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}")
    return found


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_reachable", lambda _url: False)


def test_offline_plugins_are_installed_under_the_sdks_versions_and_run(home: Path, pulumi: Path, offline: None) -> None:
    lines = install.ensure(home, pulumi, dict(os.environ))
    versions = [f"{name} {install.sdk_version(sdk)}" for name, sdk in install.SDKS.items()]
    assert lines == [f"plugins: {', '.join(versions)} (offline: the official ones cannot be downloaded here)"]
    for name in NAMES:
        with subprocess.Popen([program(home, name), "127.0.0.1:1"], stdout=subprocess.PIPE, cwd="/") as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) > 0, "the engine reads the port from the first line"
            process.kill()


def test_a_second_time_takes_no_time_and_changes_nothing(home: Path, pulumi: Path, offline: None) -> None:
    install.ensure(home, pulumi, {})
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    start = time.monotonic()
    install.ensure(home, pulumi, {})
    assert time.monotonic() - start < 0.5, "every make preview waits for this"
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_the_official_ones_are_asked_for_once_a_day(
    home: Path, pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_reachable", lambda _url: True)
    for _ in range(2):
        assert "offline" in install.ensure(home, pulumi, {})[0]
    assert len((tmp_path / "asked").read_text().splitlines()) == len(NAMES)


def test_official_plugins_are_taken_where_they_can_be_had(
    home: Path, pulumi: Path, downloading: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_reachable", lambda _url: True)
    assert "offline" not in install.ensure(home, downloading, {})[0]
    assert program(home, "aws").read_text() == "official\n"
    assert "offline" not in install.ensure(home, pulumi, {})[0], "what is there is not asked for again"


def test_the_user_may_choose_and_change_the_mind(
    home: Path, pulumi: Path, downloading: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_reachable", lambda _url: False)
    with pytest.raises(install.PluginInstallError, match="cannot be downloaded; unset STELLAOPS_PLUGINS"):
        install.ensure(home, pulumi, {install.CHOICE: "official"})
    install.ensure(home, downloading, {install.CHOICE: "official"})
    assert "STELLAOPS_PLUGINS=offline" in install.ensure(home, pulumi, {install.CHOICE: "offline"})[0]
    assert "tools.offline_plugins.aws" in program(home, "aws").read_text()
    assert "offline" not in install.ensure(home, pulumi, {})[0]
    assert program(home, "aws").read_text() == "official\n", "300 MB are not downloaded twice"
    with pytest.raises(install.PluginInstallError, match="set it to official or offline, or unset it"):
        install.ensure(home, pulumi, {install.CHOICE: "ofline"})


def test_an_unreachable_place_costs_three_seconds_at_most() -> None:
    start = time.monotonic()
    # An address of the documentation range, which nobody answers.
    assert not install._reachable("http://192.0.2.1:9")
    assert time.monotonic() - start < install.RESPONSE_SECONDS + 1


def test_a_moved_clone_or_environment_gets_a_new_launcher(
    home: Path, pulumi: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.ensure(home, pulumi, {})
    monkeypatch.setattr(install, "PROJECT", Path("/elsewhere with 'quotes'"))
    install.ensure(home, pulumi, {})
    assert "PYTHONPATH='/elsewhere with '\\''quotes'\\'''" in program(home, "aws").read_text()


def test_a_built_plugin_takes_the_place_of_the_offline_one(home: Path, pulumi: Path, tmp_path: Path) -> None:
    install.ensure(home, pulumi, {install.CHOICE: "offline"})
    built = tmp_path / "pulumi-resource-kubernetes"
    built.write_text("official")
    for _ in range(2):
        place = install.install_built(home, built)
        assert program(home, "kubernetes").read_text() == "official" and place == program(home, "kubernetes").parent
    assert not list(home.glob("plugins/.*")), "half a plugin would be left behind"
