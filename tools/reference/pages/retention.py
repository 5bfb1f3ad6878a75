"""Backup strategies, and how long data is kept."""

from components.backups.inventory import NONCURRENT_DAYS
from components.mapping.backup_names import BUCKET as BACKUPS_BUCKET
from components.mapping.values import Duration, TtlWord
from tools.reference.facts import ReferenceFacts
from tools.reference.markdown import Page, code, codes, page, prose, table

PATH = "reference/retention.md"


def pages(facts: ReferenceFacts) -> list[Page]:
    mapping = facts.mapping
    backups = [
        [title, codes(backup.strategy), str(backup.retention)]
        for title, backup in (
            ("PostgreSQL", mapping.backups.postgres),
            ("Valkey", mapping.backups.valkey),
            ("RustFS", mapping.backups.rustfs),
        )
    ]
    retention = [
        *(
            [code(f"{schema}.{name}"), "forever: append-only", prose(table_.append_only)]
            for schema in mapping.postgres.schemas
            for name, table_ in facts.tables(schema).items()
            if table_.append_only
        ),
        *(
            [
                f"keys {code(pattern)}",
                _age(key.type, key.ttl, mapping.valkey.trim_acknowledged_after),
                prose(key.purpose),
            ]
            for pattern, key in mapping.valkey.keys.items()
        ),
        *(
            [
                f"bucket {code(name)}",
                f"current versions forever, noncurrent versions {mapping.backups.rustfs.retention}"
                + (f", each version locked for {bucket.object_lock.retention}" if bucket.object_lock else "")
                + "".join(f"; under {code(prefix)} {age}" for prefix, age in bucket.noncurrent_versions.items()),
                prose(bucket.purpose),
            ]
            for name, bucket in mapping.rustfs.buckets.items()
        ),
        [
            f"bucket {code(BACKUPS_BUCKET)}",
            f"current versions until the backup jobs delete them, noncurrent versions {NONCURRENT_DAYS}d",
            "Backups of PostgreSQL and Valkey",
        ],
    ]
    return [
        page(
            PATH,
            "Retention and backups",
            "Operation",
            table(["Store", "Backup", "Kept"], backups),
            "The versions of a bucket are its backup: you can restore a deleted or overwritten object until its "
            f"noncurrent version expires. No rule deletes a current version. Unfinished uploads are aborted after "
            f"{mapping.rustfs.abort_multipart_after}.",
            "## How long data is kept",
            table(["Data", "Kept", "Purpose or reason"], retention),
        )
    ]


def _age(kind: str, ttl: Duration | TtlWord, trimmed: Duration | None) -> str:
    """Format how long a key or the entries of a stream are kept.

    ``trimmed`` is the age after which acknowledged entries of streams without a TTL are trimmed.
    """
    if kind != "stream":
        return "until deleted" if ttl in (TtlWord.INFINITE, TtlWord.NONE) else str(ttl).replace("-", " ")
    if ttl != TtlWord.NONE:
        return f"entries {ttl}"
    return f"entries {trimmed}, and until every group has acknowledged them" if trimmed else "entries forever"
