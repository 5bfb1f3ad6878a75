"""The Valkey deployment on a real API server, through the engine and the official Kubernetes plugin."""

import copy
import hashlib
from typing import Any

import pytest

from tests.kubernetes.cluster import ApiError, Cluster
from tests.kubernetes.conftest import NewStack
from tests.kubernetes.stack import KubernetesStack

DIGEST = "sha256:" + hashlib.sha256(b"an image").hexdigest()
PRIORITY_CLASS = {
    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "storage"}, "value": 1000
}  # fmt: skip
SERVICE_MONITORS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1", "served": True, "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "valkeyReplicas": 2,
        "valkeyTls": True,
        "valkeyExporter": True,
        "valkeyServiceMonitor": True,
        "valkeyPriorityClass": "storage",
        "valkeyStorageClass": "fast",
        "valkeyImageDigest": DIGEST,
        "valkeyMaintenanceImageDigest": DIGEST,
        "moduleNamespaces": "apps, jobs",
    },
}
KINDS = (
    ("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "Service"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job"),
    ("batch/v1", "CronJob"), ("policy/v1", "PodDisruptionBudget"), ("networking.k8s.io/v1", "NetworkPolicy"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
)  # fmt: skip


@pytest.fixture(scope="module")
def _known_kinds(api_server: Cluster) -> None:
    api_server.create(PRIORITY_CLASS)
    api_server.define(SERVICE_MONITORS)


@pytest.fixture(scope="module", params=OPTIONS)
def deployed(request: pytest.FixtureRequest, _known_kinds: None, new_stack: NewStack) -> KubernetesStack:
    made = new_stack(request.param, **OPTIONS[request.param])
    made.up()
    return made


def templates(deployed: KubernetesStack) -> dict[str, dict[str, Any]]:
    """The pods that would run, by whose they are, as Pods."""
    found = {}
    for document in deployed.objects():
        spec = document.get("spec", {})
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template:
            pod = copy.deepcopy(template["spec"])
            # A StatefulSet's controller puts it there.
            volumes = [
                {"name": claim["metadata"]["name"], "emptyDir": {}} for claim in spec.get("volumeClaimTemplates", ())
            ]
            pod["volumes"] = [*pod.get("volumes", []), *volumes]
            name = f"{document['kind'].lower()}-{document['metadata']['name']}"
            found[name] = {
                "apiVersion": "v1", "kind": "Pod", "spec": pod,
                "metadata": {"name": name, "namespace": deployed.namespace, "labels": template["metadata"]["labels"]},
            }  # fmt: skip
    return found


def test_the_next_preview_shows_nothing_also_after_a_refresh(deployed: KubernetesStack) -> None:
    assert deployed.planned() == {}, "reviewers would not find the changes that matter"
    refreshed = deployed.refresh()
    assert refreshed.exit_code == 0, refreshed.stdout
    assert deployed.planned() == {}


def test_every_object_passes_strict_validation(deployed: KubernetesStack, api_server: Cluster) -> None:
    objects = deployed.objects()
    assert len(objects) == (13 if deployed.namespace == "everything" else 12)
    other = f"strict-{deployed.namespace}"
    api_server.namespace(other)
    for document in objects:
        document["metadata"]["namespace"] = other
        api_server.create(document, dry_run=True)
    document = next(item for item in objects if item["kind"] == "StatefulSet")
    document["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(ApiError, match=r'unknown field "spec.template.spec.terminationGracePeriod"'):
        api_server.create(document, dry_run=True)


def test_pod_security_restricted_admits_every_pod(deployed: KubernetesStack, api_server: Cluster) -> None:
    pods = templates(deployed)
    assert len(pods) == 4, "the servers, the apply job, and two cron jobs"
    for pod in pods.values():
        api_server.create(pod, dry_run=True)
    lax = copy.deepcopy(pods["statefulset-valkey"])
    lax["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ApiError, match="violates PodSecurity"):
        api_server.create(lax, dry_run=True)


def test_images_are_pinned_by_version_and_digest(deployed: KubernetesStack) -> None:
    for pod in templates(deployed).values():
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            name, _, digest = container["image"].partition("@")
            assert name.rpartition(":")[2] not in ("", "latest")
            if deployed.namespace == "everything" and container["name"] != "exporter":
                assert digest == DIGEST


def checksum(api_server: Cluster, namespace: str) -> str:
    stateful_set = api_server.get("apps/v1", "StatefulSet", namespace, "valkey")
    text: str = stateful_set["spec"]["template"]["metadata"]["annotations"]["stellaops.io/config-checksum"]
    return text


@pytest.fixture(scope="module")
def changing(new_stack: NewStack) -> KubernetesStack:
    """One that tests change, each in its own way."""
    made = new_stack("changing")
    made.up()
    return made


def test_a_changed_memory_limit_rolls_the_pods_once(changing: KubernetesStack, api_server: Cluster) -> None:
    before = checksum(api_server, changing.namespace)
    text = changing.mapping.read_text()
    changing.mapping.write_text(text.replace("maxmemory: 2gb", "maxmemory: 3gb"))
    assert changing.planned() == {"ConfigMap valkey-conf": "update", "StatefulSet valkey": "update"}
    changing.up()
    changed = checksum(api_server, changing.namespace)
    assert changed != before
    stateful_set = api_server.get("apps/v1", "StatefulSet", changing.namespace, "valkey")
    assert stateful_set["metadata"]["generation"] == 2, "each generation of the template is a restart of every pod"


def test_a_new_password_changes_users_and_runs_the_job_and_restarts_nothing(
    changing: KubernetesStack, api_server: Cluster
) -> None:
    before = api_server.get("apps/v1", "StatefulSet", changing.namespace, "valkey")["metadata"]["generation"]
    text = changing.mapping.read_text()
    changing.mapping.write_text(
        text.replace("  scanner:\n    name: Scanner\n", "  scanner:\n    name: Scanner\n    rotate: 7\n", 1)
    )
    planned = changing.planned()
    assert {name.split()[0] for name in planned} == {"Credential", "Secret", "Job"}, planned
    assert planned["Secret valkey-acl"] == "update" and "Secret valkey-passwords" not in planned
    old = [job["metadata"]["name"] for job in api_server.all("batch/v1", "Job", changing.namespace)]
    changing.up()
    new = [job["metadata"]["name"] for job in api_server.all("batch/v1", "Job", changing.namespace)]
    assert len(new) == 1 and new != old, "the servers would keep the old password"
    after = api_server.get("apps/v1", "StatefulSet", changing.namespace, "valkey")["metadata"]["generation"]
    assert after == before


def test_what_was_changed_by_hand_is_found(changing: KubernetesStack, api_server: Cluster) -> None:
    path = f"{api_server.collection('v1', 'ConfigMap', changing.namespace)}/valkey-conf"
    edited = {"data": {"valkey.conf": "maxmemory 1gb\n"}}
    api_server.call("PATCH", path, edited, "application/merge-patch+json")
    found = changing.refresh()
    assert found.exit_code != 0 and "valkey-conf" in found.stdout


def test_destroy_leaves_nothing(deployed: KubernetesStack, api_server: Cluster) -> None:
    deployed.destroy()
    for api_version, kind in KINDS:
        assert api_server.all(api_version, kind, deployed.namespace) == [], kind
