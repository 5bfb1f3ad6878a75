"""A small stack whose names are reserved words of the stores, in a copy of the project, with all processes recorded."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.secrets_search import Watcher
from tests.support.stack import LocalStack, copy_project, temporary_stack
from tests.support.watchdog import Watchdog

LONGEST, LONGEST_SCHEMA = "r" * 63, "s" * 56
MAPPING = (Path(__file__).parent / "reserved.yaml").read_text().replace("RRR", LONGEST).replace("SSS", LONGEST_SCHEMA)
MIGRATIONS = {
    "user": """
CREATE TABLE "{{ schema }}"."group" ("select" UUID PRIMARY KEY, tenant_id UUID NOT NULL, "table" TEXT, "desc" TEXT);
CREATE TABLE "{{ schema }}"."order" ("select" UUID REFERENCES "{{ schema }}"."group", "from" TEXT);
CREATE FUNCTION "{{ schema }}"."cast"(UUID) RETURNS UUID LANGUAGE SQL AS 'SELECT $1';
""",
    LONGEST_SCHEMA: f"CREATE TABLE {{{{ schema }}}}.{LONGEST} ({LONGEST} UUID PRIMARY KEY, tenant_id UUID NOT NULL);\n",
}


@dataclass(frozen=True)
class Reserved:
    """The stack after its first ``up``; ``watcher`` has recorded every process since before it, ``said`` is its output."""

    stack: LocalStack
    watcher: Watcher
    said: str
    began: Path


@contextmanager
def reserved_stack(watchdog: Watchdog) -> Iterator[Reserved]:
    # If we are root, PostgreSQL runs as another account, which cannot enter pytest's directories.
    place = Path(tempfile.mkdtemp(prefix="reserved-"))
    place.chmod(0o711)
    project = place / "project"
    copy_project(project)
    (project / "schema-mapping.yaml").write_text(MAPPING)
    for schema, text in MIGRATIONS.items():
        (project / "sql" / schema).mkdir()
        (project / "sql" / schema / "0001_tables.sql.j2").write_text(text)
    committed = project / "stacks" / "Pulumi.local.yaml"
    text = committed.read_text().replace("backups: continuous", "backups: logical").replace('"*"', "user")
    more = "  stellaops-storage:postgresDatabase: end\n  postgres:tenantIsolation: row-level-security\n"
    committed.write_text(text + more)
    try:
        with temporary_stack(project / ".state", watchdog) as made, Watcher() as watcher:
            made.project = project
            yield Reserved(made, watcher, made.must("up"), committed)
    finally:
        shutil.rmtree(place)
