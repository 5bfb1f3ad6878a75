"""Migration files: ``sql/<schema>/NNNN_name.sql.j2`` found, checked, rendered and cut into statements.

No database here. What is wrong with the files of a directory is raised at once, as one ``MigrationError``.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.statements import IF_NOT_EXISTS, Statement, split

SUFFIX = ".sql.j2"
_NAME = re.compile(r"(?P<version>[0-9]{4})_(?P<words>[a-z0-9]+(?:_[a-z0-9]+)*)\.sql\.j2")

_HEADER = re.compile(r"--\s*transactional\s*:\s*(?P<value>.*?)\s*")

# What may stand in a file that is no transaction: statements that can be repeated after an interruption.
_REPEATABLE = (
    ("DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS"),
    ("REINDEX",),
    ("VACUUM",),
    ("ANALYZE",),
    ("COMMENT", "ON"),
)

# What would leave the file's transaction or the owner's role, by the first words of a statement.
_FORBIDDEN = (
    *((word,) for word in ("BEGIN", "COMMIT", "ROLLBACK", "END", "ABORT")),
    ("START", "TRANSACTION"),
    ("PREPARE", "TRANSACTION"),
    ("SET", "ROLE"),
    ("SET", "LOCAL", "ROLE"),
    ("SET", "SESSION", "ROLE"),
    ("SET", "SESSION", "AUTHORIZATION"),
    ("SET", "LOCAL", "SESSION", "AUTHORIZATION"),
    ("RESET", "ROLE"),
    ("RESET", "ALL"),
    ("RESET", "SESSION", "AUTHORIZATION"),
    ("DISCARD", "ALL"),
)


@dataclass(frozen=True)
class Migration:
    """One file. ``source`` is its normalised text and ``checksum`` that text's SHA-256 in hex (64 digits).

    ``transactional`` is False where a comment among its first lines says ``-- transactional: false``.
    """

    version: int
    description: str
    path: Path
    source: str
    checksum: str
    transactional: bool = True

    @property
    def label(self) -> str:
        """How a preview shows the file: its name and what is in it."""
        return f"{self.path.name} sha256:{self.checksum}"


@dataclass(frozen=True)
class Script:
    """A rendered migration, ready to run: its whole text, and the statements in it."""

    migration: Migration
    text: str
    statements: tuple[Statement, ...]


def normalise(data: bytes) -> str:
    """Text without byte-order mark and with ``\\n`` line ends: what an editor or git changes by itself is no edit.

    Raises ``UnicodeDecodeError`` when it is not UTF-8.
    """
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def checksum(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def describe(name: str) -> str:
    """``0002_advisory_indexes.sql.j2`` -> ``advisory indexes``."""
    return name.removesuffix(SUFFIX).partition("_")[2].replace("_", " ")


def discover(directory: Path) -> list[Migration]:
    """The migrations of a directory by version. Hidden files are skipped.

    Raises ``MigrationError`` for a missing or empty directory, a name that is none, a version that two files have,
    a gap, and text that is not UTF-8.
    """
    problems: list[MigrationProblem] = []
    found: list[Migration] = []
    for path in _paths(directory):
        match = _NAME.fullmatch(path.name)
        if match is None or not path.is_file() or int(match["version"]) == 0:
            todo = "name migrations like 0001_tables.sql.j2: four digits from 0001, then small letters"
            problems.append(MigrationProblem(str(path), None, "this is not the name of a migration", todo))
            continue
        try:
            source = normalise(path.read_bytes())
        except UnicodeDecodeError as error:
            problems.append(MigrationProblem(str(path), None, f"byte {error.start} is not UTF-8", "save it as UTF-8"))
            continue
        try:
            transactional = _transactional(path, source)
        except MigrationError as error:
            problems += error.problems
            continue
        version = int(match["version"])
        found.append(Migration(version, describe(path.name), path, source, checksum(source), transactional))
    problems += _numbering(found)
    if not found and not problems:
        problems.append(MigrationProblem(str(directory), None, "no migration is here", "add 0001_tables.sql.j2"))
    if problems:
        raise MigrationError(*problems)
    return found


def _transactional(path: Path, source: str) -> bool:
    """What the comments before the first statement say. Raises ``MigrationError`` for a value that is neither."""
    for number, line in enumerate(source.split("\n"), start=1):
        if line.strip() and not line.startswith("--"):
            break
        match = _HEADER.fullmatch(line)
        if match and match["value"] not in ("true", "false"):
            what = f"`{line}` says neither true nor false"
            raise MigrationError(
                MigrationProblem(str(path), number, what, "write `-- transactional: false`, or nothing")
            )
        if match:
            return match["value"] == "true"
    return True


def _paths(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        reason = f"the directory cannot be read: {error.strerror}"
        todo = "each schema of the mapping needs a directory of migrations"
        raise MigrationError(MigrationProblem(str(directory), None, reason, todo)) from None


def _numbering(migrations: Iterable[Migration]) -> list[MigrationProblem]:
    problems = []
    previous: Migration | None = None
    for migration in migrations:
        last = previous.version if previous else 0
        if previous and migration.version == last:
            what = f"version {migration.version:04} is also that of {previous.path.name}"
            todo = "give the newer of the two the next free number"
            problems.append(MigrationProblem(str(migration.path), None, what, todo))
        elif migration.version > last + 1:
            what = f"version {last + 1:04} is missing before {migration.version:04}"
            todo = "restore that file, or renumber this one if no database has it yet"
            problems.append(MigrationProblem(str(migration.path), None, what, todo))
        previous = migration
    return problems


def render_all(migrations: Iterable[Migration], variables: Mapping[str, str]) -> list[Script]:
    """Every migration rendered with ``variables``. Raises ``MigrationError`` with all that is wrong in any of them."""
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
    """One migration's statements. Raises ``MigrationError`` for a template error, an empty file, and a statement
    that would leave the transaction or the owner's role."""
    file = str(migration.path)
    text = _render_text(migration, variables)
    statements = split(text)
    if not statements:
        raise MigrationError(
            MigrationProblem(file, None, "there is no statement in it", "write one, or delete the file")
        )
    problems = []
    for statement in statements:
        if any(statement.words[: len(words)] == words for words in _FORBIDDEN):
            what = f"a migration may not say `{statement.first_line}`"
            todo = "the runner sees to transactions and to the owner's role: take the statement out"
            problems.append(MigrationProblem(file, statement.line, what, todo))
        elif not migration.transactional and not _repeatable(statement):
            what = f"`{statement.first_line}` cannot be repeated after an interruption, and the file is no transaction"
            problems.append(MigrationProblem(file, statement.line, what, _REPEATABLE_TODO))
    if problems:
        raise MigrationError(*problems)
    return Script(migration, text, tuple(statements))


