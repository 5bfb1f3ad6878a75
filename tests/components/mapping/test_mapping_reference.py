"""The mapping has every row of the platform's reference, transcribed here by hand, not read from the mapping."""

from pathlib import Path

import pytest

from components.mapping import Mapping, load
from components.mapping.globs import globs_overlap
from components.mapping.model import Module
from components.mapping.values import KeyPattern

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    return load(ROOT / "schema-mapping.yaml")


MODULES = {
    "Authority", "Gateway", "Router", "Scanner", "Concelier", "Excititor", "VexLens", "VexHub", "IssuerDirectory", "Policy",
    "RiskEngine", "Scheduler", "Notifier", "Orchestrator", "Attestor", "Signer", "SbomService", "EvidenceLocker",
    "ExportCenter", "AirGap", "Registry", "Symbols", "Unknowns", "TimelineIndexer",
}  # fmt: skip
OWNERS = {
    "authority": "Authority", "scanner": "Scanner", "vuln": "Concelier", "vex": "Excititor", "policy": "Policy",
    "scheduler": "Scheduler", "notify": "Notifier", "orchestrator": "Orchestrator", "registry": "Registry",
    "symbols": "Symbols", "unknowns": "Unknowns",
}  # fmt: skip
KEYS = {
    # pattern: (owner, type, ttl)
    "dpop:{jti}": ("Authority", "string", "5m"),
    "scan:{digest}": ("Scanner", "string", "infinite"),
    "layers:{digest}": ("Scanner", "set", "90d"),
    "locator:{imageDigest}": ("Scanner", "string", "30d"),
    "policy:active": ("Policy", "string", "infinite"),
    "policy:history": ("Policy", "list", "infinite"),
    "feed:nvd:json": ("Concelier", "string", "24h"),
    "quota:{token}": (None, "string", "until-utc-midnight"),
    "scheduler:jobs": ("Scheduler", "stream", "none"),
    "notify:delivery": ("Notifier", "stream", "7d"),
    "events:*": ("all", "stream", "7d"),
    "queue:*": ("all", "stream", "none"),
    "metrics:*": ("Telemetry", "various", "none"),
}
STREAMS = {
    "scanner:events": ("Scanner", {"Policy", "Notifier", "TimelineIndexer", "ExportCenter"}, {"scan.submitted", "scan.completed", "scan.failed"}),
    "concelier:drift": ("Concelier", {"Scheduler", "Policy", "Notifier"}, {"advisory.new", "advisory.updated"}),
    "policy:evaluated": ("Policy", {"Notifier", "Findings", "ExportCenter"}, {"evaluation.completed", "verdict.changed"}),
    "scheduler:jobs": ("Scheduler", {"Scanner", "Policy"}, {"run.started", "rescan.triggered"}),
    "notify:delivery": ("Notifier", {"Audit", "TimelineIndexer"}, {"notification.sent", "notification.failed"}),
}  # fmt: skip
LAYOUT = {
    "blobs": {"sbom.json", "sbom.meta.json", "sbom.cdx.pb", "attestation.dsse", "evidence.bundle"},
    "images": {"inventory.cdx.json", "inventory.cdx.pb", "usage.cdx.json", "usage.cdx.pb", "call-graph.json", "reachability.json"},
    "evidence": {"manifest.json", "manifest.dsse", "sboms/", "attestations/", "proofs/"},
    "offline-kits": {"feeds/", "images/", "signatures/", "trust-roots/", "manifest.json"},
}  # fmt: skip
PATHS = {
    "Scanner": {("blobs", ""), ("images", "")},
    "SbomService": {("blobs", ""), ("images", "")},
    "Attestor": {("blobs", "*/attestation.dsse")},
    "EvidenceLocker": {("evidence", "")},
    "ExportCenter": {("evidence", ""), ("offline-kits", "")},
    "AirGap": {("offline-kits", "")},
}
GROUP_ROLES = {
    "VexLens": {"vex_reader"}, "VexHub": {"vex_reader"}, "RiskEngine": {"policy_reader"}, "SbomService": {"scanner_reader"},
    "TimelineIndexer": {"scanner_writer"},
}  # fmt: skip


def by_name(mapping: Mapping, name: str) -> str:
    return next(key for key, user in mapping.users.items() if user.name == name)


def test_all_24_modules_are_there_and_no_other(mapping: Mapping) -> None:
    assert {module.name for module in mapping.modules.values()} == MODULES


def test_each_of_the_11_schemas_has_the_owner_of_the_reference(mapping: Mapping) -> None:
    assert {name: mapping.modules[schema.owner or ""].name for name, schema in mapping.access.schemas.items()} == OWNERS


def test_each_of_the_13_key_patterns_has_type_ttl_and_owner_of_the_reference(mapping: Mapping) -> None:
    for pattern, (owner, kind, ttl) in KEYS.items():
        key = mapping.valkey.keys[KeyPattern(pattern)]
        assert (key.type, str(key.ttl)) == (kind, ttl), (
            f"{pattern} would be kept as something else than its readers expect"
        )
        if owner == "all":
            assert key.shared == "all", f"{pattern} must be open to every module"
        elif owner is not None:
            assert pattern in mapping.users[by_name(mapping, owner)].valkey.owns, (
                f"{owner} could not use its own {pattern}"
            )


