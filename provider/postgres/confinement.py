"""Run a migration's statements as the owner role, in a way that they cannot leave it.

The session is an admin's, so a plain ``SET ROLE`` would let a file, a DO block or ``set_config`` return to the admin.
Therefore a SECURITY DEFINER function of the owner executes each statement: PostgreSQL refuses every change of role
inside of it. The function exists only while the file runs, and is checked after each statement.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from provider.postgres.problems import error_text
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

_FRAME = re.compile(r"(?:; at:)? PL/pgSQL function \S*run_statement_[0-9a-f]{32}\(\S*?\) line 1 at EXECUTE")
_BODY = "BEGIN EXECUTE statement; END"
_SETTINGS = ("role", "search_path", "standard_conforming_strings", "row_security", "session_replication_role")


class ForbiddenChangeError(Exception):
    """A file changed what only the runner may change. ``str()`` is what happened; ``remedy`` is what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class _Session:
    """Who runs the statements, and the settings that decide how they are read."""

    user: str
    session_user: str
    settings: tuple[str, ...]

    @staticmethod
    def current(connection: Connection) -> "_Session":
        row = connection.execute(
            """SELECT current_user, session_user,
                      (SELECT pg_catalog.array_agg(pg_catalog.current_setting(name) ORDER BY number)
                       FROM pg_catalog.unnest(%s::pg_catalog.text[]) WITH ORDINALITY AS settings(name, number))""",
            (list(_SETTINGS),),
        ).fetchone()
        assert row is not None
        return _Session(row[0], row[1], tuple(row[2]))

    def require(self, connection: Connection) -> None:
        """Raise ``ForbiddenChangeError`` unless the session is still the same."""
        now = _Session.current(connection)
        if (now.user, now.session_user) != (self.user, self.session_user):
            raise ForbiddenChangeError(f"it runs as {now.user}, not as {self.user}", "remove what changes the role")
        for name, value, old in zip(_SETTINGS, now.settings, self.settings, strict=True):
            if value != old:
                raise ForbiddenChangeError(f"it changes {name} from '{old}' to '{value}'", "remove that")


@contextmanager
def session_unchanged(connection: Connection) -> Iterator[None]:
    """Raise ``ForbiddenChangeError`` if the statements inside change the role or the settings of the session."""
    session = _Session.current(connection)
    yield
    session.require(connection)


class Confinement:
    """Executes statements in the owner's transaction. See ``confined``."""

    def __init__(self, connection: Connection, function: sql.Identifier) -> None:
        self._connection = connection
        self._function = function
        self._session = _Session.current(connection)
        self._version = self._function_version()

    def execute(self, statement: str) -> None:
        """Run a statement. Raises ``psycopg.Error``, and ``ForbiddenChangeError`` if it changed the session."""
        # As text and not as a parameter, so that pg_stat_activity and the server's log show the statement.
        self._connection.execute(sql.SQL("SELECT {}({})").format(self._function, sql.Literal(statement)))
        self._session.require(self._connection)
        if self._function_version() != self._version:
            raise ForbiddenChangeError("it changes the function that runs the file's statements", "remove that")

    def _function_version(self) -> str | None:
        """Differs after any change of the function."""
        name = f"{self._function.as_string(self._connection)}(text)"
        row = self._connection.execute(
            """SELECT pg_catalog.concat_ws(' ', p.oid, p.xmin, p.cmin) FROM pg_catalog.pg_proc p
               WHERE p.oid = pg_catalog.to_regprocedure(%s)""",
            (name,),
        ).fetchone()
        return None if row is None else str(row[0])


@contextmanager
def confined(connection: Connection, target: SchemaTarget) -> Iterator[Confinement]:
    """Call it in a transaction as the owner. At the end, what the statements deferred to the commit has run.

    Raises ``ForbiddenChangeError`` and ``psycopg.Error``.
    """
    function = sql.Identifier(target.schema, f"run_statement_{uuid.uuid4().hex}")
    create = (
        "CREATE FUNCTION {}(statement pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql SECURITY DEFINER AS {}"
    )
    connection.execute(sql.SQL(create).format(function, sql.Literal(_BODY)))
    confinement = Confinement(connection, function)
    yield confinement
    # Deferred triggers and cursors WITH HOLD would run at the commit, outside of the function.
    confinement.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("CLOSE ALL")
    connection.execute(sql.SQL("DROP FUNCTION {}(pg_catalog.text)").format(function))


def text_of(error: psycopg.Error, statement: str) -> str:
    """The error as one line, without the frames of the function that ran the statement."""
    text = error_text(error).replace(f'SQL statement "{" ".join(statement.split())}" ', "")
    return _FRAME.sub("", text).strip()


def position_of(error: psycopg.Error, statement: str) -> int | None:
    """The 1-based position of a server's error in a statement that ``Confinement`` ran; None if it has none."""
    if error.diag.internal_query == statement and error.diag.internal_position:
        return int(error.diag.internal_position)
    return int(error.diag.statement_position) if error.diag.statement_position else None
