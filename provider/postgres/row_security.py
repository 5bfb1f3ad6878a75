"""Tenants kept apart: row-level security on every table whose rows are a tenant's.

The mapping says which tables and how their tenant is told, stack config ``postgres:tenantIsolation`` whether;
``reconcile`` makes the database agree, also when it is switched off again. A session names its tenant with
``SET LOCAL app.tenant_id = '<uuid>'``; without one it sees no row and adds none. Security is forced, so that the owner is
no exception; a superuser, and a role with BYPASSRLS, always is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import sql

from components.mapping.access import TENANT_COLUMN, TENANT_TYPE, TenantRule
from provider.postgres.append_only import is_pattern, wanted_tables
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

SETTING = "app.tenant_id"
POLICY = "tenant_isolation"
BYPASS_POLICY = "tenant_bypass"
PUBLIC = ("public",)


@dataclass(frozen=True)
class Isolation:
    """What holds in one schema: the rule of each table (or pattern of run-time tables), and the roles that see all rows.

    Without rules, nothing is isolated.
    """

    rules: Mapping[str, TenantRule] = field(default_factory=dict)
    bypass: tuple[str, ...] = ()


OFF = Isolation()


@dataclass(frozen=True)
class _Policy:
    """``condition`` and ``check`` as the server prints them, in one line."""

    permissive: bool
    command: str
    roles: tuple[str, ...]
    condition: str | None
    check: str | None


@dataclass(frozen=True)
class _Table:
    enabled: bool
    forced: bool
    policies: Mapping[str, _Policy]


def drift(connection: Connection, schema: str, isolation: Isolation) -> list[str]:
    """What differs from the mapping, a sentence each, sorted. Reads the catalog only."""
    wanted = _wanted(connection, schema, isolation)
    sentences = []
    for table, found in _found(connection, schema).items():
        name, policies = f"{schema}.{table}", wanted.get(table, {})
        if policies and not found.enabled:
            sentences.append(f"row-level security of {name} is off: tenants are not kept apart")
        elif policies and not found.forced:
            sentences.append(f"row-level security of {name} is not forced: its owner sees every tenant")
        elif found.enabled and not policies:
            sentences.append(f"row-level security of {name} is on: not in the mapping")
        for policy, definition in policies.items():
            if policy not in found.policies:
                sentences.append(f"policy {policy} on {name} is missing")
            elif found.policies[policy] != definition:
                sentences.append(f"policy {policy} on {name} is not ours any more")
        sentences += [f"policy {policy} on {name}: not in the mapping" for policy in found.policies.keys() - policies]
    return sorted(sentences)


def reconcile(connection: Connection, target: SchemaTarget, isolation: Isolation) -> list[str]:
    """Make security and policies of the schema's tables as wanted; call it in a transaction as the owner.

    Returns what it did. Touches nothing, and so locks nothing, where all is right. A policy that is not in the mapping
    is dropped: one that lets rows through would undo the others.
    """
    named = {name: rule for name, rule in isolation.rules.items() if not is_pattern(name)}
    # Tables that are made at run time look at the named ones: those first, so that none is made unguarded in between.
    done = _apply(connection, target.schema, _wanted(connection, target.schema, Isolation(named, isolation.bypass)))
    wanted = _wanted(connection, target.schema, isolation)
    done += _apply(connection, target.schema, wanted)
    for table, found in _found(connection, target.schema).items():
        if table in wanted:
            continue
        relation = sql.Identifier(target.schema, table)
        for policy in found.policies:
            connection.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), relation))
        if found.enabled or found.forced:
            statement = sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
            connection.execute(statement.format(relation))
        if found.policies or found.enabled or found.forced:
            done.append(f"rows of {target.schema}.{table} are no longer told by tenant")
    return done


def _apply(connection: Connection, schema: str, wanted: Mapping[str, Mapping[str, _Policy]]) -> list[str]:
    done = []
    found = _found(connection, schema)
    for table, policies in wanted.items():
        relation, now = sql.Identifier(schema, table), found[table]
        if now == _Table(enabled=True, forced=True, policies=policies):
            continue
        for policy in now.policies:
            if now.policies[policy] != policies.get(policy):
                connection.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), relation))
        for policy, definition in policies.items():
            if now.policies.get(policy) != definition:
                _create(connection, relation, policy, definition)
        if not (now.enabled and now.forced):
            statement = sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            connection.execute(statement.format(relation))
        done.append(f"rows of {schema}.{table} are told by tenant")
    return done


def _create(connection: Connection, relation: sql.Identifier, name: str, policy: _Policy) -> None:
    roles = [sql.SQL("PUBLIC") if role in PUBLIC else sql.Identifier(role) for role in policy.roles]
    condition = sql.SQL(policy.condition or "true")
    connection.execute(
        sql.SQL("CREATE POLICY {} ON {} TO {} USING ({}) WITH CHECK ({})").format(
            sql.Identifier(name), relation, sql.SQL(", ").join(roles), condition, condition
        )
    )


def _wanted(connection: Connection, schema: str, isolation: Isolation) -> dict[str, dict[str, _Policy]]:
    """Table -> its policies by name; parents before their children."""
    wanted: dict[str, dict[str, _Policy]] = {}
    for entry, rule in isolation.rules.items():
        for table in wanted_tables(connection, schema, [entry])[0]:
            condition = _condition(connection, schema, table, rule)
            wanted[table] = {POLICY: _Policy(True, "*", PUBLIC, condition, condition)}
            if isolation.bypass:
                roles = tuple(sorted(isolation.bypass))
                wanted[table][BYPASS_POLICY] = _Policy(True, "*", roles, "true", "true")
    return wanted


def _condition(connection: Connection, schema: str, table: str, rule: TenantRule) -> str:
    """The condition just as the server prints it, so that one made of it compares equal."""
    # An empty string after a SET LOCAL that is over; NULL before the first.
    tenant = f"(NULLIF(current_setting('{SETTING}'::text, true), ''::text))::{TENANT_TYPE}"
    if rule.parent is None:
        return f"({_quoted(connection, rule.column)} = {tenant})"
    relation = f"{_quoted(connection, schema)}.{_quoted(connection, rule.parent)}"
    column, own = _quoted(connection, rule.column), _quoted(connection, table)
    # Columns are named with their tables: else a column of the parent would hide the table's own.
    same = f"(parent.{column} = {own}.{column})"
    return f"(EXISTS ( SELECT FROM {relation} parent WHERE ({same} AND (parent.{TENANT_COLUMN} = {tenant}))))"


def _quoted(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT pg_catalog.quote_ident(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def _found(connection: Connection, schema: str) -> dict[str, _Table]:
    """Every table of the schema as it is."""
    rows = connection.execute(
        """SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, p.polname, p.polpermissive, p.polcmd::text,
                  ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(r)::text END
                        FROM pg_catalog.unnest(p.polroles) r ORDER BY 1),
                  pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
           FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.relname, p.polname""",
        (schema,),
    ).fetchall()
    policies: dict[str, dict[str, _Policy]] = {}
    for table, _, _, name, permissive, command, roles, condition, check in rows:
        known = policies.setdefault(table, {})
        if name is not None:
            known[name] = _Policy(permissive, command, tuple(roles), _line(condition), _line(check))
    return {table: _Table(enabled, forced, policies[table]) for table, enabled, forced, *_ in rows}


def _line(expression: str | None) -> str | None:
    return None if expression is None else " ".join(expression.split())
