"""The offline kubernetes plugin: renders each object into a file, as the official one does with
``renderYamlToDirectory``, and unlike that finds by refresh that a file was changed or removed.

It talks to no cluster; for that the official plugin is needed.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import yaml

from local.plugins.base import Plugin, PluginError, ResourceType, serve
from local.plugins.schema import Property, Schema
from local.plugins.values import Props

VERSION = "4.25.0"
# Kinds without a namespace, of those that a storage stack comes near.
CLUSTER_WIDE = {"Namespace", "PriorityClass", "StorageClass", "PersistentVolume", "ClusterRole", "ClusterRoleBinding"}
_SERVER_SAYS = ("status",)


class Directory:
    """Where manifests go, and the namespace of those that name none."""

    def __init__(self, path: Path, namespace: str) -> None:
        self.path = path
        self.namespace = namespace

    def file(self, obj: Props) -> Path:
        """``1-manifest/<group>_<version>-<kind>-<namespace>-<name>.yaml``; definitions of kinds come in ``0-crd``."""
        kind, metadata = obj["kind"], obj["metadata"]
        stage = "0-crd" if kind == "CustomResourceDefinition" else "1-manifest"
        group = obj["apiVersion"].replace("/", "_")
        namespace = "" if kind in CLUSTER_WIDE else f"{metadata['namespace']}-"
        return self.path / stage / f"{group}-{kind.lower()}-{namespace}{metadata['name']}.yaml"


class Manifest(ResourceType):
    """Any object. ``token`` gives its apiVersion and kind: ``kubernetes:apps/v1:StatefulSet``."""

    schema: ClassVar[Schema] = Schema(open=True)

    def __init__(self, token: str) -> None:
        _, version, self.kind = token.split(":")
        self.api_version = version.removeprefix("core/")

    def invalid(self, inputs: Props) -> str | None:
        metadata = inputs.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            return f"{self.kind}: metadata.name is missing; a name that the engine makes up changes with every stack"
        return None

    def _object(self, config: Directory, inputs: Props) -> Props:
        obj = {name: value for name, value in inputs.items() if name not in ("__defaults", *_SERVER_SAYS)}
        metadata = dict(obj["metadata"])
        if self.kind not in CLUSTER_WIDE:
            metadata.setdefault("namespace", config.namespace)
        return {"apiVersion": self.api_version, "kind": self.kind, **obj, "metadata": metadata}

    def identify(self, outputs: Props) -> str:
        metadata = outputs["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])

    def create(self, config: Directory, inputs: Props) -> Props:
        obj = self._object(config, inputs)
        _write(config.file(obj), obj)
        return obj

    def update(self, config: Directory, id_: str, olds: Props, news: Props) -> Props:
        old, new = config.file(self._object(config, olds)), config.file(self._object(config, news))
        if old != new:
            old.unlink(missing_ok=True)
        return self.create(config, news)

    def read(self, config: Directory, id_: str, state: Props) -> Props | None:
        namespace, _, name = id_.rpartition("/")
        metadata: Props = {"name": name, **({"namespace": namespace} if namespace else {})}
        file = config.file(self._object(config, {"metadata": metadata}))
        try:
            found = yaml.safe_load(file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, yaml.YAMLError) as error:
            raise PluginError(
                f"{file}: cannot be read back: {' '.join(str(error).split())}; remove it and run up"
            ) from None
        return found if isinstance(found, dict) else None

    def delete(self, config: Directory, id_: str, state: Props) -> None:
        config.file(self._object(config, state)).unlink(missing_ok=True)


def _write(file: Path, obj: Props) -> None:
    """Whole or not at all, readable by its owner alone: a Secret is among them."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".yaml")
        with os.fdopen(handle, "w") as stream:
            yaml.safe_dump(obj, stream, sort_keys=True)
        Path(temporary).replace(file)
    except OSError as error:
        raise PluginError(
            f"{file}: cannot be written: {error.strerror}; see config kubernetesRenderDirectory"
        ) from None


class Kubernetes(Plugin):
    name = "kubernetes"
    config_schema = Schema(
        {
            "renderYamlToDirectory": Property("string"),
            "namespace": Property("string"),
            "enableServerSideApply": Property("bool"),
            "kubeconfig": Property("string", secret=True),
            "context": Property("string"),
            "cluster": Property("string"),
            "deleteUnreachable": Property("bool"),
            "skipUpdateUnreachable": Property("bool"),
            "suppressDeprecationWarnings": Property("bool"),
            "suppressHelmHookWarnings": Property("bool"),
        }
    )

    def type(self, token: str) -> ResourceType | None:
        return Manifest(token) if token.count(":") == 2 else None

    def configure(self, config: Props) -> Any:
        directory = config.get("renderYamlToDirectory")
        if not directory:
            raise PluginError(
                "the offline kubernetes plugin only renders manifests to a directory; for a cluster install the official "
                "plugin, or set kubernetesMode to render"
            )
        return Directory(Path(directory), config.get("namespace", "default"))


if __name__ == "__main__":
    serve(Kubernetes, VERSION)
