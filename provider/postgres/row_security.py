"""Tenant isolation: row-level security on every table whose rows belong to a tenant.

The mapping lists the tables and the column that holds each table's tenant; stack config ``postgres:tenantIsolation``
enables isolation. ``reconcile`` creates the policies, and drops them when isolation is disabled. A session sets its
tenant with ``SET LOCAL app.tenant_id = '<uuid>'``; without it the session sees no rows and can add none. Row-level
security is forced, so it applies to the owner as well; superusers and roles with BYPASSRLS always bypass it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import sql

from components.mapping.access import TENANT_COLUMN, TENANT_TYPE, TenantRule
from provider.postgres.append_only import resolve_entries
from provider.postgres.run_time_tables import is_pattern
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

SETTING = "app.tenant_id"
POLICY = "tenant_isolation"
BYPASS_POLICY = "tenant_bypass"
PUBLIC = ("public",)


@dataclass(frozen=True)
class Isolation:
    """Tenant isolation of one schema: a rule for each table or pattern of run-time tables, and roles that see all rows.

    Without rules there is no isolation.
    """

    rules: Mapping[str, TenantRule] = field(default_factory=dict)
    bypass: tuple[str, ...] = ()


OFF = Isolation()


@dataclass(frozen=True)
class _Policy:
    """``condition`` (USING) and ``check`` (WITH CHECK) as the server prints them, in one line."""

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
    """Return a sentence for each difference from the mapping, sorted. Reads only the catalog."""
    expected = _expected_policies(connection, schema, isolation)
    sentences = []
    for table, current in _current_tables(connection, schema).items():
        name, policies = f"{schema}.{table}", expected.get(table, {})
        if policies and not current.enabled:
            sentences.append(f"row-level security of {name} is off: tenants are not isolated")
        elif policies and not current.forced:
            sentences.append(f"row-level security of {name} is not forced: its owner sees every tenant")
        elif current.enabled and not policies:
            sentences.append(f"row-level security of {name} is on: not in the mapping")
        elif current.forced and not policies:
            sentences.append(f"row-level security of {name} is forced: not in the mapping")
        for policy, definition in policies.items():
            if policy not in current.policies:
                sentences.append(f"policy {policy} on {name} is missing")
            elif current.policies[policy] != definition:
                sentences.append(f"policy {policy} on {name} was changed")
        sentences += [f"policy {policy} on {name}: not in the mapping" for policy in current.policies.keys() - policies]
    return sorted(sentences)


def reconcile(connection: Connection, target: SchemaTarget, isolation: Isolation) -> list[str]:
    """Correct row-level security and policies of the schema's tables; return a sentence for each changed table.

    Call it in a transaction as the owner. It locks only tables that differ. A policy that is not in the mapping is
    dropped: a permissive one could show rows that the others hide.
    """
    named = {name: rule for name, rule in isolation.rules.items() if not is_pattern(name)}
    # A new run-time table copies the policies of a named table, so the named tables come first.
    named_policies = _expected_policies(connection, target.schema, Isolation(named, isolation.bypass))
    changes = _apply(connection, target.schema, named_policies)
    expected = _expected_policies(connection, target.schema, isolation)
    changes += _apply(connection, target.schema, expected)
    for table, current in _current_tables(connection, target.schema).items():
        if table in expected:
            continue
        relation = sql.Identifier(target.schema, table)
        for policy in current.policies:
            connection.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), relation))
        if current.enabled or current.forced:
            statement = sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
            connection.execute(statement.format(relation))
        if current.policies or current.enabled or current.forced:
            changes.append(f"tenant isolation of {target.schema}.{table} disabled")
    return changes


def drop_bypass(connection: Connection, schema: str) -> list[str]:
    """Drop the policies of roles that see all rows. Return a sentence for each table. Call it as in ``reconcile``."""
    tables = [
        table for table, current in _current_tables(connection, schema).items() if BYPASS_POLICY in current.policies
    ]
    for table in tables:
        relation = sql.Identifier(schema, table)
        connection.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(BYPASS_POLICY), relation))
    return [f"policy {BYPASS_POLICY} on {schema}.{table} dropped" for table in tables]


def _apply(connection: Connection, schema: str, expected: Mapping[str, Mapping[str, _Policy]]) -> list[str]:
    changes = []
    tables = _current_tables(connection, schema)
    for table, policies in expected.items():
        relation, current = sql.Identifier(schema, table), tables[table]
        if current == _Table(enabled=True, forced=True, policies=policies):
            continue
        for policy in current.policies:
            if current.policies[policy] != policies.get(policy):
                connection.execute(sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), relation))
        for policy, definition in policies.items():
            if current.policies.get(policy) != definition:
                _create_policy(connection, relation, policy, definition)
        if not (current.enabled and current.forced):
            statement = sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            connection.execute(statement.format(relation))
        changes.append(f"tenant isolation of {schema}.{table} enabled")
    return changes


def _create_policy(connection: Connection, relation: sql.Identifier, name: str, policy: _Policy) -> None:
    roles = [sql.SQL("PUBLIC") if role in PUBLIC else sql.Identifier(role) for role in policy.roles]
    condition = sql.SQL(policy.condition or "true")
    connection.execute(
        sql.SQL("CREATE POLICY {} ON {} TO {} USING ({}) WITH CHECK ({})").format(
            sql.Identifier(name), relation, sql.SQL(", ").join(roles), condition, condition
        )
    )


def _expected_policies(connection: Connection, schema: str, isolation: Isolation) -> dict[str, dict[str, _Policy]]:
    """Return table -> its policies by name; parents come before their children."""
    expected: dict[str, dict[str, _Policy]] = {}
    for entry, rule in isolation.rules.items():
        for table in resolve_entries(connection, schema, [entry])[0]:
            condition = _condition(connection, schema, table, rule)
            expected[table] = {POLICY: _Policy(True, "*", PUBLIC, condition, condition)}
            if isolation.bypass:
                roles = tuple(sorted(isolation.bypass))
                expected[table][BYPASS_POLICY] = _Policy(True, "*", roles, "true", "true")
    return expected


def _condition(connection: Connection, schema: str, table: str, rule: TenantRule) -> str:
    """Return a policy's condition in the form in which the server prints it, for comparison with the catalog."""
    # The setting is NULL before the first SET LOCAL of a session, and an empty string after one has ended.
    tenant = f"(NULLIF(current_setting('{SETTING}'::text, true), ''::text))::{TENANT_TYPE}"
    if rule.parent is None:
        return f"({_quoted(connection, rule.column)} = {tenant})"
    relation = f"{_quoted(connection, schema)}.{_quoted(connection, rule.parent)}"
    column, own = _quoted(connection, rule.column), _quoted(connection, table)
    # Qualified names: a column of the parent would hide the table's column of the same name.
    join = f"(parent.{column} = {own}.{column})"
    return f"(EXISTS ( SELECT FROM {relation} parent WHERE ({join} AND (parent.{TENANT_COLUMN} = {tenant}))))"


def _quoted(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT pg_catalog.quote_ident(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def _current_tables(connection: Connection, schema: str) -> dict[str, _Table]:
    """Read the row-level security and policies of every table in the schema."""
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
        policies.setdefault(table, {})
        if name is not None:
            policies[table][name] = _Policy(permissive, command, tuple(roles), _one_line(condition), _one_line(check))
    return {table: _Table(enabled, forced, policies[table]) for table, enabled, forced, *_ in rows}


def _one_line(expression: str | None) -> str | None:
    return None if expression is None else " ".join(expression.split())
