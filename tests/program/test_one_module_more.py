"""Another module touches its own resources, and those that list all modules or schemas."""

from pathlib import Path

import pytest

from tests.program.test_stacks import run_in
from tools.bench import generated

# Who lists every user of Valkey, every login, or every schema.
LISTS = {
    "stellaops:valkey:Users::valkey-users",
    "stellaops:postgres:Inventory::postgres",
    "stellaops:postgres:AccessRevisions::postgres",
    "kubernetes:core/v1:ConfigMap::valkey-maintenance",
    "kubernetes:core/v1:Secret::valkey-acl",
    "kubernetes:batch/v1:Job::valkey-apply",
    "postgresql:index/role:Role::stellaops_backup",
    "kubernetes:batch/v1:CronJob::backup-postgres-dump",
    "kubernetes:batch/v1:CronJob::backup-postgres-base",
}


def registered(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    recorder, _ = run_in(project, "local", monkeypatch)
    return {f"{resource.type}::{resource.name}": resource.inputs for resource in recorder.resources}


def test_another_module_touches_its_own_resources_and_those_that_list_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = generated.mapping(1)
    generated.project(tmp_path, mapping)
    before = registered(tmp_path, monkeypatch)
    generated.add_module(mapping, "widgets")
    generated.project(tmp_path, mapping)
    after = registered(tmp_path, monkeypatch)
    added = after.keys() - before.keys()
    assert not before.keys() - after.keys(), "nothing may go"
    assert all("widgets" in name for name in added), sorted(added)
    assert {name for name, inputs in before.items() if after[name] != inputs} <= LISTS
    kinds = {name.partition("::")[0].rpartition(":")[2] for name in added}
    wanted = {
        "Credential",
        "Role",
        "Schema",
        "DefaultPrivileges",
        "SchemaMigrations",
        "Privileges",
        "Grant",
        "ConfigMap",
        "Secret",
    }
    assert kinds == wanted
