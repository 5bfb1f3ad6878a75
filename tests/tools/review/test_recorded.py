"""Every recorded preview with its verdict and all that a reviewer is told.

``EXPECTED`` is a table to be read: a change of it is a change of what people see. Sentences of no risk are left out.
"""

from dataclasses import dataclass

import pytest

from tests.tools.review import recording, replay
from tests.tools.review.cases import CASES
from tools.review import comment, size_limit
from tools.review.approval import label
from tools.review.kinds import generic
from tools.review.risk import Risk
from tools.review.tokens import COMPONENTS


@dataclass(frozen=True)
class Expected:
    """``rules`` are those that are broken, ``error`` is part of what a failed preview says."""

    risk: Risk
    sentences: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    error: str = ""


EXPECTED = {
    "unchanged": Expected(
        Risk.NONE,
    ),
    "unchanged-plain": Expected(
        Risk.NONE,
    ),
    "read-added": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `vexlens` gains SELECT on `vuln.linksets`",
            "restart: search_path of `vexlens` changes from `vex` to `vex, vuln` for new connections",
        ),
    ),
    "read-added-plain": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `vexlens` gains SELECT on `vuln.linksets`",
            "restart: search_path of `vexlens` changes from `vex` to `vex, vuln` for new connections",
        ),
    ),
    "read-removed": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: `risk_engine` loses SELECT on all tables of `policy` (no longer a member of `policy_reader`)",
            "restart: search_path of `risk_engine` changes from `policy` to `pg_catalog` for new connections",
        ),
    ),
    "read-of-schema-added": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `airgap` gains SELECT on all tables of `scanner` (as a member of `scanner_reader`)",
            "restart: search_path of `airgap` changes from `pg_catalog` to `scanner` for new connections",
        ),
    ),
    "column-read-widened": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: `signer` gains SELECT on `authority.clients(redirect_uris)`",),
    ),
    "write-added": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: `vexhub` gains DELETE, INSERT, UPDATE on `vex.consensus`",),
    ),
    "module-added": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `reporter` gains SELECT on all tables of `policy` (as a member of `policy_reader`)",
            "additive: login `reporter` is created",
            "additive: user `reporter` is created with access to `events:*` and `queue:*`",
            "access-widened: `reporter` gains read access to `evidence/`",
            "additive: access key of `reporter` is created",
            "additive: ConfigMap and Secret of `reporter` are created",
            "additive: passwords of `reporter` are created",
        ),
    ),
    "module-removed": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: login `vexlens` is dropped with all its privileges; its sessions are terminated first",
            "access-revoked: user `vexlens` is deleted with all its permissions",
        ),
    ),
    "schema-added": Expected(
        Risk.ADDITIVE,
        (
            "additive: `reporter` gains write access to schema `reports` (as a member of `reports_writer`)",
            "additive: login `reporter` is created",
            "additive: `reporter` (through `reports_writer`) gains DELETE, INSERT, SELECT, UPDATE on `reports.reports`, which is new",
            "additive: `reports_reader` gains SELECT on `reports.reports` and `reports.schema_migrations`, which are new",
            "additive: migration `reports 0001` will run (5 lines, shown below)",
            "additive: schema `reports` is created with its roles",
            "additive: user `reporter` is created with access to `events:*` and `queue:*`",
            "additive: ConfigMap and Secret of `reporter` are created",
            "additive: passwords of `reporter` are created",
        ),
    ),
    "schema-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: schema `symbols` is dropped with all its tables",
            "access-revoked: login `symbols` is dropped with all its privileges; its sessions are terminated first",
            "access-revoked: user `symbols` is deleted with all its permissions",
        ),
    ),
    "schema-kept": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: login `symbols` is dropped with all its privileges; its sessions are terminated first",
            "access-revoked: schema `symbols` leaves the stack and is kept with its tables, owned by the admin; modules lose access to it",
            "access-revoked: user `symbols` is deleted with all its permissions",
        ),
    ),
    "schema-named": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: schema `symbols` will be dropped with its tables when it leaves the mapping (dropSchemas)",),
    ),
    "schema-named-too-late": Expected(
        Risk.ACCESS_REVOKED,
        ("access-revoked: user `symbols` is deleted with all its permissions",),
        error="stellaops:postgres:Inventory resource 'postgres': property dr",
    ),
    "schemas-no-longer-named": Expected(
        Risk.NONE,
    ),
    "tenants-kept-apart": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: tenant isolation is switched on for 26 tables in 8 schemas (`postgres:tenantIsolation`): sessions that do not set `app.tenant_id` see no rows there; `timeline_indexer` is exempt",
        ),
    ),
    "tenants-no-longer-kept-apart": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: tenant isolation is **switched off** for 26 tables in 8 schemas (`postgres:tenantIsolation`): a role that can read a table sees the rows of every tenant",
        ),
    ),
    "bypass-added": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: `notifier` is exempt from tenant isolation in `notify`",),
    ),
    "bypass-removed": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `timeline_indexer` gains SELECT on `notify.rules(rule_id, tenant_id)`",
            "access-revoked: `timeline_indexer` is no longer exempt from tenant isolation in `notify` and `scanner`",
        ),
    ),
    "table-added": Expected(
        Risk.ADDITIVE,
        (
            "additive: `scheduler_reader` gains SELECT on `scheduler.locks`, which is new",
            "additive: `scheduler` (through `scheduler_writer`) gains DELETE, INSERT, SELECT, UPDATE on `scheduler.locks`, which is new",
            "additive: migration `scheduler 0003` will run (5 lines, shown below)",
        ),
    ),
    "migration-added": Expected(
        Risk.ADDITIVE,
        (
            "additive: migration `scheduler 0003` will run and **blocks other sessions**: `CREATE INDEX runs_state ON scheduler.runs (state)` (writers of scheduler\\.runs wait until the index is created) (1 line, shown below)",
        ),
    ),
    "migration-drops-column": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: migration `scheduler 0003` **destroys data**: `ALTER TABLE scheduler.runs DROP COLUMN error` (3 lines, shown below)",
        ),
    ),
    "append-only-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: `vex.vex_raw` is **no longer append-only**: its rows can be updated and deleted from now on",
            "access-widened: `excititor` (through `vex_writer`) gains DELETE, UPDATE on `vex.vex_raw`",
            "access-widened: `vexhub` gains DELETE, UPDATE on `vex.vex_raw`",
        ),
        rules=("evidence-triggers",),
    ),
    "append-only-added": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: `concelier` (through `vuln_writer`) loses DELETE, UPDATE on `vuln.linksets`",
            "access-revoked: `vuln.linksets` becomes append-only: rows can no longer be updated or deleted",
        ),
    ),
    "limits-lowered": Expected(
        Risk.RESTART,
        ("restart: connection limit of `scanner` changes from `40` to `5` for new connections",),
    ),
    "retention-shortened": Expected(
        Risk.RETENTION_SHORTENED,
        (
            "retention-shortened: `blobs` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `evidence` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `images` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `offline-kits` keeps noncurrent versions for 30 days instead of 90 days",
        ),
    ),
    "retention-lengthened": Expected(
        Risk.ADDITIVE,
        (
            "additive: `blobs` keeps noncurrent versions for 180 days instead of 90 days",
            "additive: `evidence` keeps noncurrent versions for 180 days instead of 90 days",
            "additive: `images` keeps noncurrent versions for 180 days instead of 90 days",
            "additive: `offline-kits` keeps noncurrent versions for 180 days instead of 90 days",
        ),
    ),
    # MinIO, on which it was recorded, has no rule for it.
    "uploads-kept-longer": Expected(
        Risk.NONE,
    ),
    "memory-raised": Expected(
        Risk.RESTART,
        ("restart: Valkey restarts once: `maxmemory` from `2gb` to `4gb`; memory limit from `4480Mi` to `8768Mi`",),
    ),
    "memory-lowered": Expected(
        Risk.RETENTION_SHORTENED,
        (
            "retention-shortened: `maxmemory` decreases from `2gb` to `1gb`: keys with a TTL are evicted earlier",
            (
                "retention-shortened: the estimates no longer fit in memory: keys that are never evicted take 87% of `1gb`, over 60%"
                "; when they fill it, writers get OOM errors"
            ),
            (
                "retention-shortened: the estimates no longer fit in memory: all keys take 104% of `1gb`; caches are evicted "
                "before their TTL"
            ),
            "restart: Valkey restarts once: `maxmemory` from `2gb` to `1gb`; memory limit from `4480Mi` to `2304Mi`",
        ),
    ),
    "stream-nodes-larger": Expected(
        Risk.RESTART,
        ("restart: Valkey restarts once: `stream-node-max-entries` from `100` to `200`",),
    ),
    "no-append-only-file": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: without the append-only file a crash **loses every write** since the last snapshot",
            "restart: Valkey restarts once: `aof-use-rdb-preamble` from `yes` to `unset`; `appendfsync` from `everysec` to `unset`; `appendonly` from `yes` to `no`",
        ),
    ),
    "replicas-added": Expected(
        Risk.RESTART,
        (
            "restart: Valkey restarts once: 3 servers instead of 1; Sentinel runs beside each server; memory limit from `4480Mi` to `5056Mi`",
            "additive: network policy `valkey` allows connections from `namespace stellaops`, `pods valkey` and `pods valkey-maintenance` on port `26379`",
        ),
    ),
    "tls-on": Expected(
        Risk.RESTART,
        (
            "restart: Valkey restarts once: TLS is switched on: clients must connect with TLS",
            "restart: ConfigMaps of `airgap`, `attestor`, `audit`, `authority`, `concelier` and 22 more are changed: `VALKEY_TLS`; services must restart to use it",
        ),
    ),
    "image-raised": Expected(
        Risk.RESTART,
        ("restart: Valkey restarts once: image from `valkey/valkey:8.1.8` to `valkey/valkey:8.1.9`",),
    ),
    "exporter-added": Expected(
        Risk.RESTART,
        (
            "restart: Valkey restarts once: the exporter runs beside each server",
            "additive: ServiceMonitor `valkey` is created",
            "additive: network policy `valkey` allows connections from `namespace monitoring` on port `9121`",
            "additive: the passwords of Valkey's internal users are created: `valkey-exporter`",
        ),
    ),
    "namespaces-named": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: network policy `valkey` allows connections from `namespace policy` and `namespace scanner` on port `6379`",
            "access-revoked: network policy `valkey` no longer allows connections from `namespace stellaops` on port `6379`",
        ),
    ),
    "node-passwords-renewed": Expected(
        Risk.RESTART,
        ("restart: Valkey restarts once: the passwords of its internal users are rotated",),
    ),
    "trimmed-at-another-time": Expected(
        Risk.NONE,
    ),
    "ttl-shortened": Expected(
        Risk.RETENTION_SHORTENED,
        ("retention-shortened: keys of `locator:{imageDigest}` are kept for `7d` instead of `30d`",),
    ),
    "stream-trimmed-earlier": Expected(
        Risk.RETENTION_SHORTENED,
        ("retention-shortened: entries of `notify:delivery` are kept for `1d` instead of `7d`",),
    ),
    "key-read-added": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: `policy` gains read access to `scan:*` (11 commands)",),
    ),
    "key-write-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: consumer group `scheduler` of stream `concelier:drift` is deleted with its position and pending entries",
            "access-revoked: `scheduler` loses consumer access to `concelier:drift` (21 commands)",
        ),
    ),
    "consumer-added": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `notifier` gains consumer access to `scheduler:jobs` (21 commands)",
            "additive: consumer group `notifier` is created on stream `scheduler:jobs`",
        ),
    ),
    "stream-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: stream `policy:evaluated` is deleted with its entries",
            "access-revoked: 3 users (`export_center`, `findings` and `notifier`) lose consumer access to `policy:evaluated` (21 commands)",
            "access-revoked: `policy` loses producer access to `policy:evaluated` (2 commands)",
        ),
    ),
    "stream-removed-guarded": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: stream `policy:evaluated` is deleted (refused while it has entries: allowDataLoss is false)",
            "access-revoked: 3 users (`export_center`, `findings` and `notifier`) lose consumer access to `policy:evaluated` (21 commands)",
            "access-revoked: `policy` loses producer access to `policy:evaluated` (2 commands)",
        ),
    ),
    "password-renewed": Expected(
        Risk.RESTART,
        (
            "restart: the rotated passwords of `concelier` are set in Valkey",
            "restart: the passwords of `concelier` are rotated: it must restart to use the new ones",
        ),
    ),
    "bucket-added": Expected(
        Risk.ADDITIVE,
        (
            "additive: `export_center` gains read, write and delete access to `reports/`",
            "additive: versioning is enabled on `reports`",
            "additive: bucket `reports` is created",
        ),
    ),
    "bucket-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: bucket `offline-kits` is deleted with all its objects",
            "access-revoked: `airgap` loses read, write and delete access to `offline-kits/`",
            "access-revoked: access key of `airgap` is deleted",
            "access-revoked: `export_center` loses read, write and delete access to `offline-kits/`",
        ),
    ),
    "bucket-removed-guarded": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: bucket `offline-kits` is deleted with all its objects (refused while it has objects: allowDataLoss is false)",
            "access-revoked: `airgap` loses read, write and delete access to `offline-kits/`",
            "access-revoked: access key of `airgap` is deleted",
            "access-revoked: `export_center` loses read, write and delete access to `offline-kits/`",
        ),
    ),
    "lock-shortened": Expected(
        Risk.RETENTION_SHORTENED,
        ("retention-shortened: `evidence` locks new objects for 30 days instead of 90 days",),
    ),
    "lock-compliance": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: `evidence`: in COMPLIANCE mode **nobody can lift or shorten the lock** of new objects, not even the root key; this cannot be undone",
        ),
    ),
    "object-lock-removed": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: bucket `evidence` is deleted with all its objects and recreated, without object lock",
            "access-widened: `evidence_locker` gains delete access to `evidence/`",
        ),
    ),
    "objects-read-added": Expected(
        Risk.ACCESS_WIDENED,
        ("access-widened: `export_center` gains read access to `blobs/`",),
    ),
    "objects-write-removed": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: `airgap` loses read, write and delete access to `offline-kits/`",
            "access-revoked: access key of `airgap` is deleted",
        ),
    ),
    "objects-moved": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: `attestor` gains read access to `evidence/`",
            "access-revoked: `attestor` loses read and write access to `blobs/????/*/attestation.dsse`",
        ),
    ),
    "contract-objects-off": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: ConfigMaps and Secrets of `airgap`, `attestor`, `audit`, `authority`, `concelier` and 22 more are deleted: pods that load them with envFrom no longer start",
        ),
    ),
    "contract-objects-moved": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: ConfigMaps and Secrets of `airgap`, `attestor`, `audit`, `authority`, `concelier` and 22 more are deleted and recreated in namespaces `stellaops-airgap`, `stellaops-attestor` and 25 more: pods in the old namespace that load them with envFrom no longer start",
        ),
    ),
    "data-loss-forbidden": Expected(
        Risk.NONE,
    ),
    "protected": Expected(
        Risk.NONE,
    ),
    "protection-removed": Expected(
        Risk.ACCESS_WIDENED,
        (
            "access-widened: Roles `authority_owner`, `notify_owner`, `orchestrator_owner`, `policy_owner`, `registry_owner` and 6 more are no longer protected against deletion",
            "access-widened: Schemas `authority`, `notify`, `orchestrator`, `policy`, `registry` and 6 more are no longer protected against deletion",
            "access-widened: Database `stellaops` is no longer protected against deletion",
            "access-widened: Buckets `blobs`, `evidence`, `images` and `offline-kits` are no longer protected against deletion",
        ),
    ),
    "schema-removed-protected": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: login `symbols` is dropped with all its privileges; its sessions are terminated first",
            "access-revoked: schema `symbols` leaves the stack and is kept with its tables, owned by the admin; modules lose access to it",
            "access-revoked: user `symbols` is deleted with all its permissions",
        ),
        error='Preview failed: resource "urn:pulumi:local::stellaops-storage::stellaops:postgre',
    ),
    "server-moved": Expected(
        Risk.RESTART,
        (
            "restart: ConfigMaps of `airgap`, `attestor`, `authority`, `concelier`, `evidence_locker` and 19 more are changed: `PGHOST`; services must restart to use it",
            "restart: the target of the postgresql providers `postgres-outside` and `postgres-inside` changes: `host` from `127.0.0.1` to `localhost`; existing data is not moved",
            "restart: the target of the stellaops provider `stellaops` changes: `postgresHost` from `127.0.0.1` to `localhost`; existing data is not moved",
        ),
    ),
    "secret-in-clear": Expected(
        Risk.NONE,
        rules=("no-plain-secret",),
    ),
    "changed-by-hand": Expected(
        Risk.ACCESS_REVOKED,
        (
            "access-revoked: manual changes in schema `vex` are corrected: `trigger append_only_row on vex.vex_raw is missing`",
            "access-revoked: `concelier` (through `vuln_writer`) loses DELETE on `vuln.advisory_raw`",
        ),
    ),
    "mapping-broken": Expected(
        Risk.NONE,
        error="mapping.yaml:61:9 modules.vexlens.postgres.reads[0]: no schema 'vexx'; did you mean \"vex\"?",
    ),
    "mapping-broken-plain": Expected(
        Risk.NONE,
        error="mapping.yaml:61:9 modules.vexlens.postgres.reads[0]: no schema 'vexx'; did you mean \"vex\"?",
    ),
    "migration-edited": Expected(
        Risk.NONE,
        error="c558307182, now 486b331c156c); restore it from git and put the change into a new migration",
    ),
    "threshold-unknown": Expected(
        Risk.NONE,
    ),
    "many-at-once": Expected(
        Risk.DATA_LOSS,
        (
            "data-loss: schema `symbols` is dropped with all its tables",
            "data-loss: `vex.vex_raw` is **no longer append-only**: its rows can be updated and deleted from now on",
            "access-widened: `reporter` gains SELECT on all tables of `policy` (as a member of `policy_reader`)",
            "access-widened: `excititor` (through `vex_writer`) gains DELETE, UPDATE on `vex.vex_raw`",
            "access-widened: `vexhub` gains DELETE, UPDATE on `vex.vex_raw`",
            "access-revoked: `risk_engine` loses SELECT on all tables of `policy` (no longer a member of `policy_reader`)",
            "access-revoked: login `symbols` is dropped with all its privileges; its sessions are terminated first",
            "restart: search_path of `risk_engine` changes from `policy` to `pg_catalog` for new connections",
            "additive: login `reporter` is created",
            "access-revoked: user `symbols` is deleted with all its permissions",
            "restart: Valkey restarts once: `maxmemory` from `2gb` to `4gb`; memory limit from `4480Mi` to `8768Mi`",
            "additive: user `reporter` is created with access to `events:*` and `queue:*`",
            "access-widened: `reporter` gains read access to `evidence/`",
            "retention-shortened: `blobs` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `evidence` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `images` keeps noncurrent versions for 30 days instead of 90 days",
            "retention-shortened: `offline-kits` keeps noncurrent versions for 30 days instead of 90 days",
            "additive: access key of `reporter` is created",
            "additive: ConfigMap and Secret of `reporter` are created",
            "restart: the passwords of `concelier` are rotated: it must restart to use the new ones",
            "additive: passwords of `reporter` are created",
        ),
        rules=("evidence-triggers",),
    ),
}


