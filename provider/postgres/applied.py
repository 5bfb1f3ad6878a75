"""Applied migrations, as a database records them, compared with the files. No database here."""

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
        """As ``Migration.label`` shows the file that it came from."""
        words = (self.description or "").replace(" ", "_")
        return f"{self.version:04}_{words}.sql.j2 sha256:{self.checksum}"


def compare(directory: Path, migrations: Iterable[Migration], applied: Iterable[Applied]) -> list[MigrationProblem]:
    """Why these files do not continue what was applied: edited, renamed, missing, unknown and out of order."""
    files = {migration.version: migration for migration in migrations}
    recorded = {row.version: row for row in applied}
    newest_file, newest_applied = max(files, default=0), max(recorded, default=0)
    problems = []
    for version, row in recorded.items():
        migration = files.get(version)
        if migration is None and version > newest_file:
            what = f"the database is at version {newest_applied:04} and has {row.label.split()[0]}, unknown here"
            problems.append(MigrationProblem(str(directory), None, what, "use the newer release that has this file"))
        elif migration is None:
            what = "it is recorded as applied, but the file is missing"
            problems.append(MigrationProblem(str(directory / row.label.split()[0]), None, what, "restore it from git"))
        elif migration.checksum != row.checksum:
            now = f"recorded {short(row.checksum)}, now {short(migration.checksum)}"
            what = f"it was edited after it was applied ({now})"
            todo = (
                "restore it from git and put the change into a new migration; only if the database has the change "
                "already, accept it with repair"
            )
            problems.append(MigrationProblem(str(migration.path), None, what, todo))
        elif migration.description != row.description:
            what = f'it was applied as "{row.description}"'
            todo = "give the file its old name back, or accept the new one with repair"
            problems.append(MigrationProblem(str(migration.path), None, what, todo))
    for version, migration in files.items():
        if version not in recorded and version < newest_applied:
            what = f"it is out of order: version {newest_applied:04} is applied already"
            todo = f"rename it to {newest_file + 1:04}_..."
            problems.append(MigrationProblem(str(migration.path), None, what, todo))
    return problems


def short(checksum: str | None) -> str:
    """A checksum as messages show it."""
    return (checksum or "nothing")[:12]
