"""Build a tool from its pinned Go module, once per user and version.

A tool is added to the cache only when it is complete, in a directory named after its version and a hash of its recipe. Go
caches compiled packages, so an interrupted build continues where it stopped. Standard library only.
"""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tools.local.console import Console, Step
from tools.local.engine import go
from tools.local.engine.go import Go
from tools.local.engine.once import fill_once
from tools.local.errors import UserError
from tools.local.paths import cache_directory, short

MODULES = Path(__file__).parent
GIGABYTE = 10**9
LOG_TAIL_LINES = 15
DISK_FULL = "no space left on device"


@dataclass(frozen=True)
class Build:
    """One program of a tool: ``package`` in ``tools/local/engine/<module>``; ``version_variable`` is set to its version."""

    module: str
    package: str
    version_variable: str = ""


@dataclass(frozen=True)
class Tool:
    """``version_of`` is the Go module whose version is the tool's.

    ``files`` are copied beside the programs, from the Go module ``files_of``. ``disk_bytes`` is the size of what a build
    without any cache writes to the Go caches.
    """

    name: str
    version_of: str
    builds: tuple[Build, ...]
    disk_bytes: int
    files_of: str = ""
    files: tuple[str, ...] = ()


# For tests of the GitHub workflows.
ACTIONLINT = Tool(
    name="actionlint",
    version_of="github.com/rhysd/actionlint",
    builds=(Build("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),),
    disk_bytes=GIGABYTE,
)
PULUMI = Tool(
    name="pulumi",
    version_of="github.com/pulumi/pulumi/pkg/v3",
    builds=(
        Build(
            "pulumi",
            "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",
        ),
        Build("pulumi-language-python", "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"),
    ),
    disk_bytes=4 * GIGABYTE,
    files_of="github.com/pulumi/pulumi/sdk/v3",
    files=("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"),
)
MINIO = Tool(
    name="minio",
    version_of="github.com/minio/minio",
    builds=(Build("minio", "github.com/minio/minio"),),
    disk_bytes=2 * GIGABYTE,
)
ETCD = Tool(
    name="etcd",
    version_of="go.etcd.io/etcd/server/v3",
    builds=(Build("etcd", "go.etcd.io/etcd/server/v3"),),
    disk_bytes=GIGABYTE,
)
KUBE_APISERVER = Tool(
    name="kube-apiserver",
    version_of="k8s.io/kubernetes",
    builds=(
        Build("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/component-base/version.gitVersion"),
    ),
    disk_bytes=3 * GIGABYTE,
)
# The official plugin; of the three official plugins that the project uses, only this one is a Go module.
PULUMI_KUBERNETES = Tool(
    name="pulumi-resource-kubernetes",
    version_of="github.com/pulumi/pulumi-kubernetes/provider/v4",
    builds=(Build("pulumi-resource-kubernetes", "."),),
    disk_bytes=4 * GIGABYTE,
)
TOOLS = (PULUMI, MINIO, ETCD, KUBE_APISERVER, PULUMI_KUBERNETES)


def version(tool: Tool) -> str:
    """The version that the tool's go.mod pins."""
    text = (MODULES / tool.builds[0].module / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"{re.escape(tool.version_of)} (v\S+)", text)
    if not found:
        raise UserError(f"tools/local/engine/{tool.name}/go.mod does not name {tool.version_of}", "restore it from git")
    return found[1]


def tool_directory(tool: Tool) -> Path:
    """The tool's directory in the cache; it changes with the pinned version, the recipe and the platform."""
    recipe = (tool.builds, tool.files_of, tool.files, os.uname().sysname, os.uname().machine)
    digest = hashlib.sha256(repr(recipe).encode())
    for build in tool.builds:
        for file in sorted((MODULES / build.module).glob("*")):
            digest.update(file.read_bytes())
    return cache_directory() / "tools" / f"{tool.name}-{version(tool)}-{digest.hexdigest()[:12]}"


def ensure(tool: Tool, console: Console) -> Path:
    """Build the tool if needed, with progress, and return its directory.

    Raises ``UserError`` without a suitable Go, without enough disk space, or if the build fails (with the end of its
    output and the path of its log).
    """
    target = tool_directory(tool)
    if target.exists():
        return target
    builder = go.ensure(console)
    log = target.parent / f"{tool.name}.log"

    def fill(directory: Path) -> None:
        _check_disk_space(tool, target.parent, builder)
        _build(tool, directory, log, step, builder)

    with console.step(tool.name) as step:
        step.update(f"building {tool.name} {version(tool)} from source, once; this takes minutes")
        fill_once(target, tool.name, step, fill)
        step.done(f"{tool.name} {version(tool)} built")
    return target


def _check_disk_space(tool: Tool, parent: Path, builder: Go) -> None:
    result = builder.run(MODULES, "env", "GOCACHE", "GOMODCACHE")
    needed: dict[int, tuple[Path, int]] = {}
    directories = [Path(line) for line in result.stdout.split("\n") if line] or [parent]
    for directory in directories:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        device = existing.stat().st_dev
        _, subtotal = needed.get(device, (directory, 0))
        needed[device] = (existing, subtotal + tool.disk_bytes // len(directories))
    for directory, size in needed.values():
        free = shutil.disk_usage(directory).free
        if free < size:
            raise UserError(
                f"building {tool.name} needs {size / GIGABYTE:.1f} GB below {directory}, {free / GIGABYTE:.1f} GB are free",
                "make room, or set GOCACHE and GOMODCACHE to another disk",
            )


def _build(tool: Tool, target: Path, log: Path, step: Step, builder: Go) -> None:
    with log.open("w", encoding="utf-8") as output:
        for build in tool.builds:
            flags = "-s -w"
            if build.version_variable:
                flags += f" -X {build.version_variable}={version(tool)}"
            step.update(f"building {build.module} {version(tool)}")
            arguments = ["build", "-v", "-trimpath", "-ldflags", flags, "-o", str(target / build.module), build.package]
            _compile(build, builder, arguments, step, output, log)
    if tool.files:
        result = builder.run(MODULES / tool.builds[0].module, "list", "-m", "-f", "{{.Dir}}", tool.files_of)
        if result.returncode:
            raise UserError(f"go can't find the sources of {tool.files_of}", "run make up again", result.stderr)
        for name in tool.files:
            copy = target / Path(name).name
            shutil.copyfile(Path(result.stdout.strip()) / name, copy)
            copy.chmod(0o755)


def _compile(build: Build, builder: Go, arguments: list[str], step: Step, output: TextIO, log: Path) -> None:
    """Run ``go build`` and show its progress. Raises ``UserError``."""
    tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
    compiled = downloaded = 0
    with subprocess.Popen(
        builder.command(*arguments), cwd=MODULES / build.module, env=builder.environment(), text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                output.write(line)
                tail.append(line.rstrip())
                if line.startswith("go: downloading"):
                    downloaded += 1
                    step.update(f"building {build.module}: downloading, {downloaded} modules")
                elif not line.startswith(("go:", "#")):
                    compiled += 1
                    step.update(f"building {build.module}: {compiled} packages compiled")
            code = process.wait()
        except BaseException:
            # Ctrl-C reaches only this process: go and its compilers have a process group of their own.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if code:
        _fail(build, list(tail), log)


def _fail(build: Build, tail: list[str], log: Path) -> None:
    if any(DISK_FULL in line.lower() for line in tail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log))
    raise UserError(
        f"building {build.module} failed, the end of {short(log)} is above",
        "fix the cause (no network? see `go env GOPROXY`), then run make up again: it continues where it stopped",
        "\n".join(tail),
    )
