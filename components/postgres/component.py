"""The ``Postgres`` component: database, roles, schemas, migrations and grants.

Made from the mapping's ``modules.*.postgres`` and ``postgres.schemas``. It deliberately makes no table (migrations
do), no server, and nothing for PUBLIC.
"""

import difflib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_postgresql as postgresql

from components.config.settings import PostgresSettings
from components.mapping import Mapping
from components.mapping.access import (
    GROUPS,
    append_only_tables,
    backup_role,
    connect_role,
    group_roles,
    login_limits,
    schemas_used,
    tenant_bypass,
    tenant_rules,
)
from components.postgres.fates import DROPPED, KEPT
from components.postgres.grants import GrantChain, grant_schema
from components.postgres.schema_files import SQL_DIRECTORY
from components.resources.credentials import Credential
from components.resources.postgres import PostgresInventory, SchemaMigrations
from components.resources.provider import Provider

# Two connections or more, or the plugin waits for itself; few enough for a small server.
MAX_CONNECTIONS = 8
CONNECT_TIMEOUT_SECONDS = 20  # the plugin's default is three minutes
BACKUP_CONNECTIONS = 8  # a dump, a base backup with its WAL, the WAL receiver, and a run by hand beside them


@dataclass(frozen=True)
class PostgresArgs:
    """What the component is made from. ``provider`` serves migrations and the inventory; ``protect`` guards database,
    schemas and owner roles against deletion.

    Schemas that ``settings.drop_schemas`` names are not protected, and go with their tables. Every other one is kept
    when it leaves the mapping or the stack is destroyed, and the database with it. ``backup`` is for the login that
    reads every schema; ``replicates``: base backups and WAL as well.
    """

    mapping: Mapping
    settings: PostgresSettings
    credentials: dict[str, Credential]
    provider: Provider
    protect: bool
    backup: Credential | None = None
    replicates: bool = False
    sql_directory: Path = SQL_DIRECTORY

    def drops(self, schema: str) -> bool:
        """Whether the schema goes with its tables."""
        return bool({"*", schema} & self.settings.drop_schemas)

    @property
    def drops_everything(self) -> bool:
        """Whether nothing is left in the database that must be kept."""
        return all(map(self.drops, self.mapping.postgres.schemas))


