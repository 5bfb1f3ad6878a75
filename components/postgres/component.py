"""The ``Postgres`` component: database, roles, schemas, migrations and grants.

Made from the mapping's ``modules.*.postgres`` and ``postgres.schemas``. It deliberately makes no table (migrations
do), no server, and nothing for PUBLIC.
"""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_postgresql as postgresql

from components.credentials import Credential
from components.mapping import Mapping
from components.mapping.access import append_only_tables, group_roles, schemas_used
from components.mapping.names import duration_ms
from components.postgres.grants import GrantChain, grant_schema
from components.postgres.migrations_resource import SchemaMigrations, migration_files
from components.settings import PostgresSettings

GROUPS = ("owner", "writer", "reader")
# Two connections or more, or the plugin waits for itself; few enough for a small server.
MAX_CONNECTIONS = 8


@dataclass(frozen=True)
class PostgresArgs:
    """What the component is made from. ``protect`` guards database, schemas and owner roles against deletion;
    ``allow_data_loss`` lets a schema be dropped with its tables."""

    mapping: Mapping
    settings: PostgresSettings
    credentials: dict[str, Credential]
    protect: bool
    allow_data_loss: bool
    sql_directory: Path = Path("sql")


class Postgres(pulumi.ComponentResource):
    """Database, roles, schemas, migrations and grants. Output ``roles``: module -> the name of its login.

    ``provider`` is that of the database, ``connect`` the role that may connect to it, ``readers`` read one schema each.
    """

    roles: dict[str, pulumi.Output[str]]
    provider: postgresql.Provider
    connect: pulumi.Output[str]
    readers: list[pulumi.Output[str]]

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:postgres:Postgres", name, None, opts)
        self._args = args
        self._database = self._create_database()
        self._provider = self._create_provider("inside", self._database.name)
        self.provider = self._provider
        self._options = pulumi.ResourceOptions(parent=self, provider=self._provider)
        self._groups = self._create_group_roles()
        self._connect = self._role(f"{args.settings.database}_connect")
        self.connect = self._connect.name
        self.readers = [role.name for name, role in self._groups.items() if name.endswith("_reader")]
        self._logins = self._create_logins()
        self._close_database()
        for schema in args.mapping.postgres.schemas:
            self._create_schema(schema)
        self.roles = {module: login.name for module, login in self._logins.items()}
        self.register_outputs({"database": self._database.name, "roles": self.roles})

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
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_database(self) -> postgresql.Database:
        settings = self._args.settings
        outside = self._create_provider("outside", settings.maintenance_database)
        return postgresql.Database(
            settings.database,
            name=settings.database,
            opts=pulumi.ResourceOptions(parent=self, provider=outside, protect=self._args.protect),
        )

    def _role(self, name: str, protect: bool = False) -> postgresql.Role:
        options = pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(protect=protect))
        return postgresql.Role(name, name=name, login=False, opts=options)

    def _create_group_roles(self) -> dict[str, postgresql.Role]:
        names = [f"{schema}_{group}" for schema in self._args.mapping.postgres.schemas for group in GROUPS]
        return {name: self._role(name, protect=self._args.protect and name.endswith("_owner")) for name in names}

    def _create_logins(self) -> dict[str, postgresql.Role]:
        mapping = self._args.mapping
        logins = {}
        for name, module in mapping.modules.items():
            limits, defaults = module.postgres, mapping.postgres.defaults
            statement = limits.statement_timeout or defaults.statement_timeout
            idle = limits.idle_in_transaction_timeout or defaults.idle_in_transaction_timeout
            path = limits.search_path if limits.search_path is not None else schemas_used(mapping, name)
            logins[name] = postgresql.Role(
                name,
                name=name,
                login=True,
                password=self._args.credentials[name].postgres_verifier,
                connection_limit=limits.connection_limit or defaults.connection_limit,
                statement_timeout=duration_ms(statement),
                idle_in_transaction_session_timeout=duration_ms(idle),
                # Without one of its own a login would look into "$user" and public.
                search_paths=list(path) or ["pg_catalog"],
                roles=[self._connect.name, *(self._groups[role].name for role in group_roles(mapping, name))],
                opts=self._options,
            )
        return logins

    def _close_database(self) -> None:
        """Nothing for PUBLIC: no CONNECT or TEMPORARY, nothing on schema public, no EXECUTE on new functions."""
        chain = GrantChain(self._options, self._database.name)
        chain.grant("public-database", role="public", object_type="database", privileges=[])
        chain.grant("public-schema", role="public", object_type="schema", schema="public", privileges=[])
        chain.grant("connect", role=self._connect.name, object_type="database", privileges=["CONNECT"])

    def _create_schema(self, name: str) -> None:
        args = self._args
        owner, writer, reader = (self._groups[f"{name}_{group}"] for group in GROUPS)
        schema = postgresql.Schema(
            name,
            name=name,
            database=self._database.name,
            owner=owner.name,
            drop_cascade=args.allow_data_loss,
            opts=pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(protect=args.protect)),
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
            migrations=migration_files(args.sql_directory / name),
            append_only=list(append_only_tables(args.mapping, name)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[schema, functions, writer, reader]),
        )
        chain = GrantChain(self._options, self._database.name, schema.name, after=migrations)
        logins = {module: login.name for module, login in self._logins.items()}
        grant_schema(chain, args.mapping, name, writer.name, reader.name, logins)
