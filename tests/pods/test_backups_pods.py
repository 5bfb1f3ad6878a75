"""The pods that are deployed, run here container by container: they make backups that restore."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pods.backup_agent import repository
from pods.backup_agent.kinds import BASE, DUMP, RDB, WAL
from tests.support import backups
from tests.support.pods import Pod, find, pod_of
from tools.operations.recovery import logical, point_in_time, snapshot, taking
from tools.operations.recovery.context import RecoveryContext, say

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture(scope="module")
def context(live_stack: Any) -> Iterator[RecoveryContext]:
    found = backups.context_of(live_stack)
    try:
        yield found
    finally:
        backups.clear(live_stack, found)


def pod(live_stack: Any, context: RecoveryContext, home: Path, kind: str, name: str) -> Pod:
    rendered = Path(live_stack.config["kubernetesRenderDirectory"])
    return Pod(pod_of(find(rendered, kind, name)), rendered, home, Path(context.programs.postgres))


def newest(context: RecoveryContext, kind: str) -> repository.StoredBackup:
    return repository.find(context.bucket, kind)[0][-1]


def test_the_dump_job_makes_a_dump_that_restores(live_stack: Any, context: RecoveryContext, tmp_path: Path) -> None:
    job = pod(live_stack, context, tmp_path / "pod", "CronJob", "backup-postgres-dump")
    for container in ("dump", "publish"):
        done = job.run(container)
        assert done.returncode == 0, done.stdout + done.stderr
    database, checks = logical.restore(context, newest(context, DUMP), say)
    logical.discard(context, database)
    assert not [check.line for check in checks if check.differences]


def test_a_dump_that_fails_publishes_nothing_and_says_why(
    live_stack: Any, context: RecoveryContext, tmp_path: Path
) -> None:
    job = pod(live_stack, context, tmp_path / "pod", "CronJob", "backup-postgres-dump")
    before = [item.name for item in repository.find(context.bucket, DUMP)[0]]
    failed = job.run("dump", SCHEMAS="vuln no_such_schema")
    assert failed.returncode != 0 and "no matching schemas were found" in failed.stderr, failed.stderr
    refused = job.run("dump", PGPASSWORD="wrong")
    assert refused.returncode != 0 and "password authentication failed" in refused.stderr
    nothing = job.run("publish")
    assert nothing.returncode == 1 and nothing.stderr.startswith("error: "), nothing.stderr
    assert [item.name for item in repository.find(context.bucket, DUMP)[0]] == before


def test_the_valkey_job_makes_a_snapshot_that_restores(
    live_stack: Any, context: RecoveryContext, tmp_path: Path
) -> None:
    job = pod(live_stack, context, tmp_path / "pod", "CronJob", "backup-valkey")
    done = job.run("snapshot")
    assert done.returncode == 0, done.stdout + done.stderr
    running, _, checks = snapshot.restore(context, newest(context, RDB), say)
    running.remove()
    assert not [check.line for check in checks if check.differences]
    refused = job.run("snapshot", VALKEY_PASSWORD="wrong")
    assert refused.returncode == 1 and "refuses AUTH: WRONGPASS" in refused.stderr


def test_base_job_and_wal_deployment_together_restore_to_the_latest(
    live_stack: Any, context: RecoveryContext, tmp_path: Path
) -> None:
    wal_pod = pod(live_stack, context, tmp_path / "wal", "Deployment", "backup-wal")
    agent, environment = wal_pod.command("ship")
    ship = [*agent[: agent.index("--every")], "--every", "0.5"]
    job = pod(live_stack, context, tmp_path / "pod", "CronJob", "backup-postgres-base")
    receiver = wal_pod.start("receive", HEARTBEAT_SECONDS="1")
    try:
        wait(lambda: taking.slot_is_held(context), receiver)
        shipper = subprocess.Popen(ship, env=environment, cwd=tmp_path)
        try:
            for container in ("base", "publish"):
                done = job.run(container)
                assert done.returncode == 0, done.stdout + done.stderr
            scan = backups.add_scan(live_stack, "completed")
            since = datetime.now(UTC)
            wait(lambda: (repository.last_success(context.bucket, WAL) or since) > since, receiver)
            time.sleep(2)
        finally:
            shipper.terminate()
            shipper.wait()
    finally:
        receiver.terminate()
        receiver.communicate(timeout=30)  # or a pod that is deleted would be killed after its grace period
    running, server, checks = point_in_time.restore(context, newest(context, BASE), None, say)
    try:
        assert not [check.line for check in checks if check.differences]
        with server.open(server.database) as admin:
            assert scan in backups.scans(admin)
    finally:
        running.remove()
    probe = wal_pod.container("ship")["readinessProbe"]["exec"]["command"][2]
    code = probe.replace("/work", str(wal_pod.places["work"]))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, "the pod would never be ready"


def wait(condition: Any, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
