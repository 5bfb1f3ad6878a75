"""Find the engine, the object store and other tools on this machine, and build what is missing."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.local.console import Console
from tools.local.engine import build
from tools.local.errors import UserError
from tools.pulumi_cli import PulumiCli, PulumiError

# The oldest engine that works with the pinned Python SDK.
PULUMI_MINIMUM = (3, 272)
VERSION_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Engine:
    """The ``pulumi`` executable; its directory also has the language host."""

    pulumi: Path
    version: str
    built: bool


def on_path() -> Engine | None:
    """``pulumi`` on the PATH, if it is recent enough and has its Python language host."""
    found = shutil.which("pulumi")
    if found is None:
        return None
    path = Path(found).resolve()
    host = (path.parent / "pulumi-language-python").exists() or shutil.which("pulumi-language-python")
    try:
        output = PulumiCli(Path(found)).run("version", timeout=VERSION_TIMEOUT_SECONDS).stdout
    except PulumiError:
        return None
    number = re.match(r"v(\d+)\.(\d+)\.", output)
    if not number or not host or (int(number[1]), int(number[2])) < PULUMI_MINIMUM:
        return None
    # The link's directory, not its target's: some package managers put the language host beside the link.
    return Engine(Path(found), output.strip(), built=False)


def engine(console: Console) -> Engine:
    """The engine, built if there is no suitable one. Raises ``UserError``."""
    found = on_path()
    if found:
        return found
    directory = build.ensure(build.PULUMI, console)
    return Engine(directory / "pulumi", build.version(build.PULUMI), built=True)


def existing_engine() -> Engine:
    """The engine, without building it. Raises ``UserError`` if there is none yet."""
    found = on_path()
    if found:
        return found
    directory = build.tool_directory(build.PULUMI)
    if not directory.exists():
        raise UserError("there is no engine yet", "run make up first")
    return Engine(directory / "pulumi", build.version(build.PULUMI), built=True)


def object_store_program(console: Console) -> Path:
    """``rustfs`` on the PATH, else MinIO, built if needed. Raises ``UserError``."""
    found = shutil.which("rustfs")
    return Path(found) if found else build.ensure(build.MINIO, console) / "minio"


def kubernetes_plugin(console: Console) -> Path:
    """The official Kubernetes plugin, built if needed. Raises ``UserError``."""
    return build.ensure(build.PULUMI_KUBERNETES, console) / "pulumi-resource-kubernetes"


def api_server(console: Console) -> tuple[Path, Path]:
    """``etcd`` and ``kube-apiserver``, for tests; built if needed. Raises ``UserError``."""
    return build.ensure(build.ETCD, console) / "etcd", build.ensure(build.KUBE_APISERVER, console) / "kube-apiserver"
