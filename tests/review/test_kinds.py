"""What a change of a resource means, where no recording shows it."""

from pathlib import Path

import pytest

from components.postgres.migration_files import checksum
from review.risk import Risk
from review.tokens import (
    AWS_BUCKET,
    BUCKET,
    CONFIG_MAP,
    DATABASE,
    DEFAULT_PRIVILEGES,
    GRANT,
    INVENTORY,
    LIFECYCLE,
    MIGRATIONS,
    NETWORK_POLICY,
    OBJECT_LOCK,
    OBJECT_STORE_USER,
    ROLE,
    SCHEMA,
    STATEFUL_SET,
    VALKEY_STREAMS,
    VALKEY_USERS,
    VERSIONING,
)
from tests.review.made import ROOT, event, sentences, verdict

GRANTED = {
    "role": "scanner",
    "schema": "vuln",
    "objectType": "table",
    "objects": ["linksets"],
    "privileges": ["SELECT"],
}


def only(*events: dict[str, object], root: Path = ROOT) -> tuple[Risk, str]:
    """The one sentence that there is."""
    found = sentences(verdict(*events, root=root))
    assert len(found) == 1, found
    return found[0]


def test_a_grant_that_is_made_widens_access() -> None:
    told = only(event("create", GRANT, "scanner-vuln.linksets", None, GRANTED))
    assert told == (Risk.ACCESS_WIDENED, "`scanner` gains SELECT on `vuln.linksets`")


def test_a_privilege_that_moves_from_one_grant_to_another_is_no_change_of_access() -> None:
    found = sentences(verdict(event("delete", GRANT, "one", GRANTED), event("create", GRANT, "other", None, GRANTED)))
    assert {risk for risk, _ in found} == {Risk.NONE}, found


def test_a_grant_to_everyone_is_told_as_such_and_breaks_a_rule() -> None:
    found = verdict(event("create", GRANT, "public-vuln", None, {**GRANTED, "role": "public"}))
    assert sentences(found) == [(Risk.ACCESS_WIDENED, "**everyone** (PUBLIC) gains SELECT on `vuln.linksets`")]
    assert [item.rule for item in found.violations] == ["no-public-grant"] and found.blocked


def test_default_privileges_for_everyone_break_the_same_rule() -> None:
    new = {"role": "public", "objectType": "function", "privileges": ["EXECUTE"], "owner": "vuln_owner"}
    found = verdict(event("update", DEFAULT_PRIVILEGES, "vuln-functions", {**new, "privileges": []}, new))
    assert sentences(found)[0][0] == Risk.ACCESS_WIDENED and found.violations[0].rule == "no-public-grant"


@pytest.mark.parametrize(
    "power", ["superuser", "createRole", "bypassRowLevelSecurity", "replication", "createDatabase"]
)
def test_a_login_that_becomes_powerful_widens_access(power: str) -> None:
    risk, sentence = only(event("update", ROLE, "scanner", {"login": True, power: False}, {"login": True, power: True}))
    assert risk == Risk.ACCESS_WIDENED and sentence.startswith("`scanner` from now on ")


def test_dropping_an_owner_role_loses_what_it_owns() -> None:
    assert only(event("delete", ROLE, "vex_owner", {"login": False, "name": "vex_owner"}))[0] == Risk.DATA_LOSS


def test_dropping_the_database_is_data_loss() -> None:
    assert only(event("delete", DATABASE, "stellaops", {"name": "stellaops"}))[0] == Risk.DATA_LOSS


def test_a_renamed_schema_is_dropped_and_made_anew() -> None:
    risk, sentence = only(event("replace", SCHEMA, "vex", {"name": "vex", "dropCascade": True}, {"name": "vexes"}))
    assert risk == Risk.DATA_LOSS and sentence == "schema `vex` is dropped and made anew with all its tables"


