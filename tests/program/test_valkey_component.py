"""What the Valkey component asks for, resource by resource."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.credentials import Credential
from components.mapping import load
from components.mapping.names import memory_bytes
from components.settings import KubernetesSettings, ValkeySettings
from components.valkey.component import Valkey, ValkeyArgs, streams_of
from components.valkey.kubernetes import IMAGE
from components.valkey.render import PROBE_USER
from tests.program.recorder import Recorder, record

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
HASHES = {user: f"{number:064x}" for number, user in enumerate(MAPPING.users)}


def program(
    apply: Any = "direct", mode: Any = "render", hashes: dict[str, str] = HASHES, mapping: Any = MAPPING
) -> Recorder:
    class Known:
        """A credential whose hash the test knows."""

        def __init__(self, user: str) -> None:
            self.valkey_sha256 = pulumi.Output.secret(hashes[user])

    def run() -> None:
        settings = ValkeySettings(
            host="valkey",
            port=6379,
            tls=False,
            admin_user="admin",
            admin_password=pulumi.Output.secret("admin-password"),
            apply=apply,
        )
        provider = None if mode == "none" else kubernetes.Provider("manifests", render_yaml_to_directory="rendered")
        credentials: dict[str, Credential] = {user: Known(user) for user in mapping.users}  # type: ignore[misc]
        cluster = KubernetesSettings(mode=mode, render_directory="rendered", namespace="stellaops")
        Valkey("valkey", ValkeyArgs(mapping, settings, cluster, provider, credentials, allow_data_loss=False))

    return record(run)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return program()


def one(recorder: Recorder, token: str) -> dict[str, Any]:
    (found,) = recorder.of(token).values()
    return found


def plain(value: Any) -> Any:
    """``value`` without the wrapping that marks it as secret."""
    return value["value"] if isinstance(value, dict) and "4dabf18193072939515e22adb298388d" in value else value


def pod(recorder: Recorder) -> dict[str, Any]:
    template: dict[str, Any] = one(recorder, ":StatefulSet")["spec"]["template"]
    return template


def container(recorder: Recorder) -> dict[str, Any]:
    (found,) = pod(recorder)["spec"]["containers"]
    return dict(found)


def test_every_module_and_service_is_applied_with_its_hash_as_a_secret(recorder: Recorder) -> None:
    users = one(recorder, ":ValkeyUsers")
    assert set(users["users"]) == set(MAPPING.users)
    assert plain(users["hashes"]) == HASHES
    assert users["hashes"] != plain(users["hashes"]), "hashes would stand readable in the state and in previews"


def test_no_input_holds_the_admins_password(recorder: Recorder) -> None:
    assert "admin-password" not in repr(recorder.resources)


def test_all_streams_and_groups_are_asked_for(recorder: Recorder) -> None:
    assert one(recorder, ":ValkeyStreams")["streams"] == streams_of(MAPPING)


def test_a_stack_that_applies_nothing_directly_touches_no_server() -> None:
    tokens = {resource.type for resource in program(apply="none").resources}
    assert not [token for token in tokens if "Valkey" in token and "dynamic" in token]


def test_a_stack_without_kubernetes_makes_no_object_of_it() -> None:
    assert not [resource for resource in program(mode="none").resources if resource.type.startswith("kubernetes:")]


def test_each_kubernetes_object_names_its_provider_and_has_a_fixed_name_and_namespace(recorder: Recorder) -> None:
    objects = [resource for resource in recorder.resources if resource.type.startswith("kubernetes:")]
    assert sorted(resource.type.rpartition(":")[2] for resource in objects) == [
        "ConfigMap",
        "Secret",
        "Service",
        "Service",
        "StatefulSet",
    ]
    for resource in objects:
        assert "::manifests" in resource.provider, f"{resource.name} would slip to a default provider"
        assert (
            resource.inputs["metadata"]["name"] == resource.name
            and resource.inputs["metadata"]["namespace"] == "stellaops"
        )


def test_the_pod_passes_the_restricted_pod_security_standard(recorder: Recorder) -> None:
    security, inner = pod(recorder)["spec"]["securityContext"], container(recorder)["securityContext"]
    assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["allowPrivilegeEscalation"] is False and inner["capabilities"] == {"drop": ["ALL"]}
    assert inner["readOnlyRootFilesystem"] is True
    assert pod(recorder)["spec"]["automountServiceAccountToken"] is False


def test_the_image_is_valkey_8_by_full_version(recorder: Recorder) -> None:
    assert container(recorder)["image"] == IMAGE
    name, _, tag = IMAGE.partition(":")
    assert name == "valkey/valkey" and tag.startswith("8.") and tag.count(".") == 2


def test_memory_has_room_for_a_fork_above_maxmemory(recorder: Recorder) -> None:
    resources = container(recorder)["resources"]
    memory = resources["limits"]["memory"]
    assert resources["requests"]["memory"] == memory, "otherwise the node may promise the same memory twice"
    assert int(memory.removesuffix("Mi")) << 20 >= 2 * memory_bytes(MAPPING.valkey.memory.maxmemory)


def test_probes_ping_as_the_user_that_may_do_nothing_else(recorder: Recorder) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container(recorder)[probe]["exec"]["command"]
        assert command[command.index("--user") + 1] == PROBE_USER and command[-1] == "ping"
        assert "-e" in command, "without it, valkey-cli reports success for an error answer"
    start = container(recorder)["startupProbe"]
    assert start["failureThreshold"] * start["periodSeconds"] >= 1800, (
        "a server that loads a large AOF would be killed over and over"
    )


def test_the_pod_mounts_the_conf_and_the_users_that_the_component_renders(recorder: Recorder) -> None:
    conf = one(recorder, ":ConfigMap")["data"]["valkey.conf"]
    acl = plain(one(recorder, ":Secret")["stringData"])["users.acl"]
    directories = {mount["name"]: mount["mountPath"] for mount in container(recorder)["volumeMounts"]}
    assert f'aclfile "{directories["acl"]}/users.acl"' in conf
    assert f'dir "{directories["data"]}"' in conf
    assert container(recorder)["command"] == ["valkey-server", f"{directories['conf']}/valkey.conf"]
    assert [line.split()[1] for line in acl.splitlines()] == ["default", "admin", PROBE_USER, *MAPPING.users]


def test_the_secret_holds_hashes_only_and_is_secret(recorder: Recorder) -> None:
    data = one(recorder, ":Secret")["stringData"]
    assert data != plain(data), "users.acl would stand readable in the state and in previews"
    assert "admin-password" not in plain(data)["users.acl"]


def checksum(recorder: Recorder) -> str:
    value = pod(recorder)["metadata"]["annotations"]["stellaops.io/config-checksum"]
    assert isinstance(value, str), "a secret annotation hides from reviewers that pods will restart"
    return value


def test_pods_restart_when_conf_or_users_change_and_never_otherwise(recorder: Recorder) -> None:
    assert checksum(program()) == checksum(recorder)
    assert checksum(program(hashes={**HASHES, "scanner": "f" * 64})) != checksum(recorder), (
        "an old password would stay valid"
    )
    memory = MAPPING.valkey.memory.model_copy(update={"maxmemory": "3gb"})
    mapping = MAPPING.model_copy(update={"valkey": MAPPING.valkey.model_copy(update={"memory": memory})})
    assert checksum(program(mapping=mapping)) != checksum(recorder)


def test_the_headless_service_is_the_one_that_the_statefulset_names(recorder: Recorder) -> None:
    spec = one(recorder, ":StatefulSet")["spec"]
    services = recorder.of(":Service")
    headless = services[spec["serviceName"]]["spec"]
    assert headless["clusterIP"] == "None"
    labels = spec["template"]["metadata"]["labels"]
    assert all(service["spec"]["selector"].items() <= labels.items() for service in services.values())
    assert spec["selector"]["matchLabels"].items() <= labels.items()