def test_every_case_is_recorded_and_expected() -> None:
    assert set(recording.names()) == set(CASES) == EXPECTED.keys() | {"first"}, (
        "run: python -m tests.tools.review.record"
    )
    assert len(EXPECTED) >= 25


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_preview_has_its_verdict_and_sentences(name: str) -> None:
    found, wanted = replay.verdict(name), EXPECTED[name]
    told = [f"{change.risk.slug}: {change.sentence}" for change in found.changes if change.risk]
    assert sorted(told) == sorted(wanted.sentences)
    assert found.risk == wanted.risk
    assert {violation.rule for violation in found.violations} == set(wanted.rules)
    assert wanted.error in "\n".join(found.preview.errors) and found.failed == bool(wanted.error)
    assert found.blocked == (wanted.risk == Risk.DATA_LOSS or bool(wanted.rules))


@pytest.mark.parametrize("name", recording.names())
def test_every_changed_resource_is_told_and_shown(name: str) -> None:
    found = replay.verdict(name)
    told = {urn for change in found.changes for urn in change.urns}
    quiet = (generic.ENGINE_TYPES, generic.PROVIDER_TYPES, *COMPONENTS)
    silent = [step.name for step in found.preview.changes if step.urn not in told and not step.type.startswith(quiet)]
    assert not silent, f"a reviewer would not hear of {silent}"
    text = comment.write([found], comment.CommentOptions())
    assert size_limit.size(text) <= size_limit.LIMIT and "hunter2" not in text


