"""What the Valkey component asks for, resource by resource."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components.config.model import KubernetesSettings, ValkeyDeploymentSettings, ValkeySettings
from components.mapping import load
from components.mapping.values import MemorySize
from components.resources.credentials import Credential
from components.resources.valkey import STREAMS, USERS
from components.valkey.acl import PROBE_USER
from components.valkey.component import ValkeyArgs, ValkeyComponent, streams_of
from components.valkey.deployment.users import NODE_USER
from components.valkey.render import MAINTENANCE_USER
from tests.program.recorder import Recorder, record, stellaops_provider

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
HASHES = {user: f"{number:064x}" for number, user in enumerate(MAPPING.users)}


def program(
    apply: Any = "direct",
    mode: Any = "render",
    hashes: dict[str, str] = HASHES,
    mapping: Any = MAPPING,
    deployment: ValkeyDeploymentSettings | None = None,
    tls: bool = False,
    **cluster_settings: Any,
) -> Recorder:
    class Known:
        """A credential whose hash the test knows."""

        def __init__(self, user: str) -> None:
            self.valkey_sha256 = pulumi.Output.secret(hashes[user])

    def run() -> None:
        settings = ValkeySettings(
            host="valkey",
            port=6379,
            tls=tls,
            admin_user="admin",
            admin_password=pulumi.Output.secret("admin-password"),
            apply=apply,
        )
        provider = None if mode == "none" else kubernetes.Provider("manifests", render_yaml_to_directory="rendered")
        credentials: dict[str, Credential] = {user: Known(user) for user in mapping.users}  # type: ignore[misc]
        cluster = KubernetesSettings(mode=mode, render_directory="rendered", namespace="stellaops", **cluster_settings)
        ValkeyComponent(
            "valkey",
            ValkeyArgs(
                mapping, settings, cluster, provider, stellaops_provider(), credentials, allow_data_loss=False, protect=True,
                deployment=deployment or ValkeyDeploymentSettings(),
            ),
        )  # fmt: skip

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


def container(recorder: Recorder, name: str = "valkey") -> dict[str, Any]:
    (found,) = [item for item in pod(recorder)["spec"]["containers"] if item["name"] == name]
    return dict(found)


def test_every_module_and_service_is_applied_with_its_hash_as_a_secret(recorder: Recorder) -> None:
    users = one(recorder, "valkey:Users")
    assert set(users["users"]) == set(MAPPING.users)
    assert plain(users["passwordHashes"]) == HASHES
    assert users["passwordHashes"] != plain(users["passwordHashes"]), (
        "hashes would stand readable in the state and in previews"
    )


def test_no_input_holds_the_admins_password(recorder: Recorder) -> None:
    inputs = [resource.inputs for resource in recorder.resources if "providers" not in resource.type]
    assert "admin-password" not in repr(inputs)


def test_all_streams_and_groups_are_asked_for(recorder: Recorder) -> None:
    assert one(recorder, "valkey:Streams")["streams"] == streams_of(MAPPING)


def test_a_stack_that_applies_nothing_directly_touches_no_server() -> None:
    tokens = {resource.type for resource in program(apply="none").resources}
    assert not tokens & {STREAMS, USERS}


def test_a_stack_without_kubernetes_makes_no_object_of_it() -> None:
    assert not [resource for resource in program(mode="none").resources if resource.type.startswith("kubernetes:")]


def test_each_kubernetes_object_names_its_provider_and_has_a_fixed_name_and_namespace(recorder: Recorder) -> None:
    objects = [resource for resource in recorder.resources if resource.type.startswith("kubernetes:")]
    assert sorted(f"{resource.type.rpartition(':')[2]} {resource.name}" for resource in objects) == [
        "ConfigMap valkey-conf",
        "ConfigMap valkey-maintenance",
        "CronJob valkey-keys",
        "CronJob valkey-trim",
        "Job valkey-apply",
        "NetworkPolicy valkey",
        "PodDisruptionBudget valkey",
        "Secret valkey-acl",
        "Secret valkey-passwords",
        "Service valkey",
        "Service valkey-headless",
        "StatefulSet valkey",
    ]
    for resource in objects:
        assert "::manifests" in resource.provider, f"{resource.name} would slip to a default provider"
        assert resource.inputs["metadata"]["namespace"] == "stellaops"
        name = resource.inputs["metadata"]["name"]
        # The job has a new name for what it applies, since what a job runs cannot be changed.
        assert name == resource.name or name.startswith("valkey-apply-")


def test_the_pod_passes_the_restricted_pod_security_standard(recorder: Recorder) -> None:
    security, inner = pod(recorder)["spec"]["securityContext"], container(recorder)["securityContext"]
    assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["allowPrivilegeEscalation"] is False and inner["capabilities"] == {"drop": ["ALL"]}
    assert inner["readOnlyRootFilesystem"] is True
    assert pod(recorder)["spec"]["automountServiceAccountToken"] is False


def test_the_image_is_valkey_8_by_full_version(recorder: Recorder) -> None:
    image = ValkeyDeploymentSettings().image
    assert container(recorder)["image"] == image
    name, _, tag = image.partition(":")
    assert name == "valkey/valkey" and tag.startswith("8.") and tag.count(".") == 2


def test_memory_has_room_for_a_fork_above_maxmemory(recorder: Recorder) -> None:
    resources = container(recorder)["resources"]
    memory = resources["limits"]["memory"]
    assert resources["requests"]["memory"] == memory, "otherwise the node may promise the same memory twice"
    assert size(memory) >= 2 * MAPPING.valkey.memory.maxmemory.bytes


def size(quantity: str) -> int:
    unit = {"Mi": 1 << 20, "Gi": 1 << 30}[quantity[-2:]]
    return int(quantity[:-2]) * unit


def test_probes_ping_as_the_user_that_may_do_nothing_else(recorder: Recorder) -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = container(recorder)[probe]["exec"]["command"]
        assert command[command.index("--user") + 1] == PROBE_USER and command[-1] == "ping"
        alive = probe == "livenessProbe"
        assert ("-e" in command) is not alive, (
            "with -e, valkey-cli reports a server that loads as failed: it must not be ready then, and not be killed"
        )
    start = container(recorder)["startupProbe"]
    assert start["failureThreshold"] * start["periodSeconds"] >= 1800, (
        "a server that loads a large AOF would be killed over and over"
    )


def test_the_pod_mounts_the_conf_and_the_users_that_the_component_renders(recorder: Recorder) -> None:
    conf = recorder.of(":ConfigMap")["valkey-conf"]["data"]["valkey.conf"]
    acl = users_acl(recorder)
    directories = {mount["name"]: mount["mountPath"] for mount in container(recorder)["volumeMounts"]}
    assert f'aclfile "{directories["acl"]}/users.acl"' in conf
    assert f'dir "{directories["data"]}"' in conf
    assert container(recorder)["command"] == ["valkey-server", f"{directories['conf']}/valkey.conf"]
    users = [line.split()[1] for line in acl.splitlines()]
    assert users[:-1] == ["default", "admin", PROBE_USER, *MAPPING.users, NODE_USER, MAINTENANCE_USER]
    assert users[-1].startswith("acl-mark-"), "nobody could see which file a server has loaded"


def users_acl(recorder: Recorder) -> str:
    text: str = plain(recorder.of(":Secret")["valkey-acl"]["stringData"])["users.acl"]
    return text


def test_the_secret_holds_hashes_only_and_is_secret(recorder: Recorder) -> None:
    data = recorder.of(":Secret")["valkey-acl"]["stringData"]
    assert data != plain(data), "users.acl would stand readable in the state and in previews"
    assert "admin-password" not in plain(data)["users.acl"]


def checksum(recorder: Recorder) -> str:
    value = pod(recorder)["metadata"]["annotations"]["stellaops.io/config-checksum"]
    assert isinstance(value, str), "a secret annotation hides from reviewers that pods will restart"
    return value


def job(recorder: Recorder) -> str:
    name: str = one(recorder, ":Job")["metadata"]["name"]
    return name


def test_pods_restart_when_the_configuration_changes_and_never_otherwise(recorder: Recorder) -> None:
    assert (checksum(program()), job(program())) == (checksum(recorder), job(recorder))
    memory = MAPPING.valkey.memory.model_copy(update={"maxmemory": MemorySize.parse("3gb")})
    mapping = MAPPING.model_copy(update={"valkey": MAPPING.valkey.model_copy(update={"memory": memory})})
    changed = program(mapping=mapping)
    assert checksum(changed) != checksum(recorder)
    assert job(changed) == job(recorder), "users and streams are as they were"


def test_a_changed_user_is_loaded_by_a_new_job_and_restarts_no_pod(recorder: Recorder) -> None:
    changed = program(hashes={**HASHES, "scanner": "f" * 64})
    assert checksum(changed) == checksum(recorder), "each restart loads all data again and ends all connections"
    assert job(changed) != job(recorder), "the old password would stay valid"
    (users,) = one(changed, ":Job")["spec"]["template"]["spec"]["initContainers"]
    assert users_acl(changed).splitlines()[-1].split()[1] in users["command"], "it would wait for another file"


def test_the_headless_service_is_the_one_that_the_statefulset_names(recorder: Recorder) -> None:
    spec = one(recorder, ":StatefulSet")["spec"]
    services = recorder.of(":Service")
    headless = services[spec["serviceName"]]["spec"]
    assert headless["clusterIP"] == "None"
    labels = spec["template"]["metadata"]["labels"]
    assert all(service["spec"]["selector"].items() <= labels.items() for service in services.values())
    assert spec["selector"]["matchLabels"].items() <= labels.items()
