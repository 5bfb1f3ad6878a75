"""What a change of a resource means, where no recording shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.postgres.fates import DROPPED, KEPT
from provider.postgres.migration_files import checksum
from tests.tools.review.synthetic import event, only, sentences, verdict
from tools.review.escape import plain
from tools.review.kinds import generic
from tools.review.kinds.valkey_conf import directive_risks
from tools.review.risk import Risk
from tools.review.tokens import (
    CONFIG_MAP,
    CREDENTIAL,
    DATABASE,
    DEFAULT_PRIVILEGES,
    GRANT,
    INVENTORY,
    MIGRATIONS,
    PRIVILEGES,
    ROLE,
    SCHEMA,
    VALKEY_STREAMS,
    VALKEY_USERS,
)

GRANTED = {
    "role": "scanner",
    "schema": "vuln",
    "objectType": "table",
    "objects": ["linksets"],
    "privileges": ["SELECT"],
}


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


def test_a_new_login_that_sees_every_tenant_is_described_as_such() -> None:
    created = event("create", ROLE, "backup", None, {"name": "backup", "login": True, "bypassRowLevelSecurity": True})
    gains = "`backup` gains BYPASSRLS: it sees the rows of every tenant"
    assert (Risk.ACCESS_WIDENED, gains) in sentences(verdict(created))
    new_database = event("create", DATABASE, "stellaops", None, {"name": "stellaops"})
    assert (Risk.ADDITIVE, gains) in sentences(verdict(new_database, created)), "there are no rows yet"


@pytest.mark.parametrize(
    "power", ["superuser", "createRole", "bypassRowLevelSecurity", "replication", "createDatabase"]
)
def test_a_login_that_becomes_powerful_widens_access(power: str) -> None:
    risk, sentence = only(event("update", ROLE, "scanner", {"login": True, power: False}, {"login": True, power: True}))
    assert risk == Risk.ACCESS_WIDENED and sentence.startswith("`scanner` gains ")


def test_dropping_an_owner_role_loses_what_it_owns() -> None:
    assert only(event("delete", ROLE, "vex_owner", {"login": False, "name": "vex_owner"}))[0] == Risk.DATA_LOSS


def test_dropping_the_database_is_data_loss() -> None:
    assert only(event("delete", DATABASE, "stellaops", {"name": "stellaops"}))[0] == Risk.DATA_LOSS


def test_a_renamed_schema_is_dropped_and_recreated() -> None:
    risk, sentence = only(event("replace", SCHEMA, "vex", {"name": "vex", "dropCascade": True}, {"name": "vexes"}))
    assert risk == Risk.DATA_LOSS and sentence == "schema `vex` is dropped and recreated with all its tables"


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
        ("SELECT 'unfinished", True),
    ],
)
def test_migrations_are_read_for_what_they_take_away(tmp_path: Path, sql: str, destroys: bool) -> None:
    (tmp_path / "sql" / "scheduler").mkdir(parents=True)
    (tmp_path / "sql" / "scheduler" / "0002_x.sql.j2").write_text(sql)
    old = {
        "schema": "scheduler",
        "directory": "sql/scheduler",
        "migrations": ["0001_a.sql.j2 sha256:1"],
        "appendOnly": [],
    }
    new = {**old, "migrations": [*old["migrations"], f"0002_x.sql.j2 sha256:{checksum(sql)}"]}
    risk, sentence = only(event("update", MIGRATIONS, "scheduler", old, new), root=tmp_path)
    assert risk == (Risk.DATA_LOSS if destroys else Risk.ADDITIVE), sentence


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "its file is missing from this checkout"),
        ("SELECT 2;", "its file in this checkout differs from the previewed one"),
    ],
)
def test_a_migration_that_nobody_can_read_may_destroy_data(tmp_path: Path, text: str | None, why: str) -> None:
    (tmp_path / "sql" / "vex").mkdir(parents=True)
    if text is not None:
        (tmp_path / "sql" / "vex" / "0001_x.sql.j2").write_text(text)
    new = {
        "schema": "vex",
        "directory": "sql/vex",
        "migrations": [f"0001_x.sql.j2 sha256:{checksum('SELECT 1;')}"],
        "appendOnly": [],
    }
    risk, sentence = only(event("create", MIGRATIONS, "vex", None, new), root=tmp_path)
    assert risk == Risk.DATA_LOSS and why in sentence


def test_valkey_users_are_told_by_pattern_and_command() -> None:
    before = {"users": {"scanner": ["resetchannels", "+ping", "(~scan:* +get +set)"]}}
    after = {
        "users": {"scanner": ["resetchannels", "+ping", "(~scan:* +get +set +del)", "(%R~policy:* +get)", "+flushall"]}
    }
    told = sentences(verdict(event("update", VALKEY_USERS, "valkey-users", before, after)))
    assert (Risk.ACCESS_WIDENED, "`scanner` gains `DEL` on `scan:*`") in told
    assert (Risk.ACCESS_WIDENED, "`scanner` gains read access to `policy:*` (1 command)") in told
    assert (Risk.ACCESS_WIDENED, "`scanner` gains `FLUSHALL`") in told


def test_an_update_that_repeats_a_failed_one_is_told_even_where_nothing_differs() -> None:
    same = {"users": {"scanner": ["resetchannels", "+ping"]}}
    repeated = (Risk.NONE, "Users `valkey-users` is updated again, because its last update failed")
    assert sentences(verdict(event("update", VALKEY_USERS, "valkey-users", same, same, unfinished=True))) == [repeated]
    # A user that the failed update may have created, in a mapping that was put back.
    left = {"users": {**same["users"], "guest": ["+@all"]}}
    told = sentences(
        verdict(
            event(
                "update",
                VALKEY_USERS,
                "valkey-users",
                same,
                same,
                outputs=left,
                unfinished=True,
                changed=["users.guest"],
            )
        )
    )
    assert told == [(Risk.ACCESS_REVOKED, "user `guest` is deleted with all its permissions"), repeated]


def test_a_stream_without_leave_to_lose_data_is_told_as_refused() -> None:
    old, new = (
        {"streams": {"a": ["g"], "b": []}, "allowDataLoss": False},
        {"streams": {"a": []}, "allowDataLoss": False},
    )
    told = sentences(verdict(event("update", VALKEY_STREAMS, "valkey-streams", old, new)))
    assert told[0] == (Risk.DATA_LOSS, "stream `b` is deleted (refused while it has entries: allowDataLoss is false)")
    assert told[1][0] == Risk.ACCESS_REVOKED and "group `g`" in told[1][1]


@pytest.mark.parametrize(
    ("type_", "op", "risk"),
    [
        ("some:index/database:Database", "delete", Risk.DATA_LOSS),
        ("kubernetes:core/v1:PersistentVolumeClaim", "replace", Risk.DATA_LOSS),
        ("kubernetes:core/v1:Namespace", "delete", Risk.DATA_LOSS),
        ("kubernetes:policy/v1:PodDisruptionBudget", "delete", Risk.RESTART),
        ("kubernetes:core/v1:ServiceAccount", "replace", Risk.RESTART),
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
    assert risk == Risk.RESTART and "`host` from `a` to `b`" in sentence


TENANTS: dict[str, Any] = {
    "schema": "policy",
    "appendOnly": [],
    "tenantTables": {"policies": {"column": "tenant_id"}},
    "tenantBypass": [],
}
OTHER: dict[str, Any] = {**TENANTS, "schema": "notify", "tenantTables": {"rules": {"column": "tenant_id"}}}


def _migrations(old: dict[str, Any], **more: object) -> dict[str, Any]:
    return event("update", MIGRATIONS, str(old["schema"]), old, {**old, **more})


def test_tenants_that_are_no_longer_kept_apart_widen_access() -> None:
    """On one schema of two; switched off altogether it is one sentence."""
    found = verdict(_migrations(TENANTS, tenantTables={}), event("same", MIGRATIONS, "notify", OTHER, OTHER))
    assert sentences(found) == [(Risk.ACCESS_WIDENED, "tenant isolation **no longer covers** `policy.policies`")]
    risk, sentence = only(_migrations(TENANTS, tenantTables={}), _migrations(OTHER, tenantTables={}))
    assert risk == Risk.ACCESS_WIDENED and "for 2 tables in 2 schemas" in sentence


def test_a_role_that_sees_every_tenant_is_told_once_with_all_schemas() -> None:
    told = only(_migrations(TENANTS, tenantBypass=["scanner"]), _migrations(OTHER, tenantBypass=["scanner"]))
    assert told == (Risk.ACCESS_WIDENED, "`scanner` is exempt from tenant isolation in `notify` and `policy`")
    back = {**TENANTS, "tenantBypass": ["scanner"]}
    assert only(_migrations(back, tenantBypass=[]))[0] == Risk.ACCESS_REVOKED


def test_a_new_table_that_is_kept_apart_takes_nothing_from_anybody() -> None:
    more = {**TENANTS["tenantTables"], "drafts": {"column": "tenant_id"}}
    assert only(_migrations(TENANTS, tenantTables=more)) == (
        Risk.ADDITIVE, "tenant isolation covers the new `policy.drafts`",
    )  # fmt: skip
    known = event("same", GRANT, "g", *[{**GRANTED, "schema": "policy", "objects": ["drafts"]}] * 2)
    assert only(known, _migrations(TENANTS, tenantTables=more))[0] == Risk.ACCESS_REVOKED


def test_a_schema_that_is_retained_is_kept_and_lost_to_its_modules() -> None:
    old = {"name": "symbols", "dropCascade": False}
    risk, sentence = only(event("delete", SCHEMA, "symbols", old, retained=True))
    assert risk == Risk.ACCESS_REVOKED
    assert (
        sentence
        == "schema `symbols` leaves the stack and is kept with its tables, owned by the admin; modules lose access to it"
    )
    risk, sentence = only(event("delete", SCHEMA, "symbols", old))
    assert risk == Risk.DATA_LOSS and sentence.endswith("(refused while it has tables: dropSchemas does not list it)")


def test_the_database_that_is_retained_is_no_data_loss() -> None:
    assert only(event("delete", DATABASE, "stellaops", {"name": "stellaops"}, retained=True))[0] == Risk.ACCESS_REVOKED


def test_a_schema_that_the_config_lets_go_is_told_once() -> None:
    old = {"logins": {}, "schemas": {"symbols": KEPT}, "dropSchemas": []}
    new = {**old, "schemas": {"symbols": DROPPED}, "dropSchemas": ["symbols"]}
    cascades = ({"name": "symbols", "dropCascade": value} for value in (False, True))
    schema = event("update", SCHEMA, "symbols", *cascades)
    risk, sentence = only(event("update", INVENTORY, "postgres", old, new), schema)
    assert risk == Risk.ACCESS_WIDENED
    assert sentence == "schema `symbols` will be dropped with its tables when it leaves the mapping (dropSchemas)"
    assert only(event("update", INVENTORY, "postgres", new, old))[0] == Risk.NONE
    assert only(event("delete", INVENTORY, "postgres", old))[0] == Risk.NONE


def _contract(**ttls: str) -> dict[str, Any]:
    keys = [{"pattern": "locator:{imageDigest}", "type": "string", "ttl": ttls["key"], "verb": "write"}]
    streams = [{"name": "notify:delivery", "verb": "consume", "ttl": ttls["stream"], "events": []}]
    return {"version": "1.1", "modules": {"scanner": {"valkey": {"keys": keys, "streams": streams}}}}


def test_keys_and_streams_that_are_kept_for_less_are_shorter_retention() -> None:
    found = verdict(outputs=(_contract(key="30d", stream="7d"), _contract(key="7d", stream="none")))
    assert sentences(found) == [
        (Risk.RETENTION_SHORTENED, "keys of `locator:{imageDigest}` are kept for `7d` instead of `30d`"),
        (Risk.ADDITIVE, "entries of `notify:delivery` are kept until they are acknowledged instead of `7d`"),
    ]


def test_many_passwords_are_told_in_one_line() -> None:
    found = verdict(*(event("create", CREDENTIAL, f"m{n}", None, {"user": f"m{n}"}) for n in range(9)))
    assert sentences(found) == [(Risk.ADDITIVE, "passwords of `m0`, `m1`, `m2`, `m3`, `m4` and 4 more are created")]


def test_a_migration_alone_revokes_no_privilege() -> None:
    old = {"schema": "vuln", "access": {"vuln_reader": {"sources": ["SELECT"]}}, "migration": 2}
    found = sentences(verdict(event("update", PRIVILEGES, "vuln", old, {**old, "migration": 3})))
    assert found == [(Risk.NONE, "privileges on tables of `vuln` are checked against the mapping")]


def test_privileges_after_their_grants_need_no_sentence_of_weight() -> None:
    step = event("update", PRIVILEGES, "vuln", {"schema": "vuln"}, {"schema": "vuln"})
    found = sentences(verdict(event("create", GRANT, "scanner-vuln.linksets", None, GRANTED), step))
    told = "privileges on tables of `vuln` are checked against the mapping after its grants"
    assert (Risk.NONE, told) in found and len(found) == 2


def test_privileges_that_are_managed_from_now_on_may_revoke_what_nobody_declared() -> None:
    told = only(event("create", PRIVILEGES, "vuln", None, {"schema": "vuln"}))
    what = "privileges on tables of `vuln` that are not in the mapping are revoked"
    assert told == (Risk.ACCESS_REVOKED, what)


def test_privileges_that_a_refresh_found_changed_are_told_one_by_one() -> None:
    for sentence, risk in (
        ("DELETE on cves for scanner: not in the mapping", Risk.ACCESS_REVOKED),
        ("SELECT on cves for scanner: missing", Risk.ACCESS_WIDENED),
    ):
        outputs = {"drift": [sentence]}
        step = event("update", PRIVILEGES, "vuln", {"schema": "vuln"}, {"schema": "vuln"}, outputs=outputs)
        assert only(step) == (
            risk,
            f"manual changes to privileges on tables of `vuln` are corrected: {plain(sentence)}",
        )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("+@all", "+@all -flushall", {"`admin` loses `FLUSHALL`"}),
        ("+@all -flushall", "+@all", {"`admin` gains `FLUSHALL`"}),
        ("+get +set", "+get +set -set", {"`admin` loses `SET`"}),
        ("+@all -flushall", "-flushall +@all", {"`admin` gains `FLUSHALL`"}),
        ("+get", "+get -set", {"the users are reapplied"}),
        ("+get", "+get -@all +set", {"`admin` gains `SET`", "`admin` loses `GET`"}),
    ],
)
def test_denied_commands_of_a_valkey_user_count_in_their_order(before: str, after: str, expected: set[str]) -> None:
    old, new = ({"users": {"admin": ["resetchannels", *rules.split()]}} for rules in (before, after))
    told = sentences(verdict(event("update", VALKEY_USERS, "valkey-users", old, new)))
    assert {sentence for _, sentence in told} == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("2gb", "1gb", "`maxmemory` decreases from `2gb` to `1gb`"),
        ("0", "1gb", "`maxmemory` decreases from `unlimited` to `1gb`"),
        ("", "1gb", "`maxmemory` decreases from `unlimited` to `1gb`"),
        ("1gb", "0", ""),
        ("1gb", "", ""),
        ("1gb", "2gb", ""),
    ],
)
def test_a_maxmemory_of_zero_is_unlimited(old: str, new: str, expected: str) -> None:
    step = verdict(event("update", CONFIG_MAP, "valkey", {}, {})).preview.steps[0]
    told = [change.sentence for change in directive_risks(step, "maxmemory", old, new)]
    assert [sentence.partition(":")[0] for sentence in told] == ([expected] if expected else [])


def test_an_append_only_file_that_is_switched_on_again_may_be_an_old_one() -> None:
    step = verdict(event("update", CONFIG_MAP, "valkey", {}, {})).preview.steps[0]
    [change] = directive_risks(step, "appendonly", "no", "yes")
    assert change.risk == Risk.DATA_LOSS and "**writes since it was switched off are lost**" in change.sentence


def test_a_value_that_is_masked_is_shown_once() -> None:
    old, new = ({"annotations": {"checksum/config": letter * 64}} for letter in "ab")
    step = verdict(event("update", CONFIG_MAP, "valkey", old, new)).preview.steps[0]
    assert generic.properties(step).split("\n")[1:] == ["~ annotations.checksum/config: [masked] (new value)"]


def _logins(key: str, values: Mapping[str, tuple[object, object]]) -> list[str]:
    steps = [
        event("update", ROLE, name, {"login": True, "name": name, key: old}, {"login": True, "name": name, key: new})
        for name, (old, new) in values.items()
    ]
    modules: dict[str, Any] = {"modules": {name: {} for name in ("scanner", "vexlens", "signer", "reporter")}}
    return [sentence for _, sentence in sentences(verdict(*steps, outputs=(modules, modules)))]


def test_a_change_of_all_logins_is_told_once() -> None:
    paths = {name: ([name], [name, "extensions"]) for name in ("scanner", "vexlens", "signer", "reporter")}
    assert _logins("searchPaths", paths) == ["search_path of all 4 logins gains `extensions` for new connections"]
    limits = dict.fromkeys(("scanner", "vexlens", "signer"), (40, 41))
    told = (
        "connection limit of 3 logins (`scanner`, `signer` and `vexlens`) changes from `40` to `41` for new connections"
    )
    assert _logins("connectionLimit", limits) == [told]


def test_changes_of_few_logins_and_different_changes_are_told_one_by_one() -> None:
    assert len(_logins("connectionLimit", {"scanner": (40, 41), "vexlens": (40, 41)})) == 2
    assert len(_logins("connectionLimit", {"scanner": (40, 41), "vexlens": (40, 42), "signer": (40, 43)})) == 3
    reordered = {name: (["a", "b"], ["b", "a", name]) for name in ("scanner", "vexlens", "signer")}
    assert len(_logins("searchPaths", reordered)) == 3


def test_a_command_that_all_valkey_users_gain_is_told_once() -> None:
    users = ("scanner", "vexlens", "signer")
    old, new = ({"users": {user: rules.split() for user in users}} for rules in ("+ping", "+ping +info"))
    told = sentences(verdict(event("update", VALKEY_USERS, "valkey-users", old, new)))
    assert told == [(Risk.ACCESS_WIDENED, "3 users (`scanner`, `signer` and `vexlens`) gain `INFO`")]


def _login(name: str, before: list[str], after: list[str]) -> dict[str, Any]:
    return event("update", ROLE, name, {"login": True, "roles": before}, {"login": True, "roles": after})


READERS = {**GRANTED, "role": "vuln_reader"}
OF_READERS = event("same", GRANT, "vuln_reader-vuln.linksets", READERS, READERS)
SCHEMA_VULN = event("same", SCHEMA, "vuln", {"name": "vuln"}, {"name": "vuln"})


def test_a_privilege_that_a_group_still_grants_is_not_lost() -> None:
    revoked = event("delete", GRANT, "scanner-vuln.linksets", GRANTED)
    told = {
        text for _, text in sentences(verdict(SCHEMA_VULN, OF_READERS, _login("scanner", [], ["vuln_reader"]), revoked))
    }
    assert "`scanner` gains SELECT on all tables of `vuln` (as a member of `vuln_reader`)" in told
    assert not [text for text in told if "loses" in text], told
    told = {text for _, text in sentences(verdict(SCHEMA_VULN, OF_READERS, revoked))}
    assert "`scanner` loses SELECT on `vuln.linksets`" in told, "no group grants it"


def test_a_login_that_leaves_its_group_keeps_what_is_granted_to_itself() -> None:
    granted = event("create", GRANT, "scanner-vuln.linksets", None, GRANTED)
    told = {
        text for _, text in sentences(verdict(SCHEMA_VULN, OF_READERS, _login("scanner", ["vuln_reader"], []), granted))
    }
    left = "`scanner` loses SELECT on all tables of `vuln` (no longer a member of `vuln_reader`)"
    assert f"{left}; it keeps SELECT on `vuln.linksets`" in told and not [text for text in told if "gains" in text], (
        told
    )


def test_a_login_that_changes_between_writer_and_reader_can_read_all_the_time() -> None:
    told = sentences(verdict(SCHEMA_VULN, _login("scanner", ["vuln_writer"], ["vuln_reader"])))
    left = "`scanner` loses write access to schema `vuln` (no longer a member of `vuln_writer`)"
    assert [text for _, text in told] == [f"{left}; it keeps SELECT on all tables of `vuln`"]
    told = sentences(verdict(SCHEMA_VULN, _login("scanner", ["vuln_reader"], ["vuln_writer"])))
    assert [text for _, text in told] == [
        "`scanner` gains write access to schema `vuln` (as a member of `vuln_writer`)"
    ]


def test_columns_of_a_table_that_is_still_granted_are_not_lost() -> None:
    columns = {**GRANTED, "objectType": "column", "columns": ["id"]}
    narrowed = verdict(event("delete", GRANT, "columns", columns), event("create", GRANT, "table", None, GRANTED))
    assert {text for _, text in sentences(narrowed) if "scanner" in text and "grant" not in text} == {
        "`scanner` gains SELECT on `vuln.linksets`"
    }
