"""Manual changes of PostgreSQL, invented from the server's documentation, and what ``drift`` prints about each of them.

A superuser can make each one on the local stack.
"""

import re
from dataclasses import dataclass

_OID = re.compile(r"(?<=RI_ConstraintTrigger_[ac]_)[0-9]+")


@dataclass(frozen=True)
class Tampering:
    """Statements of a superuser, on one connection.

    ``found`` are all differences that follow, as ``SENTENCE; run: REMEDY`` or, where ``up --refresh`` is the remedy, as
    ``SENTENCE``, sorted; ``...`` stands for any text. Where no difference needs ``up``, the remedies undo the tampering, and
    ``after`` removes what is left, which is nothing of the stack's. Otherwise ``undo`` does; with ``only_up`` only ``up``.
    """

    do: tuple[str, ...]
    found: tuple[str, ...]
    undo: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    only_up: bool = False

    @property
    def by_up(self) -> bool:
        """Whether ``up`` must run to mend a difference."""
        return self.only_up or any("; run: " not in difference for difference in self.found)

    def is_found(self, differences: list[str]) -> bool:
        """Whether these are the expected differences."""
        return len(differences) == len(self.found) and all(map(_matches, self.found, sorted(differences)))


def _matches(expected: str, found: str) -> bool:
    start, dots, end = expected.partition(" ... ")
    found = _OID.sub("OID", found)
    return found.startswith(start) and found.endswith(end) if dots else found == expected


# Keeps a value for the undo, for as long as the connection lives.
KEEP = "SELECT set_config('tampering.kept', coalesce(({})::text, ''), false)"


def kept(statement: str) -> str:
    """Return a statement that runs ``statement``, an argument of ``format``, with the value that ``KEEP`` kept."""
    return f"DO $do$ BEGIN EXECUTE format({statement}, current_setting('tampering.kept')); END $do$"


