"""Resource classes for a schema's migrations and privileges, and for the stack's logins and schemas.

``provider/postgres`` implements them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

MIGRATIONS = "stellaops:postgres:SchemaMigrations"
ACCESS_REVISIONS = "stellaops:postgres:AccessRevisions"
PRIVILEGES = "stellaops:postgres:Privileges"
INVENTORY = "stellaops:postgres:Inventory"
CLOSED_DATABASES = "stellaops:postgres:ClosedDatabases"

# Role -> table or pattern of run-time tables -> privileges such as "SELECT" and "UPDATE (state, note)".
SchemaPrivileges = Mapping[str, Mapping[str, Sequence[str]]]
_DIGEST_LENGTH = 16


@pulumi.type_token(MIGRATIONS)
class SchemaMigrations(pulumi.CustomResource):
    """The migrations of one schema: applies the files of a directory, up to the newest.

    Inputs:

    - ``schema`` and ``owner``: the schema, and its owner role. A change of ``schema`` replaces the resource.
    - ``directory``: the directory of its files ``NNNN_name.sql.j2``, relative to the project. The provider adds the
      input ``migrations``, the files with their checksums, so that a preview names the pending ones.
    - ``tables``: table of the mapping, or pattern of run-time tables -> column -> type as ``format_type`` prints it. The
      migrations must make exactly these; ``mapping_file`` is named in the messages about differences.
    - ``append_only``: names of append-only tables; an entry such as ``effective_finding_{policyId}_history`` stands for
      run-time tables.
    - ``tenant_tables``: table -> ``column`` that holds the tenant and, if that column is in a parent table, ``parent``.
      Empty without tenant isolation.
    - ``tenant_bypass``: roles that can read the rows of all tenants.

    Errors: an edited, missing or out-of-order file fails the preview, with the file's name. A preview reads the
    database's history only if the state and the files conflict. Deleting the resource keeps the tables; only dropping
    the schema drops them.

    Import id: ``DATABASE.SCHEMA.migrations``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        schema: pulumi.Input[str],
        owner: pulumi.Input[str],
        directory: str,
        tables: Mapping[str, Mapping[str, str]],
        mapping_file: str,
        append_only: Sequence[str],
        tenant_tables: Mapping[str, Mapping[str, str]],
        tenant_bypass: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "schema": schema,
            "owner": owner,
            "directory": directory,
            "tables": tables,
            "mappingFile": mapping_file,
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
        """The number of the last applied migration."""
        return cast("pulumi.Output[int]", pulumi.get(self, "version"))

    @property
    @pulumi.getter
    def applied(self) -> pulumi.Output[list[str]]:
        """The applied migrations, in the form ``0001_tables.sql.j2 sha256:<64 hex digits>``."""
        return cast("pulumi.Output[list[str]]", pulumi.get(self, "applied"))

    @property
    @pulumi.getter
    def drift(self) -> pulumi.Output[list[str]]:
        """The drift that a refresh found, one sentence per change; the next ``up`` corrects it."""
        return cast("pulumi.Output[list[str]]", pulumi.get(self, "drift"))


@pulumi.type_token(ACCESS_REVISIONS)
class AccessRevisions(pulumi.CustomResource):
    """A revision number per schema, which increases before the schema's grants change. Every Grant on tables depends on it.

    ``access``: schema -> role -> table -> privileges. The state keeps only a digest per schema.

    Import id: ``DATABASE.access``.
    """

    def __init__(
        self, resource_name: str, *, access: Mapping[str, SchemaPrivileges], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        digests = {
            schema: hashlib.sha256(json.dumps(privileges, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]
            for schema, privileges in access.items()
        }
        super().__init__(ACCESS_REVISIONS, resource_name, {"access": digests, "revisions": None, "last": None}, opts)

    def of(self, schema: str) -> pulumi.Output[int]:
        """Return the schema's revision number."""
        revisions = cast("pulumi.Output[dict[str, int]]", pulumi.get(self, "revisions"))
        return revisions.apply(lambda by_schema: int(by_schema[schema]))


@pulumi.type_token(PRIVILEGES)
class Privileges(pulumi.CustomResource):
    """The privileges of all roles on one schema's tables and columns. All other privileges are revoked.

    Make it depend on the schema's migrations and Grants. An update changes only privileges that differ. Deleting the
    resource revokes all privileges except the owner's.

    Inputs: ``schema``, a change of which replaces the resource; ``owner``, the owner role; ``access``: role -> table or
    pattern of run-time tables -> privileges such as ``SELECT`` and ``UPDATE (state, note)``; ``migration`` and
    ``revision``: the numbers of the last migration and of the last change of grants, so that a change of either runs
    an update.

    Errors: if a privilege cannot be granted or revoked, the update fails and changes nothing.

    Import id: ``DATABASE.SCHEMA.privileges``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        schema: pulumi.Input[str],
        owner: pulumi.Input[str],
        access: SchemaPrivileges,
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
        """The drift that a refresh found, one sentence per change; the next ``up`` corrects it."""
        return cast("pulumi.Output[list[str]]", pulumi.get(self, "drift"))


@pulumi.type_token(INVENTORY)
class PostgresInventory(pulumi.CustomResource):
    """The logins and schemas that the stack manages. A preview shows which are removed and which are kept.

    An update or delete retires each login that is no longer listed: it disables the login and ends its sessions. The
    role is dropped later in the same run. Schemas are only listed: the schema's own resource keeps or drops its tables.
    Make the inventory depend on the logins' roles, so that a destroy ends their sessions first.

    Inputs: ``logins``, login -> its display name; ``schemas``, schema -> ``KEPT`` or ``DROPPED`` of
    ``components.postgres.fates``; ``drop_schemas``, ``role_prefix`` and ``adopts_database``, as in stack config;
    ``extensions``, those of the mapping, and ``mapping_file``, which is named in the messages about them.

    Errors: the preview fails if a schema leaves the mapping in the same run in which ``drop_schemas`` first names it, and
    if the server does not have a new extension. The preview and the update fail if something prevents a role from being
    dropped; the message names it and the commands that remove it. The update fails if a session does not end; the message
    names its server process.

    Import id: ``DATABASE.inventory``.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        logins: Mapping[str, str],
        schemas: Mapping[str, str],
        drop_schemas: Sequence[str],
        role_prefix: str = "",
        extensions: Sequence[str] = (),
        mapping_file: str = "",
        adopts_database: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "logins": logins,
            "schemas": schemas,
            "dropSchemas": drop_schemas,
            "extensions": list(extensions) or None,
            "mappingFile": mapping_file if extensions else None,
            "rolePrefix": role_prefix or None,
            "adoptsDatabase": adopts_database or None,
        }
        super().__init__(INVENTORY, resource_name, inputs, opts)


@pulumi.type_token(CLOSED_DATABASES)
class ClosedDatabases(pulumi.CustomResource):
    """Databases that PUBLIC, and so every module's login, may not connect to.

    ``databases``: their names. A database on which the admin may not revoke CONNECT stays open, and ``drift`` reports it.
    The admin and other logins that run the server keep their access. Deleting the resource opens no database again.

    Import id: ``DATABASE.closed-databases``.
    """

    def __init__(
        self, resource_name: str, *, databases: Sequence[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(CLOSED_DATABASES, resource_name, {"databases": databases, "reopened": None}, opts)
