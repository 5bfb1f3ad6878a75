"""Build a tool from its pinned Go module, once per user and version.

A built tool lies in the cache under its version and a hash of everything that makes it; it appears there whole or not
at all. Go keeps what it compiled, so an interrupted build goes on where it stopped. Standard library only.
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
from tools.local.errors import UserError
from tools.local.paths import cache_directory, short
from tools.locks import lock

MODULES = Path(__file__).parent
GO_MINIMUM = (1, 26)
GIGABYTE = 10**9
LOG_TAIL_LINES = 15
DISK_FULL = "no space left on device"


@dataclass(frozen=True)
class Build:
    """One program of a tool: ``package`` in ``tools/local/engine/<module>``; ``version_variable`` gets its version."""

    module: str
    package: str
    version_variable: str = ""


@dataclass(frozen=True)
class Tool:
    """``version_of`` is the Go module whose version is the tool's.

    ``files`` are copied beside the programs, each from a directory in the module ``files_of``.
    ``room`` is what a cold build writes to the Go caches, in bytes.
    """

    name: str
    version_of: str
    builds: tuple[Build, ...]
    room: int
    files_of: str = ""
    files: tuple[str, ...] = ()


# For the tests of the workflows.
ACTIONLINT = Tool(
    name="actionlint",
    version_of="github.com/rhysd/actionlint",
    builds=(Build("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),),
    room=GIGABYTE,
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
    room=4 * GIGABYTE,
    files_of="github.com/pulumi/pulumi/sdk/v3",
    files=("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"),
)
MINIO = Tool(
    name="minio",
    version_of="github.com/minio/minio",
    builds=(Build("minio", "github.com/minio/minio"),),
    room=2 * GIGABYTE,
)
ETCD = Tool(
    name="etcd",
    version_of="go.etcd.io/etcd/server/v3",
    builds=(Build("etcd", "go.etcd.io/etcd/server/v3"),),
    room=GIGABYTE,
)
KUBE_APISERVER = Tool(
    name="kube-apiserver",
    version_of="k8s.io/kubernetes",
    builds=(
        Build("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/component-base/version.gitVersion"),
    ),
    room=3 * GIGABYTE,
)
# The official plugin. It is the only one of the three whose sources are a Go module.
PULUMI_KUBERNETES = Tool(
    name="pulumi-resource-kubernetes",
    version_of="github.com/pulumi/pulumi-kubernetes/provider/v4",
    builds=(Build("pulumi-resource-kubernetes", "."),),
    room=4 * GIGABYTE,
)
TOOLS = (PULUMI, MINIO, ETCD, KUBE_APISERVER, PULUMI_KUBERNETES)


def version(tool: Tool) -> str:
    """The version that the tool's go.mod pins."""
    text = (MODULES / tool.builds[0].module / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"{re.escape(tool.version_of)} (v\S+)", text)
    if not found:
        raise UserError(f"tools/local/engine/{tool.name}/go.mod does not name {tool.version_of}", "restore it from git")
    return found[1]


def place(tool: Tool) -> Path:
    """Where the tool is once it is built; another pin, recipe or machine is another place."""
    recipe = (tool.builds, tool.files_of, tool.files, os.uname().sysname, os.uname().machine)
    digest = hashlib.sha256(repr(recipe).encode())
    for build in tool.builds:
        for file in sorted((MODULES / build.module).glob("*")):
            digest.update(file.read_bytes())
    return cache_directory() / "tools" / f"{tool.name}-{version(tool)}-{digest.hexdigest()[:12]}"