ROLES = {
    "a password was changed": Tampering(
        (
            KEEP.format("SELECT rolpassword FROM pg_authid WHERE rolname = 'policy'"),
            "ALTER ROLE policy PASSWORD 'chosen-by-hand'",
        ),
        ("the password of role policy is not the stack's: it was changed by hand",),
        (kept("'ALTER ROLE policy PASSWORD %L'"),),
    ),
    "a password was removed": Tampering(
        (
            KEEP.format("SELECT rolpassword FROM pg_authid WHERE rolname = 'vexlens'"),
            "ALTER ROLE vexlens PASSWORD NULL",
        ),
        ("the password of role vexlens was removed: it cannot log in",),
        (kept("'ALTER ROLE vexlens PASSWORD %L'"),),
    ),
    "the password of the login for backups was changed": Tampering(
        (
            KEEP.format("SELECT rolpassword FROM pg_authid WHERE rolname = 'stellaops_backup'"),
            "ALTER ROLE stellaops_backup PASSWORD 'chosen-by-hand'",
        ),
        ("the password of role stellaops_backup is not the stack's: it was changed by hand",),
        (kept("'ALTER ROLE stellaops_backup PASSWORD %L'"),),
    ),
    "a login is a superuser": Tampering(
        ("ALTER ROLE gateway SUPERUSER",),
        ("role gateway is a superuser: not in the mapping",),
        ("ALTER ROLE gateway NOSUPERUSER",),
    ),
    "attributes that reach far": Tampering(
        ("ALTER ROLE policy BYPASSRLS CREATEROLE CREATEDB REPLICATION NOINHERIT",),
        (
            "role policy bypasses row-level security: not in the mapping",
            "role policy does not inherit privileges (NOINHERIT): the mapping needs INHERIT",
            "role policy may create databases: not in the mapping",
            "role policy may create roles: not in the mapping",
            "role policy may replicate: not in the mapping",
        ),
        ("ALTER ROLE policy NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION INHERIT",),
    ),
    "a group role may log in": Tampering(
        ("ALTER ROLE vex_owner LOGIN PASSWORD 'x'",),
        ("role vex_owner may log in (LOGIN): not in the mapping",),
        ("ALTER ROLE vex_owner NOLOGIN PASSWORD NULL",),
    ),
    "the connect role may log in": Tampering(
        ("ALTER ROLE stellaops_connect LOGIN",),
        ("role stellaops_connect may log in (LOGIN): not in the mapping",),
        ("ALTER ROLE stellaops_connect NOLOGIN",),
    ),
    "a login may not log in": Tampering(
        ("ALTER ROLE scanner NOLOGIN",),
        ("role scanner may not log in (NOLOGIN): the mapping allows it",),
        ("ALTER ROLE scanner LOGIN",),
    ),
    "a login has expired": Tampering(
        ("ALTER ROLE concelier VALID UNTIL '2020-01-01 00:00:00+00'",),
        ("role concelier may not log in after 2020-01-01 00:00:00+00 (VALID UNTIL): not in the mapping",),
        ("ALTER ROLE concelier VALID UNTIL 'infinity'",),
    ),
    "a connection limit was lifted": Tampering(
        ("ALTER ROLE symbols CONNECTION LIMIT -1",),
        ("role symbols may have any number of connections (CONNECTION LIMIT): the mapping allows 40 connections",),
        ("ALTER ROLE symbols CONNECTION LIMIT 40",),
    ),
    "a timeout is off": Tampering(
        ("ALTER ROLE scanner SET statement_timeout = 0",),
        ("role scanner has statement_timeout=0: the mapping has 60000",),
        ("ALTER ROLE scanner SET statement_timeout = 60000",),
    ),
    "a setting is gone": Tampering(
        ("ALTER ROLE scanner RESET search_path",),
        ("role scanner has no search_path: the mapping has scanner",),
        ("ALTER ROLE scanner SET search_path = scanner",),
    ),
    "a login skips triggers": Tampering(
        ("ALTER ROLE vexhub SET session_replication_role = replica",),
        (
            (
                "role vexhub has session_replication_role=replica: not in the mapping; run: ALTER ROLE vexhub RESET "
                "session_replication_role"
            ),
        ),
    ),
    "a login has a setting of its own": Tampering(
        ("ALTER ROLE issuer_directory SET app.tenant_id = '00000000-0000-0000-0000-000000000001'",),
        (
            (
                "role issuer_directory has app.tenant_id=00000000-0000-0000-0000-000000000001: not in the mapping; "
                "run: ALTER ROLE issuer_directory RESET app.tenant_id"
            ),
        ),
    ),
    "a login finds other tables first in one database": Tampering(
        ("ALTER ROLE sbom_service IN DATABASE stellaops SET search_path = 'pg_temp', 'scanner'",),
        (
            (
                "role sbom_service has search_path=pg_temp, scanner in database stellaops: not in the mapping; run: "
                "ALTER ROLE sbom_service IN DATABASE stellaops RESET search_path"
            ),
        ),
    ),
    "a membership by hand": Tampering(
        ("GRANT vex_writer TO policy",),
        ("role policy is a member of vex_writer: not in the mapping",),
        ("REVOKE vex_writer FROM policy",),
    ),
    "a login may use an owner role": Tampering(
        ("GRANT authority_owner TO vexhub",),
        ("role vexhub is a member of authority_owner: not in the mapping",),
        ("REVOKE authority_owner FROM vexhub",),
    ),
    "a membership opens another database": Tampering(
        (
            "CREATE ROLE analysts",
            "GRANT CONNECT ON DATABASE postgres TO analysts",
            "GRANT analysts TO scanner",
        ),
        (
            "role scanner is a member of analysts: not in the mapping",
            (
                "role scanner may connect to database postgres, because it is a member of analysts, and "
                "postgres:openDatabases does not accept it; run: REVOKE analysts FROM scanner GRANTED BY postgres CASCADE"
            ),
        ),
        ("REVOKE analysts FROM scanner",),
        after=("REVOKE ALL ON DATABASE postgres FROM analysts", "DROP ROLE analysts"),
    ),
    "a login reads everything by a predefined role": Tampering(
        ("GRANT pg_read_all_data TO risk_engine",),
        ("role risk_engine is a member of pg_read_all_data: not in the mapping",),
        ("REVOKE pg_read_all_data FROM risk_engine",),
    ),
    "a stranger in a group": Tampering(
        (
            "CREATE ROLE consultant LOGIN",
            "GRANT policy_owner TO consultant",
        ),
        (
            (
                "role consultant is a member of policy_owner: not in the mapping; run: REVOKE policy_owner FROM "
                "consultant GRANTED BY postgres CASCADE"
            ),
        ),
        after=("DROP ROLE consultant",),
    ),
    "a stranger whose name has control characters": Tampering(
        (
            'CREATE ROLE "bad\n\x1b[31mname"',
            'GRANT scanner_writer TO "bad\n\x1b[31mname"',
        ),
        (
            (
                "role bad\n\x1b[31mname is a member of scanner_writer: not in the mapping; run: REVOKE scanner_writer "
                'FROM U&"bad\\000a\\001b[31mname" GRANTED BY postgres CASCADE'
            ),
        ),
        after=('DROP ROLE "bad\n\x1b[31mname"',),
    ),
    "a membership that a login granted": Tampering(
        (
            "GRANT notify_writer TO notifier WITH ADMIN TRUE",
            "SET ROLE notifier",
            "GRANT notify_writer TO risk_engine",
            "RESET ROLE",
        ),
        (
            (
                "role notifier may add members to notify_writer (ADMIN OPTION): not in the mapping; run: REVOKE "
                "ADMIN OPTION FOR notify_writer FROM notifier GRANTED BY postgres CASCADE"
            ),
            (
                "role risk_engine is a member of notify_writer: not in the mapping; run: REVOKE notify_writer FROM "
                "risk_engine GRANTED BY notifier CASCADE"
            ),
        ),
    ),
    "a membership is gone": Tampering(
        ("REVOKE vex_reader FROM vexlens",),
        ("role vexlens is not a member of vex_reader: it is in the mapping",),
        ("GRANT vex_reader TO vexlens",),
    ),
    "a membership with ADMIN": Tampering(
        ("GRANT scanner_reader TO sbom_service WITH ADMIN TRUE",),
        (
            (
                "role sbom_service may add members to scanner_reader (ADMIN OPTION): not in the mapping; run: REVOKE "
                "ADMIN OPTION FOR scanner_reader FROM sbom_service GRANTED BY postgres CASCADE"
            ),
        ),
    ),
    "a membership without INHERIT": Tampering(
        ("GRANT orchestrator_writer TO orchestrator WITH INHERIT FALSE",),
        (
            (
                "role orchestrator does not inherit the privileges of orchestrator_writer (INHERIT FALSE): the "
                "mapping needs INHERIT; run: GRANT orchestrator_writer TO orchestrator WITH INHERIT TRUE"
            ),
        ),
    ),
    "a membership without SET": Tampering(
        ("GRANT scanner_reader TO sbom_service WITH SET FALSE",),
        (
            (
                "role sbom_service may not SET ROLE scanner_reader (SET FALSE): the mapping allows it; run: GRANT "
                "scanner_reader TO sbom_service WITH SET TRUE"
            ),
        ),
    ),
    "the login for backups is limited": Tampering(
        (
            "ALTER ROLE stellaops_backup NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 1",
            "REVOKE vex_reader FROM stellaops_backup",
            "ALTER ROLE stellaops_backup RESET search_path",
        ),
        (
            "role stellaops_backup has NOBYPASSRLS: backups need BYPASSRLS",
            "role stellaops_backup has NOREPLICATION: backups need REPLICATION",
            "role stellaops_backup has no search_path: the mapping has pg_catalog",
            "role stellaops_backup is not a member of vex_reader: it is in the mapping",
            "role stellaops_backup may have 1 connection (CONNECTION LIMIT): the mapping allows 8 connections",
        ),
        (
            "ALTER ROLE stellaops_backup REPLICATION BYPASSRLS CONNECTION LIMIT 8",
            "GRANT vex_reader TO stellaops_backup",
            "ALTER ROLE stellaops_backup SET search_path = pg_catalog",
        ),
    ),
    "the login for backups may write": Tampering(
        ("GRANT vex_writer TO stellaops_backup",),
        ("role stellaops_backup is a member of vex_writer: not in the mapping",),
        ("REVOKE vex_writer FROM stellaops_backup",),
    ),
    "a stranger is a superuser": Tampering(
        ("CREATE ROLE consultant LOGIN SUPERUSER",),
        (
            (
                "role consultant is a superuser, so it reaches the stack's data: not in the mapping, nor in "
                "postgres:trustedRoles; run: ALTER ROLE consultant NOSUPERUSER"
            ),
        ),
        after=("DROP ROLE consultant",),
    ),
    "a stranger reads everything by a predefined role": Tampering(
        (
            "CREATE ROLE consultant LOGIN",
            "GRANT pg_read_all_data TO consultant",
        ),
        (
            (
                "role consultant is a member of pg_read_all_data, so it reaches the stack's data: not in the "
                "mapping, nor in postgres:trustedRoles; run: REVOKE pg_read_all_data FROM consultant GRANTED BY "
                "postgres CASCADE"
            ),
        ),
        after=("DROP ROLE consultant",),
    ),
}
SERVER = {
    "sessions of the database skip triggers": Tampering(
        ("ALTER DATABASE stellaops SET session_replication_role = replica",),
        (
            (
                "database stellaops has session_replication_role=replica: not in the mapping; run: ALTER DATABASE "
                "stellaops RESET session_replication_role"
            ),
        ),
    ),
    "sessions of the database belong to a tenant": Tampering(
        ("ALTER DATABASE stellaops SET app.tenant_id = '00000000-0000-0000-0000-000000000001'",),
        (
            (
                "database stellaops has app.tenant_id=00000000-0000-0000-0000-000000000001: not in the mapping; run: "
                "ALTER DATABASE stellaops RESET app.tenant_id"
            ),
        ),
    ),
    "every role is read-only": Tampering(
        ("ALTER ROLE ALL SET default_transaction_read_only = on",),
        (
            (
                "every role has default_transaction_read_only=on: not in the mapping; run: SET "
                "default_transaction_read_only = off; ALTER ROLE ALL RESET default_transaction_read_only"
            ),
        ),
    ),
    "sessions of the database are those of another role and end soon": Tampering(
        (
            "ALTER DATABASE stellaops SET role = vex_reader",
            "ALTER DATABASE stellaops SET statement_timeout = 500",
            "ALTER DATABASE stellaops SET work_mem = '8MB'",
        ),
        (
            (
                "database stellaops has role=vex_reader: not in the mapping; run: SET ROLE NONE; ALTER DATABASE "
                "stellaops RESET role"
            ),
            (
                "database stellaops has statement_timeout=500: not in the mapping; run: SET statement_timeout = 0; "
                "ALTER DATABASE stellaops RESET statement_timeout"
            ),
        ),
        after=("ALTER DATABASE stellaops RESET work_mem",),
    ),
    "sessions of the server skip triggers": Tampering(
        (
            "ALTER SYSTEM SET session_replication_role = replica",
            "SELECT pg_reload_conf()",
        ),
        (
            (
                "the server has session_replication_role=replica: the stack needs origin, because triggers of "
                "evidence and foreign keys do not run otherwise; run: ALTER SYSTEM SET session_replication_role = "
                "origin; SELECT pg_reload_conf()"
            ),
        ),
        after=("ALTER SYSTEM RESET session_replication_role",),
    ),
    "the database accepts one connection": Tampering(
        ("ALTER DATABASE stellaops CONNECTION LIMIT 1",),
        ("database stellaops accepts 1 connection (CONNECTION LIMIT): the stack sets no limit",),
        ("ALTER DATABASE stellaops CONNECTION LIMIT -1",),
    ),
    "the database is a template": Tampering(
        ("ALTER DATABASE stellaops IS_TEMPLATE true",),
        (
            (
                "database stellaops is a template (IS_TEMPLATE): roles with CREATEDB may copy it; run: ALTER "
                "DATABASE stellaops IS_TEMPLATE false"
            ),
        ),
    ),
    "the database belongs to an owner role": Tampering(
        ("ALTER DATABASE stellaops OWNER TO vex_owner",),
        (
            (
                "role vex_owner owns database stellaops: not in the mapping; run: ALTER DATABASE stellaops OWNER TO "
                "postgres"
            ),
        ),
    ),
    "the database belongs to a stranger": Tampering(
        (
            "CREATE ROLE consultant",
            "ALTER DATABASE stellaops OWNER TO consultant",
        ),
        (
            (
                "role consultant owns database stellaops: not in the mapping; run: ALTER DATABASE stellaops OWNER TO "
                "postgres"
            ),
        ),
        after=("DROP ROLE consultant",),
    ),
    "a login may switch triggers off": Tampering(
        ("GRANT SET ON PARAMETER session_replication_role TO policy",),
        (
            (
                "role policy holds privileges on parameter session_replication_role: not in the mapping; run: REVOKE "
                "ALL ON PARAMETER session_replication_role FROM policy CASCADE"
            ),
        ),
    ),
    "everybody may switch triggers off": Tampering(
        ("GRANT SET ON PARAMETER session_replication_role TO PUBLIC",),
        (
            (
                "PUBLIC may SET parameter session_replication_role: PostgreSQL does not grant it by default; run: "
                "REVOKE SET ON PARAMETER session_replication_role FROM PUBLIC"
            ),
        ),
    ),
    "a login may create schemas": Tampering(
        ("GRANT CREATE ON DATABASE stellaops TO scheduler",),
        (
            (
                "role scheduler may CREATE on database stellaops: not in the mapping; run: REVOKE CREATE ON DATABASE "
                "stellaops FROM scheduler"
            ),
        ),
    ),
    "everybody may connect": Tampering(
        ("GRANT CONNECT, TEMPORARY ON DATABASE stellaops TO PUBLIC",),
        (
            "PUBLIC may CONNECT on database stellaops: not in the mapping",
            "PUBLIC may TEMPORARY on database stellaops: not in the mapping",
        ),
        ("REVOKE ALL ON DATABASE stellaops FROM PUBLIC",),
    ),
    "nobody may connect": Tampering(
        ("REVOKE CONNECT ON DATABASE stellaops FROM stellaops_connect",),
        ("role stellaops_connect may not CONNECT on database stellaops: the mapping allows it",),
        ("GRANT CONNECT ON DATABASE stellaops TO stellaops_connect",),
    ),
    "a maintenance database is open again": Tampering(
        ("GRANT CONNECT ON DATABASE template1 TO PUBLIC",),
        (
            (
                "every login may connect to database template1, because PUBLIC may, and postgres:openDatabases does "
                "not accept it"
            ),
        ),
        ("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC",),
    ),
    "another database is open": Tampering(
        ("CREATE DATABASE parking",),
        (
            (
                "every login may connect to database parking, because PUBLIC may, and postgres:openDatabases does "
                'not accept it; run: REVOKE CONNECT ON DATABASE "parking" FROM PUBLIC'
            ),
        ),
        after=("DROP DATABASE parking",),
    ),
    "a privilege on another database": Tampering(
        ("GRANT CREATE ON DATABASE postgres TO policy",),
        (
            (
                "role policy holds privileges on database postgres: not in the mapping; run: REVOKE ALL ON DATABASE "
                "postgres FROM policy CASCADE"
            ),
        ),
    ),
    "a large object belongs to a login": Tampering(
        (
            "SELECT lo_create(4711)",
            "ALTER LARGE OBJECT 4711 OWNER TO policy",
        ),
        ("role policy owns large object 4711: not in the mapping; run: ALTER LARGE OBJECT 4711 OWNER TO postgres",),
        after=("SELECT lo_unlink(4711)",),
    ),
    "a login may read a large object": Tampering(
        (
            "SELECT lo_create(424242)",
            "GRANT SELECT ON LARGE OBJECT 424242 TO policy",
        ),
        (
            (
                "role policy holds privileges on large object 424242: not in the mapping; run: REVOKE ALL ON LARGE "
                "OBJECT 424242 FROM policy CASCADE"
            ),
        ),
        after=("SELECT lo_unlink(424242)",),
    ),
    "everybody may read a large object": Tampering(
        (
            "SELECT lo_create(424243)",
            "GRANT SELECT ON LARGE OBJECT 424243 TO PUBLIC",
        ),
        (
            (
                "PUBLIC may SELECT large object 424243: PostgreSQL does not grant it by default; run: REVOKE SELECT "
                "ON LARGE OBJECT 424243 FROM PUBLIC"
            ),
        ),
        after=("SELECT lo_unlink(424243)",),
    ),
    "a login may fill a tablespace": Tampering(
        ("GRANT CREATE ON TABLESPACE pg_default TO vexhub",),
        (
            (
                "role vexhub holds privileges on tablespace pg_default: not in the mapping; run: REVOKE ALL ON "
                "TABLESPACE pg_default FROM vexhub CASCADE"
            ),
        ),
    ),
    "every table is published": Tampering(
        ("CREATE PUBLICATION leak FOR ALL TABLES",),
        (
            (
                "publication leak publishes every table of database stellaops: not in the mapping; run: DROP "
                "PUBLICATION leak"
            ),
        ),
    ),
    "a subscription writes into tables": Tampering(
        (
            (
                "CREATE SUBSCRIPTION feed CONNECTION 'host=elsewhere.invalid' PUBLICATION leak WITH (connect = "
                "false, slot_name = NONE)"
            ),
        ),
        (
            (
                "subscription feed writes into tables of database stellaops: not in the mapping; run: DROP "
                "SUBSCRIPTION feed"
            ),
        ),
    ),
    "the database reaches another server": Tampering(
        (
            "CREATE EXTENSION postgres_fdw",
            "CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'elsewhere.invalid')",
            "CREATE USER MAPPING FOR policy SERVER elsewhere",
        ),
        (
            (
                "extension postgres_fdw: not in the mapping; run: DROP SERVER IF EXISTS elsewhere CASCADE; DROP "
                "EXTENSION postgres_fdw"
            ),
            "foreign server elsewhere: not in the mapping; run: DROP SERVER IF EXISTS elsewhere CASCADE",
            (
                "role policy owns user mapping for policy on server elsewhere: not in the mapping; run: DROP USER "
                "MAPPING IF EXISTS FOR policy SERVER elsewhere"
            ),
        ),
    ),
    "a forgotten replication slot keeps the WAL": Tampering(
        ("SELECT pg_create_physical_replication_slot('forgotten', true)",),
        (
            (
                "replication slot forgotten (physical) is not in use, and the server keeps its WAL: not in the "
                "mapping; run: SELECT pg_drop_replication_slot('forgotten')"
            ),
        ),
    ),
    "an event trigger runs a stranger's function": Tampering(
        (
            "CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION public.watch()",
        ),
        (
            "event trigger watching: not in the mapping; run: DROP EVENT TRIGGER watching",
            "function public.watch(): not in the mapping; run: DROP FUNCTION public.watch()",
        ),
    ),
    "everybody may read files of the server": Tampering(
        ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC",),
        (
            (
                "PUBLIC may EXECUTE function pg_read_file(text): PostgreSQL does not grant it by default; run: "
                "REVOKE EXECUTE ON ROUTINE pg_catalog.pg_read_file(pg_catalog.text) FROM PUBLIC"
            ),
        ),
    ),
    "a login may read files of the server": Tampering(
        ("GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO policy",),
        (
            (
                "role policy holds privileges on function pg_read_file(text): not in the mapping; run: REVOKE ALL ON "
                "FUNCTION pg_catalog.pg_read_file(pg_catalog.text) FROM policy CASCADE"
            ),
        ),
    ),
}
PRIVILEGES = {
    "a reader may change evidence": Tampering(
        ("GRANT UPDATE ON vex.vex_raw TO vexlens",),
        ("role vexlens may UPDATE vex.vex_raw: not in the mapping",),
        ("REVOKE UPDATE ON vex.vex_raw FROM vexlens",),
    ),
    "a reader lost a table": Tampering(
        ("REVOKE SELECT ON scanner.scans FROM attestor",),
        ("role attestor may not SELECT scanner.scans: the mapping allows it",),
        ("GRANT SELECT ON scanner.scans TO attestor",),
    ),
    "everybody may read a table": Tampering(
        ("GRANT SELECT ON registry.tokens TO PUBLIC",),
        ("PUBLIC may SELECT registry.tokens: not in the mapping",),
        ("REVOKE SELECT ON registry.tokens FROM PUBLIC",),
    ),
    "a group role may delete evidence": Tampering(
        ("GRANT DELETE, TRUNCATE ON vuln.advisory_raw TO vuln_writer",),
        (
            "role vuln_writer may DELETE vuln.advisory_raw: not in the mapping",
            "role vuln_writer may TRUNCATE vuln.advisory_raw: not in the mapping",
        ),
        ("REVOKE DELETE, TRUNCATE ON vuln.advisory_raw FROM vuln_writer",),
    ),
    "a writer may no longer write": Tampering(
        ("REVOKE INSERT ON vex.vex_raw FROM vex_writer",),
        ("role vex_writer may not INSERT vex.vex_raw: the mapping allows it",),
        ("GRANT INSERT ON vex.vex_raw TO vex_writer",),
    ),
    "a reader may grant its privilege": Tampering(
        ("GRANT SELECT ON scanner.scans TO attestor WITH GRANT OPTION",),
        ("role attestor may grant SELECT scanner.scans to others (GRANT OPTION): not in the mapping",),
        ("REVOKE GRANT OPTION FOR SELECT ON scanner.scans FROM attestor",),
    ),
    "a stranger reads": Tampering(
        (
            "CREATE ROLE stranger LOGIN",
            "GRANT SELECT ON vex.vex_raw TO stranger",
            "GRANT CONNECT ON DATABASE stellaops TO stranger",
        ),
        (
            (
                "role stranger may CONNECT on database stellaops: not in the mapping; run: REVOKE CONNECT ON "
                "DATABASE stellaops FROM stranger"
            ),
            "role stranger may SELECT vex.vex_raw: not in the mapping",
        ),
        (
            "DROP OWNED BY stranger",
            "DROP ROLE stranger",
        ),
    ),
    "one more column may be read": Tampering(
        ("GRANT SELECT (redirect_uris) ON authority.clients TO signer",),
        ("role signer may SELECT authority.clients(redirect_uris): not in the mapping",),
        ("REVOKE SELECT (redirect_uris) ON authority.clients FROM signer",),
    ),
    "one column less may be read": Tampering(
        ("REVOKE SELECT (scopes) ON authority.clients FROM signer",),
        ("role signer may not SELECT authority.clients(scopes): the mapping allows it",),
        ("GRANT SELECT (scopes) ON authority.clients TO signer",),
    ),
    "a column of evidence may be changed": Tampering(
        ("GRANT UPDATE (status) ON vex.vex_raw TO vexhub",),
        ("role vexhub may UPDATE vex.vex_raw(status): not in the mapping",),
        ("REVOKE UPDATE (status) ON vex.vex_raw FROM vexhub",),
    ),
    "a login may create tables": Tampering(
        ("GRANT CREATE ON SCHEMA vex TO excititor",),
        (
            (
                "role excititor may CREATE on schema vex: not in the mapping; run: REVOKE CREATE ON SCHEMA vex FROM "
                "excititor"
            ),
        ),
    ),
    "a reader may create tables": Tampering(
        ("GRANT CREATE ON SCHEMA vex TO vex_reader",),
        ("role vex_reader may CREATE on schema vex: not in the mapping",),
        ("REVOKE CREATE ON SCHEMA vex FROM vex_reader",),
    ),
    "a reader may grant access to a schema": Tampering(
        ("GRANT USAGE ON SCHEMA vex TO vex_reader WITH GRANT OPTION",),
        (
            (
                "role vex_reader may grant USAGE on schema vex to others (GRANT OPTION): not in the mapping; run: "
                "REVOKE GRANT OPTION FOR USAGE ON SCHEMA vex FROM vex_reader CASCADE"
            ),
        ),
    ),
    "a schema is closed to its reader": Tampering(
        ("REVOKE USAGE ON SCHEMA vex FROM vex_reader",),
        ("role vex_reader may not USAGE on schema vex: the mapping allows it",),
        ("GRANT USAGE ON SCHEMA vex TO vex_reader",),
    ),
    "schema public is open": Tampering(
        ("GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC",),
        (
            "PUBLIC may CREATE on schema public: not in the mapping",
            "PUBLIC may USAGE on schema public: not in the mapping",
        ),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC",),
    ),
    "a login may use schema public": Tampering(
        ("GRANT USAGE, CREATE ON SCHEMA public TO scanner",),
        (
            (
                "role scanner may CREATE on schema public: not in the mapping; run: REVOKE CREATE ON SCHEMA public "
                "FROM scanner"
            ),
            (
                "role scanner may USAGE on schema public: not in the mapping; run: REVOKE USAGE ON SCHEMA public "
                "FROM scanner"
            ),
        ),
    ),
    "everybody may call a function": Tampering(
        ("GRANT EXECUTE ON FUNCTION policy.create_finding_tables(uuid) TO PUBLIC",),
        ("PUBLIC may EXECUTE policy.create_finding_tables(uuid): not in the mapping",),
        ("REVOKE EXECUTE ON FUNCTION policy.create_finding_tables(uuid) FROM PUBLIC",),
    ),
    "another login may call a function": Tampering(
        ("GRANT EXECUTE ON FUNCTION policy.create_finding_tables(uuid) TO scanner",),
        (
            (
                "role scanner may EXECUTE policy.create_finding_tables(uuid): not in the mapping; run: REVOKE "
                "EXECUTE ON ROUTINE policy.create_finding_tables(uuid) FROM scanner"
            ),
        ),
    ),
    "a module may not call its function": Tampering(
        ("REVOKE EXECUTE ON FUNCTION policy.create_finding_tables(uuid) FROM policy",),
        ("role policy may not EXECUTE policy.create_finding_tables(uuid): the mapping allows it",),
        ("GRANT EXECUTE ON FUNCTION policy.create_finding_tables(uuid) TO policy",),
    ),
    "new functions are open to everybody": Tampering(
        ("ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",),
        ("default privileges of role vex_owner grant EXECUTE on new functions to PUBLIC: not in the mapping",),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",),
    ),
    "new tables are open to a module": Tampering(
        ("ALTER DEFAULT PRIVILEGES FOR ROLE vuln_owner IN SCHEMA vuln GRANT SELECT ON TABLES TO attestor",),
        (
            (
                "default privileges of role vuln_owner in schema vuln grant SELECT on new tables to role attestor: "
                "not in the mapping; run: ALTER DEFAULT PRIVILEGES FOR ROLE vuln_owner IN SCHEMA vuln REVOKE SELECT "
                "ON TABLES FROM attestor"
            ),
        ),
    ),
    "new tables of the admin are open to a reader": Tampering(
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA vex GRANT INSERT ON TABLES TO vex_reader",),
        (
            (
                "default privileges of role postgres in schema vex grant INSERT on new tables to role vex_reader: "
                "not in the mapping; run: ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA vex REVOKE INSERT ON "
                "TABLES FROM vex_reader"
            ),
        ),
    ),
}
OBJECTS = {
    "a table belongs to a login": Tampering(
        ("ALTER TABLE unknowns.tracking OWNER TO unknowns",),
        (
            (
                "table unknowns.tracking is owned by unknowns, not by unknowns_owner (only unknowns or a superuser "
                'can change it); run: ALTER TABLE unknowns.tracking OWNER TO "unknowns_owner"'
            ),
        ),
    ),
    "a schema belongs to a login": Tampering(
        ("ALTER SCHEMA vex OWNER TO excititor",),
        (
            (
                "schema vex is owned by excititor, not by vex_owner (only excititor or a superuser can change it); "
                'run: ALTER SCHEMA vex OWNER TO "vex_owner"'
            ),
        ),
    ),
    "a schema by hand": Tampering(
        ("CREATE SCHEMA backdoor AUTHORIZATION policy",),
        (
            "role policy owns schema backdoor: not in the mapping; run: ALTER SCHEMA backdoor OWNER TO postgres",
            "schema backdoor: not in the mapping; run: DROP SCHEMA backdoor",
        ),
    ),
    "a schema by hand with a table": Tampering(
        (
            "CREATE SCHEMA backdoor",
            "CREATE TABLE backdoor.copy AS SELECT * FROM vex.vex_raw",
        ),
        ("schema backdoor (with tables or views: 1): not in the mapping; run: DROP SCHEMA backdoor CASCADE",),
    ),
    "a table by hand": Tampering(
        (
            "SET ROLE vex_owner",
            "CREATE TABLE vex.copy AS SELECT * FROM vex.vex_raw",
            "RESET ROLE",
        ),
        ("table vex.copy: not in the mapping; run: DROP TABLE vex.copy",),
    ),
    "a view leaks": Tampering(
        (
            "SET ROLE vex_owner",
            "CREATE VIEW vex.leak AS SELECT * FROM vex.vex_raw",
            "GRANT SELECT ON vex.leak TO policy",
            "RESET ROLE",
        ),
        (
            "role policy may SELECT vex.leak: not in the mapping",
            "view vex.leak: no migration made it; run: SET ROLE vex_owner; DROP VIEW vex.leak; RESET ROLE",
        ),
        ("DROP VIEW vex.leak",),
    ),
    "a materialized view by hand": Tampering(
        (
            "SET ROLE vex_owner",
            "CREATE MATERIALIZED VIEW vex.counted AS SELECT count(*) FROM vex.vex_raw",
            "RESET ROLE",
        ),
        (
            (
                "materialized view vex.counted: no migration made it; run: SET ROLE vex_owner; DROP MATERIALIZED "
                "VIEW vex.counted; RESET ROLE"
            ),
        ),
    ),
    "a sequence by hand": Tampering(
        (
            "SET ROLE vex_owner",
            "CREATE SEQUENCE vex.numbers",
            "GRANT USAGE ON SEQUENCE vex.numbers TO policy",
            "RESET ROLE",
        ),
        (
            "role policy may USAGE on sequence vex.numbers: not in the mapping",
            "role vex_reader may not SELECT on sequence vex.numbers: the mapping allows it",
            "role vex_writer may not SELECT on sequence vex.numbers: the mapping allows it",
            "role vex_writer may not USAGE on sequence vex.numbers: the mapping allows it",
            (
                "sequence vex.numbers: no migration made it; run: SET ROLE vex_owner; DROP SEQUENCE vex.numbers; "
                "RESET ROLE"
            ),
        ),
        ("DROP SEQUENCE vex.numbers",),
    ),
    "a table in schema public": Tampering(
        (
            "CREATE TABLE public.parking (id int)",
            "ALTER TABLE public.parking OWNER TO policy",
        ),
        (
            (
                "role policy owns table public.parking: not in the mapping; run: ALTER TABLE public.parking OWNER TO "
                "postgres"
            ),
            "table public.parking: not in the mapping; run: DROP TABLE public.parking",
        ),
    ),
    "a table has another name": Tampering(
        ("ALTER TABLE registry.repositories RENAME TO repositories_old",),
        (
            (
                "constraint tokens_repository_id_fkey on registry.tokens is not as the migrations made it: it is "
                "`ALTER TABLE registry.tokens ADD CONSTRAINT tokens_repository_id_fkey FOREIGN KEY (repository_id) "
                "REFERENCES registry.repositories_old(repository_id)`, they made `ALTER TABLE registry.tokens ADD "
                "CONSTRAINT tokens_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES "
                "registry.repositories(repository_id)`; run: SET ROLE registry_owner; ALTER TABLE registry.tokens "
                "DROP CONSTRAINT tokens_repository_id_fkey; ALTER TABLE registry.tokens ADD CONSTRAINT "
                "tokens_repository_id_fkey FOREIGN KEY (repository_id) REFERENCES "
                "registry.repositories(repository_id); RESET ROLE"
            ),
            "role registry_reader may SELECT registry.repositories_old: not in the mapping",
            "role registry_writer may DELETE registry.repositories_old: not in the mapping",
            "role registry_writer may INSERT registry.repositories_old: not in the mapping",
            "role registry_writer may SELECT registry.repositories_old: not in the mapping",
            "role registry_writer may UPDATE registry.repositories_old: not in the mapping",
            (
                "table registry.repositories does not exist: it is in the mapping; registry.repositories_old has its "
                "columns; run: ALTER TABLE registry.repositories_old RENAME TO repositories"
            ),
            (
                "table registry.repositories_old: not in the mapping; run: ALTER TABLE registry.repositories_old "
                "RENAME TO repositories"
            ),
        ),
        ("ALTER TABLE registry.repositories_old RENAME TO repositories",),
    ),
    "a child table without guards keeps evidence": Tampering(
        ("CREATE TABLE vex.vex_raw_more () INHERITS (vex.vex_raw)",),
        (
            "table vex.vex_raw_more (inherits from vex.vex_raw): not in the mapping; run: DROP TABLE vex.vex_raw_more",
            (
                "table vex.vex_raw_more is owned by postgres, not by vex_owner (only postgres or a superuser can "
                'change it); run: ALTER TABLE vex.vex_raw_more OWNER TO "vex_owner"'
            ),
            "trigger append_only_row on vex.vex_raw_more is missing",
            "trigger append_only_truncate on vex.vex_raw_more is missing",
        ),
        ("DROP TABLE vex.vex_raw_more",),
    ),
    "a table shows the rows of another": Tampering(
        (
            "CREATE TABLE notify.parent (template_id uuid)",
            "ALTER TABLE notify.templates INHERIT notify.parent",
        ),
        (
            (
                "table notify.parent is owned by postgres, not by notify_owner (only postgres or a superuser can "
                'change it); run: ALTER TABLE notify.parent OWNER TO "notify_owner"'
            ),
            "table notify.parent: not in the mapping; run: DROP TABLE notify.parent",
            (
                "table notify.templates is a child of notify.parent, which shows its rows: not in the mapping; run: "
                "ALTER TABLE notify.templates NO INHERIT notify.parent"
            ),
        ),
    ),
    "a crash empties a table": Tampering(
        ("ALTER TABLE orchestrator.task_runs SET UNLOGGED",),
        (
            (
                "table orchestrator.task_runs is UNLOGGED (a crash empties it): not in the mapping; run: ALTER TABLE "
                "orchestrator.task_runs SET LOGGED"
            ),
        ),
    ),
    "a column was dropped": Tampering(
        ("ALTER TABLE notify.delivery_log DROP COLUMN error",),
        (
            (
                "column notify.delivery_log.error does not exist: it is in the mapping; its values are only in "
                "backups (docs/backups.md); run: ALTER TABLE notify.delivery_log ADD error text"
            ),
        ),
    ),
    "a column with a default was dropped": Tampering(
        ("ALTER TABLE scanner.scans DROP COLUMN state",),
        (
            (
                "column scanner.scans.state does not exist: it is in the mapping; its values are only in backups "
                "(docs/backups.md); run: ALTER TABLE scanner.scans ADD state character varying(50)"
            ),
            (
                "constraint scans_state_check on scanner.scans does not exist: a migration made it; run: SET ROLE "
                "scanner_owner; ALTER TABLE scanner.scans ADD CONSTRAINT scans_state_check CHECK (((state)::text = "
                "ANY ((ARRAY['pending'::character varying, 'acquired'::character varying, 'running'::character "
                "varying, 'completed'::character varying, 'failed'::character varying])::text[]))); RESET ROLE"
            ),
            (
                "index scanner.scans_state_idx does not exist: a migration made it; run: SET ROLE scanner_owner; "
                "CREATE INDEX scans_state_idx ON scanner.scans USING btree (state, created_at); RESET ROLE"
            ),
        ),
    ),
    "a column by hand": Tampering(
        ("ALTER TABLE authority.tokens ADD COLUMN raw_secret text",),
        ("column authority.tokens.raw_secret: not in the mapping; run: ALTER TABLE authority.tokens DROP raw_secret",),
    ),
    "a column has another name": Tampering(
        ("ALTER TABLE scanner.images RENAME os TO system",),
        (
            (
                "column scanner.images.os does not exist: it is in the mapping; run: ALTER TABLE scanner.images "
                "RENAME system TO os"
            ),
            "column scanner.images.system: not in the mapping; run: ALTER TABLE scanner.images RENAME system TO os",
        ),
    ),
    "a column has another type": Tampering(
        ("ALTER TABLE notify.templates ALTER locale TYPE varchar(20)",),
        (
            (
                "column notify.templates.locale is character varying(20): the mapping has character varying(10); "
                "run: ALTER TABLE notify.templates ALTER locale TYPE character varying(10) USING locale::character "
                "varying(10)"
            ),
        ),
    ),
    "rows need no tenant": Tampering(
        ("ALTER TABLE policy.policies ALTER COLUMN tenant_id DROP NOT NULL",),
        (
            (
                "column policy.policies.tenant_id is not as the migrations made it: it is `ALTER TABLE "
                "policy.policies ALTER tenant_id DROP NOT NULL, ALTER tenant_id DROP DEFAULT`, they made `ALTER "
                "TABLE policy.policies ALTER tenant_id SET NOT NULL, ALTER tenant_id DROP DEFAULT`; run: SET ROLE "
                "policy_owner; ALTER TABLE policy.policies ALTER tenant_id SET NOT NULL, ALTER tenant_id DROP "
                "DEFAULT; RESET ROLE"
            ),
        ),
    ),
    "a default by hand": Tampering(
        ("ALTER TABLE vex.consensus ALTER vulnerability_id SET DEFAULT 'none'",),
        (
            (
                "column vex.consensus.vulnerability_id is not as the migrations made it: it is `ALTER TABLE "
                "vex.consensus ALTER vulnerability_id DROP NOT NULL, ALTER vulnerability_id SET DEFAULT "
                "'none'::character varying`, they made `ALTER TABLE vex.consensus ALTER vulnerability_id DROP NOT "
                "NULL, ALTER vulnerability_id DROP DEFAULT`; run: SET ROLE vex_owner; ALTER TABLE vex.consensus "
                "ALTER vulnerability_id DROP NOT NULL, ALTER vulnerability_id DROP DEFAULT; RESET ROLE"
            ),
        ),
    ),
    "a function by hand": Tampering(
        ("CREATE FUNCTION vex.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM vex.consensus'",),
        (
            "PUBLIC may EXECUTE vex.wipe(): not in the mapping",
            (
                "function vex.wipe() is owned by postgres, not by vex_owner (only postgres or a superuser can change "
                'it); run: ALTER FUNCTION vex.wipe() OWNER TO "vex_owner"'
            ),
            "function vex.wipe(): no migration made it; run: SET ROLE vex_owner; DROP FUNCTION vex.wipe(); RESET ROLE",
        ),
        ("DROP FUNCTION vex.wipe()",),
    ),
    "a function runs as its owner for everybody": Tampering(
        (
            "SET ROLE scanner_owner",
            (
                "CREATE FUNCTION scanner.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) "
                "FROM scanner.scans'"
            ),
            "GRANT EXECUTE ON FUNCTION scanner.peek() TO PUBLIC",
            "RESET ROLE",
        ),
        (
            "PUBLIC may EXECUTE scanner.peek(): not in the mapping",
            (
                "function scanner.peek(): no migration made it; run: SET ROLE scanner_owner; DROP FUNCTION "
                "scanner.peek(); RESET ROLE"
            ),
        ),
        ("DROP FUNCTION scanner.peek()",),
    ),
    "a function of a migration runs as its caller": Tampering(
        ("ALTER FUNCTION policy.create_finding_tables(uuid) SECURITY INVOKER",),
        (
            (
                "function policy.create_finding_tables(uuid) is not as the migrations made it; run: SET ROLE "
                "policy_owner; CREATE OR REPLACE FUNCTION policy.create_finding_tables(policy_id uuid, OUT "
                "current_table text, OUT history_table text) RETURNS record LANGUAGE plpgsql SECURITY DEFINER SET "
                "search_path TO 'pg_catalog', 'pg_temp' AS E'\\nDECLARE\\n ... END\\n'; RESET ROLE"
            ),
        ),
    ),
    "a function has another name": Tampering(
        ("ALTER FUNCTION policy.create_finding_tables(uuid) RENAME TO other",),
        (
            (
                "function policy.create_finding_tables(uuid) does not exist: a migration made it; run: SET ROLE "
                "policy_owner; ALTER FUNCTION policy.other(uuid) RENAME TO create_finding_tables; RESET ROLE"
            ),
            (
                "function policy.other(uuid): no migration made it; run: SET ROLE policy_owner; ALTER FUNCTION "
                "policy.other(uuid) RENAME TO create_finding_tables; RESET ROLE"
            ),
            (
                "role policy may EXECUTE policy.other(uuid): not in the mapping; run: REVOKE EXECUTE ON ROUTINE "
                "policy.other(uuid) FROM policy"
            ),
        ),
    ),
    "a type by hand": Tampering(
        (
            "SET ROLE vex_owner",
            "CREATE DOMAIN vex.score AS int",
            "RESET ROLE",
        ),
        (
            "PUBLIC may USAGE on type vex.score: not in the mapping",
            "type vex.score: no migration made it; run: SET ROLE vex_owner; DROP TYPE vex.score; RESET ROLE",
        ),
        ("DROP DOMAIN vex.score",),
    ),
    "an index is gone": Tampering(
        ("DROP INDEX vex.vex_raw_issuer_id_idx",),
        (
            (
                "index vex.vex_raw_issuer_id_idx does not exist: a migration made it; run: SET ROLE vex_owner; "
                "CREATE INDEX vex_raw_issuer_id_idx ON vex.vex_raw USING btree (issuer_id); RESET ROLE"
            ),
        ),
    ),
    "an index by hand": Tampering(
        ("CREATE INDEX quick ON vex.consensus (vulnerability_id)",),
        ("index vex.quick: no migration made it; run: SET ROLE vex_owner; DROP INDEX vex.quick; RESET ROLE",),
    ),
    "an index is invalid": Tampering(
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'scanner.scans_tenant_id_idx'::regclass",),
        (
            (
                "index scanner.scans_tenant_id_idx is invalid, as after a failed CREATE INDEX CONCURRENTLY: no query "
                "uses it; run: REINDEX INDEX scanner.scans_tenant_id_idx"
            ),
        ),
    ),
    "a check is looser": Tampering(
        (
            "ALTER TABLE vex.issuer_trust DROP CONSTRAINT issuer_trust_trust_score_check",
            "ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check CHECK (trust_score > 0)",
        ),
        (
            (
                "constraint issuer_trust_trust_score_check on vex.issuer_trust is not as the migrations made it: it "
                "is `ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check CHECK ((trust_score "
                "> (0)::numeric))`, they made `ALTER TABLE vex.issuer_trust ADD CONSTRAINT "
                "issuer_trust_trust_score_check CHECK (((trust_score >= 0.00) AND (trust_score <= 1.00)))`; run: SET "
                "ROLE vex_owner; ALTER TABLE vex.issuer_trust DROP CONSTRAINT issuer_trust_trust_score_check; ALTER "
                "TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check CHECK (((trust_score >= 0.00) "
                "AND (trust_score <= 1.00))); RESET ROLE"
            ),
        ),
    ),
    "a foreign key is gone": Tampering(
        ("ALTER TABLE policy.policy_runs DROP CONSTRAINT policy_runs_policy_id_fkey",),
        (
            (
                "constraint policy_runs_policy_id_fkey on policy.policy_runs does not exist: a migration made it; "
                "run: SET ROLE policy_owner; ALTER TABLE policy.policy_runs ADD CONSTRAINT "
                "policy_runs_policy_id_fkey FOREIGN KEY (policy_id) REFERENCES policy.policies(policy_id); RESET ROLE"
            ),
        ),
    ),
    "a foreign key is not enforced": Tampering(
        ("ALTER TABLE authority.keys ALTER CONSTRAINT keys_client_id_fkey NOT ENFORCED",),
        (
            (
                "constraint keys_client_id_fkey on authority.keys is not as the migrations made it: it is `ALTER "
                "TABLE authority.keys ADD CONSTRAINT keys_client_id_fkey FOREIGN KEY (client_id) REFERENCES "
                "authority.clients(client_id) NOT ENFORCED`, they made `ALTER TABLE authority.keys ADD CONSTRAINT "
                "keys_client_id_fkey FOREIGN KEY (client_id) REFERENCES authority.clients(client_id)`; run: SET ROLE "
                "authority_owner; ALTER TABLE authority.keys DROP CONSTRAINT keys_client_id_fkey; ALTER TABLE "
                "authority.keys ADD CONSTRAINT keys_client_id_fkey FOREIGN KEY (client_id) REFERENCES "
                "authority.clients(client_id); RESET ROLE"
            ),
        ),
    ),
    "the triggers of a foreign key are disabled": Tampering(
        ("ALTER TABLE policy.policy_runs DISABLE TRIGGER ALL",),
        (
            (
                "foreign key policy_runs_policy_id_fkey is not enforced on policy.policy_runs: its trigger is "
                'disabled; run: ALTER TABLE policy.policy_runs ENABLE TRIGGER "RI_ConstraintTrigger_c_OID"; ALTER '
                'TABLE policy.policy_runs ENABLE TRIGGER "RI_ConstraintTrigger_c_OID"'
            ),
        ),
    ),
    "a trigger by hand": Tampering(
        (
            (
                "CREATE TRIGGER quiet BEFORE UPDATE ON vex.consensus FOR EACH ROW EXECUTE FUNCTION "
                "suppress_redundant_updates_trigger()"
            ),
        ),
        (
            (
                "trigger quiet on vex.consensus: no migration made it; run: SET ROLE vex_owner; DROP TRIGGER quiet "
                "ON vex.consensus; RESET ROLE"
            ),
        ),
    ),
    "a rule swallows what is added": Tampering(
        ("CREATE RULE swallow AS ON INSERT TO authority.audit_trail DO INSTEAD NOTHING",),
        (
            (
                "rule swallow on authority.audit_trail: no migration made it; run: SET ROLE authority_owner; DROP "
                "RULE swallow ON authority.audit_trail; RESET ROLE"
            ),
        ),
    ),
    "the row of a migration is gone": Tampering(
        ("DELETE FROM vex.schema_migrations WHERE version = 2",),
        (
            (
                "migration 0002_indexes.sql.j2 is applied, but table vex.schema_migrations has no row for it; run: "
                "INSERT INTO vex.schema_migrations (version, description, applied_at, checksum) VALUES (2, "
                "'indexes', now(), '82a90b25641cb24e20df134c4c114b9fc46372deb8450457d09496ccdd2ef147')"
            ),
        ),
    ),
    "the row of a migration was edited": Tampering(
        ("UPDATE vex.schema_migrations SET checksum = repeat('0', 64) WHERE version = 1",),
        (
            (
                "the row of migration 0001_tables.sql.j2 in table vex.schema_migrations was edited; run: UPDATE "
                "vex.schema_migrations SET description = 'tables', checksum = "
                "'36c558307182f2ecfbc2871b5b2521e3f1b9e3a7860e53d739a35a4231d22941' WHERE version = 1"
            ),
        ),
    ),
    "a schema has another name": Tampering(
        ("ALTER SCHEMA symbols RENAME TO symbols2",),
        (
            (
                "schema symbols does not exist: it is in the mapping; schema symbols2 is its owner's; run: ALTER "
                "SCHEMA symbols2 RENAME TO symbols"
            ),
            (
                "schema symbols2 (with tables or views: 3): not in the mapping; run: ALTER SCHEMA symbols2 RENAME TO "
                "symbols"
            ),
        ),
    ),
    "schema public has another name": Tampering(
        ("ALTER SCHEMA public RENAME TO open",),
        (
            "schema open: not in the mapping; run: ALTER SCHEMA open RENAME TO public",
            (
                "schema public does not exist, but every PostgreSQL database has it; run: ALTER SCHEMA open RENAME "
                "TO public"
            ),
        ),
    ),
    "an owner role has another name": Tampering(
        ("ALTER ROLE vex_owner RENAME TO vex_owner_old",),
        (
            (
                "role vex_owner does not exist: it is in the mapping; role vex_owner_old owns its schema; run: ALTER "
                "ROLE vex_owner_old RENAME TO vex_owner"
            ),
        ),
    ),
    "the table of applied migrations has another column": Tampering(
        ("ALTER TABLE vex.schema_migrations RENAME checksum TO sum",),
        (
            (
                "column vex.schema_migrations.checksum does not exist: it is in the mapping; run: ALTER TABLE "
                "vex.schema_migrations RENAME sum TO checksum"
            ),
            (
                "column vex.schema_migrations.sum: not in the mapping; run: ALTER TABLE vex.schema_migrations RENAME "
                "sum TO checksum"
            ),
        ),
    ),
    "names with control characters and quotes": Tampering(
        (
            'CREATE TABLE vex."we""ird \n on; t" ()',
            'ALTER TABLE vex."we""ird \n on; t" OWNER TO vex_owner',
            'CREATE INDEX "i\t on; x" ON vex.consensus (vulnerability_id)',
            (
                'CREATE TRIGGER "t\u202e on x" BEFORE INSERT ON vex.consensus FOR EACH ROW EXECUTE FUNCTION '
                "suppress_redundant_updates_trigger()"
            ),
            'ALTER TABLE vex.consensus ADD "c\r\\" int',
            'CREATE PUBLICATION "p\n"',
        ),
        (
            'column vex.consensus.c\r\\: not in the mapping; run: ALTER TABLE vex.consensus DROP U&"c\\000d\\\\"',
            (
                'index vex."i\t on; x": no migration made it; run: SET ROLE vex_owner; DROP INDEX vex.U&"i\\0009 on; '
                'x"; RESET ROLE'
            ),
            (
                "publication p\n publishes tables of database stellaops: not in the mapping; run: DROP PUBLICATION "
                'U&"p\\000a"'
            ),
            'table vex.we"ird \n on; t: not in the mapping; run: DROP TABLE vex.U&"we""ird \\000a on; t"',
            (
                'trigger "t\u202e on x" on vex.consensus: no migration made it; run: SET ROLE vex_owner; DROP TRIGGER '
                'U&"t\\202e on x" ON vex.consensus; RESET ROLE'
            ),
        ),
    ),
}
GUARDS = {
    "a guard of evidence is disabled": Tampering(
        ("ALTER TABLE vuln.advisory_raw DISABLE TRIGGER append_only_row",),
        ("trigger append_only_row on vuln.advisory_raw is not enabled always",),
        ("ALTER TABLE vuln.advisory_raw ENABLE ALWAYS TRIGGER append_only_row",),
    ),
    "replicas skip a guard of evidence": Tampering(
        ("ALTER TABLE vex.vex_raw ENABLE TRIGGER append_only_truncate",),
        ("trigger append_only_truncate on vex.vex_raw is not enabled always",),
        ("ALTER TABLE vex.vex_raw ENABLE ALWAYS TRIGGER append_only_truncate",),
    ),
    "a guard of evidence is gone": Tampering(
        ("DROP TRIGGER append_only_truncate ON vuln.advisory_raw",),
        ("trigger append_only_truncate on vuln.advisory_raw is missing",),
        (
            (
                "CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON vuln.advisory_raw EXECUTE FUNCTION "
                "vuln.refuse_change()"
            ),
            "ALTER TABLE vuln.advisory_raw ENABLE ALWAYS TRIGGER append_only_truncate",
        ),
    ),
    "a guard of evidence never fires": Tampering(
        (
            (
                "CREATE OR REPLACE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON vex.vex_raw FOR EACH ROW WHEN "
                "(false) EXECUTE FUNCTION vex.refuse_change()"
            ),
            "ALTER TABLE vex.vex_raw ENABLE ALWAYS TRIGGER append_only_row",
        ),
        ("trigger append_only_row on vex.vex_raw was changed",),
        (
            (
                "CREATE OR REPLACE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON vex.vex_raw FOR EACH ROW "
                "EXECUTE FUNCTION vex.refuse_change()"
            ),
            "ALTER TABLE vex.vex_raw ENABLE ALWAYS TRIGGER append_only_row",
        ),
    ),
    "the function of the guards refuses nothing": Tampering(
        (
            KEEP.format("SELECT pg_get_functiondef('policy.refuse_change()'::regprocedure)"),
            (
                "CREATE OR REPLACE FUNCTION policy.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN "
                "coalesce(NEW, OLD); END'"
            ),
        ),
        ("function policy.refuse_change() is missing, changed or open to PUBLIC",),
        (kept("'%s'"),),
    ),
    "a policy opens a table to everybody": Tampering(
        ("CREATE POLICY everybody ON scanner.scans USING (true)",),
        ("policy everybody on scanner.scans: not in the mapping",),
        ("DROP POLICY everybody ON scanner.scans",),
    ),
    "rows are hidden by a policy": Tampering(
        (
            "ALTER TABLE vex.consensus ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY hide ON vex.consensus USING (false)",
        ),
        (
            "policy hide on vex.consensus: not in the mapping",
            "row-level security of vex.consensus is on: not in the mapping",
        ),
        (
            "DROP POLICY hide ON vex.consensus",
            "ALTER TABLE vex.consensus DISABLE ROW LEVEL SECURITY",
        ),
    ),
}
# Their remedies make them again, and `up` the privileges and guards.
GONE = {
    "a role is gone": Tampering(
        (
            "REASSIGN OWNED BY router TO postgres",
            "DROP OWNED BY router",
            "DROP ROLE router",
        ),
        ("role router does not exist: it is in the mapping",),
        only_up=True,
    ),
    "a table is gone": Tampering(
        ("DROP TABLE notify.channels CASCADE",),
        (
            (
                "constraint delivery_log_channel_id_fkey on notify.delivery_log does not exist: a migration made it; "
                "run: SET ROLE notify_owner; ALTER TABLE notify.delivery_log ADD CONSTRAINT "
                "delivery_log_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES notify.channels(channel_id); RESET "
                "ROLE"
            ),
            (
                "table notify.channels does not exist: it is in the mapping; its rows are only in backups "
                "(docs/backups.md), and this creates it empty; run: SET ROLE notify_owner; CREATE TABLE "
                "notify.channels (channel_id uuid NOT NULL, tenant_id uuid NOT NULL, name character varying(255), "
                "type character varying(50), config jsonb, created_at timestamp with time zone DEFAULT now(), "
                "updated_at timestamp with time zone DEFAULT now(), deleted_at timestamp with time zone); ALTER "
                "TABLE notify.channels ADD CONSTRAINT channels_pkey PRIMARY KEY (channel_id); ALTER TABLE "
                "notify.channels ADD CONSTRAINT channels_type_check CHECK (((type)::text = ANY "
                "((ARRAY['slack'::character varying, 'teams'::character varying, 'email'::character varying, "
                "'webhook'::character varying])::text[]))); CREATE INDEX channels_tenant_id_idx ON notify.channels "
                "USING btree (tenant_id); RESET ROLE"
            ),
        ),
        only_up=True,
    ),
    "a table of evidence is gone": Tampering(
        ("DROP TABLE authority.audit_trail",),
        (
            (
                "table authority.audit_trail does not exist: it is in the mapping; its rows are only in backups "
                "(docs/backups.md), and this creates it empty; run: SET ROLE authority_owner; CREATE TABLE "
                "authority.audit_trail (audit_id uuid NOT NULL, action character varying(100), actor_id character "
                "varying(255), resource_type character varying(100), resource_id character varying(255), occurred_at "
                "timestamp with time zone, metadata jsonb); ALTER TABLE authority.audit_trail ADD CONSTRAINT "
                "audit_trail_pkey PRIMARY KEY (audit_id); CREATE INDEX audit_trail_actor_id_idx ON "
                "authority.audit_trail USING btree (actor_id); CREATE INDEX audit_trail_occurred_at_idx ON "
                "authority.audit_trail USING btree (occurred_at); CREATE INDEX audit_trail_resource_idx ON "
                "authority.audit_trail USING btree (resource_type, resource_id); RESET ROLE"
            ),
        ),
        only_up=True,
    ),
    "the table of applied migrations is gone": Tampering(
        ("DROP TABLE registry.schema_migrations",),
        (
            (
                "table registry.schema_migrations does not exist: it is in the mapping; run: python3 -m tools "
                "migrations baseline --schema registry --stack local"
            ),
        ),
        only_up=True,
    ),
    "a schema is gone": Tampering(
        ("DROP SCHEMA symbols CASCADE",),
        ("schema symbols does not exist: it is in the mapping; its rows are only in backups (docs/backups.md)",),
        only_up=True,
    ),
}
TAMPERINGS = {**ROLES, **SERVER, **PRIVILEGES, **OBJECTS, **GUARDS, **GONE}
