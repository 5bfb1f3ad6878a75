"""What is changed for each recorded preview: the mapping, the migrations, the stack's config, or a store by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Edit = Callable[[dict[str, Any]], None]
Files = Callable[[Path], None]


def _nothing(_: Any) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """``mapping`` changes the mapping's data, ``files`` the files below the project, ``config`` settings of the stack;
    ``sql`` is run in the database by hand and found by a refresh. ``plain`` is the form without events, ``new`` a
    stack without any resource, ``base`` the settings that the stack was brought up with."""

    mapping: Edit = _nothing
    files: Files = _nothing
    config: dict[str, Any] = field(default_factory=dict)
    sql: str = ""
    plain: bool = False
    new: bool = False
    base: str = "local"


# A stack can only lose what it has: what is kept, or kept apart, is brought up so before it is taken away.
_GUARDED = {"dropSchemas": "", "allowDataLoss": False, "postgres:tenantIsolation": "row-level-security"}
BASES: dict[str, dict[str, Any]] = {"local": {}, "guarded": _GUARDED, "protected": {**_GUARDED, "protect": True}}


def _migration(schema: str, name: str, body: str) -> Files:
    def write(project: Path) -> None:
        directory = project / "sql" / schema
        number = len([path for path in directory.iterdir() if path.name.endswith(".sql.j2")]) + 1
        (directory / f"{number:04}_{name}.sql.j2").write_text(body)

    return write


def _edited_migration(project: Path) -> None:
    path = project / "sql" / "vex" / "0001_tables.sql.j2"
    path.write_text(path.read_text() + "\nCREATE TABLE {{ schema }}.late (id uuid);\n")


def _both(*edits: Edit) -> Edit:
    def edit(mapping: dict[str, Any]) -> None:
        for one in edits:
            one(mapping)

    return edit


def _drop_schema(m: dict[str, Any]) -> None:
    del m["modules"]["symbols"], m["postgres"]["schemas"]["symbols"]


def _new_module(m: dict[str, Any]) -> None:
    m["modules"]["reporter"] = {
        "name": "Reporter", "purpose": "Reports", "postgres": {"reads": ["policy"]}, "rustfs": {"reads": ["evidence/"]},
    }  # fmt: skip


def _new_schema(m: dict[str, Any]) -> None:
    m["modules"]["reporter"] = {"name": "Reporter", "purpose": "Reports", "postgres": {"owns": ["reports"]}}
    columns = {"report_id": "uuid", "tenant_id": "uuid", "created_at": "timestamptz"}
    m["postgres"]["schemas"]["reports"] = {
        "purpose": "Reports",
        "tables": {"reports": {"purpose": "Reports", "columns": columns}},
    }


def _reports(project: Path) -> None:
    (project / "sql" / "reports").mkdir()
    _migration(
        "reports",
        "tables",
        "CREATE TABLE {{ schema }}.reports (\n  report_id uuid PRIMARY KEY,\n  tenant_id uuid,\n  created_at timestamptz\n);\n",
    )(project)


def _new_table(m: dict[str, Any]) -> None:
    columns = {"lock_id": "uuid", "tenant_id": "uuid", "created_at": "timestamptz"}
    m["postgres"]["schemas"]["scheduler"]["tables"]["locks"] = {"purpose": "Who runs what", "columns": columns}


def _remove_stream(m: dict[str, Any]) -> None:
    for part in ("streams", "keys", "estimates"):
        del m["valkey"][part]["policy:evaluated"]
    m["modules"]["policy"]["valkey"]["owns"].remove("policy:evaluated")


def _new_bucket(m: dict[str, Any]) -> None:
    m["rustfs"]["buckets"]["reports"] = {
        "purpose": "Reports",
        "root": "{reportId}/",
        "objects": {"report.json": {"purpose": "A report"}},
    }
    m["modules"]["export_center"]["rustfs"]["owns"].append("reports/")


def _remove_bucket(m: dict[str, Any]) -> None:
    del m["rustfs"]["buckets"]["offline-kits"]
    m["modules"]["export_center"]["rustfs"]["owns"].remove("offline-kits/")
    m["modules"]["airgap"]["rustfs"]["writes"].remove("offline-kits/")
    m["data_flows"] = [flow for flow in m["data_flows"] if not str(flow.get("rustfs", "")).startswith("offline-kits")]


def _no_bypass(m: dict[str, Any]) -> None:
    indexer = m["modules"]["timeline_indexer"]["postgres"]
    del indexer["bypass_tenant_isolation"]
    indexer.setdefault("reads", []).append("notify.rules(rule_id, tenant_id)")


def _move_objects(m: dict[str, Any]) -> None:
    m["modules"]["attestor"]["rustfs"] = {"reads": ["evidence/"]}


def _set(*path: str, value: Any) -> Edit:
    def edit(mapping: dict[str, Any]) -> None:
        holder = mapping
        for part in path[:-1]:
            holder = holder.setdefault(part, {})
        holder[path[-1]] = value

    return edit


def _remove(*path: str) -> Edit:
    def edit(mapping: dict[str, Any]) -> None:
        holder = mapping
        for part in path[:-1]:
            holder = holder[part]
        del holder[path[-1]]

    return edit


_VEX_RAW = ("postgres", "schemas", "vex", "tables", "vex_raw", "append_only")
_SLOWER_GROUP = ("valkey", "streams", "scanner:events", "consumers")

CASES: dict[str, Case] = {
    "first": Case(new=True),
    "unchanged": Case(),
    "unchanged-plain": Case(plain=True),
    "read-added": Case(lambda m: m["modules"]["vexlens"]["postgres"]["reads"].append("vuln.linksets")),
    "read-added-plain": Case(lambda m: m["modules"]["vexlens"]["postgres"]["reads"].append("vuln.linksets"), plain=True),
    "read-removed": Case(_set("modules", "risk_engine", "postgres", "reads", value=[])),
    "read-of-schema-added": Case(_set("modules", "airgap", "postgres", value={"reads": ["scanner"]})),
    "column-read-widened": Case(
        _set("modules", "signer", "postgres", "reads", value=[
            "authority.clients(client_id, tenant_id, name, client_type, scopes, redirect_uris)", "authority.keys",
        ])
    ),
    "write-added": Case(lambda m: m["modules"]["vexhub"]["postgres"]["writes"].append("vex.consensus")),
    "module-added": Case(_new_module),
    "module-removed": Case(_remove("modules", "vexlens")),
    "schema-added": Case(_new_schema, files=_reports),
    "schema-removed": Case(_drop_schema),
    "schema-kept": Case(_drop_schema, base="guarded"),
    "schema-named": Case(config={"dropSchemas": "symbols"}, base="guarded"),
    "schema-named-too-late": Case(_drop_schema, config={"dropSchemas": "symbols"}, base="guarded"),
    "schemas-no-longer-named": Case(config={"dropSchemas": ""}),
    "tenants-kept-apart": Case(config={"postgres:tenantIsolation": "row-level-security"}),
    "tenants-no-longer-kept-apart": Case(config={"postgres:tenantIsolation": "off"}, base="guarded"),
    "bypass-added": Case(_set("modules", "notifier", "postgres", "bypass_tenant_isolation", value="sends for all tenants"), base="guarded"),
    "bypass-removed": Case(_no_bypass, base="guarded"),
    "table-added": Case(_new_table, files=_migration("scheduler", "locks", "CREATE TABLE {{ schema }}.locks (\n  lock_id uuid PRIMARY KEY,\n  tenant_id uuid,\n  created_at timestamptz\n);\n")),
    "migration-added": Case(files=_migration("scheduler", "run_state", "CREATE INDEX runs_state ON {{ schema }}.runs (state);\n")),
    "migration-drops-column": Case(_remove("postgres", "schemas", "scheduler", "tables", "runs", "columns", "error"), files=_migration("scheduler", "no_error", "-- nobody reads it\nALTER TABLE {{ schema }}.runs\n  DROP COLUMN error;\n")),
    "append-only-removed": Case(_remove(*_VEX_RAW)),
    "append-only-added": Case(_set("postgres", "schemas", "vuln", "tables", "linksets", "append_only", value="evidence")),
    "limits-lowered": Case(_set("modules", "scanner", "postgres", "connection_limit", value=5)),
    "retention-shortened": Case(_set("backups", "rustfs", "retention", value="30d")),
    "retention-lengthened": Case(_set("backups", "rustfs", "retention", value="180d")),
    "uploads-kept-longer": Case(_set("rustfs", "abort_multipart_after", value="3d")),
    "memory-raised": Case(_set("valkey", "memory", "maxmemory", value="4gb")),
    "memory-lowered": Case(_set("valkey", "memory", "maxmemory", value="1gb")),
    "stream-nodes-larger": Case(_set("valkey", "memory", "stream_node_max_entries", value=200)),
    "no-append-only-file": Case(_set("backups", "valkey", "strategy", value=["rdb-snapshot"])),
    "replicas-added": Case(config={"valkeyReplicas": 2}),
    "tls-on": Case(config={"valkeyTls": True}),
    "image-raised": Case(config={"valkeyImage": "valkey/valkey:8.1.9"}),
    "exporter-added": Case(config={"valkeyExporter": True, "valkeyServiceMonitor": True}),
    "namespaces-named": Case(config={"moduleNamespaces": "scanner,policy"}),
    "node-passwords-renewed": Case(config={"valkeyRotate": 2}),
    "trimmed-at-another-time": Case(config={"valkeyTrimSchedule": "17 4 * * *"}),
    "ttl-shortened": Case(_set("valkey", "keys", "locator:{imageDigest}", "ttl", value="7d")),
    "stream-trimmed-earlier": Case(_set("valkey", "keys", "notify:delivery", "ttl", value="1d")),
    "key-read-added": Case(_set("modules", "policy", "valkey", "reads", value=["scan:{digest}"])),
    "key-write-removed": Case(lambda m: m["valkey"]["streams"]["concelier:drift"]["consumers"].remove("scheduler")),
    "consumer-added": Case(lambda m: m["valkey"]["streams"]["scheduler:jobs"]["consumers"].append("notifier")),
    "stream-removed": Case(_remove_stream),
    "stream-removed-guarded": Case(_remove_stream, base="guarded"),
    "password-renewed": Case(_set("modules", "concelier", "rotate", value=2)),
    "bucket-added": Case(_new_bucket),
    "bucket-removed": Case(_remove_bucket),
    "bucket-removed-guarded": Case(_remove_bucket, base="guarded"),
    "lock-shortened": Case(_set("rustfs", "buckets", "evidence", "object_lock", "retention", value="30d")),
    "lock-compliance": Case(config={"objectLockMode": "compliance"}),
    "object-lock-removed": Case(_remove("rustfs", "buckets", "evidence", "object_lock")),
    "objects-read-added": Case(_set("modules", "export_center", "rustfs", "reads", value=["evidence/", "blobs/"])),
    "objects-write-removed": Case(_set("modules", "airgap", "rustfs", "writes", value=[])),
    "objects-moved": Case(_move_objects),
    "contract-objects-off": Case(config={"contractObjects": False}),
    "contract-objects-moved": Case(config={"contractNamespace": "stellaops-{module}"}),
    "data-loss-forbidden": Case(config={"allowDataLoss": False}),
    "protected": Case(config={"protect": True}),
    "protection-removed": Case(config={"protect": False}, base="protected"),
    "schema-removed-protected": Case(_drop_schema, base="protected"),
    "server-moved": Case(config={"postgresHost": "localhost"}),
    "secret-in-clear": Case(config={"alertToken": "hunter2-in-clear-text"}),
    "changed-by-hand": Case(sql="GRANT DELETE ON vuln.advisory_raw TO vuln_writer; DROP TRIGGER append_only_row ON vex.vex_raw"),
    "mapping-broken": Case(_set("modules", "vexlens", "postgres", "reads", value=["vexx"])),
    "mapping-broken-plain": Case(_set("modules", "vexlens", "postgres", "reads", value=["vexx"]), plain=True),
    "migration-edited": Case(files=_edited_migration),
    "threshold-unknown": Case(config={"reviewThreshold": "everything"}),
    "many-at-once": Case(
        _both(
            _drop_schema,
            _remove(*_VEX_RAW),
            _new_module,
            _set("backups", "rustfs", "retention", value="30d"),
            _set("valkey", "memory", "maxmemory", value="4gb"),
            _set("modules", "concelier", "rotate", value=2),
            _set("modules", "risk_engine", "postgres", "reads", value=[]),
        )
    ),
}  # fmt: skip
