"""What backups ask for on Kubernetes and in the stores, in each mode."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.backups.kubernetes import files
from components.mapping import load
from tests.program.recorder import Recorder
from tests.program.test_stacks import run

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
JOBS = {"backup-postgres-dump", "backup-postgres-base", "backup-valkey"}


@pytest.fixture(scope="module")
def continuous() -> Iterator[Recorder]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield run("local", monkeypatch, backups="continuous", backupsEncryption="aws:kms")[0]


def plain(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "4dabf18193072939515e22adb298388d" in value else value


def pods(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """Name of the object -> its pod's spec."""
    jobs = {
        name: job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for name, job in recorder.of(":CronJob").items()
    }
    deployments = recorder.of("apps/v1:Deployment")
    found = {name: item["spec"]["template"]["spec"] for name, item in deployments.items()}
    return {name: pod for name, pod in {**jobs, **found}.items() if name.startswith("backup")}


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_continuous_backups_have_three_jobs_and_a_deployment_that_keeps_wal(continuous: Recorder) -> None:
    assert set(pods(continuous)) == {*JOBS, "backup-wal"}


def test_logical_backups_have_neither_base_backups_nor_wal_and_no_replication_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = run("local", monkeypatch, backups="logical")[0]
    assert set(pods(recorder)) == {"backup-postgres-dump", "backup-valkey"}
    role = recorder.of("role:Role")["stellaops_backup"]
    assert not role["replication"], "an admin without REPLICATION could not make it"
    assert not role["bypassRowLevelSecurity"], "an admin without BYPASSRLS could not make it"


def test_a_stack_without_backups_has_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = run("local", monkeypatch, backups="none")[0]
    assert not pods(recorder)
    assert "stellaops_backup" not in recorder.of("role:Role") and "backups" not in recorder.of("objectstore:Bucket")


def test_every_pod_passes_the_restricted_standard(continuous: Recorder) -> None:
    for name, pod in pods(continuous).items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False and inner["capabilities"] == {"drop": ["ALL"]}, name
            assert inner["readOnlyRootFilesystem"] is True, name
        # Restricted also names the kinds of volumes.
        allowed = {"configMap", "secret", "emptyDir", "ephemeral", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"]), name


def test_every_container_has_limits_and_tells_its_error(continuous: Recorder) -> None:
    for name, pod in pods(continuous).items():
        for container in containers(pod):
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"], name
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError", (
                "an error would be in a lost log only"
            )


def test_jobs_do_not_overlap_keep_failures_and_end(continuous: Recorder) -> None:
    for name in JOBS:
        spec = continuous.of(":CronJob")[name]["spec"]
        assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"] == "Etc/UTC"
        assert spec["failedJobsHistoryLimit"] >= 1, "a failure would leave no trace"
        job = spec["jobTemplate"]["spec"]
        assert job["backoffLimit"] <= 3 and job["activeDeadlineSeconds"] > 0


def test_one_schema_more_does_not_restart_who_receives_wal(continuous: Recorder) -> None:
    (receive,) = [item for pod in pods(continuous).values() for item in containers(pod) if item["name"] == "receive"]
    names = {item["name"] for item in receive["env"]}
    assert "SLOT" in names and "SCHEMAS" not in names


def test_each_container_knows_only_the_secrets_of_its_own_store(continuous: Recorder) -> None:
    secrets = {"PGPASSWORD", "VALKEY_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
    wanted = {
        "dump": {"PGPASSWORD"}, "base": {"PGPASSWORD"}, "receive": {"PGPASSWORD"},
        "publish": {"S3_ACCESS_KEY", "S3_SECRET_KEY"}, "ship": {"S3_ACCESS_KEY", "S3_SECRET_KEY"},
        "snapshot": {"VALKEY_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"},
    }  # fmt: skip
    for pod in pods(continuous).values():
        for container in containers(pod):
            given = {item["name"]: item for item in container["env"]}
            assert secrets & given.keys() == wanted[container["name"]], container["name"]
            assert all("valueFrom" in given[name] for name in secrets & given.keys()), (
                "a password would stand in the pod"
            )


def test_the_admins_passwords_are_in_no_pod(continuous: Recorder) -> None:
    secret = plain(continuous.of(":Secret")["backup"]["stringData"])
    assert plain(secret["PGPASSWORD"]) == "backup-agent-postgres_password"
    assert plain(secret["VALKEY_PASSWORD"]) == "backup-agent-valkey_password"


def test_retention_is_the_mappings(continuous: Recorder) -> None:
    backups = MAPPING.backups
    days = {"postgres": str(backups.postgres.retention.days), "valkey": str(backups.valkey.retention.days)}
    for name, pod in pods(continuous).items():
        kept = {item["value"] for box in pod["containers"] for item in box["env"] if item["name"] == "RETENTION_DAYS"}
        assert kept == {days["valkey" if "valkey" in name else "postgres"]}, name


def test_wal_that_was_received_outlives_the_pod(continuous: Recorder) -> None:
    pod = pods(continuous)["backup-wal"]
    work = next(volume for volume in pod["volumes"] if volume["name"] == "work")
    assert work["persistentVolumeClaim"], (
        "the server has let go of WAL that was received: it would be lost with the pod"
    )
    deployment = continuous.of("apps/v1:Deployment")["backup-wal"]["spec"]
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}, "a slot has one receiver"


def test_the_files_of_the_pods_are_those_of_the_agent_and_the_scripts(continuous: Recorder) -> None:
    data = continuous.of(":ConfigMap")["backup"]["data"]
    assert data == files() and {"__main__.py", "dump.sh", "base.sh", "wal.sh", "facts.sql"} <= data.keys()
    assert sum(map(len, data.values())) < 1 << 20, "a ConfigMap holds at most 1 MiB"


def test_the_backup_role_reads_every_schema_and_owns_none(continuous: Recorder) -> None:
    role = continuous.of("role:Role")["stellaops_backup"]
    readers = {f"{schema}_reader" for schema in MAPPING.postgres.schemas}
    assert set(role["roles"]) == {*readers, "stellaops_connect"}
    assert role["replication"] and not role.get("superuser")


def test_the_valkey_user_may_read_snapshots_and_nothing_else(continuous: Recorder) -> None:
    (users,) = continuous.of("valkey:Users").values()
    assert users["users"]["backup-agent"] == ["resetchannels", "+ping", "+replconf", "+sync"]


def test_no_lifecycle_rule_deletes_a_backup(continuous: Recorder) -> None:
    rules = continuous.of("objectstore:Bucket")["backups"]["rules"]
    current = [
        name for name, rule in rules.items() if (rule.get("Expiration") or {}).keys() - {"ExpiredObjectDeleteMarker"}
    ]
    assert not current, "an age alone would delete the last good backup, too"


def test_server_side_encryption_is_asked_for_where_the_stack_says_so(continuous: Recorder) -> None:
    for pod in pods(continuous).values():
        asked = [item for box in pod["containers"] for item in box["env"] if item["name"] == "S3_ENCRYPTION"]
        assert [item["value"] for item in asked] == ["aws:kms"]


def test_the_images_default_to_what_the_project_declares(continuous: Recorder) -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    images = {box["image"] for pod in pods(continuous).values() for box in containers(pod)}
    assert images == {declared["backupsPostgresImage"]["default"], declared["backupsAgentImage"]["default"]}
