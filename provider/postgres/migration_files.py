"""Find, check and render the migration files ``sql/<schema>/NNNN_name.sql.j2``, and split them into statements.

Contacts no database. One ``MigrationError`` lists all problems of the files of a directory.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provider.postgres.problems import MigrationError, MigrationProblem

if TYPE_CHECKING:
    from provider.postgres.statements import Statement

SUFFIX = ".sql.j2"
_NAME = re.compile(r"(?P<version>[0-9]{4})_(?P<words>[a-z0-9]+(?:_[a-z0-9]+)*)\.sql\.j2")

_HEADER = re.compile(r"--\s*transactional\s*:\s*(?P<value>.*?)\s*")


@dataclass(frozen=True)
class Migration:
    """One file. ``source`` is its normalised text, ``checksum`` the SHA-256 of that text in hex (64 digits).

    ``transactional`` is False if the file's leading comments include ``-- transactional: false``.
    """

    version: int
    description: str
    path: Path
    source: str
    checksum: str
    transactional: bool = True

    @property
    def label(self) -> str:
        """The file in a preview: its name and checksum."""
        return f"{self.path.name} sha256:{self.checksum}"


@dataclass(frozen=True)
class Script:
    """A rendered migration: its whole text and its statements."""

    migration: Migration
    text: str
    statements: "tuple[Statement, ...]"


def normalise(data: bytes) -> str:
    """Decode text without byte-order mark and with ``\\n`` line ends, which editors and git may change by themselves.

    Raises ``UnicodeDecodeError`` if it is not UTF-8.
    """
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def checksum(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def describe(name: str) -> str:
    """``0002_advisory_indexes.sql.j2`` -> ``advisory indexes``."""
    return name.removesuffix(SUFFIX).partition("_")[2].replace("_", " ")


def discover(directory: Path) -> list[Migration]:
    """Return the migrations of a directory by version. Hidden files are skipped.

    Raises ``MigrationError`` for a missing or empty directory, an invalid name or header, a duplicate or missing
    version, and text that is not UTF-8.
    """
    problems: list[MigrationProblem] = []
    found: list[Migration] = []
    for path in _paths(directory):
        match = _NAME.fullmatch(path.name)
        if match is None or not path.is_file() or int(match["version"]) == 0:
            remedy = "name migrations like 0001_tables.sql.j2: four digits from 0001, then lower-case letters"
            problems.append(MigrationProblem(str(path), None, "this is not the name of a migration", remedy))
            continue
        try:
            source = normalise(path.read_bytes())
        except UnicodeDecodeError as error:
            problems.append(MigrationProblem(str(path), None, f"byte {error.start} is not UTF-8", "save it as UTF-8"))
            continue
        try:
            found.append(parse_file(path, source))
        except MigrationError as error:
            problems += error.problems
    problems += _numbering(found)
    if not found and not problems:
        problems.append(
            MigrationProblem(str(directory), None, "there are no migrations here", "add 0001_tables.sql.j2")
        )
    if problems:
        raise MigrationError(*problems)
    return found


def parse_file(path: Path, source: str) -> Migration:
    """The migration of a file whose name is valid. ``source`` is normalised. Raises ``MigrationError``."""
    transactional = _transactional(path, source)
    return Migration(int(path.name[:4]), describe(path.name), path, source, checksum(source), transactional)


def _transactional(path: Path, source: str) -> bool:
    """Read ``transactional`` from the comments before the first statement. Raises ``MigrationError``."""
    for number, line in enumerate(source.split("\n"), start=1):
        if line.strip() and not line.startswith("--"):
            break
        match = _HEADER.fullmatch(line)
        if match and match["value"] not in ("true", "false"):
            remedy = "write `-- transactional: false`, or remove the line"
            raise MigrationError(MigrationProblem(str(path), number, f"`{line}` must be `true` or `false`", remedy))
        if match:
            return match["value"] == "true"
    return True


def _paths(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        message = f"the directory cannot be read: {error.strerror}"
        remedy = "each schema of the mapping needs a directory of migrations"
        raise MigrationError(MigrationProblem(str(directory), None, message, remedy)) from None


def _numbering(migrations: Iterable[Migration]) -> list[MigrationProblem]:
    problems = []
    previous: Migration | None = None
    for migration in migrations:
        last = previous.version if previous else 0
        if previous and migration.version == last:
            message = f"{previous.path.name} also has version {migration.version:04}"
            remedy = "give the newer of the two the next free number"
            problems.append(MigrationProblem(str(migration.path), None, message, remedy))
        elif migration.version > last + 1:
            message = f"version {last + 1:04} is missing before {migration.version:04}"
            remedy = "restore that file, or renumber this one if no database has applied it yet"
            problems.append(MigrationProblem(str(migration.path), None, message, remedy))
        previous = migration
    return problems


def render_all(migrations: Iterable[Migration], variables: Mapping[str, str]) -> list[Script]:
    """Render every migration with ``variables``. Raises ``MigrationError`` with the problems of all of them."""
    scripts: list[Script] = []
    problems: list[MigrationProblem] = []
    for migration in migrations:
        try:
            scripts.append(render(migration, variables))
        except MigrationError as error:
            problems += error.problems
    if problems:
        raise MigrationError(*problems)
    return scripts


def render(migration: Migration, variables: Mapping[str, str]) -> Script:
    """Render one migration and split it into statements.

    Raises ``MigrationError`` for a template error, an empty file, a statement that would leave the transaction or the
    owner role, and one that a non-transactional file cannot repeat.
    """
    # A preview without pending files needs no parser.
    from provider.postgres.statements import ScriptError, split
    from provider.postgres.templates import render_template

    file = str(migration.path)
    try:
        text = render_template(migration.source, variables)
        statements = split(text)
    except ScriptError as error:
        raise MigrationError(MigrationProblem(file, error.line, error.message, error.remedy)) from None
    if not statements:
        raise MigrationError(MigrationProblem(file, None, "it has no statement", "add one, or delete the file"))
    problems = []
    for statement in statements:
        if statement.is_forbidden:
            message = f"a migration must not contain `{statement.first_line}`"
            remedy = "remove it; the runner manages transactions and sets the owner role and the search path"
            problems.append(MigrationProblem(file, statement.line, message, remedy))
        elif not migration.transactional and not statement.is_repeatable:
            message = (
                f"`{statement.first_line}` cannot be repeated after an interruption of this non-transactional file"
            )
            problems.append(MigrationProblem(file, statement.line, message, _REPEATABLE_REMEDY))
    if problems:
        raise MigrationError(*problems)
    return Script(migration, text, tuple(statements))


_REPEATABLE_REMEDY = (
    "such a file may contain CREATE INDEX CONCURRENTLY IF NOT EXISTS name, DROP INDEX CONCURRENTLY IF EXISTS, REINDEX, "
    "VACUUM, ANALYZE and COMMENT; move the rest to its own file"
)
