"""Kubernetes objects: their names, the files they are rendered to, and differences between them."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from provider.base.schema import PropertyChange
from provider.base.values import Secret, Unknown, has_secret, reveal

Object = dict[str, Any]

# Kinds without a namespace, of Kubernetes' own API groups.
CLUSTER_WIDE = frozenset(
    {
        "APIService", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding", "ComponentStatus", "CSIDriver",
        "CSINode", "CustomResourceDefinition", "FlowSchema", "IngressClass", "MutatingWebhookConfiguration", "Namespace",
        "Node", "PersistentVolume", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass", "StorageClass",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttachment",
    }
)  # fmt: skip
# A change of one of these replaces the object.
_IDENTITY = frozenset({"apiVersion", "kind", "metadata.name", "metadata.namespace"})
# Immutable fields; a change replaces the object. The official plugin has these and more.
_IMMUTABLE: dict[str, frozenset[str]] = {
    "StatefulSet": frozenset(
        f"spec.{name}"
        for name in ("podManagementPolicy", "revisionHistoryLimit", "selector", "serviceName", "volumeClaimTemplates")
    ),
    "Deployment": frozenset({"spec.selector"}),
    "DaemonSet": frozenset({"spec.selector"}),
    "Job": frozenset({"spec.selector", "spec.template"}),
    "Service": frozenset({"spec.clusterIP"}),
    "PersistentVolumeClaim": frozenset(
        {"spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector"}
    ),
    "RoleBinding": frozenset({"roleRef"}),
    "ClusterRoleBinding": frozenset({"roleRef"}),
    # Replaced unless the provider config makes them mutable: pods would not notice a change.
    "ConfigMap": frozenset({"data", "binaryData"}),
    "Secret": frozenset({"data", "type"}),
}


def type_of(token: str) -> tuple[str, str]:
    """Return (apiVersion, kind) of a token like ``kubernetes:apps/v1:StatefulSet``."""
    _, version, kind = token.split(":")
    return version.removeprefix("core/"), kind


def identifier(obj: Mapping[str, Any]) -> str:
    metadata = reveal(obj.get("metadata") or {})
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def path_in(directory: Path, obj: Mapping[str, Any]) -> Path:
    """Return the file of an object. Definitions of kinds (``0-crd``) come before other objects (``1-manifest``)."""
    metadata = obj["metadata"]
    stage = "0-crd" if obj["kind"] == "CustomResourceDefinition" else "1-manifest"
    version = obj["apiVersion"].replace("/", "_").replace(":", "_")
    return (
        directory
        / stage
        / f"{version}-{obj['kind'].lower()}-{metadata.get('namespace') or 'default'}-{metadata['name']}.yaml"
    )


def with_encoded_data(obj: Object) -> Object:
    """Merge ``stringData`` of a Secret into ``data``, like an API server; the values stay secret."""
    given = obj.get("stringData")
    if given is None:
        return obj
    plain = reveal(given)
    if isinstance(plain, Unknown):
        return {**{key: value for key, value in obj.items() if key != "stringData"}, "data": Secret(plain)}
    data = dict(reveal(obj.get("data") or {}))
    for key, value in plain.items():
        data[key] = value if isinstance(value, Unknown) else base64.b64encode(str(value).encode()).decode()
    return {**{key: value for key, value in obj.items() if key != "stringData"}, "data": Secret(data)}


def conceal(outputs: Any, example: Any) -> Any:
    """Mark values as secret like in ``example``; the data of a Secret always."""
    if not isinstance(outputs, Mapping):
        return outputs
    concealed = {key: _conceal_item(value, reveal_top(example).get(key)) for key, value in outputs.items()}
    if concealed.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if concealed.get(key) is not None and not isinstance(concealed[key], Secret):
                concealed[key] = Secret(reveal(concealed[key]))
    return concealed


def reveal_top(example: Any) -> Mapping[str, Any]:
    value = example.value if isinstance(example, Secret) else example
    return value if isinstance(value, Mapping) else {}


def _conceal_item(value: Any, example: Any) -> Any:
    if isinstance(value, Secret) or example is None:
        return value
    if isinstance(value, Mapping) and isinstance(example, Mapping):
        return conceal(value, example)
    return Secret(value) if has_secret(example) else value


def differences(old: Object, new: Object, *, mutable: bool) -> Iterator[PropertyChange]:
    """Yield a change for each field that differs between the state and new inputs."""
    fixed = _IDENTITY | _IMMUTABLE.get(str(new.get("kind")), frozenset())
    if mutable and new.get("kind") in {"ConfigMap", "Secret"}:
        fixed = _IDENTITY
    yield from _differences("", old, new, fixed, replace=False)


def _differences(path: str, old: Any, new: Any, fixed: frozenset[str], *, replace: bool) -> Iterator[PropertyChange]:
    replace = replace or path in fixed
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(_join(path, key), old.get(key), new.get(key), fixed, replace=replace)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            yield from _differences(f"{path}[{index}]", before, after, fixed, replace=replace)
    elif isinstance(new, Unknown) or old != new:
        yield PropertyChange(path, "add" if old is None else "delete" if new is None else "update", replace)


def _join(path: str, key: str) -> str:
    if any(character in key for character in '."[]'):
        quoted = key.replace('"', '\\"')
        return f'{path}["{quoted}"]'
    return f"{path}.{key}" if path else key
