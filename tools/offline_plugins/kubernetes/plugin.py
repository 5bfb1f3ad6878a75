"""The plugin: renders objects of any kind into files of a directory."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provider.base.plugin import FoundResource, ResourceType, UpdatePlan, plain
from provider.base.schema import AUTONAME_LENGTH, Failure, Properties, Property
from provider.base.values import Unknown, has_unknown, reveal
from provider.errors import ProviderError
from tools.offline_plugins.kubernetes import objects
from tools.offline_plugins.plugin import OfflinePlugin

AUTONAMED = "pulumi.com/autonamed"

CONFIGURATION = {
    "renderYamlToDirectory": Property(force_new=True),
    "namespace": Property(),
    "enableServerSideApply": Property("boolean", default=True),
    "enableConfigMapMutable": Property("boolean", default=False),
    "enableSecretMutable": Property("boolean", default=False),
    "kubeconfig": Property(secret=True),
    "context": Property(),
    "cluster": Property(),
    "clusterIdentifier": Property(),
    "deleteUnreachable": Property("boolean"),
    "skipUpdateUnreachable": Property("boolean"),
    "suppressDeprecationWarnings": Property("boolean"),
    "suppressHelmHookWarnings": Property("boolean"),
    "helmReleaseSettings": Property("object"),
    "kubeClientSettings": Property("object"),
}
# Pulumi's own types in this package, which are not Kubernetes objects.
_FOREIGN = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")


class KubernetesPlugin(OfflinePlugin):
    def __init__(self) -> None:
        super().__init__("kubernetes", CONFIGURATION)
        self.settings: dict[str, Any] = {}

    def configure(self, configuration: dict[str, Any]) -> None:
        self.settings = configuration

    def directory(self) -> Path:
        directory = self.settings.get("renderYamlToDirectory")
        if not directory:
            raise ProviderError(
                "the offline kubernetes plugin only renders manifests (stack config kubernetesMode: render); for a cluster, "
                "`make kubernetes-plugin` builds the official plugin and installs it"
            )
        return Path(directory)

    def resource_type(self, token: str) -> ResourceType:
        if token.startswith(_FOREIGN) or token.count(":") != 2 or token.endswith(("List", "Patch")):
            raise ProviderError(
                f"the offline kubernetes plugin renders single objects only; {token} needs the official plugin"
            )
        return Manifest(self, token)


class Manifest(ResourceType):
    """One object. Inputs and outputs are the object; the state also has the official plugin's internal fields."""

    properties: Properties = MappingProxyType({})

    def __init__(self, plugin: KubernetesPlugin, token: str) -> None:
        self.token = token
        self._plugin = plugin
        self.api_version, self.kind = objects.type_of(token)

    def check(
        self, name: str, given: Mapping[str, Any], old: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[Failure]]:
        inputs = {key: value for key, value in given.items() if not key.startswith("__") and key != "status"}
        failures = [
            Failure(key, f"{key} of a {self.kind} is {expected!r}, not {inputs[key]!r}")
            for key, expected in (("apiVersion", self.api_version), ("kind", self.kind))
            if reveal(inputs.get(key, expected)) != expected
        ]
        inputs = {"apiVersion": self.api_version, "kind": self.kind, **inputs}
        metadata = inputs.get("metadata") or {}
        if isinstance(metadata, Unknown):
            return inputs, failures
        if not isinstance(metadata, Mapping):
            return inputs, [*failures, Failure("metadata", "expected an object")]
        if metadata.get("generateName"):
            failures.append(Failure("metadata.generateName", "is not supported when rendering; set metadata.name"))
        if self.kind == "Secret":
            inputs = objects.with_encoded_data(inputs)
        inputs["metadata"] = self._named(name, dict(metadata), reveal(old).get("metadata") or {}, seed)
        return inputs, failures

    def _named(self, name: str, metadata: dict[str, Any], old: Mapping[str, Any], seed: bytes) -> dict[str, Any]:
        annotations = metadata.get("annotations") or {}
        if metadata.get("name") is None and isinstance(annotations, Mapping):
            was_autonamed = (old.get("annotations") or {}).get(AUTONAMED) == "true"
            digits = hashlib.sha256(seed).hexdigest() if seed else secrets.token_hex(AUTONAME_LENGTH)
            metadata["name"] = old["name"] if was_autonamed else f"{name}-{digits[: AUTONAME_LENGTH + 1]}".lower()
            metadata["annotations"] = {**annotations, AUTONAMED: "true"}
        default = self._plugin.settings.get("namespace")
        if default and not metadata.get("namespace") and self.kind not in objects.CLUSTER_WIDE:
            metadata["namespace"] = default
        return metadata

    def plan(self, state: Mapping[str, Any], inputs: Mapping[str, Any], ignore: Iterable[str]) -> UpdatePlan:
        self._plugin.directory()
        old, new = plain(state), plain(inputs)
        old.pop("id", None)
        # An omitted namespace is `default`.
        for obj in (old, new):
            if isinstance(obj.get("metadata"), dict) and self.kind not in objects.CLUSTER_WIDE:
                obj["metadata"] = {"namespace": "default", **obj["metadata"]}
        ignored = tuple(ignore)
        mutable = bool(self._plugin.settings.get(f"enable{self.kind}Mutable"))
        found = [
            change
            for change in objects.differences(old, new, mutable=mutable)
            if not any(change.path == item or change.path.startswith((f"{item}.", f"{item}[")) for item in ignored)
        ]
        old_name, new_name = (obj.get("metadata", {}).get("name") for obj in (old, new))
        autonamed = (new.get("metadata", {}).get("annotations") or {}).get(AUTONAMED) == "true"
        return UpdatePlan(found, delete_before_replace=old_name == new_name and not autonamed)

    def preview(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self._plugin.directory()
        return {key: value for key, value in inputs.items() if not key.startswith("__")}

    def conceal(self, outputs: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
        obj = objects.conceal({key: value for key, value in outputs.items() if not key.startswith("__")}, examples)
        internal = {key: value for key, value in outputs.items() if key.startswith("__")}
        if "__inputs" in internal:
            internal["__inputs"] = objects.conceal(internal["__inputs"], examples)
        concealed: dict[str, Any] = {**obj, **internal}
        concealed.pop("id", None)
        return concealed

    def inputs_of(self, outputs: Mapping[str, Any], old_inputs: Mapping[str, Any]) -> dict[str, Any]:
        live = {key: value for key, value in outputs.items() if not key.startswith("__")}
        return dict(objects.conceal(live, old_inputs))

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        file = objects.path_in(self._plugin.directory(), inputs)
        _write(file, inputs)
        return _found(inputs, inputs)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        namespace, _, name = id_.rpartition("/")
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        identity = {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}
        file = objects.path_in(self._plugin.directory(), identity)
        live = _read(file)
        if live is None:
            return None
        if not isinstance(live, dict) or not isinstance(live.get("metadata"), dict):
            # The file has no valid object, so everything differs.
            live = identity
        return _found(live, live, id_)

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return self.create(inputs)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        objects.path_in(self._plugin.directory(), {"apiVersion": self.api_version, "kind": self.kind, **state}).unlink(
            missing_ok=True
        )


def _found(live: dict[str, Any], inputs: dict[str, Any], id_: str = "") -> FoundResource:
    identifier = id_ or objects.identifier(live)
    manager = f"pulumi-kubernetes-{hashlib.sha256(identifier.encode()).hexdigest()[:8]}"
    kept = {"__inputs": inputs, "__initialApiVersion": live.get("apiVersion"), "__fieldManager": manager}
    return FoundResource(identifier, {**live, **kept})


def _write(file: Path, obj: dict[str, Any]) -> None:
    """Write a file atomically, readable only by its owner because it may contain a Secret."""
    import yaml

    if has_unknown(obj):
        raise ProviderError(f"{file.name}: a value is still unknown")
    try:
        for directory in (file.parent.parent, file.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                yaml.dump(obj, stream, Dumper=_dumper(), sort_keys=True, allow_unicode=True, width=1000)
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ProviderError(
            f"cannot write {file}: {error.strerror}; check renderYamlToDirectory of the provider"
        ) from error


def _dumper() -> Any:
    """Return a dumper that writes multi-line strings as blocks, so that rendered configuration files are readable."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return Dumper


def _read(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError):
        return ""
    except OSError as error:
        raise ProviderError(
            f"cannot read {file}: {error.strerror}; check renderYamlToDirectory of the provider"
        ) from error
