"""Broken mappings: each gives located errors in words, never a traceback."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from components.mapping import MappingError, load, loads

SOURCE = (Path(__file__).parents[3] / "schema-mapping.yaml").read_text()
LOCATED = re.compile(r"schema-mapping\.yaml:\d+:\d+(?: \S.*)?: \S")

Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    """Replace the first occurrence of ``old``, which must be there."""

    def edit(text: str) -> str:
        assert old in text, f"the mapping no longer has {old!r}; this test must break something else"
        return text.replace(old, new, 1)

    return edit


def append(extra: str) -> Edit:
    return lambda text: text + extra


def whole(text: str) -> Edit:
    return lambda _: text


BROKEN: dict[str, tuple[Edit, str, str]] = {
    "estimate of no pattern": (
        swap('"quota:{token}": {keys', '"quotas:{token}": {keys'),
        'valkey.estimates["quotas:{token}"]',
        'did you mean "quota:{token}"?',
    ),
    "estimate of a set without members": (
        swap("{keys: 10000, members: 20, bytes: 71}", "{keys: 10000, bytes: 71}"),
        'valkey.estimates["layers:{digest}"]',
        "its estimate needs members",
    ),
    "estimate of a string with entries a day": (
        swap("{keys: 20000, bytes: 16384}", "{keys: 20000, entries_per_day: 1, bytes: 16384}"),
        'valkey.estimates["scan:{digest}"]',
        "its estimate must not have entries_per_day",
    ),
    # name: (edit, path in the error, words in the error)
    "unknown schema": (
        swap("reads: [vex]", "reads: [vexx]"),
        "modules.vexlens.postgres.reads[0]",
        'did you mean "vex"?',
    ),
    "unknown table": (
        swap("vex.issuer_trust]", "vex.issuer_thrust]"),
        "modules.issuer_directory.postgres.reads[0]",
        'did you mean "issuer_trust"?',
    ),
    "unknown column": (
        swap("authority.clients(client_id,", "authority.clients(client_idd,"),
        "modules.signer.postgres.reads[0]",
        'did you mean "client_id"?',
    ),
    "nothing that the digest is of": (
        swap("SBOM payload (any format), addressed: true", "SBOM payload (any format)"),
        "rustfs.buckets.blobs.objects",
        "content_addressed: true needs exactly one object with addressed: true",
    ),
    "a digest where keys have none": (
        swap("Inventory SBOM}", "Inventory SBOM, addressed: true}"),
        "rustfs.buckets.images.objects",
        "content_addressed: false must not have an object with addressed: true",
    ),
    "a prefix kept longer than the bucket": (
        swap(
            "      purpose: Kits for closed",
            "      noncurrent_versions: {kit-1/: 120d}\n      purpose: Kits for closed",
        ),
        'rustfs.buckets["offline-kits"].noncurrent_versions["kit-1/"]',
        "must be shorter than backups.rustfs.retention (90d)",
    ),
    "a lock without days": (
        swap("object_lock: {retention: 90d}", "object_lock: {retention: 36h}"),
        "rustfs.buckets.evidence.object_lock.retention",
        "whole days",
    ),
    "unknown consumer": (
        swap("consumers: [scheduler, policy, notifier]", "consumers: [schedular, policy, notifier]"),
        'valkey.streams["concelier:drift"].consumers[0]',
        'did you mean "scheduler"?',
    ),
    "unknown producer": (
        swap("producers: [concelier]", "producers: [conselier]"),
        'valkey.streams["concelier:drift"].producers[0]',
        'did you mean "concelier"?',
    ),
    "unknown group consumer": (
        swap("{consumer: notifier, idle_timeout: 30s}", "{consumer: notifyer, idle_timeout: 30s}"),
        'valkey.streams["notify:delivery"].groups["notify-workers"].consumer',
        'did you mean "notifier"?',
    ),
    "two owners of a schema": (
        swap("owns: [symbols]", "owns: [symbols, registry]"),
        "modules.symbols.postgres.owns[1]",
        "two owners: registry and symbols",
    ),
    "schema without owner": (swap("owns: [unknowns]", "owns: []"), "postgres.schemas.unknowns", "has no owner"),
    "nothing says whose rows they are": (
        swap("          tenant: {via: rule_id, parent: rules}\n", ""),
        "postgres.schemas.notify.tables.delivery_log",
        "assign its rows to tenants with tenant: {via: COLUMN, parent: TABLE} or tenant: {shared: REASON}",
    ),
    "tenant said twice": (
        swap("purpose: Scans through their lifecycle", "purpose: Scans\n          tenant: {shared: all}"),
        "postgres.schemas.scanner.tables.scans.tenant",
        "remove tenant",
    ),
    "tenant of another type": (
        swap("            tenant_id: uuid\n", "            tenant_id: text\n"),
        "postgres.schemas.authority.tables.clients.columns.tenant_id",
        "must be uuid",
    ),
    "tenant both shared and through a parent": (
        swap("{via: rule_id, parent: rules}", "{via: rule_id, parent: rules, shared: all}"),
        "postgres.schemas.notify.tables.delivery_log.tenant",
        "write either via with parent, or shared with the reason",
    ),
    "tenant through a column that is not there": (
        swap("{via: rule_id, parent: rules}", "{via: rule_idd, parent: rules}"),
        "postgres.schemas.notify.tables.delivery_log.tenant.via",
        'did you mean "rule_id"?',
    ),
    "tenant through a table that is not there": (
        swap("{via: rule_id, parent: rules}", "{via: rule_id, parent: rulez}"),
        "postgres.schemas.notify.tables.delivery_log.tenant.parent",
        'did you mean "rules"?',
    ),
    "tenant through a table that has none": (
        swap("{via: rule_id, parent: rules}", "{via: rule_id, parent: templates}"),
        "postgres.schemas.notify.tables.delivery_log.tenant.parent",
        "notify.templates has no column rule_id and no tenant_id",
    ),
    "a reader who may not read what tells the tenant": (
        swap("reads: [scanner.scans, scanner.artifacts, scanner.scan_artifacts]", "reads: [scanner.artifacts]"),
        "modules.attestor.postgres",
        "add scanner.scans(scan_id, tenant_id) to its reads",
    ),
    "a bypass of nothing": (
        swap(
            "    purpose: Stateless entry point of the platform\n",
            "    purpose: x\n    postgres: {bypass_tenant_isolation: just because}\n",
        ),
        "modules.gateway.postgres.bypass_tenant_isolation",
        "uses no schema",
    ),
    "two owners of a key": (
        swap('owns: ["orchestrator:*"]', 'owns: ["orchestrator:*", "dpop:{jti}"]'),
        "modules.orchestrator.valkey.owns[1]",
        "two owners: authority and orchestrator",
    ),
    "key without owner": (swap('owns: ["metrics:*"]', "owns: []"), 'valkey.keys["metrics:*"]', "has no owner"),
    "unknown key": (
        swap('owns: ["dpop:{jti}"]', 'owns: ["dpop:{jto}"]'),
        "modules.authority.valkey.owns[0]",
        "no key pattern",
    ),
    "overlapping keys": (
        swap(
            '"policy:active": {',
            '"feed:{source}:{format}": {type: string, ttl: 1h, evictable: true, purpose: x}\n    "policy:active": {',
        ),
        'valkey.keys["feed:nvd:json"]',
        "overlaps",
    ),
    "bad TTL": (swap("ttl: 5m,", "ttl: 5 minutes,"), 'valkey.keys["dpop:{jti}"].ttl', "is not a TTL"),
    "zero TTL": (swap("ttl: 5m,", "ttl: 0m,"), 'valkey.keys["dpop:{jti}"].ttl', "is not a TTL"),
    "TTL that is a number": (swap("ttl: 5m,", "ttl: 300,"), 'valkey.keys["dpop:{jti}"].ttl', "must be text"),
    "evictable without TTL": (
        swap("ttl: infinite, evictable: false", "ttl: infinite, evictable: true"),
        'valkey.keys["scan:{digest}"]',
        "write evictable: false",
    ),
    "unknown key type": (
        swap("{type: set,", "{type: sett,"),
        'valkey.keys["layers:{digest}"].type',
        'did you mean "set"?',
    ),
    "stream that is no stream": (
        swap('"scheduler:jobs": {type: stream, ttl: none,', '"scheduler:jobs": {type: list, ttl: infinite,'),
        'valkey.streams["scheduler:jobs"]',
        "must have type: stream",
    ),
    "stream without key row": (
        swap('    "scanner:jobs": {type: stream, ttl: none, evictable: false, purpose: Scan job queue}\n', ""),
        'valkey.streams["scanner:jobs"]',
        "no entry under valkey.keys",
    ),
    "unknown memory policy": (
        swap("maxmemory_policy: volatile-lru", "maxmemory_policy: volatile-lruu"),
        "valkey.memory.maxmemory_policy",
        'did you mean "volatile-lru"?',
    ),
    "bad memory size": (swap("maxmemory: 2gb", "maxmemory: two"), "valkey.memory.maxmemory", "is not a size"),
    "overlapping prefix": (
        swap("owns: [evidence/]", "owns: [evidence/, blobs/aa]"),
        "modules.evidence_locker.rustfs.owns[1]",
        "overlaps 'blobs/' of scanner",
    ),
    "unknown bucket": (
        swap("owns: [offline-kits/]", "owns: [offline-kit/]"),
        "modules.export_center.rustfs.owns[0]",
        'did you mean "offline-kits"?',
    ),
    "object without content type": (
        swap("sbom.cdx.pb: {", "sbom.xml: {"),
        'rustfs.buckets.blobs.objects["sbom.xml"]',
        "has no content type",
    ),
    "bucket name that S3 refuses": (
        swap("    offline-kits:\n", "    Offline_Kits:\n"),
        "rustfs.buckets.Offline_Kits",
        "lower-case",
    ),
    "retention in hours": (
        swap(
            "rustfs: {strategy: [object-versioning], retention: 90d}",
            "rustfs: {strategy: [object-versioning], retention: 90h}",
        ),
        "backups.rustfs.retention",
        "whole days",
    ),
    "wrong type": (
        swap("rustfs:\n      owns: [blobs/, images/]", "rustfs: blobs/"),
        "modules.scanner.rustfs",
        "must be a mapping",
    ),
    "list for text": (swap("name: Scanner", "name: [Scanner]"), "modules.scanner.name", "must be text, not a list"),
    "text for list": (
        swap("owns: [evidence/]", "owns: evidence/"),
        "modules.evidence_locker.rustfs.owns",
        "must be a list",
    ),
    "unknown key name": (
        swap("purpose: Scores findings", "purpse: Scores findings"),
        "modules.risk_engine.purpse",
        'did you mean "purpose"?',
    ),
    "missing key name": (swap("    name: Gateway\n", ""), "modules.gateway", "'name' is missing"),
    "missing part": (swap("backups:\n", "backup:\n"), "backup", 'did you mean "backups"?'),
    "hostile module name": (
        swap("  gateway:\n", "  'gate\"; DROP ROLE scanner; --':\n"),
        "modules",
        "must be lower-case letters",
    ),
    "module name of 64 letters": (swap("  gateway:\n", f"  {'g' * 64}:\n"), "modules", "at most 63"),
    "reserved module name": (swap("  gateway:\n", "  postgres:\n"), "modules.postgres", "reserved name"),
    "module named as a group role": (swap("  gateway:\n", "  vex_reader:\n"), "modules.vex_reader", "group role"),
    "service named as a module": (swap("  findings:\n", "  scanner:\n"), "services.scanner", "is already a module"),
    "redundant access": (
        swap("owns: [registry]", "owns: [registry]\n      reads: [registry.tokens]"),
        "modules.registry.postgres.reads[0]",
        "already covered",
    ),
    "writing columns of an append-only table": (
        swap("writes: [vex.vex_raw]", "writes: ['vex.vex_raw(status)']"),
        "modules.vexhub.postgres.writes[0]",
        "its rows never change",
    ),
    "a table that is written and read": (
        swap("writes: [vex.vex_raw]\n      reads: [vex]", "writes: [vex.vex_raw]\n      reads: [vex.vex_raw(status)]"),
        "modules.vexhub.postgres.reads[0]",
        "already covered",
    ),
    "a table twice": (
        swap("reads: [vex.issuer_trust]", "reads: [vex.issuer_trust, vex.issuer_trust]"),
        "modules.issuer_directory.postgres.reads[1]",
        "already covered",
    ),
    "a column twice": (
        swap("reads: [vex.issuer_trust]", "reads: ['vex.issuer_trust(priority, priority)']"),
        "modules.issuer_directory.postgres.reads[0]",
        "more than once",
    ),
    "a consumer twice": (
        swap("consumers: [audit, timeline_indexer]", "consumers: [audit, timeline_indexer, audit]"),
        'valkey.streams["notify:delivery"].consumers[2]',
        "is already in the list",
    ),
    "a path with a placeholder": (
        swap("reads: [evidence/]", "reads: ['evidence/{bundleId}/']"),
        "modules.export_center.rustfs.reads[0]",
        "write * to match any text in its place",
    ),
    "a placeholder twice": (
        swap('root: "{kitId}/"', 'root: "{kitId}/{kitId}/"'),
        'rustfs.buckets["offline-kits"].objects["manifest.json"]',
        "uses a placeholder twice",
    ),
    "a root that is no folder": (
        swap('root: "{kitId}/"', 'root: "{kitId}"'),
        'rustfs.buckets["offline-kits"].root',
        "must end in /",
    ),
    "a timeout longer than PostgreSQL's": (
        swap("statement_timeout: 60s", "statement_timeout: 25d"),
        "postgres.defaults.statement_timeout",
        "longer than PostgreSQL's longest timeout",
    ),
    "a retention of centuries": (
        swap("object_lock: {retention: 90d}", "object_lock: {retention: 999999d}"),
        "rustfs.buckets.evidence.object_lock.retention",
        "longer than 10000d",
    ),
    "no type": (swap("client_id: uuid\n", "client_id: uuid; --\n"), "columns.client_id", "is not a PostgreSQL type"),
    "the stack's own table": (
        swap("        symbols:\n          purpose", "        schema_migrations:\n          purpose"),
        "postgres.schemas.symbols.tables.schema_migrations",
        "reserved name",
    ),
    "the stack's own bucket": (
        swap("    offline-kits:\n", "    backups:\n"),
        "rustfs.buckets.backups",
        "reserved name",
    ),
    "a name that Kubernetes refuses": (swap("  gateway:\n", "  gateway_:\n"), "modules.gateway_", "ends in _"),
    "a number without end": (swap("version: 1\n", f"version: 0x{'f' * 5000}\n"), "version", "number is too large"),
    "a tag": (swap("version: 1\n", "version: !!python/name:os.system x\n"), "", "tags are not supported"),
    "unknown module in a data flow": (
        swap("{source: excititor, postgres: vex}", "{source: excitor, postgres: vex}"),
        "data_flows",
        "excititor",
    ),
    "data flow with two ends": (
        swap("{source: scanner, postgres: scanner}", "{source: scanner, postgres: scanner, module: policy}"),
        "data_flows[5]",
        "exactly one",
    ),
    "duplicate key": (append("version: 1\n"), "version", "duplicate key; the first is on line"),
    "bad YAML": (append("broken: [1, 2\n"), "", "is not valid YAML"),
    "tab for indentation": (append("\tx: 1\n"), "", "is not valid YAML"),
    "alias": (whole("a: &a [1]\nb: *a\n"), "", "aliases are not supported"),
    "nesting without end": (whole("[" * 500), "", "nested deeper"),
    "empty file": (whole(""), "", "is empty"),
    "not a mapping": (whole("- 1\n"), "", "must be a mapping"),
    "control character": (append("x: \x07\n"), "", "a character that YAML does not allow"),
    "key that is not text": (append("1: x\n"), "", "is not text"),
    "a type with a typo": (
        swap("created_at: timestamptz", "created_at: timestmptz"),
        "postgres.schemas.",
        "unknown type 'timestmptz'; did you mean \"timestamptz\"?",
    ),
    "a type of another database": (
        swap("created_at: timestamptz", "created_at: string"),
        "postgres.schemas.",
        "unknown type 'string'; did you mean \"text\"?",
    ),
    "a type of an extension that is not listed": (
        swap("created_at: timestamptz", "created_at: citext"),
        "postgres.schemas.",
        "unknown type 'citext'; add citext to postgres.extensions",
    ),
    "a type of an extension by its schema, without the extension": (
        swap("created_at: timestamptz", "created_at: extensions.citext"),
        "postgres.schemas.",
        "unknown type 'extensions.citext'; add citext to postgres.extensions",
    ),
    "a serial": (
        swap("created_at: timestamptz", "created_at: bigserial"),
        "postgres.schemas.",
        "not a type but shorthand for a sequence and a default; write bigint",
    ),
    "a type of another schema": (
        swap("created_at: timestamptz", "created_at: other.mood"),
        "postgres.schemas.",
        "is a type of schema other",
    ),
    "an extension twice": (
        swap("  schemas:\n", "  extensions: [citext, citext]\n  schemas:\n"),
        "postgres.extensions[1]",
        "is already in the list",
    ),
    "an extension that is always there": (
        swap("  schemas:\n", "  extensions: [plpgsql]\n  schemas:\n"),
        "postgres.extensions[0]",
        "plpgsql is installed in every database",
    ),
    "impossible date": (append("when: 2024-13-45\n"), "when", ""),
    "other version": (swap("version: 1\n", "version: 2\n"), "version", "is not one of 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mapping_gives_located_errors(name: str) -> None:
    edit, path, words = BROKEN[name]
    with pytest.raises(MappingError) as caught:
        loads(edit(SOURCE).encode(), "schema-mapping.yaml")
    lines = str(caught.value).splitlines()
    assert all(LOCATED.match(line) for line in lines), (
        f"an error without its place leaves the author searching: {lines}"
    )
    assert any(path in line and words in line for line in lines), f"no error names {path!r} and says {words!r}: {lines}"


MISLEADING = {
    "010": "8", "0x1F": "31", "0b11": "3", "1_0": "10", "+7": "7", "1:30": "90", "-0": "0", "00": "0", "yes": "true", "No": "false",
    "on": "true", "OFF": "false", "True": "true", "Null": "null", "NULL": "null",
    "1_0.5": "float", "1:30.5": "float", ".inf": "float", ".NaN": "float", "1.": "float", "2026-11-27": "timestamp",
}  # fmt: skip


@pytest.mark.parametrize("spelling", MISLEADING)
@pytest.mark.parametrize(
    "value",
    [
        "connection_limit: 40",
        "purpose: Content-addressed SBOMs, attestations and evidence packages",
        "abort_multipart_after: 1d",
    ],
    ids=["number", "text", "duration"],
)
def test_a_value_that_yaml_reads_as_another_is_refused_with_the_plain_spelling(spelling: str, value: str) -> None:
    edited = swap(value, f"{value.partition(':')[0]}: {spelling}")(SOURCE)
    with pytest.raises(MappingError) as caught:
        loads(edited.encode(), "schema-mapping.yaml")
    text = str(caught.value)
    assert LOCATED.match(text) and f"{spelling} is read as {MISLEADING[spelling]}" in text, text


@pytest.mark.parametrize("spelling", ["on", "yes", "1", "1:30", "~", "2026-11-27", "0x1F"])
def test_a_key_that_is_not_text_is_refused(spelling: str) -> None:
    with pytest.raises(MappingError, match="is not text; put it in quotes"):
        loads(SOURCE.replace("  vexlens:", f"  {spelling}:", 1).encode(), "schema-mapping.yaml")


@pytest.mark.parametrize("value", ["true", "1.0", "'1'"])
def test_a_version_that_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(MappingError, match=f"version: must be a whole number, not {value}"):
        loads(SOURCE.replace("version: 1", f"version: {value}", 1).encode(), "schema-mapping.yaml")


def test_the_place_is_the_line_and_column_of_the_wrong_value() -> None:
    broken = SOURCE.replace("reads: [vex]", "reads: [vex, vexlen]", 1)
    line = next(number for number, text in enumerate(broken.splitlines(), 1) if "vexlen]" in text)
    column = broken.splitlines()[line - 1].index("vexlen]") + 1
    with pytest.raises(MappingError) as caught:
        loads(broken.encode(), "schema-mapping.yaml")
    assert str(caught.value).startswith(f"schema-mapping.yaml:{line}:{column} modules.vexlens.postgres.reads[1]: ")


def test_all_errors_are_reported_at_once() -> None:
    broken = (
        SOURCE.replace("ttl: 5m", "ttl: 5x", 1)
        .replace("name: Router", "name: 5", 1)
        .replace("maxmemory: 2gb", "maxmemory: x", 1)
    )
    with pytest.raises(MappingError) as caught:
        loads(broken.encode(), "schema-mapping.yaml")
    assert len(caught.value.problems) == 3, f"the author should not need a second run: {caught.value}"


def test_a_mapping_that_is_not_utf8_names_the_line() -> None:
    with pytest.raises(MappingError, match=r"schema-mapping\.yaml:2:1: is not UTF-8"):
        loads(b"version: 1\n\xff\xfe: 1\n", "schema-mapping.yaml")


def test_a_mapping_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read: No such file or directory"):
        load(tmp_path / "schema-mapping.yaml")