def test_each_stream_has_producers_consumers_and_events_of_the_reference(mapping: Mapping) -> None:
    for name, (producer, consumers, events) in STREAMS.items():
        stream = mapping.valkey.streams[KeyPattern(name)]
        assert [mapping.users[user].name for user in stream.producers] == [producer], name
        assert {mapping.users[user].name for user in stream.consumers} == consumers, name
        assert set(stream.events) == events, name


def test_the_two_named_consumer_groups_have_their_idle_timeouts(mapping: Mapping) -> None:
    groups = {(str(group.stream), group.name): str(group.idle_timeout) for group in mapping.access.stream_groups}
    assert groups["scanner:jobs", "scanner-workers"] == "60s"
    assert groups["notify:delivery", "notify-workers"] == "30s"


def test_the_memory_policy_is_the_references(mapping: Mapping) -> None:
    memory = mapping.valkey.memory
    assert (str(memory.maxmemory), memory.maxmemory_policy) == ("2gb", "volatile-lru")
    assert (memory.stream_node_max_bytes, memory.stream_node_max_entries) == (4096, 100)


def test_each_bucket_has_every_object_of_the_reference(mapping: Mapping) -> None:
    assert {bucket: set(definition.objects) for bucket, definition in mapping.rustfs.buckets.items()} == LAYOUT


def test_the_six_content_types_are_the_references(mapping: Mapping) -> None:
    assert {extension: kind.type for extension, kind in mapping.rustfs.content_types.items()} == {
        ".json": "application/json",
        ".cdx.json": "application/vnd.cyclonedx+json",
        ".cdx.pb": "application/vnd.cyclonedx+protobuf",
        ".spdx.json": "application/spdx+json",
        ".dsse": "application/vnd.dsse+json",
        ".bundle": "application/zip",
    }


def test_each_module_reaches_the_paths_of_the_reference_and_no_other(mapping: Mapping) -> None:
    for key, module in mapping.modules.items():
        paths = {(access.bucket, access.prefix) for access in mapping.access.objects[key]}
        assert paths == PATHS.get(module.name, set()), f"{module.name} has other paths than the reference gives it"


def test_modules_that_share_a_schema_get_the_group_that_their_verb_needs(mapping: Mapping) -> None:
    for key, module in mapping.modules.items():
        expected = GROUP_ROLES.get(module.name, set()) | {
            f"{schema}_writer" for schema, owner in OWNERS.items() if owner == module.name
        }
        assert {role.name for role in mapping.access.logins[key].member_of} == expected, (
            f"{module.name} would see more or less than the reference says"
        )


def test_modules_that_use_single_tables_get_only_those(mapping: Mapping) -> None:
    def tables(name: str) -> set[str]:
        return {f"{grant.schema}.{grant.table}" for grant in mapping.access.logins[by_name(mapping, name)].grants}

    assert tables("IssuerDirectory") == {"vex.issuer_trust"}
    assert all(table.startswith("scanner.") for table in tables("Attestor")) and tables("Attestor")
    assert all(table.startswith("authority.") for table in tables("Signer")) and tables("Signer")


def test_stateless_modules_have_no_schema_no_key_of_their_own_and_no_bucket(mapping: Mapping) -> None:
    gateway: Module = mapping.modules["gateway"]
    login = mapping.access.logins["gateway"]
    assert not login.member_of and not login.grants
    assert {access.pattern for access in mapping.access.keys["gateway"]} == {"events:*", "queue:*"}
    assert gateway.rustfs.writes == ()


def test_backups_keep_as_long_as_the_reference_says(mapping: Mapping) -> None:
    backups = mapping.backups
    assert [str(item.retention) for item in (backups.postgres, backups.valkey, backups.rustfs)] == ["30d", "7d", "90d"]


def test_the_envelope_has_the_seven_fields_of_the_reference(mapping: Mapping) -> None:
    assert set(mapping.rustfs.envelope.fields) == {
        "id",
        "imageDigest",
        "created",
        "format",
        "layers",
        "partial",
        "provenanceId",
    }


def test_data_flows_are_the_references(mapping: Mapping) -> None:
    flows = {(flow.source, flow.module or flow.postgres or flow.rustfs) for flow in mapping.data_flows}
    assert {
        ("scanner", "sbom_service"),
        ("sbom_service", "policy"),
        ("policy", "notifier"),
        ("concelier", "policy"),
    } < flows
    assert {("excititor", "policy"), ("scanner", "scanner"), ("sbom_service", "blobs/"), ("notifier", "notify")} < flows


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [("a:*", "a:b", True), ("a:*:c", "a:b:*", True), ("a:b", "a:c", False), ("a:*:c", "a:*:d", False), ("*", "", True)],
)
def test_patterns_overlap_exactly_when_one_key_matches_both(first: str, second: str, overlap: bool) -> None:
    assert globs_overlap(first, second) is overlap
    assert globs_overlap(second, first) is overlap