@pytest.mark.parametrize("name", [name for name, wanted in EXPECTED.items() if wanted.risk == Risk.DATA_LOSS])
def test_a_label_for_each_resource_approves_what_destroys_data(name: str) -> None:
    labels = tuple({label(change) for change in replay.verdict(name).unapproved})
    assert labels and not replay.verdict(name, labels).unapproved
    assert replay.verdict(name, labels[1:]).unapproved, "one label less is not enough"


def test_a_new_stack_is_additive_throughout() -> None:
    found = replay.verdict("first")
    assert found.risk == Risk.ADDITIVE and not found.blocked and found.preview.counts.keys() == {"create"}
    told = {change.sentence for change in found.changes}
    assert {
        "schema `vex` is created with its roles",
        "migration `policy 0003` will run (91 lines, shown below)",
        "bucket `evidence` is created, with object lock",
    } <= told


def test_the_line_of_the_mapping_is_the_one_that_was_edited() -> None:
    found = replay.verdict("read-added")
    change = next(change for change in found.changes if change.risk == Risk.ACCESS_WIDENED)
    line = found.context.origins.line(change.origin) if not isinstance(change.origin, str) else None
    assert (
        line and (found.context.root / replay.MAPPING).read_text().splitlines()[line - 1].strip() == "- vuln.linksets"
    )


def test_protection_that_begins_is_described_without_a_risk() -> None:
    sentences = {change.sentence: change.risk for change in replay.verdict("protected").changes}
    assert sentences["Database `stellaops` is protected against deletion from now on"] == Risk.NONE
    assert not any("no longer" in sentence for sentence in sentences)


def test_what_was_changed_by_hand_is_drift() -> None:
    found = replay.verdict("changed-by-hand")
    assert found.drifted == ["trigger append_only_row on vex.vex_raw is missing"]
    assert "#### Drift" in comment.write([found], comment.CommentOptions())


def test_recordings_hold_nothing_of_the_machine_that_made_them() -> None:
    for name in [*recording.names(), recording.AT_REST]:
        text = (recording.DIRECTORY / f"{name}.json").read_text()
        assert not any(part in text for part in ("/tmp/", "/home/", "/root/", "/work/", "/Users/", "SCRAM-SHA-256")), (
            name
        )
