"""Grants of one schema, as ``pulumi_postgresql.Grant`` resources.

Each grant lists its objects, because a grant on ALL TABLES first revokes all of the role's privileges, including
per-table and column grants. Grants form a chain, because concurrent grants on one schema fail with "tuple concurrently
updated".
"""

from collections.abc import Collection, Sequence

import pulumi
import pulumi_postgresql as postgresql

from components.mapping import Mapping
from components.mapping.access import APPEND, CHANGE, READ, VERSION_TABLE, DirectGrant


class GrantChain:
    """Creates grants one after another. A resource that depends on ``last`` waits for all of them."""

    def __init__(
        self,
        options: pulumi.ResourceOptions,
        database: pulumi.Input[str],
        schema: pulumi.Input[str] | None = None,
        after: Sequence[pulumi.Resource] = (),
    ) -> None:
        self._options = options
        self._database = database
        self._schema = schema
        self.last = after

    def grant(
        self,
        name: str,
        *,
        role: pulumi.Input[str],
        object_type: str,
        privileges: Collection[str],
        schema: pulumi.Input[str] | None = None,
        objects: Collection[str] | None = None,
        columns: Collection[str] | None = None,
    ) -> None:
        """Add one grant. Empty ``privileges`` revoke what the role has there."""
        after = pulumi.ResourceOptions(
            depends_on=list(self.last),
            # Deleting a grant at the end of a run would revoke privileges granted meanwhile; Privileges revokes them instead.
            retain_on_delete=object_type in ("table", "column"),
        )
        grant = postgresql.Grant(
            name,
            database=self._database,
            schema=None if object_type == "database" else schema or self._schema,
            role=role,
            object_type=object_type,
            objects=sorted(objects) if objects else None,
            columns=sorted(columns) if columns else None,
            privileges=sorted(privileges),
            opts=pulumi.ResourceOptions.merge(self._options, after),
        )
        self.last = [grant]


def grant_schema(
    chain: GrantChain,
    mapping: Mapping,
    schema: str,
    writer: pulumi.Input[str],
    reader: pulumi.Input[str],
    logins: dict[str, pulumi.Output[str]],
) -> None:
    """Create every grant on one schema: first for its group roles, then for single logins on single tables."""
    definition = mapping.postgres.schemas[schema]
    ordinary = [name for name, table in definition.tables.items() if not table.append_only]
    append_only = [name for name, table in definition.tables.items() if table.append_only]

    chain.grant(f"{schema}_writer-usage", role=writer, object_type="schema", privileges=["USAGE"])
    if ordinary:
        chain.grant(f"{schema}_writer-change", role=writer, object_type="table", objects=ordinary, privileges=CHANGE)
    if append_only:
        chain.grant(f"{schema}_writer-append", role=writer, object_type="table", objects=append_only, privileges=APPEND)
    chain.grant(f"{schema}_writer-version", role=writer, object_type="table", objects=[VERSION_TABLE], privileges=READ)
    chain.grant(f"{schema}_reader-usage", role=reader, object_type="schema", privileges=["USAGE"])
    all_tables = [*definition.tables, VERSION_TABLE]
    chain.grant(f"{schema}_reader-read", role=reader, object_type="table", objects=all_tables, privileges=READ)

    for module, grants in mapping.access.schemas[schema].grants.items():
        role = logins[module]
        chain.grant(f"{module}-{schema}-usage", role=role, object_type="schema", privileges=["USAGE"])
        for grant in grants:
            _grant_to_login(chain, module, role, grant)
    for function, settings in definition.functions.items():
        for module in settings.execute:
            name = f"{module}-{schema}.{function}"
            chain.grant(name, role=logins[module], object_type="function", objects=[function], privileges=["EXECUTE"])


def _grant_to_login(chain: GrantChain, module: str, role: pulumi.Input[str], grant: DirectGrant) -> None:
    name = f"{module}-{grant.schema}.{grant.table}"
    if not grant.columns:
        chain.grant(name, role=role, object_type="table", objects=[grant.table], privileges=grant.privileges)
        return
    # The plugin accepts exactly one privilege per grant on columns.
    for privilege in sorted(grant.privileges):
        chain.grant(
            f"{name}-{privilege.lower()}",
            role=role,
            object_type="column",
            objects=[grant.table],
            columns=grant.columns,
            privileges=[privilege],
        )
