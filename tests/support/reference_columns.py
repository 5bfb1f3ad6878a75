"""The tables of the platform's reference document, transcribed manually, not from the migrations or the mapping.

Types are written as PostgreSQL's ``format_type()`` prints them. Columns are ``NOT NULL`` where the reference has it, and
in a primary key.
"""

from dataclasses import dataclass, field

UUID = "uuid"
TEXT = "text"
TEXTS = "text[]"
JSON = "jsonb"
TIME = "timestamp with time zone"
INTEGER = "integer"
BIGINT = "bigint"
BOOLEAN = "boolean"


def chars(length: int) -> str:
    return f"character varying({length})"


@dataclass(frozen=True)
class Column:
    """A column: its name, its type as ``format_type()`` prints it, and whether it is NOT NULL."""

    name: str
    type: str
    not_null: bool = False


@dataclass(frozen=True)
class ReferenceTable:
    """A table: columns in the reference's order; ``foreign_keys`` maps a column to (table, column) of its schema."""

    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    foreign_keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    uniques: tuple[tuple[str, ...], ...] = ()


def required(name: str, kind: str) -> Column:
    return Column(name, kind, not_null=True)


def key(name: str, kind: str = UUID) -> Column:
    """A column of the primary key."""
    return required(name, kind)


TABLES: dict[tuple[str, str], ReferenceTable] = {
    ("authority", "clients"): ReferenceTable(
        (
            key("client_id"), required("tenant_id", UUID), Column("name", chars(255)), Column("client_type", chars(50)),
            Column("redirect_uris", TEXTS), Column("scopes", TEXTS), Column("created_at", TIME),
            Column("updated_at", TIME),
        ),
        ("client_id",),
    ),
    ("authority", "keys"): ReferenceTable(
        (
            key("key_id"), Column("client_id", UUID), Column("algorithm", chars(50)), Column("public_key", TEXT),
            Column("created_at", TIME), Column("expires_at", TIME),
        ),
        ("key_id",),
        {"client_id": ("clients", "client_id")},
    ),
    ("authority", "tokens"): ReferenceTable(
        (
            key("token_id"), Column("client_id", UUID), Column("subject", chars(255)), Column("scopes", TEXTS),
            Column("issued_at", TIME), Column("expires_at", TIME), Column("revoked_at", TIME),
        ),
        ("token_id",),
        {"client_id": ("clients", "client_id")},
    ),
    ("authority", "audit_trail"): ReferenceTable(
        (
            key("audit_id"), Column("action", chars(100)), Column("actor_id", chars(255)),
            Column("resource_type", chars(100)),
            Column("resource_id", chars(255)), Column("occurred_at", TIME), Column("metadata", JSON),
        ),
        ("audit_id",),
    ),
    ("scanner", "scans"): ReferenceTable(
        (
            key("scan_id"), required("tenant_id", UUID), Column("image_digest", chars(100)),
            Column("image_reference", TEXT),
            Column("state", chars(50)), Column("created_at", TIME), Column("started_at", TIME),
            Column("completed_at", TIME),
            Column("metadata", JSON),
        ),
        ("scan_id",),
    ),
    ("scanner", "artifacts"): ReferenceTable(
        (
            key("artifact_id", chars(100)), Column("scan_id", UUID), Column("format", chars(50)),
            Column("created_at", TIME),
            Column("rekor_proof", JSON),
        ),
        ("artifact_id",),
        {"scan_id": ("scans", "scan_id")},
    ),
    ("scanner", "images"): ReferenceTable(
        (
            key("image_digest", chars(100)), Column("repository", TEXT), Column("tag", TEXT),
            Column("architecture", chars(50)),
            Column("os", chars(50)), Column("created_at", TIME),
        ),
        ("image_digest",),
    ),
    ("scanner", "layers"): ReferenceTable(
        (
            key("layer_digest", chars(100)), Column("media_type", chars(255)), Column("size", BIGINT),
            Column("created_at", TIME),
        ),
        ("layer_digest",),
    ),
    ("scanner", "scan_artifacts"): ReferenceTable(
        (key("scan_id"), key("artifact_id", chars(100))),
        ("scan_id", "artifact_id"),
        {"scan_id": ("scans", "scan_id"), "artifact_id": ("artifacts", "artifact_id")},
    ),
    ("vuln", "advisory_raw"): ReferenceTable(
        (
            key("raw_id"), Column("advisory_id", chars(100)), Column("source", chars(50)),
            required("raw_document", JSON),
            Column("published_at", TIME), Column("revision", INTEGER), Column("created_at", TIME),
        ),
        ("raw_id",),
        uniques=(("advisory_id", "source", "revision"),),
    ),
    ("vuln", "linksets"): ReferenceTable(
        (
            key("linkset_id"), Column("advisory_id", chars(100)), Column("purl", TEXT), Column("version_range", JSON),
            Column("created_at", TIME),
        ),
        ("linkset_id",),
    ),
    ("vuln", "observations"): ReferenceTable(
        (
            key("observation_id"), Column("advisory_id", chars(100)), Column("severity_cvss3", JSON),
            Column("severity_cvss4", JSON), Column("description", TEXT), Column("references", JSON),
            Column("created_at", TIME),
        ),
        ("observation_id",),
    ),
    ("vex", "vex_raw"): ReferenceTable(
        (
            key("raw_id"), Column("issuer_id", chars(255)), Column("component_purl", TEXT),
            Column("vulnerability_id", chars(100)),
            Column("status", chars(50)), Column("justification", chars(100)), required("raw_statement", JSON),
            Column("published_at", TIME), Column("signature", JSON), Column("created_at", TIME),
        ),
        ("raw_id",),
    ),
    ("vex", "consensus"): ReferenceTable(
        (
            key("consensus_id"), Column("component_purl", TEXT), Column("vulnerability_id", chars(100)),
            Column("resolved_status", chars(50)), Column("conflict_detected", BOOLEAN),
            Column("contributing_vex_ids", "uuid[]"),
            Column("computed_at", TIME),
        ),
        ("consensus_id",),
    ),
    ("vex", "issuer_trust"): ReferenceTable(
        (
            key("issuer_id", chars(255)), Column("trust_score", "numeric(3,2)"), Column("priority", INTEGER),
            Column("issuer_type", chars(50)), Column("updated_at", TIME),
        ),
        ("issuer_id",),
    ),
    ("policy", "policies"): ReferenceTable(
        (
            key("policy_id"), required("tenant_id", UUID), Column("name", chars(255)), Column("version", INTEGER),
            Column("state", chars(50)), Column("yaml_content", TEXT), Column("compiled_ir", JSON),
            Column("ir_hash", chars(100)),
            Column("created_at", TIME), Column("updated_at", TIME),
        ),
        ("policy_id",),
    ),
    ("policy", "policy_runs"): ReferenceTable(
        (
            key("run_id"), Column("policy_id", UUID), required("tenant_id", UUID), Column("cursor", JSON),
            Column("stats", JSON),
            Column("determinism_hash", chars(100)), Column("started_at", TIME), Column("completed_at", TIME),
        ),
        ("run_id",),
        {"policy_id": ("policies", "policy_id")},
    ),
    ("policy", "exceptions"): ReferenceTable(
        (
            key("exception_id"), required("tenant_id", UUID), Column("policy_id", UUID), Column("component_purl", TEXT),
            Column("vulnerability_id", chars(100)), Column("effect", chars(50)), Column("approval_level", chars(10)),
            Column("expires_at", TIME), Column("created_at", TIME), Column("created_by", chars(255)),
        ),
        ("exception_id",),
    ),
    ("policy", "exception_approval_audit"): ReferenceTable(
        (
            key("audit_id"), Column("exception_id", UUID), Column("approval_level", chars(10)),
            Column("approver_id", chars(255)),
            Column("approved_at", TIME), Column("comment", TEXT),
        ),
        ("audit_id",),
        {"exception_id": ("exceptions", "exception_id")},
    ),
    ("scheduler", "schedules"): ReferenceTable(
        (
            key("schedule_id", chars(100)), required("tenant_id", UUID), Column("name", chars(255)),
            Column("enabled", BOOLEAN),
            Column("cron_expression", chars(100)), Column("timezone", chars(50)), Column("mode", chars(50)),
            Column("selection", JSON), Column("notify", JSON), Column("limits", JSON), Column("created_at", TIME),
            Column("updated_at", TIME),
        ),
        ("schedule_id",),
    ),
    ("scheduler", "runs"): ReferenceTable(
        (
            key("run_id", chars(100)), required("tenant_id", UUID), Column("schedule_id", chars(100)),
            Column("trigger", chars(50)),
            Column("state", chars(50)), Column("stats", JSON), Column("deltas", JSON), Column("created_at", TIME),
            Column("started_at", TIME), Column("finished_at", TIME), Column("error", TEXT),
        ),
        ("run_id",),
        {"schedule_id": ("schedules", "schedule_id")},
    ),
    ("scheduler", "run_summaries"): ReferenceTable(
        (
            key("summary_id", chars(200)), required("tenant_id", UUID), Column("schedule_id", chars(100)),
            Column("last_run", JSON),
            Column("recent", "jsonb[]"), Column("counters", JSON), Column("updated_at", TIME),
        ),
        ("summary_id",),
    ),
    ("notify", "rules"): ReferenceTable(
        (
            key("rule_id"), required("tenant_id", UUID), Column("name", chars(255)), Column("match", JSON),
            Column("actions", JSON),
            Column("enabled", BOOLEAN), Column("created_at", TIME), Column("updated_at", TIME),
            Column("deleted_at", TIME),
        ),
        ("rule_id",),
    ),
    ("notify", "channels"): ReferenceTable(
        (
            key("channel_id"), required("tenant_id", UUID), Column("name", chars(255)), Column("type", chars(50)),
            Column("config", JSON), Column("created_at", TIME), Column("updated_at", TIME), Column("deleted_at", TIME),
        ),
        ("channel_id",),
    ),
    ("notify", "templates"): ReferenceTable(
        (
            key("template_id"), Column("channel_type", chars(50)), Column("key", chars(100)),
            Column("locale", chars(10)),
            Column("render_mode", chars(50)), Column("body", TEXT), Column("created_at", TIME),
            Column("updated_at", TIME),
        ),
        ("template_id",),
    ),
    ("notify", "delivery_log"): ReferenceTable(
        (
            key("delivery_id"), Column("rule_id", UUID), Column("channel_id", UUID), Column("event_id", UUID),
            Column("status", chars(50)), Column("delivered_at", TIME), Column("error", TEXT),
        ),
        ("delivery_id",),
        {"rule_id": ("rules", "rule_id"), "channel_id": ("channels", "channel_id")},
    ),
}  # fmt: skip