_REPEATABLE_TODO = (
    "such a file may hold CREATE INDEX CONCURRENTLY IF NOT EXISTS name, DROP INDEX CONCURRENTLY IF EXISTS, REINDEX, "
    "VACUUM, ANALYZE and COMMENT; put the rest into a file of its own"
)


def _repeatable(statement: Statement) -> bool:
    """An index without a name would be made twice, and one without IF NOT EXISTS would stop the second run."""
    if statement.is_concurrent_index:
        after = statement.words.index("CONCURRENTLY") + 1
        return statement.words[after : after + 3] == IF_NOT_EXISTS and statement.concurrent_index is not None
    return any(statement.words[: len(words)] == words for words in _REPEATABLE)


def _render_text(migration: Migration, variables: Mapping[str, str]) -> str:
    file = str(migration.path)
    # Knows this one file only: an included one would change without the checksum noticing.
    loader = jinja2.FunctionLoader(lambda name: (migration.source, name, None) if name == file else None)
    # SQL, not HTML.
    environment = jinja2.Environment(  # noqa: S701
        loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    try:
        return environment.get_template(file).render(variables)
    except jinja2.TemplateSyntaxError as error:
        raise MigrationError(
            MigrationProblem(file, error.lineno, f"template error: {error.message}", "mend it")
        ) from None
    except jinja2.UndefinedError as error:
        todo = f"a template may use {', '.join(sorted(variables))}"
        raise MigrationError(MigrationProblem(file, _line_in(error, file), str(error.message), todo)) from None
    except Exception as error:
        what = f"template error: {type(error).__name__}: {error}"
        raise MigrationError(MigrationProblem(file, _line_in(error, file), what, "mend it")) from None


def _line_in(error: BaseException, file: str) -> int | None:
    """The line of ``file`` where a rendering error was raised: jinja2 rewrites its tracebacks to template lines."""
    line = None
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