def test_protection_that_is_taken_away_is_told_though_the_engine_calls_it_unchanged() -> None:
    found = verdict(event("same", SCHEMA, "vex", {"name": "vex"}, {"name": "vex"}, was_protected=True))
    assert sentences(found) == [(Risk.ACCESS_WIDENED, "Schema `vex` is no longer protected against deletion")]


@pytest.mark.parametrize(
    ("sql", "destroys"),
    [
        ("CREATE TABLE a (id uuid);", False),
        ("DROP TABLE runs;", True),
        ("-- DROP TABLE runs;\nSELECT 1;", False),
        ("ALTER TABLE runs DROP COLUMN error;", True),
        ("alter table runs\n  drop error;", True),
        ("ALTER TABLE runs DROP CONSTRAINT runs_key;", False),
        ("ALTER TABLE runs ALTER COLUMN error DROP NOT NULL;", False),
        ("ALTER TABLE runs ALTER COLUMN error TYPE varchar(10);", True),
        ("ALTER TABLE runs ADD COLUMN type text;", False),
        ("TRUNCATE runs;", True),
        ("DELETE FROM runs WHERE state = 'old';", True),
        ("WITH old AS (DELETE FROM runs RETURNING *) SELECT 1;", True),
        ("DO $$ BEGIN DROP TABLE runs; END $$;", True),
        ("DROP INDEX runs_state;", False),
        ("SELECT 'unfinished", False),
    ],
)
def test_migrations_are_read_for_what_they_take_away(tmp_path: Path, sql: str, destroys: bool) -> None:
    (tmp_path / "sql" / "scheduler").mkdir(parents=True)
    (tmp_path / "sql" / "scheduler" / "0002_x.sql.j2").write_text(sql)
    old = {
        "schema": "scheduler",
        "directory": "sql/scheduler",
        "migrations": ["0001_a.sql.j2 sha256:1"],
        "append_only": [],
    }
    new = {**old, "migrations": [*old["migrations"], f"0002_x.sql.j2 sha256:{checksum(sql)}"]}
    risk, sentence = only(event("update", MIGRATIONS, "scheduler", old, new), root=tmp_path)
    assert risk == (Risk.DATA_LOSS if destroys else Risk.ADDITIVE), sentence


@pytest.mark.parametrize(
    ("text", "why"), [(None, "its text is not here"), ("SELECT 2;", "its text here is another one")]
)
def test_a_migration_that_nobody_can_read_may_destroy_data(tmp_path: Path, text: str | None, why: str) -> None:
    (tmp_path / "sql" / "vex").mkdir(parents=True)
    if text is not None:
        (tmp_path / "sql" / "vex" / "0001_x.sql.j2").write_text(text)
    new = {
        "schema": "vex",
        "directory": "sql/vex",
        "migrations": [f"0001_x.sql.j2 sha256:{checksum('SELECT 1;')}"],
        "append_only": [],
    }
    risk, sentence = only(event("create", MIGRATIONS, "vex", None, new), root=tmp_path)
    assert risk == Risk.DATA_LOSS and why in sentence


def test_a_bucket_that_stops_keeping_versions_is_data_loss() -> None:
    enabled, suspended = (
        {"bucket": "blobs", "versioningConfiguration": {"status": s}} for s in ("Enabled", "Suspended")
    )
    found = verdict(
        event("update", VERSIONING, "blobs", enabled, suspended),
        event("same", BUCKET, "blobs", {"bucket": "blobs"}, {"bucket": "blobs"}),
    )
    assert found.risk == Risk.DATA_LOSS and found.violations[0].rule == "bucket-versioning"
    assert only(event("delete", VERSIONING, "blobs", enabled))[0] == Risk.DATA_LOSS


def _rules(**days: int) -> dict[str, object]:
    return {"bucket": "blobs", "rules": {"a": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": days["noncurrent"]}},
                                         "b": {"Prefix": "", "Expiration": {"Days": days["current"]} if "current" in days else {}}}}  # fmt: skip


