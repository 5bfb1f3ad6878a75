"""Three services with nothing but their contract and their secrets do a real round, and are refused where they should."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from tests.support.stack import PROJECT, LocalStack

HERE = Path(__file__).parent


def environment_of(stack: LocalStack, module: str) -> dict[str, str]:
    """What `make env` gives, and what Python needs to start: nothing of the stack's admin."""
    exports = [shlex.split(line)[1] for line in stack.must("env", module).splitlines()]
    given = dict(export.split("=", 1) for export in exports)
    return {**given, "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}


class Round:
    """One scan on its way through the services."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.scan = str(uuid.uuid4())

    def run(self, module: str) -> Any:
        """Run the service to its end: what it did and what it was refused."""
        result = subprocess.run(
            [sys.executable, str(HERE / f"{module}.py"), self.scan],
            env=environment_of(self.stack, module), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{module} could not do its work:\n{result.stderr}"
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def done(live_stack: LocalStack) -> Iterator[dict[str, Any]]:
    """What each service says of its part, in the order of the flow. What may be removed is removed afterwards."""
    flow = Round(live_stack)
    said: dict[str, Any] = {}
    try:
        for module in ("scanner", "policy", "export_center"):
            said[module] = flow.run(module)
        yield said
    finally:
        _remove(live_stack, flow.scan, said)


def _count_removed_as_read(valkey: Any, stream: str) -> None:
    """Drift of this stack would report entries that were removed before a group read them."""
    info = valkey.xinfo_stream(stream)
    removed = info["entries-added"] - info["length"]
    for group in valkey.xinfo_groups(stream):
        if (group["entries-read"] or 0) < removed:
            words = (stream, group["name"], group["last-delivered-id"], "ENTRIESREAD", removed)
            valkey.execute_command("XGROUP", "SETID", *words)


def _remove(stack: LocalStack, scan: str, said: dict[str, Any]) -> None:
    with stack.valkey_admin() as valkey:
        for stream in ("scanner:events", "policy:evaluated"):
            numbers = [number for number, fields in valkey.xrange(stream) if fields.get("scan_id") == scan]
            if numbers:
                valkey.xdel(stream, *numbers)
                _count_removed_as_read(valkey, stream)
        valkey.delete(f"scan:sha256:image-{scan}")
    if "export_center" in said:
        exported = said["export_center"]["did"]
        stack.s3().delete_object(Bucket=exported["bucket"], Key=exported["key"])
    with stack.admin() as connection, connection.transaction():
        # Only a superuser can: other tests of this stack count on rows of their own.
        for table in ("scan_artifacts", "artifacts"):
            connection.execute(f"ALTER TABLE scanner.{table} DISABLE TRIGGER append_only_row".encode())
            connection.execute(f"DELETE FROM scanner.{table} WHERE scan_id = %s".encode(), [scan])
            connection.execute(f"ALTER TABLE scanner.{table} ENABLE ALWAYS TRIGGER append_only_row".encode())
        connection.execute("DELETE FROM scanner.scans WHERE scan_id = %s", [scan])
    if "policy" not in said:
        return
    policy = said["policy"]["did"]["policy"]
    with stack.admin() as connection:
        # The history is append-only for its owner, too; dropping a table is not a change of its rows.
        for table in (f"effective_finding_{policy}", f"effective_finding_{policy}_history"):
            connection.execute(sql.SQL("DROP TABLE policy.{}").format(sql.Identifier(table)))
        connection.execute("DELETE FROM policy.policy_runs WHERE policy_id = %s", [policy])
        connection.execute("DELETE FROM policy.policies WHERE policy_id = %s", [policy])


def test_a_scan_goes_all_the_way_from_scanner_to_the_export(done: dict[str, Any], live_stack: LocalStack) -> None:
    exported = done["export_center"]["did"]
    manifest = live_stack.s3().get_object(Bucket=exported["bucket"], Key=exported["key"])["Body"].read()
    assert json.loads(manifest) == {"image": done["scanner"]["did"]["image"], "verdict": "blocked"}


def test_what_the_services_wrote_is_in_the_stores(done: dict[str, Any], live_stack: LocalStack) -> None:
    blob = done["scanner"]["did"]
    sbom = live_stack.s3().get_object(Bucket=blob["bucket"], Key=blob["key"])["Body"].read()
    with live_stack.admin() as connection:
        artifact = blob["artifact"]
        assert artifact == f"sha256:{hashlib.sha256(sbom).hexdigest()}"
        query = "SELECT s.state FROM scanner.scans s JOIN scanner.scan_artifacts USING (scan_id) WHERE artifact_id = %s"
        assert connection.execute(query, [artifact]).fetchone() == ("completed",)
        table = sql.Identifier("policy", f"effective_finding_{done['policy']['did']['policy']}")
        assert connection.execute(sql.SQL("SELECT verdict FROM {}").format(table)).fetchall() == [("blocked",)]


@pytest.mark.parametrize("module", ["scanner", "policy", "export_center"])
def test_no_service_gets_at_what_is_not_its_own(done: dict[str, Any], module: str) -> None:
    refusals = done[module]["refused"]
    assert len(refusals) >= 4
    for action, how in refusals.items():
        assert "permission" in how, f"{module} could {action}: {how}"


def test_a_service_that_is_given_anothers_secrets_is_told_so_by_the_store(live_stack: LocalStack) -> None:
    given = environment_of(live_stack, "policy") | {
        name: value for name, value in environment_of(live_stack, "scanner").items() if name.endswith("PASSWORD")
    }
    result = subprocess.run(
        [sys.executable, str(HERE / "policy.py"), "none"], env=given, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert result.returncode != 0 and "invalid username-password pair" in result.stderr
