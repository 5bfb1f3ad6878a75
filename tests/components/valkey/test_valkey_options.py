"""What each option of the Valkey deployment changes."""

from typing import Any

import pytest

from components.config.model import ValkeyDeploymentSettings
from components.valkey.deployment.names import EXPORTER_PORT, PORT, SENTINEL_PORT
from tests.components.valkey.test_valkey_component import container, one, pod, program, size, users_acl
from tests.program.recorder import Recorder

REPLICATED = ValkeyDeploymentSettings(replicas=2)


@pytest.fixture(scope="module")
def replicated() -> Recorder:
    return program(deployment=REPLICATED)


@pytest.fixture(scope="module")
def secured() -> Recorder:
    return program(deployment=ValkeyDeploymentSettings(replicas=2, exporter=True), tls=True)


def environment(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in found["env"]}


def conf(recorder: Recorder, name: str = "valkey.conf") -> str:
    text: str = recorder.of(":ConfigMap")["valkey-conf"]["data"][name]
    return text


def admitted(recorder: Recorder, port: int) -> list[dict[str, Any]]:
    """Who may connect to the port."""
    rules = one(recorder, ":NetworkPolicy")["spec"]["ingress"]
    return [peer for rule in rules for peer in rule["from"] if port in [item["port"] for item in rule["ports"]]]


def namespaces(peers: list[dict[str, Any]]) -> list[str]:
    found = [peer["namespaceSelector"] for peer in peers if "namespaceSelector" in peer]
    assert all(list(item["matchLabels"]) == ["kubernetes.io/metadata.name"] for item in found), (
        "anyone who may label a namespace could let it in"
    )
    return [item["matchLabels"]["kubernetes.io/metadata.name"] for item in found]


def test_only_the_stacks_own_namespace_reaches_valkey_unless_others_are_named() -> None:
    assert namespaces(admitted(program(), PORT)) == ["stellaops"]
    named = program(deployment=ValkeyDeploymentSettings(module_namespaces=("apps", "jobs")))
    assert namespaces(admitted(named, PORT)) == ["apps", "jobs"]
    assert all(peer for peer in admitted(named, PORT)), "an empty peer admits everyone"


def test_the_exporter_is_read_from_monitoring_namespaces_alone(secured: Recorder) -> None:
    assert namespaces(admitted(secured, EXPORTER_PORT)) == ["monitoring"]
    assert "monitoring" not in namespaces(admitted(secured, PORT))
    assert not admitted(program(), EXPORTER_PORT)


def test_jobs_reach_the_servers(replicated: Recorder) -> None:
    labels = one(replicated, ":Job")["spec"]["template"]["metadata"]["labels"]
    selectors = [peer["podSelector"]["matchLabels"] for peer in admitted(replicated, PORT) if "podSelector" in peer]
    assert any(selector.items() <= labels.items() for selector in selectors)
    service = replicated.of(":Service")["valkey"]["spec"]["selector"]
    assert not service.items() <= labels.items(), "clients would be sent to a job's pod"


def test_replicas_have_a_sentinel_beside_each_and_a_majority_decides(replicated: Recorder) -> None:
    assert one(replicated, ":StatefulSet")["spec"]["replicas"] == 3
    sentinel = container(replicated, "sentinel")
    assert environment(sentinel)["QUORUM"] == "2"
    assert len(environment(sentinel)["NODES"].split()) == 3
    for service in replicated.of(":Service").values():
        assert SENTINEL_PORT in [port["port"] for port in service["spec"]["ports"]]
    names = {item["name"] for item in pod(program())["spec"]["containers"]}
    assert names == {"valkey"}, "one server alone needs none"


def test_every_write_is_on_disk_before_it_is_answered_where_that_is_chosen() -> None:
    assert "appendfsync everysec" in conf(program()).splitlines()
    assert "appendfsync always" in conf(program(deployment=ValkeyDeploymentSettings(appendfsync="always"))).splitlines()


def test_replicas_cost_memory_for_their_buffers(replicated: Recorder) -> None:
    limits = [size(container(recorder)["resources"]["limits"]["memory"]) for recorder in (program(), replicated)]
    assert limits[1] - limits[0] >= 2 * 256 << 20


def test_two_servers_never_share_a_node(replicated: Recorder) -> None:
    spread = {
        item["topologyKey"]: item["whenUnsatisfiable"] for item in pod(replicated)["spec"]["topologySpreadConstraints"]
    }
    assert spread == {"kubernetes.io/hostname": "DoNotSchedule", "topology.kubernetes.io/zone": "ScheduleAnyway"}


