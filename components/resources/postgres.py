"""``SchemaMigrations`` and ``PostgresInventory``: a schema's tables, and the logins and schemas of the stack."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

MIGRATIONS = "stellaops:postgres:SchemaMigrations"
INVENTORY = "stellaops:postgres:Inventory"


@pulumi.type_token(MIGRATIONS)
class SchemaMigrations(pulumi.CustomResource):
    """The tables of one schema, at the version of the newest file in a directory.

    Inputs:

    - ``schema`` and ``owner``: the schema, and the role that owns everything in it. Another schema is another resource.
    - ``directory``: where its files ``NNNN_name.sql.j2`` are, relative to the project. The provider lists them with
      their checksums in the further input ``migrations``, so that a preview names the pending ones.
    - ``append_only``: names of tables; an entry like ``effective_finding_{policyId}_history`` stands for tables that
      are made at run time.
    - ``tenant_tables``: table -> ``column`` that holds the tenant and, where it is in a parent table, ``parent``. Empty
      where tenants are not kept apart.
    - ``tenant_bypass``: roles that see the rows of all tenants.

    Errors: an edited, missing or out-of-order file fails the preview and names the file. A preview reads the database's
    history only where the state and the files conflict. Deleting the resource leaves the tables; they go with the
    schema, if at all.

    Import id: ``DATABASE.SCHEMA.migrations``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        schema: pulumi.Input[str],
        owner: pulumi.Input[str],
        directory: str,
        append_only: Sequence[str],
        tenant_tables: Mapping[str, Mapping[str, str]],
        tenant_bypass: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "schema": schema,
            "owner": owner,
            "directory": directory,
            "appendOnly": append_only,
            "tenantTables": tenant_tables,
            "tenantBypass": tenant_bypass,
            "version": None,
            "applied": None,
            "drift": None,
        }
        super().__init__(MIGRATIONS, resource_name, inputs, opts)

    @property
    @pulumi.getter
    def version(self) -> pulumi.Output[int]:
        """The version of the last applied migration."""
        return cast("pulumi.Output[int]", pulumi.get(self, "version"))

    @property
    @pulumi.getter
    def applied(self) -> pulumi.Output[list[str]]:
        """The applied migrations, each like ``0001_tables.sql.j2 sha256:<64 hex digits>``."""
        return cast("pulumi.Output[list[str]]", pulumi.get(self, "applied"))

    @property
    @pulumi.getter
    def drift(self) -> pulumi.Output[list[str]]:
        """What a refresh found changed by hand, a sentence each; the next ``up`` corrects it."""
        return cast("pulumi.Output[list[str]]", pulumi.get(self, "drift"))


@pulumi.type_token(INVENTORY)
class PostgresInventory(pulumi.CustomResource):
    """The logins and schemas that the stack manages, so that a preview shows which ones go and what is kept.

    An update or delete disables each login that is no longer listed and ends its sessions; its role is dropped later in
    the same run. Schemas are only listed here: the schema resource itself keeps or drops its tables. Make it depend on
    the logins' roles, so that a destroy ends their sessions first.

    Inputs: ``logins``, login -> its display name; ``schemas``, schema -> ``KEPT`` or ``DROPPED`` of
    ``components.postgres.fates``; ``drop_schemas``, as in the stack's config.

    Errors: a schema that leaves the mapping in the same run in which ``drop_schemas`` first names it fails the preview;
    a session that does not end fails the update and names its server process.

    Import id: ``DATABASE.inventory``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        logins: Mapping[str, str],
        schemas: Mapping[str, str],
        drop_schemas: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            INVENTORY, resource_name, {"logins": logins, "schemas": schemas, "dropSchemas": drop_schemas}, opts
        )
