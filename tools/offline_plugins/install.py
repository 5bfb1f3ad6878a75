"""Install the plugins into a PULUMI_HOME: the official ones where they are available, else the offline ones.

Each is installed under the version that its SDK package requires, so that the engine neither warns nor downloads.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tools.pulumi_cli import PulumiCli, PulumiError

SDKS = {"postgresql": "pulumi_postgresql", "aws": "pulumi_aws", "kubernetes": "pulumi_kubernetes"}
CHOICE = "STELLAOPS_PLUGINS"  # official, offline, or unset: the official ones if they are available
DOWNLOADS = "https://get.pulumi.com"
RESPONSE_SECONDS = 3.0
DOWNLOAD_SECONDS = 300.0
RETRY_SECONDS = 24 * 3600.0
# A file next to an offline plugin, with its version and start script.
MARK = "offline.json"
PROJECT = Path(__file__).resolve().parents[2]


class PluginInstallError(Exception):
    """The requested plugins are unavailable."""


def ensure(pulumi_home: Path, pulumi: Path, env: Mapping[str, str]) -> list[str]:
    """Install missing plugins; return lines for the user. Takes milliseconds if none is missing.

    Raises ``PluginInstallError`` for an unknown choice, and if a required official plugin is unavailable.
    """
    choice = env.get(CHOICE, "")
    if choice not in {"", "official", "offline"}:
        raise PluginInstallError(f"{CHOICE}={choice} is not valid; set it to official or offline, or unset it")
    plugins = [_Plugin(name, sdk_version(sdk), pulumi_home) for name, sdk in SDKS.items()]
    missing = [plugin for plugin in plugins if not plugin.is_official()]
    if choice == "offline":
        missing = plugins
    elif missing:
        missing = _download(missing, pulumi_home, pulumi, env, required=choice == "official")
        if missing and choice == "official":
            names = ", ".join(f"{plugin.name} {plugin.version}" for plugin in missing)
            raise PluginInstallError(
                f"the official plugins {names} cannot be downloaded; unset {CHOICE} to use the offline ones"
            )
    for plugin in missing:
        plugin.install_offline()
    listed = ", ".join(f"{plugin.name} {plugin.version}" for plugin in plugins)
    if not missing:
        return [f"plugins: {listed}"]
    why = f"{CHOICE}=offline" if choice == "offline" else "the official ones cannot be downloaded here"
    which = "offline" if len(missing) == len(plugins) else f"{', '.join(plugin.name for plugin in missing)} offline"
    return [f"plugins: {listed} ({which}: {why})"]


def install_built(pulumi_home: Path, program: Path) -> Path:
    """Install the official Kubernetes plugin, built from its sources; return its directory.

    Replaces an installed one. Raises ``OSError``.
    """
    plugin = _Plugin("kubernetes", sdk_version(SDKS["kubernetes"]), pulumi_home)
    fresh = plugin.fresh()
    try:
        # A hard link, because the file has 300 MB.
        os.link(program, fresh / plugin.program.name)
    except OSError:
        shutil.copy2(program, fresh / plugin.program.name)
    shutil.rmtree(plugin.place, ignore_errors=True)
    fresh.rename(plugin.place)
    return plugin.place


def sdk_version(package: str) -> str:
    """Read the plugin version that an installed SDK requires, without importing the SDK, which takes a second."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise PluginInstallError(f"the Python package {package} is not installed; remove .venv and run make up")
    document = json.loads((Path(spec.origin).parent / "pulumi-plugin.json").read_text(encoding="utf-8"))
    return str(document["version"])


class _Plugin:
    def __init__(self, name: str, version: str, home: Path) -> None:
        self.name = name
        self.version = version
        directory = f"resource-{name}-v{version}"
        self.place = home / "plugins" / directory
        # Keeps an official plugin while an offline one replaces it, to avoid another download.
        self.aside = home / "official" / directory
        self.program = self.place / f"pulumi-resource-{name}"

    def is_official(self) -> bool:
        if self.aside.exists() and not self._official_in_place():
            shutil.rmtree(self.place, ignore_errors=True)
            self.aside.rename(self.place)
        return self._official_in_place()

    def _official_in_place(self) -> bool:
        return self.program.exists() and not (self.place / MARK).exists()

    def install_offline(self) -> None:
        """Install a script that runs this project's plugin with this virtual environment's Python."""
        script = (
            "#!/bin/sh\n"
            f"STELLAOPS_PLUGIN_VERSION={self.version} PYTHONPATH={_quoted(PROJECT)} "
            f'exec {_quoted(sys.executable)} -m tools.offline_plugins.{self.name} "$@"\n'
        )
        mark = json.dumps({"name": self.name, "version": self.version, "script": script})
        with contextlib.suppress(OSError):
            if (self.place / MARK).read_text(encoding="utf-8") == mark and self.program.exists():
                return
        if self._official_in_place():
            self.aside.parent.mkdir(parents=True, exist_ok=True)
            self.place.rename(self.aside)
        shutil.rmtree(self.place, ignore_errors=True)
        fresh = self.fresh()
        (fresh / self.program.name).write_text(script, encoding="utf-8")
        (fresh / self.program.name).chmod(stat.S_IRWXU)
        (fresh / MARK).write_text(mark, encoding="utf-8")
        fresh.rename(self.place)

    def fresh(self) -> Path:
        """Create a temporary directory, to be renamed when complete: the engine would use an incomplete plugin."""
        fresh = self.place.with_name(f".{self.place.name}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        return fresh


def _quoted(path: Path | str) -> str:
    quoted = str(path).replace("'", "'\\''")
    return f"'{quoted}'"


def _download(
    missing: list[_Plugin], home: Path, pulumi: Path, env: Mapping[str, str], *, required: bool
) -> list[_Plugin]:
    """Try to download official plugins, at most once a day unless ``required``. Return those that are still missing."""
    stamp = home / "official-plugins-asked"
    if not required:
        with contextlib.suppress(OSError):
            if time.time() - stamp.stat().st_mtime < RETRY_SECONDS:
                return missing
        home.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        if not _reachable(DOWNLOADS):
            return missing
    return [plugin for plugin in missing if not _download_one(plugin, pulumi, env)]


def _download_one(plugin: _Plugin, pulumi: Path, env: Mapping[str, str]) -> bool:
    # The engine would not download anything while an offline plugin is installed.
    shutil.rmtree(plugin.place, ignore_errors=True)
    cli = PulumiCli(pulumi, {**env, "PULUMI_HOME": str(plugin.place.parents[1])})
    with contextlib.suppress(PulumiError):
        cli.run("plugin", "install", "resource", plugin.name, plugin.version, timeout=DOWNLOAD_SECONDS)
    return plugin.is_official()


def _reachable(url: str) -> bool:
    """Whether the download server answers. Uses a thread because a DNS look-up has no timeout."""
    answered = threading.Event()

    def request() -> None:
        import urllib.error
        import urllib.request

        try:
            urllib.request.urlopen(url, timeout=RESPONSE_SECONDS).close()  # noqa: S310 - a constant https address
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            return
        else:
            answered.set()

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(RESPONSE_SECONDS)
    return answered.is_set()
