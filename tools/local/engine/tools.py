"""Which engine and which object store this machine has, and what is built because it has none."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.local.console import Console
from tools.local.engine import build
from tools.local.errors import UserError

# The oldest engine that serves the Python SDK this project pins.
PULUMI_MINIMUM = (3, 272)


@dataclass(frozen=True)
class Engine:
    """The ``pulumi`` executable; its directory also has the language host."""

    pulumi: Path
    version: str
    built: bool


def on_path() -> Engine | None:
    """``pulumi`` on the PATH, when it is recent enough and has its Python language host."""
    found = shutil.which("pulumi")
    if found is None:
        return None
    path = Path(found).resolve()
    host = (path.parent / "pulumi-language-python").exists() or shutil.which("pulumi-language-python")
    try:
        shown = subprocess.run([found, "version"], capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.match(r"v(\d+)\.(\d+)\.", shown)
    if not number or not host or (int(number[1]), int(number[2])) < PULUMI_MINIMUM:
        return None
    # The link's directory, not its target's: a package manager may keep the language host beside the link.
    return Engine(Path(found), shown.strip(), built=False)


def engine(console: Console) -> Engine:
    """The engine; built if the machine has none that serves. Raises ``UserError``."""
    found = on_path()
    if found:
        return found
    directory = build.ensure(build.PULUMI, console)
    return Engine(directory / "pulumi", build.version(build.PULUMI), built=True)


def existing_engine() -> Engine:
    """The engine without building one. Raises ``UserError`` when there is none yet."""
    found = on_path()
    if found:
        return found
    directory = build.place(build.PULUMI)
    if not directory.exists():
        raise UserError("there is no engine yet", "run make up first")
    return Engine(directory / "pulumi", build.version(build.PULUMI), built=True)


def object_store_program(console: Console) -> Path:
    """``rustfs`` on the PATH, else MinIO, built if it must be. Raises ``UserError``."""
    found = shutil.which("rustfs")
    return Path(found) if found else build.ensure(build.MINIO, console) / "minio"


def kubernetes_plugin(console: Console) -> Path:
    """The official Kubernetes plugin, built if it must be. Raises ``UserError``."""
    return build.ensure(build.PULUMI_KUBERNETES, console) / "pulumi-resource-kubernetes"


def api_server(console: Console) -> tuple[Path, Path]:
    """``etcd`` and ``kube-apiserver``, for tests; built if they must be. Raises ``UserError``."""
    return build.ensure(build.ETCD, console) / "etcd", build.ensure(build.KUBE_APISERVER, console) / "kube-apiserver"