# In every schema.
SCHEMA_MIGRATIONS = ReferenceTable(
    (key("version", INTEGER), Column("description", TEXT), Column("applied_at", TIME), Column("checksum", chars(64))),
    ("version",),
)

SCHEMAS = (
    "authority", "scanner", "vuln", "vex", "policy", "scheduler", "notify", "orchestrator", "registry", "symbols",
    "unknowns",
)  # fmt: skip

# Tables that the reference lists without columns.
NAMED_ONLY = {
    ("scheduler", "impact_snapshots"),
    ("orchestrator", "workflows"), ("orchestrator", "tasks"), ("orchestrator", "task_runs"),
    ("registry", "tokens"), ("registry", "repositories"),
    ("symbols", "symbols"), ("symbols", "debug_info"),
    ("unknowns", "unknown_components"), ("unknowns", "tracking"),
}  # fmt: skip

# (schema, table, column): every value that the reference's comment lists.
VALUES: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("authority", "clients", "client_type"): ("confidential", "public", "service"),
    ("authority", "keys", "algorithm"): ("RS256", "ES256", "EdDSA"),
    ("scanner", "scans", "state"): ("pending", "acquired", "running", "completed", "failed"),
    ("scanner", "artifacts", "format"): ("cdx-json", "spdx-json", "cdx-pb"),
    ("vuln", "advisory_raw", "source"): ("NVD", "RED_HAT", "OSV", "GHSA"),
    ("vex", "vex_raw", "status"): ("not_affected", "affected", "under_investigation"),
    ("vex", "issuer_trust", "issuer_type"): ("vendor", "distro", "researcher", "community"),
    ("policy", "policies", "state"): ("DRAFT", "SHADOW", "ACTIVE", "ENFORCING"),
    ("policy", "exceptions", "effect"): ("suppress", "defer", "downgrade", "require_control"),
    ("policy", "exceptions", "approval_level"): ("G0", "G1", "G2", "G3", "G4"),
    ("notify", "channels", "type"): ("slack", "teams", "email", "webhook"),
}

# (schema, table, column): (lowest, highest) that the reference's comment gives.
RANGES: dict[tuple[str, str, str], tuple[str, str]] = {("vex", "issuer_trust", "trust_score"): ("0.00", "1.00")}

# (schema, table, column): words of the reference's comments that list no values.
REMARKS: dict[tuple[str, str, str], str] = {
    ("scanner", "artifacts", "artifact_id"): "sha256:...",
    ("vuln", "advisory_raw", "advisory_id"): "CVE-2024-xxxx",
    ("vuln", "advisory_raw", "raw_document"): "Original JSON as received",
    ("vex", "vex_raw", "signature"): "DSSE envelope if signed",
    ("vex", "issuer_trust", "trust_score"): "0.00 to 1.00",
    ("vex", "issuer_trust", "priority"): "Lower = higher priority",
    ("scheduler", "run_summaries", "summary_id"): "tenant:schedule",
}
