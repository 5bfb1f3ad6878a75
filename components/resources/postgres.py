"""``SchemaMigrations``, ``AccessRevisions``, ``Privileges``, ``PostgresInventory``: a schema's tables, who may do what on
them, and the logins and schemas of the stack."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

MIGRATIONS = "stellaops:postgres:SchemaMigrations"
ACCESS_REVISIONS = "stellaops:postgres:AccessRevisions"
PRIVILEGES = "stellaops:postgres:Privileges"
INVENTORY = "stellaops:postgres:Inventory"

# Role -> table, or pattern of run-time tables -> privileges like "SELECT" and "UPDATE (state, note)".
SchemaWords = Mapping[str, Mapping[str, Sequence[str]]]
_DIGITS = 16


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


@pulumi.type_token(ACCESS_REVISIONS)
class AccessRevisions(pulumi.CustomResource):
    """For each schema a number that rises before its grants change; every Grant on tables depends on it.

    ``access``: schema -> role -> table -> privileges. Only a digest of each schema's is kept.

    Import id: ``DATABASE.access``.
    """

    def __init__(
        self, resource_name: str, *, access: Mapping[str, SchemaWords], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        digests = {
            schema: hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:_DIGITS]
            for schema, words in access.items()
        }
        super().__init__(ACCESS_REVISIONS, resource_name, {"access": digests, "revisions": None, "last": None}, opts)

    def of(self, schema: str) -> pulumi.Output[int]:
        """The number of the schema's last change."""
        revisions = cast("pulumi.Output[dict[str, int]]", pulumi.get(self, "revisions"))
        return revisions.apply(lambda found: int(found[schema]))


@pulumi.type_token(PRIVILEGES)
class Privileges(pulumi.CustomResource):
    """What every role may do on the tables of one schema and their columns; everything else is revoked.

    Make it depend on the schema's migrations and Grants. An update touches only privileges that differ. Deleting the
    resource leaves the tables to their owner alone.

    Inputs: ``schema``; ``owner``, which owns everything in it; ``access``: role -> table, or pattern of run-time tables
    -> privileges like ``SELECT`` and ``UPDATE (state, note)``; ``migration`` and ``revision``: the numbers of the last
    migration and of the last change of grants, after each of which it runs. Another schema is another resource.

    Errors: a privilege that could not be granted or revoked fails the update, and nothing is changed then.

    Import id: ``DATABASE.SCHEMA.privileges``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        schema: pulumi.Input[str],
        owner: pulumi.Input[str],
        access: SchemaWords,
        migration: pulumi.Input[int],
        revision: pulumi.Input[int],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "schema": schema,
            "owner": owner,
            "access": access,
            "migration": migration,
            "revision": revision,
            "drift": None,
        }
        super().__init__(PRIVILEGES, resource_name, inputs, opts)

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
