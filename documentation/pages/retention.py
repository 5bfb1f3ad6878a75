"""What is backed up how, and how long anything is kept."""

from documentation.facts import Facts
from documentation.markdown import Page, code, codes, page, prose, table

PATH = "reference/retention.md"


def pages(facts: Facts) -> list[Page]:
    mapping = facts.mapping
    backups = [
        [title, codes(backup.strategy), backup.retention]
        for title, backup in (
            ("PostgreSQL", mapping.backups.postgres),
            ("Valkey", mapping.backups.valkey),
            ("RustFS", mapping.backups.rustfs),
        )
    ]
    kept = [
        *(
            [code(f"{schema}.{name}"), "for ever: append-only", prose(table_.append_only)]
            for schema in mapping.postgres.schemas
            for name, table_ in facts.tables(schema).items()
            if table_.append_only
        ),
        *(
            [f"keys {code(pattern)}", _age(key.type, key.ttl), prose(key.purpose)]
            for pattern, key in mapping.valkey.keys.items()
        ),
        *(
            [
                f"bucket {code(name)}",
                f"current versions for ever, noncurrent ones {mapping.backups.rustfs.retention}"
                + (", locked" if bucket.object_lock else ""),
                prose(bucket.purpose),
            ]
            for name, bucket in mapping.rustfs.buckets.items()
        ),
    ]
    return [
        page(
            PATH,
            "Retention and backups",
            "Operation",
            table(["Store", "Backup", "Kept"], backups),
            "A bucket's versions are its backup: an object that was deleted or overwritten is there until its "
            f"noncurrent version expires. No rule deletes a current version. Uploads that nobody finished are aborted "
            f"after {mapping.rustfs.abort_multipart_after}.",
            "## How long data are kept",
            table(["What", "Kept", "Purpose"], kept),
        )
    ]


def _age(kind: str, ttl: str) -> str:
    if ttl in ("infinite", "none"):
        return "until deleted" if kind != "stream" else "until trimmed by its users"
    return f"entries {ttl}" if kind == "stream" else ttl.replace("-", " ")