def test_a_rule_that_deletes_current_objects_is_data_loss() -> None:
    told = only(event("update", BUCKET, "blobs", _rules(noncurrent=90), _rules(noncurrent=90, current=30)))
    assert told == (Risk.DATA_LOSS, "`blobs`: **current objects** deleted after 30 days instead of without end")


def test_lifecycle_of_the_official_resource_is_read_the_same() -> None:
    def rules(days: int) -> dict[str, object]:
        return {
            "bucket": "blobs",
            "rules": [{"id": "a", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": days}}],
        }

    told = only(event("update", LIFECYCLE, "blobs", rules(90), rules(30)))
    assert told == (Risk.RETENTION_SHORTENED, "`blobs`: noncurrent versions kept 30 days instead of 90")


def test_a_shorter_object_lock_is_shorter_retention() -> None:
    def lock(days: int) -> dict[str, object]:
        return {"bucket": "evidence", "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": days}}}

    assert only(event("update", OBJECT_LOCK, "evidence", lock(90), lock(30)))[0] == Risk.RETENTION_SHORTENED


def test_a_bucket_of_the_official_resource_is_a_bucket() -> None:
    assert only(event("delete", AWS_BUCKET, "blobs", {"bucket": "blobs", "forceDestroy": True}))[0] == Risk.DATA_LOSS


@pytest.mark.parametrize(
    ("before", "after", "risk"),
    [
        ("maxmemory-policy volatile-lru", "maxmemory-policy allkeys-lru", Risk.DATA_LOSS),
        ("appendonly yes", "appendonly no", Risk.DATA_LOSS),
        ("maxmemory 2gb", "maxmemory 1gb", Risk.RETENTION_SHORTENED),
        ("maxmemory 2gb", "maxmemory 4gb", Risk.RESTART),
    ],
)
def test_what_a_directive_costs(before: str, after: str, risk: Risk) -> None:
    found = verdict(
        event("update", CONFIG_MAP, "valkey-conf", {"data": {"valkey.conf": before}}, {"data": {"valkey.conf": after}}),
        event(
            "update",
            STATEFUL_SET,
            "valkey",
            {"spec": {}},
            {"spec": {"a": 1}},
            changed=["spec.template.metadata.annotations"],
        ),
    )
    assert found.risk == risk
    name, old = before.split()
    assert any(
        text == f"Valkey restarts once: `{name}` `{old}` to `{after.split()[1]}`" for _, text in sentences(found)
    )


def test_network_policies_are_told_by_whom_they_let_in() -> None:
    def policy(*modules: str) -> dict[str, object]:
        peers = [{"podSelector": {"matchLabels": {"app": name}}} for name in modules]
        return {"spec": {"ingress": [{"from": peers}]}}

    assert only(event("update", NETWORK_POLICY, "valkey", policy("a"), policy("a", "b")))[0] == Risk.ACCESS_WIDENED
    assert only(event("update", NETWORK_POLICY, "valkey", policy("a", "b"), policy("a")))[0] == Risk.ACCESS_REVOKED
    assert only(event("delete", NETWORK_POLICY, "valkey", policy("a")))[0] == Risk.ACCESS_WIDENED


def test_valkey_users_are_told_by_pattern_and_command() -> None:
    before = {"users": {"scanner": ["resetchannels", "+ping", "(~scan:* +get +set)"]}}
    after = {
        "users": {"scanner": ["resetchannels", "+ping", "(~scan:* +get +set +del)", "(%R~policy:* +get)", "+flushall"]}
    }
    told = sentences(verdict(event("update", VALKEY_USERS, "valkey-users", before, after)))
    assert (Risk.ACCESS_WIDENED, "`scanner` gains `DEL` on `scan:*`") in told
    assert (Risk.ACCESS_WIDENED, "`scanner` gains reading of `policy:*` (1 command)") in told
    assert (Risk.ACCESS_WIDENED, "`scanner` gains `FLUSHALL`") in told


