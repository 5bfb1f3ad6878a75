"""Run the containers of a rendered pod as local processes: the same commands, variables, files and secrets.

This machine replaces the images: PostgreSQL's programs from the wheel, and a Python without packages.
"""

import base64
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Pod:
    """A pod whose volumes are directories below ``home``; ``rendered`` is where the manifests are."""

    spec: dict[str, Any]
    rendered: Path
    home: Path
    programs: Path
    places: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bin_ = self.home / "bin"
        bin_.mkdir(parents=True)
        # Not the Python of the virtual environment, because the image has no packages either.
        (bin_ / "python").symlink_to(Path(sys.executable).resolve())
        for volume in self.spec["volumes"]:
            self.places[volume["name"]] = self._volume(volume)

    def _volume(self, volume: dict[str, Any]) -> Path:
        place: Path = self.home / "volumes" / volume["name"]
        place.mkdir(parents=True)
        if "configMap" in volume:
            data = find(self.rendered, "ConfigMap", volume["configMap"]["name"])["data"]
            for item in volume["configMap"]["items"]:
                file = place / item["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(data[item["key"]])
        return place

    def container(self, name: str) -> dict[str, Any]:
        everyone = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        return next(container for container in everyone if container["name"] == name)

    def command(self, name: str) -> tuple[list[str], dict[str, str]]:
        """Return the command and environment of a container, with local paths for its volumes."""
        container = self.container(name)
        mounts = {mount["mountPath"]: str(self.places[mount["name"]]) for mount in container["volumeMounts"]}

        def here(text: str) -> str:
            for path, place in mounts.items():
                if text == path or text.startswith(f"{path}/"):
                    return place + text[len(path) :]
            return text

        environment = {"PATH": os.pathsep.join([str(self.home / "bin"), str(self.programs), os.defpath])}
        for item in container["env"]:
            environment[item["name"]] = here(item["value"]) if "value" in item else self._secret(item["valueFrom"])
        return [here(part) for part in container["command"]], environment

    def _secret(self, source: dict[str, Any]) -> str:
        reference = source["secretKeyRef"]
        data = find(self.rendered, "Secret", reference["name"])["data"]
        return base64.b64decode(data[reference["key"]]).decode()

    def run(self, name: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a container to its end. ``more`` overrides variables."""
        command, environment = self.command(name)
        return subprocess.run(
            command,
            env={**environment, **more},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def start(self, name: str, **more: str) -> "subprocess.Popen[str]":
        command, environment = self.command(name)
        return subprocess.Popen(
            command,
            env={**environment, **more},
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def remove(self) -> None:
        shutil.rmtree(self.home)


def find(rendered: Path, kind: str, name: str) -> dict[str, Any]:
    """Read a rendered object."""
    for path in rendered.rglob("*.yaml"):
        found: dict[str, Any] = yaml.safe_load(path.read_text())
        if found["kind"] == kind and found["metadata"]["name"] == name:
            return found
    raise AssertionError(f"no {kind} {name} was rendered")


def pod_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the pod of a CronJob or a Deployment."""
    spec = found["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if found["kind"] == "CronJob" else spec["template"]
    pod: dict[str, Any] = template["spec"]
    return pod
