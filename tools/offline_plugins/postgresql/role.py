"""``postgresql:index/role:Role``: CREATE, ALTER and DROP ROLE, with memberships and settings."""

import hashlib
import hmac
from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from provider.errors import ProviderError
from provider.postgres import scram
from tools.offline_plugins.postgresql.connections import Connections
from tools.offline_plugins.postgresql.session import Session

# Property -> keyword for true, keyword for false.
_FLAGS = {
    "login": ("LOGIN", "NOLOGIN"),
    "superuser": ("SUPERUSER", "NOSUPERUSER"),
    "createDatabase": ("CREATEDB", "NOCREATEDB"),
    "createRole": ("CREATEROLE", "NOCREATEROLE"),
    "inherit": ("INHERIT", "NOINHERIT"),
    "replication": ("REPLICATION", "NOREPLICATION"),
    "bypassRowLevelSecurity": ("BYPASSRLS", "NOBYPASSRLS"),
}
# Property -> setting; 0 means the server's default.
_TIMEOUTS = {
    "statementTimeout": "statement_timeout",
    "idleInTransactionSessionTimeout": "idle_in_transaction_session_timeout",
}
_KEPT = {"skipDropRole": False, "skipReassignOwned": False, "encryptedPassword": True}
_COMPARED = (*_FLAGS, *_TIMEOUTS, "roles", "searchPaths", "assumeRole", "connectionLimit", "validUntil")


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    name = inputs["name"]

    def work(session: Session) -> FoundResource:
        if session.role_exists(name):
            return _adopt(session, name, inputs)
        # Omit keywords that need a privilege even if they set the default.
        words = [
            _FLAGS[flag][0 if inputs[flag] else 1] for flag in ("login", "createDatabase", "createRole", "inherit")
        ]
        words += [_FLAGS[flag][0] for flag in ("superuser", "replication", "bypassRowLevelSecurity") if inputs[flag]]
        session.execute(sql.SQL("CREATE ROLE {} WITH {}").format(sql.Identifier(name), sql.SQL(" ".join(words))))
        if inputs.get("password"):
            _set_password(session, name, inputs["password"])
        _reconcile(session, name, inputs)
        return _describe(session, name, inputs)

    return server.run_anywhere(f"could not create role {name!r}", work)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    name = state.get("name") or id_

    def work(session: Session) -> FoundResource | None:
        return _describe(session, name, state) if session.role_exists(name) else None

    return server.run_anywhere(f"could not read role {name!r}", work)


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    old, name = state.get("name") or id_, inputs["name"]

    def work(session: Session) -> FoundResource:
        session.lock_roles(old)
        renamed = old != name and session.role_exists(old)
        if renamed:
            session.execute("ALTER ROLE {} RENAME TO {}", old, name)
        # A rename drops an MD5 password, whose salt is the name.
        if renamed or state.get("password", "") != inputs.get("password", ""):
            _set_password(session, name, inputs.get("password", ""))
        _reconcile(session, name, inputs)
        return _describe(session, name, inputs)

    return server.run_anywhere(f"could not update role {old!r}", work)


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    """Reassign the role's objects to the admin and revoke its privileges, in the provider's database, then drop it."""
    name = state.get("name") or id_

    def work(session: Session) -> None:
        if not session.role_exists(name):
            return
        session.lock_roles(name)
        if not state.get("skipReassignOwned"):
            with session.acting_as([name]):
                session.execute("REASSIGN OWNED BY {} TO CURRENT_USER", name)
                session.execute("DROP OWNED BY {}", name)
        if not state.get("skipDropRole"):
            session.execute("DROP ROLE {}", name)

    server.run_anywhere(f"could not delete role {name!r}", work)


def _reconcile(session: Session, name: str, inputs: dict[str, Any]) -> None:
    """Change the attributes, memberships and settings that differ from the inputs."""
    current = _attributes(session, name)
    words: list[sql.Composable] = [
        sql.SQL(_FLAGS[flag][0 if inputs[flag] else 1]) for flag in _FLAGS if inputs[flag] != current[flag]
    ]
    if inputs["connectionLimit"] != current["connectionLimit"]:
        words.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(inputs["connectionLimit"])))
    if not _same_time(session, inputs["validUntil"], current["validUntil"]):
        words.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(inputs["validUntil"])))
    if words:
        session.execute(sql.SQL("ALTER ROLE {} WITH {}").format(sql.Identifier(name), sql.SQL(" ").join(words)))
    wanted, has = set(inputs.get("roles", [])), set(current["roles"])
    for role in sorted(has - wanted):
        session.execute("REVOKE {} FROM {}", role, name)
    for role in sorted(wanted - has):
        session.execute("GRANT {} TO {}", role, name)
    _set(session, name, "search_path", current["searchPaths"], inputs.get("searchPaths", []))
    for timeout, setting in _TIMEOUTS.items():
        _set(session, name, setting, current[timeout], inputs.get(timeout, 0))
    _set(session, name, "role", current["assumeRole"], inputs.get("assumeRole", ""))


def _set(session: Session, name: str, setting: str, current: Any, wanted: Any) -> None:
    if current == wanted:
        return
    start = sql.SQL("ALTER ROLE {} ").format(sql.Identifier(name))
    if not wanted:
        session.execute(start + sql.SQL("RESET {}").format(sql.Identifier(setting)))
        return
    if isinstance(wanted, list):
        value: sql.Composable = sql.SQL(", ").join(map(sql.Identifier, wanted))
    else:
        value = sql.Identifier(wanted) if isinstance(wanted, str) else sql.Literal(wanted)
    session.execute(start + sql.SQL("SET {} TO {}").format(sql.Identifier(setting), value))


