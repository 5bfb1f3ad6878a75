"""Compare applied migrations, as a database records them, with the files. Contacts no database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from provider.postgres.migration_files import Migration
from provider.postgres.problems import MigrationProblem


@dataclass(frozen=True)
class Applied:
    """A row of ``schema_migrations``."""

    version: int
    description: str | None
    applied_at: datetime | None
    checksum: str | None

    @property
    def label(self) -> str:
        """The label of the file that was applied, in the form of ``Migration.label``."""
        name = (self.description or "").replace(" ", "_")
        return f"{self.version:04}_{name}.sql.j2 sha256:{self.checksum}"


def compare(directory: Path, migrations: Iterable[Migration], applied: Iterable[Applied]) -> list[MigrationProblem]:
    """Return a problem for each edited, renamed, missing, unknown or out-of-order migration."""
    files = {migration.version: migration for migration in migrations}
    recorded = {row.version: row for row in applied}
    newest_file, newest_applied = max(files, default=0), max(recorded, default=0)
    problems = []
    for version, row in recorded.items():
        migration = files.get(version)
        if migration is None and version > newest_file:
            message = f"the database is at version {newest_applied:04}, but {row.label.split()[0]} is not here"
            remedy = "use the newer release that has this file"
            problems.append(MigrationProblem(str(directory), None, message, remedy))
        elif migration is None:
            path = directory / row.label.split()[0]
            message = "it is recorded as applied, but the file is missing"
            problems.append(MigrationProblem(str(path), None, message, "restore it from git"))
        elif migration.checksum != row.checksum:
            checksums = f"recorded {short(row.checksum)}, now {short(migration.checksum)}"
            message = f"it was edited after it was applied ({checksums})"
            remedy = (
                "restore it from git and put the change into a new migration; only if the database has the change "
                "already, accept it with repair"
            )
            problems.append(MigrationProblem(str(migration.path), None, message, remedy))
        elif migration.description != row.description:
            message = f'it was applied as "{row.description}"'
            remedy = "rename the file back, or accept the new name with repair"
            problems.append(MigrationProblem(str(migration.path), None, message, remedy))
    for version, migration in files.items():
        if version not in recorded and version < newest_applied:
            message = f"it is out of order: version {newest_applied:04} is applied already"
            remedy = f"rename it to {newest_file + 1:04}_..."
            problems.append(MigrationProblem(str(migration.path), None, message, remedy))
    return problems


def short(checksum: str | None) -> str:
    """Return the first 12 digits of a checksum, for messages."""
    return (checksum or "nothing")[:12]