def test_a_stream_without_leave_to_lose_data_is_told_as_refused() -> None:
    old, new = (
        {"streams": {"a": ["g"], "b": []}, "allow_data_loss": False},
        {"streams": {"a": []}, "allow_data_loss": False},
    )
    told = sentences(verdict(event("update", VALKEY_STREAMS, "valkey-streams", old, new)))
    assert told[0] == (Risk.DATA_LOSS, "stream `b` is deleted (refused while it holds entries: allowDataLoss is off)")
    assert told[1][0] == Risk.ACCESS_REVOKED and "group `g`" in told[1][1]


@pytest.mark.parametrize(
    ("type_", "op", "risk"),
    [
        ("some:index/database:Database", "delete", Risk.DATA_LOSS),
        ("kubernetes:core/v1:PersistentVolumeClaim", "replace", Risk.DATA_LOSS),
        ("kubernetes:core/v1:Namespace", "delete", Risk.DATA_LOSS),
        ("kubernetes:policy/v1:PodDisruptionBudget", "delete", Risk.RESTART),
        ("kubernetes:batch/v1:CronJob", "replace", Risk.RESTART),
        ("some:index/thing:Thing", "update", Risk.RESTART),
        ("some:index/thing:Thing", "create", Risk.ADDITIVE),
    ],
)
def test_what_the_review_does_not_know_counts_as_what_it_may_be(type_: str, op: str, risk: Risk) -> None:
    old, new = (None if op == "create" else {"a": 1}), (None if op == "delete" else {"a": 2})
    assert only(event(op, type_, "thing", old, new))[0] == risk


def test_a_provider_that_points_to_another_server_is_told_with_both() -> None:
    type_ = "pulumi:providers:postgresql"
    risk, sentence = only(
        event("update", type_, "postgres-inside", {"host": "a", "version": "1"}, {"host": "b", "version": "2"})
    )
    assert risk == Risk.RESTART and "`host` `b` instead of `a`" in sentence


def test_tenants_that_are_no_longer_kept_apart_widen_access() -> None:
    old = {
        "schema": "policy",
        "append_only": [],
        "tenant_tables": {"policies": {"column": "tenant_id"}},
        "tenant_bypass": [],
    }
    told = sentences(
        verdict(event("update", MIGRATIONS, "policy", old, {**old, "tenant_tables": {}, "tenant_bypass": ["scanner"]}))
    )
    assert (Risk.ACCESS_WIDENED, "tenants are **no longer kept apart** on `policy.policies`") in told
    assert (Risk.ACCESS_WIDENED, "`scanner` sees the rows of every tenant in `policy`") in told


def test_access_keys_are_told_by_their_policy_and_hold_no_data() -> None:
    old = {"user": "airgap", "rotate": 1, "policy": {"write": {"Action": ["s3:PutObject"]}}}
    more = {**old, "policy": {**old["policy"], "read": {"Action": ["s3:GetObject"]}}}  # type: ignore[dict-item]
    assert only(event("update", OBJECT_STORE_USER, "airgap", old, more)) == (
        Risk.ACCESS_WIDENED,
        "the policy of `airgap` gets or changes `read`",
    )
    assert only(event("update", OBJECT_STORE_USER, "airgap", more, old))[0] == Risk.ACCESS_REVOKED
    assert only(event("replace", OBJECT_STORE_USER, "airgap", old, {**old, "rotate": 2}))[0] == Risk.RESTART
    assert only(event("delete", OBJECT_STORE_USER, "airgap", old))[0] == Risk.ACCESS_REVOKED


def test_a_schema_that_the_config_lets_go_is_told() -> None:
    old = {"logins": {}, "schemas": {"symbols": "kept"}, "drop_schemas": []}
    risk, sentence = only(event("update", INVENTORY, "inventory", old, {**old, "drop_schemas": ["symbols"]}))
    assert risk == Risk.ACCESS_WIDENED and sentence.startswith("schema `symbols` goes with its tables when")
    assert only(event("delete", INVENTORY, "inventory", old))[0] == Risk.NONE
