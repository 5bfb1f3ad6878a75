"""Install plugins into the project's own PULUMI_HOME: the official ones where they can be had, else the offline ones.

A plugin is looked for under the version that the SDK package names, so that the engine neither warns nor downloads.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

PLUGINS = {"postgresql": "pulumi-postgresql", "aws": "pulumi-aws", "kubernetes": "pulumi-kubernetes"}
CHOICE = "STELLAOPS_PLUGINS"  # official, offline, or empty for whichever can be had
ASK_AGAIN_SECONDS = 24 * 3600
DOWNLOAD_SECONDS = 300
MARK = "offline.json"
PROJECT = Path(__file__).parents[2]


class PluginInstallError(Exception):
    """The plugins that were asked for cannot be had."""


def ensure(pulumi_home: Path, pulumi: Path, env: dict[str, str]) -> list[str]:
    """Put every plugin in place and return what to tell the user. Quick when all is there.

    Raises ``PluginInstallError`` when only official plugins were asked for and one cannot be downloaded.
    """
    choice = env.get(CHOICE, "")
    versions = {name: metadata.version(package) for name, package in PLUGINS.items()}
    offline = []
    for name, version in versions.items():
        place = pulumi_home / "plugins" / f"resource-{name}-v{version}"
        if (place / f"pulumi-resource-{name}").exists() and not (place / MARK).exists() and choice != "offline":
            continue
        if choice != "offline" and _official(pulumi_home, pulumi, name, version, env, forced=choice == "official"):
            continue
        if choice == "official":
            raise PluginInstallError(f"the official {name} plugin {version} cannot be downloaded; unset {CHOICE}")
        _install_offline(place, name, version)
        offline.append(name)
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    if not offline:
        return [f"plugins: {listed}"]
    which = "" if len(offline) == len(versions) else f"{', '.join(offline)}: "
    why = f"{CHOICE}=offline" if choice == "offline" else "the official ones cannot be downloaded here"
    return [f"plugins: {listed} ({which}offline plugins: {why})"]


def _official(home: Path, pulumi: Path, name: str, version: str, env: dict[str, str], *, forced: bool) -> bool:
    """Try to download a plugin, once a day, and tell whether it is there now."""
    stamp = home / f"no-official-{name}-{version}"
    if not forced and stamp.exists() and time.time() - stamp.stat().st_mtime < ASK_AGAIN_SECONDS:
        return False
    if not forced and not _reachable():
        _touch(stamp)
        return False
    place = home / "plugins" / f"resource-{name}-v{version}"
    if (place / MARK).exists():
        shutil.rmtree(place)
    command = [str(pulumi), "plugin", "install", "resource", name, version]
    settings = {**env, "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"}
    try:
        done = subprocess.run(command, env=settings, capture_output=True, timeout=DOWNLOAD_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is not None and done.returncode == 0:
        return True
    _touch(stamp)
    return False


def _reachable() -> bool:
    """Whether the place that plugins come from answers at all; asked with a short time limit."""
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen("https://get.pulumi.com", timeout=3).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _touch(stamp: Path) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()


def _install_offline(place: Path, name: str, version: str) -> None:
    """A launcher that runs this project's plugin with this virtual environment."""
    launcher = place / f"pulumi-resource-{name}"
    script = (
        "#!/bin/sh\n"
        f'PYTHONPATH="{PROJECT}" exec "{sys.executable}" -B -m local.plugins.{name} "$@"\n'
    )  # fmt: skip
    mark = json.dumps({"name": name, "version": version, "python": sys.executable})
    if launcher.exists() and launcher.read_text() == script and (place / MARK).exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    (fresh / MARK).write_text(mark)
    (fresh / launcher.name).write_text(script)
    (fresh / launcher.name).chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP)
    fresh.rename(place)