def _set_password(session: Session, name: str, password: str) -> None:
    if not password or password.upper() == "NULL":
        session.execute("ALTER ROLE {} PASSWORD NULL", name)
        return
    if not password.startswith(("SCRAM-SHA-256$", "md5")):
        # Hashed here, so that the server never logs the clear text.
        hashed = session.connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
        password = hashed.decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
    session.execute(statement.format(sql.Identifier(name), sql.Literal(password)))


def _attributes(session: Session, name: str) -> dict[str, Any]:
    """Read the attributes of the role that every user may see."""
    row = session.row(
        """SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolreplication, rolbypassrls,
            rolconnlimit, coalesce(rolvaliduntil::text, 'infinity'), coalesce(rolconfig, '{}'),
            ARRAY(SELECT DISTINCT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
            FROM pg_roles r WHERE rolname = %s""",
        name,
    )
    if row is None:
        raise ProviderError(f"role {name!r} does not exist")
    *flags, limit, until, configuration, roles = row
    settings = dict(entry.split("=", 1) for entry in configuration)
    path = settings.get("search_path", "")
    return {
        **dict(zip(_FLAGS, flags, strict=True)),
        **{timeout: _milliseconds(session, settings.get(setting)) for timeout, setting in _TIMEOUTS.items()},
        "connectionLimit": limit,
        "validUntil": until,
        "roles": roles,
        "searchPaths": [part.strip('"').replace('""', '"') for part in path.split(", ")] if path else [],
        "assumeRole": settings.get("role", ""),
    }


def _milliseconds(session: Session, value: str | None) -> int:
    """Convert a setting to milliseconds; the server converts values like ``5min``."""
    if value is None or value.isdigit():
        return int(value or 0)
    return round(float(session.value("SELECT extract(epoch FROM %s::interval) * 1000", value.replace("min", " min"))))


def _describe(session: Session, name: str, known: dict[str, Any]) -> FoundResource:
    """Return the outputs. ``known`` has what the catalog lacks: options of deletion and the clear-text password."""
    outputs = {"name": name, **_attributes(session, name)}
    if _same_time(session, known.get("validUntil"), outputs["validUntil"]):
        outputs["validUntil"] = known["validUntil"]
    for option, default in _KEPT.items():
        outputs[option] = known.get(option, default)
    outputs["password"] = _password(session, name, outputs["login"], known.get("password", ""))
    return FoundResource(name, {key: value for key, value in outputs.items() if key != "password" or value})


def _password(session: Session, name: str, login: bool, known: str) -> str:
    """Return the stored verifier if it is readable and does not match ``known``, else ``known``."""
    if not login or not session.settings.superuser:
        return known
    if not session.is_superuser:
        raise ProviderError(
            f"cannot read the password of role {name!r}: {session.user!r} is not a superuser; "
            "set superuser to false in the provider's configuration to use the password in the state"
        )
    stored = session.value("SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = %s", name)
    return known if _matches(name, known, stored) else stored


def _matches(name: str, password: str, stored: str) -> bool:
    """Whether the stored verifier matches ``password``, which may be a verifier itself."""
    if password == stored or (password.upper() == "NULL" and not stored):
        return True
    if not password or password.startswith(("SCRAM-SHA-256$", "md5")):
        return False
    if stored.startswith("md5"):
        digest = hashlib.md5((password + name).encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(f"md5{digest}", stored)
    return scram.matches(password, stored)


def _same_time(session: Session, one: str | None, other: str | None) -> bool:
    """Whether the server parses both texts as the same time."""
    if one == other:
        return True
    if not one or not other:
        return False
    return bool(session.value("SELECT %s::timestamptz = %s::timestamptz", one, other))


def _adopt(session: Session, name: str, inputs: dict[str, Any]) -> FoundResource:
    """Adopt an existing role if it equals this resource and nothing depends on it.

    A run that was killed between CREATE ROLE and the engine's record of it leaves such a role. Any other role may
    belong to somebody else, and a later destroy would drop it.
    """
    current = _attributes(session, name)
    empty = {
        "roles": [],
        "searchPaths": [],
        "assumeRole": "",
        "statementTimeout": 0,
        "idleInTransactionSessionTimeout": 0,
    }
    wanted = {**empty, **inputs, "roles": sorted(inputs.get("roles", []))}
    wanted["validUntil"] = (
        current["validUntil"] if _same_time(session, inputs["validUntil"], current["validUntil"]) else ""
    )
    reasons = [f"another {key}" for key in _COMPARED if current[key] != wanted[key]]
    if session.value("SELECT true FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = %s LIMIT 1",
                     session.role_oid(name)):  # fmt: skip
        reasons.append("objects or privileges of its own")
    if inputs["login"]:
        reasons.extend(_login_mismatches(session, name, inputs.get("password", "")))
    if reasons:
        raise ProviderError(
            f"role {name!r} exists already and differs from this resource (it has {', '.join(reasons)}); "
            f"import it with 'pulumi import postgresql:index/role:Role <resource name> {name}', or drop it"
        )
    if inputs["login"]:
        _set_password(session, name, inputs.get("password", ""))
    return _describe(session, name, inputs)


def _login_mismatches(session: Session, name: str, password: str) -> list[str]:
    """Return reasons not to adopt a login: another password or, if the admin cannot read it, another creator."""
    if session.is_superuser:
        stored = session.value("SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = %s", name)
        return [] if _matches(name, password, stored) else ["another password"]
    administers = "SELECT pg_has_role(current_user, %s, 'MEMBER WITH ADMIN OPTION')"
    return [] if session.value(administers, name) else ["another creator"]