class Postgres(pulumi.ComponentResource):
    """Database, roles, schemas, migrations and grants. Output ``roles``: module -> the name of its login.

    ``backup`` is the name of the login for backups, None without ``PostgresArgs.backup``. ``granted``: schema -> what is
    there when it has its tables and grants.
    """

    roles: dict[str, pulumi.Output[str]]
    backup: pulumi.Output[str] | None
    granted: dict[str, pulumi.Resource]

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:postgres:Postgres", name, None, opts)
        self._args = args
        self._warn_of_unknown_schemas()
        self._database = self._create_database()
        self._provider = self._create_provider("inside", self._database.name)
        self._options = pulumi.ResourceOptions(parent=self, provider=self._provider)
        self._groups = self._create_group_roles()
        self._connect = self._role(connect_role(args.settings.database))
        self._logins = self._create_logins()
        self.backup = self._create_backup_login(args.backup).name if args.backup else None
        self._close_database()
        self._create_inventory()
        self.granted = {schema: self._create_schema(schema) for schema in args.mapping.postgres.schemas}
        self.roles = {module: login.name for module, login in self._logins.items()}
        self.register_outputs({"database": self._database.name, "roles": self.roles})

    def ready(self, module: str) -> list[pulumi.Resource]:
        """What is there when the module can log in and do all it may; nothing for who has no login."""
        login = self._logins.get(module)
        return [login, *(self.granted[schema] for schema in schemas_used(self._args.mapping, module))] if login else []

    def _warn_of_unknown_schemas(self) -> None:
        """Only a warning: a schema that left the mapping is named rightly in the run that drops it."""
        known = self._args.mapping.postgres.schemas
        for name in sorted(self._args.settings.drop_schemas - {"*", *known}):
            close = difflib.get_close_matches(name, known, n=1)
            guess = f' (did you mean "{close[0]}"?)' if close else ""
            pulumi.log.warn(
                f"dropSchemas names {name!r}, which is no schema of the mapping{guess}: nothing is dropped for it, unless"
                " a schema of that name leaves the mapping in this very run; then, or else, take it out of dropSchemas",
                self,
            )

    def _create_provider(self, name: str, database: pulumi.Input[str]) -> postgresql.Provider:
        settings = self._args.settings
        return postgresql.Provider(
            f"postgres-{name}",
            host=settings.host,
            port=settings.port,
            username=settings.admin_user,
            password=settings.admin_password,
            database=database,
            sslmode=settings.ssl_mode,
            superuser=settings.superuser,
            max_connections=MAX_CONNECTIONS,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_database(self) -> postgresql.Database:
        args, settings = self._args, self._args.settings
        outside = self._create_provider("outside", settings.maintenance_database)
        return postgresql.Database(
            settings.database,
            name=settings.database,
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=outside,
                protect=args.protect,
                retain_on_delete=not args.drops_everything,
                import_=settings.database if settings.adopt_database else None,
            ),
        )

    def _role(self, name: str, protect: bool = False) -> postgresql.Role:
        options = pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(protect=protect))
        return postgresql.Role(name, name=name, login=False, opts=options)

    def _create_group_roles(self) -> dict[str, postgresql.Role]:
        """An owner role that goes leaves what it owned to the admin: a role that was kept could not be made again."""
        args = self._args
        return {
            f"{schema}_{group}": self._role(
                f"{schema}_{group}", protect=args.protect and group == "owner" and not args.drops(schema)
            )
            for schema in args.mapping.postgres.schemas
            for group in GROUPS
        }

    def _create_logins(self) -> dict[str, postgresql.Role]:
        mapping = self._args.mapping
        logins = {}
        for name in mapping.modules:
            limits = login_limits(mapping, name)
            logins[name] = postgresql.Role(
                name,
                name=name,
                login=True,
                password=self._args.credentials[name].postgres_verifier,
                connection_limit=limits.connection_limit,
                statement_timeout=limits.statement_timeout,
                idle_in_transaction_session_timeout=limits.idle_in_transaction_timeout,
                search_paths=list(limits.search_path),
                roles=[self._connect.name, *(self._groups[role].name for role in group_roles(mapping, name))],
                opts=self._options,
            )
        return logins

    def _create_inventory(self) -> None:
        args = self._args
        PostgresInventory(
            "postgres",
            logins={name: module.name for name, module in args.mapping.modules.items()},
            schemas={name: DROPPED if args.drops(name) else KEPT for name in args.mapping.postgres.schemas},
            drop_schemas=sorted(args.settings.drop_schemas),
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(self._logins.values())),
        )

    def _create_backup_login(self, credential: Credential) -> postgresql.Role:
        """Reads every schema as its readers do. It sees the rows of all tenants by a policy of its own, which needs no
        privilege of the admin's; replication needs REPLICATION, and a role that replicates may as well have BYPASSRLS."""
        name = backup_role(self._args.settings.database)
        return postgresql.Role(
            name,
            name=name,
            login=True,
            password=credential.postgres_verifier,
            connection_limit=BACKUP_CONNECTIONS,
            replication=self._args.replicates,
            bypass_row_level_security=self._args.replicates,
            search_paths=["pg_catalog"],
            roles=[self._connect.name, *(role.name for key, role in self._groups.items() if key.endswith("_reader"))],
            opts=self._options,
        )

    def _close_database(self) -> None:
        """Nothing for PUBLIC: no CONNECT or TEMPORARY, nothing on schema public, no EXECUTE on new functions."""
        chain = GrantChain(self._options, self._database.name)
        chain.grant("public-database", role="public", object_type="database", privileges=[])
        chain.grant("public-schema", role="public", object_type="schema", schema="public", privileges=[])
        chain.grant("connect", role=self._connect.name, object_type="database", privileges=["CONNECT"])

    def _create_schema(self, name: str) -> pulumi.Resource:
        """Returns what is there when the schema is."""
        args = self._args
        owner, writer, reader = (self._groups[f"{name}_{group}"] for group in GROUPS)
        schema = postgresql.Schema(
            name,
            name=name,
            database=self._database.name,
            owner=owner.name,
            drop_cascade=args.drops(name),
            opts=pulumi.ResourceOptions.merge(
                self._options,
                pulumi.ResourceOptions(
                    protect=args.protect and not args.drops(name), retain_on_delete=not args.drops(name)
                ),
            ),
        )
        # Without a schema: PUBLIC's EXECUTE is a default of the whole database, which a schema's cannot take away.
        functions = postgresql.DefaultPrivileges(
            f"{name}-functions",
            database=self._database.name,
            owner=owner.name,
            role="public",
            object_type="function",
            privileges=[],
            opts=pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(delete_before_replace=True)),
        )
        migrations = SchemaMigrations(
            name,
            schema=schema.name,
            owner=owner.name,
            directory=str(args.sql_directory / name),
            append_only=list(append_only_tables(args.mapping, name)),
            **self._isolation(name),
            opts=pulumi.ResourceOptions(
                parent=self, provider=args.provider, depends_on=[schema, functions, writer, reader]
            ),
        )
        chain = GrantChain(self._options, self._database.name, schema.name, after=migrations)
        logins = {module: login.name for module, login in self._logins.items()}
        grant_schema(chain, args.mapping, name, writer.name, reader.name, logins)
        return chain.last or migrations

    def _isolation(self, schema: str) -> dict[str, Any]:
        """How the schema's tenants are kept apart, as the migrations' inputs."""
        if not self._args.settings.isolates_tenants:
            return {"tenant_tables": {}, "tenant_bypass": []}
        rules = tenant_rules(self._args.mapping, schema)
        bypass = [self._logins[module].name for module in tenant_bypass(self._args.mapping, schema)]
        return {
            "tenant_tables": {table: _without_none(asdict(rule)) for table, rule in rules.items()},
            "tenant_bypass": [*bypass, *([self.backup] if self.backup and rules else [])],
        }


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