def test_one_server_at_a_time_may_go_also_when_it_is_the_only_one() -> None:
    for recorder in (program(), program(deployment=REPLICATED)):
        budget = one(recorder, ":PodDisruptionBudget")["spec"]
        assert budget["maxUnavailable"] == 1 and "minAvailable" not in budget, "a node could never be drained"


def test_the_pod_has_time_for_what_it_does_before_it_stops(replicated: Recorder) -> None:
    assert container(replicated)["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "/etc/valkey/conf/stop.sh"]
    seconds = pod(replicated)["spec"]["terminationGracePeriodSeconds"]
    assert seconds > int(environment(container(replicated))["FAILOVER_SECONDS"]) + 2 * 2048 // 50


def test_with_tls_nothing_listens_and_nothing_connects_without_it(secured: Recorder) -> None:
    for name, port in (("valkey.conf", PORT), ("sentinel.conf", SENTINEL_PORT)):
        lines = conf(secured, name).splitlines()
        assert "port 0" in lines and f"tls-port {port}" in lines and "tls-replication yes" in lines, name
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "--tls" in container(secured)[probe]["exec"]["command"]
    assert "--tls" in container(secured, "sentinel")["livenessProbe"]["exec"]["command"]
    assert environment(container(secured, "exporter"))["REDIS_ADDR"].startswith("rediss://")
    (users,) = one(secured, ":Job")["spec"]["template"]["spec"]["initContainers"]
    assert (
        environment(users)["VALKEY_TLS"] == "true" and environment(users)["VALKEY_CA_FILE"] == "/etc/valkey/tls/ca.crt"
    )


def test_a_job_gets_the_authority_and_not_the_servers_key(secured: Recorder) -> None:
    volumes = {item["name"]: item for item in one(secured, ":Job")["spec"]["template"]["spec"]["volumes"]}
    assert [item["key"] for item in volumes["tls"]["secret"]["items"]] == ["ca.crt"]


def test_each_pod_gets_only_its_own_password(secured: Recorder) -> None:
    servers = {item["name"]: item for item in pod(secured)["spec"]["volumes"]}
    jobs = {item["name"]: item for item in one(secured, ":Job")["spec"]["template"]["spec"]["volumes"]}
    assert [item["key"] for item in servers["password"]["secret"]["items"]] == ["valkey-node"]
    assert [item["key"] for item in jobs["password"]["secret"]["items"]] == ["maintenance"]


def test_the_exporter_has_a_user_of_its_own_only_where_there_is_one(secured: Recorder) -> None:
    assert "user valkey-exporter " in users_acl(secured)
    assert "user valkey-exporter " not in users_acl(program())


def test_a_priority_class_and_a_storage_class_are_named_only_when_given() -> None:
    named = program(deployment=ValkeyDeploymentSettings(priority_class="storage", storage_class="fast"))
    assert pod(named)["spec"]["priorityClassName"] == "storage"
    (claim,) = one(named, ":StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert "priorityClassName" not in pod(program())["spec"]


def test_a_stack_that_makes_its_namespace_protects_it_and_admits_restricted_pods_only() -> None:
    recorder = program(create_namespace=True)
    labels = one(recorder, ":Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not program().of(":Namespace")


def test_cron_jobs_run_alone_and_end(replicated: Recorder) -> None:
    crons = replicated.of(":CronJob")
    assert set(crons) == {"valkey-trim", "valkey-keys"}
    for cron in crons.values():
        assert cron["spec"]["concurrencyPolicy"] == "Forbid" and cron["spec"]["timeZone"] == "Etc/UTC"
        assert cron["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
        (found,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert environment(found)["VALKEY_HOST"].count(",") == 2, "a job has to find the primary among all servers"


def test_a_job_that_is_done_stays_so_that_nothing_is_missing_in_the_next_preview(replicated: Recorder) -> None:
    assert "ttlSecondsAfterFinished" not in one(replicated, ":Job")["spec"]


def test_up_waits_for_pods_unless_told_otherwise() -> None:
    assert "annotations" not in one(program(), ":StatefulSet")["metadata"]
    skipping = one(program(wait=False), ":StatefulSet")["metadata"]["annotations"]
    assert skipping == {"pulumi.com/skipAwait": "true"}