def ensure(tool: Tool, console: Console) -> Path:
    """The directory of the built tool, built now if it must be, with progress.

    Raises ``UserError``: no Go, too old a Go, no room, or a failed build (the end of its output, and where its log is).
    """
    target = place(tool)
    if target.exists():
        return target
    _check_go()
    parent = target.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with console.step(tool.name) as step:
        step.update(f"building {tool.name} {version(tool)} from source, once; this takes minutes")
        with lock(parent / f".{tool.name}.lock", lambda pid: step.update(f"waiting for another build (pid {pid})")):
            if not target.exists():
                for left_over in parent.glob(f".{tool.name}.partial-*"):
                    shutil.rmtree(left_over, ignore_errors=True)
                partial = parent / f".{tool.name}.partial-{os.getpid()}"
                partial.mkdir()
                _check_room(tool, parent)
                _build(tool, partial, parent / f"{tool.name}.log", step)
                partial.rename(target)
        step.done(f"{tool.name} {version(tool)} built")
    return target


def _check_go() -> None:
    todo = "install Go 1.26 or later (https://go.dev/dl) and put it on the PATH"
    if shutil.which("go") is None:
        raise UserError("go is not on the PATH, and the tools of the local stack are not built yet", todo)
    shown = subprocess.run(["go", "env", "GOVERSION"], cwd=MODULES, capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", shown.stdout)
    if shown.returncode:
        raise UserError(f"go does not run: {shown.stderr.strip()}", todo)
    if found and (int(found[1]), int(found[2])) < GO_MINIMUM:
        raise UserError(f"{shown.stdout.strip()} on the PATH is too old", todo)


def _check_room(tool: Tool, parent: Path) -> None:
    shown = subprocess.run(
        ["go", "env", "GOCACHE", "GOMODCACHE"], cwd=MODULES, capture_output=True, text=True, check=False
    )
    needed: dict[int, tuple[Path, int]] = {}
    places = [Path(line) for line in shown.stdout.split("\n") if line] or [parent]
    for directory in places:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        device = existing.stat().st_dev
        _, sofar = needed.get(device, (directory, 0))
        needed[device] = (existing, sofar + tool.room // len(places))
    for directory, size in needed.values():
        free = shutil.disk_usage(directory).free
        if free < size:
            raise UserError(
                f"building {tool.name} needs {size / GIGABYTE:.1f} GB below {directory}, {free / GIGABYTE:.1f} GB are free",
                "make room, or set GOCACHE and GOMODCACHE to another disk",
            )


def _build(tool: Tool, target: Path, log: Path, step: Step) -> None:
    with log.open("w", encoding="utf-8") as output:
        for build in tool.builds:
            flags = "-s -w"
            if build.version_variable:
                flags += f" -X {build.version_variable}={version(tool)}"
            step.update(f"building {build.module} {version(tool)}")
            arguments = ["build", "-v", "-trimpath", "-ldflags", flags, "-o", str(target / build.module), build.package]
            _go(build, arguments, step, output, log)
    if tool.files:
        shown = subprocess.run(
            ["go", "list", "-m", "-f", "{{.Dir}}", tool.files_of],
            cwd=MODULES / tool.builds[0].module, env=_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if shown.returncode:
            raise UserError(f"go can't find the sources of {tool.files_of}", "run make up again", shown.stderr)
        for name in tool.files:
            copy = target / Path(name).name
            shutil.copyfile(Path(shown.stdout.strip()) / name, copy)
            copy.chmod(0o755)


def _environment() -> dict[str, str]:
    # A workspace or flags of the user's own would change what is built.
    return {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=readonly"}


def _go(build: Build, arguments: list[str], step: Step, output: TextIO, log: Path) -> None:
    """Run go and show how far it is. Raises ``UserError``."""
    tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
    compiled = downloaded = 0
    with subprocess.Popen(
        ["go", *arguments], cwd=MODULES / build.module, env=_environment(), text=True, errors="replace",
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
            # Ctrl-C reaches us alone, since go has a process group of its own with all its compilers.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if code:
        _fail(build, list(tail), log)


def _fail(build: Build, tail: list[str], log: Path) -> None:
    if any(DISK_FULL in line.lower() for line in tail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log))
    raise UserError(
        f"building {build.module} failed, the end of {short(log)} is above",
        "put that right (no network? see `go env GOPROXY`), then run make up again: it goes on where it stopped",
        "\n".join(tail),
    )
