"""The ``Postgres`` component: database, roles, schemas, migrations and grants.

Built from the mapping's ``modules.*.postgres`` and ``postgres.schemas``. It deliberately creates no tables (migrations
do), no server, and no privileges for PUBLIC.
"""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import pulumi
import pulumi_postgresql as postgresql

from components.config.model import PostgresSettings
from components.mapping import Mapping
from components.mapping.access import EXTENSIONS_SCHEMA
from components.mapping.roles import BackupRole, ConnectRole, GroupRole, Login, Role, groups_of, is_owner
from components.postgres.fates import DROPPED, KEPT
from components.postgres.grants import GrantChain, grant_schema
from components.postgres.role_definitions import RoleDefinition, role_definitions
from components.postgres.schema_files import SQL_DIRECTORY
from components.resources.credentials import Credential
from components.resources.postgres import (
    AccessRevisions,
    ClosedDatabases,
    PostgresInventory,
    Privileges,
    SchemaMigrations,
)
from components.resources.provider import Provider

# With only one connection, the plugin waits for itself; eight are few enough for a small server.
MAX_CONNECTIONS = 8
CONNECT_TIMEOUT_SECONDS = 20  # the plugin's default is three minutes


@dataclass(frozen=True)
class PostgresArgs:
    """Arguments of ``PostgresComponent``.

    ``provider`` manages migrations, privileges and the inventory. ``protect`` refuses to delete the database, schemas and
    owner roles. Schemas in ``settings.drop_schemas`` are not protected and are dropped with their tables. All others, and
    the database with them, are kept when they leave the mapping or the stack is destroyed. ``backup`` is the credential of
    the login that reads every schema; with ``replicates`` it also reads base backups and WAL.
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
        """Whether the schema is dropped with its tables when it leaves."""
        return bool({"*", schema} & self.settings.drop_schemas)

    @property
    def drops_everything(self) -> bool:
        """Whether no schema in the database has to be kept."""
        return all(map(self.drops, self.mapping.postgres.schemas))


class PostgresComponent(pulumi.ComponentResource):
    """Database, roles, schemas, migrations and grants. Output ``roles``: module -> the name of its login.

    ``backup`` is the name of the login for backups, None without ``PostgresArgs.backup``. ``granted``: schema -> the
    resource that exists once the schema has its tables and grants.
    """

    roles: dict[str, pulumi.Output[str]]
    backup: pulumi.Output[str] | None
    granted: dict[str, pulumi.Resource]

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:postgres:Postgres", name, None, opts)
        self._args = args
        self._warn_about_unknown_schemas()
        self._database = self._create_database()
        self._provider = self._create_provider("inside", self._database.name)
        self._options = pulumi.ResourceOptions(parent=self, provider=self._provider)
        self._roles = self._create_roles()
        database, prefix = args.settings.database, args.settings.role_prefix
        self._connect = self._roles[ConnectRole(database, prefix)]
        self._logins = {module: self._roles[Login(module, prefix)] for module in args.mapping.access.logins}
        self.backup = self._roles[BackupRole(database, prefix)].name if args.backup else None
        self._restrict_database()
        self._extensions = self._create_extensions()
        self._create_inventory()
        self._revisions = AccessRevisions(
            "postgres",
            access={name: access.words for name, access in args.mapping.access.schemas.items()},
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider),
        )
        self.granted = {schema: self._create_schema(schema) for schema in args.mapping.postgres.schemas}
        self.roles = {module: login.name for module, login in self._logins.items()}
        self.register_outputs({"database": self._database.name, "roles": self.roles})

    def ready(self, module: str) -> list[pulumi.Resource]:
        """The resources that the module's login needs to work; empty for a module without a login."""
        login = self._logins.get(module)
        if login is None:
            return []
        return [login, *(self.granted[schema] for schema in self._args.mapping.access.logins[module].schemas)]

    def _warn_about_unknown_schemas(self) -> None:
        """Only warn: ``dropSchemas`` must still name a schema in the run that removes it from the mapping."""
        known = self._args.mapping.postgres.schemas
        for name in sorted(self._args.settings.drop_schemas - {"*", *known}):
            close = difflib.get_close_matches(name, known, n=1)
            guess = f' (did you mean "{close[0]}"?)' if close else ""
            pulumi.log.warn(
                f"dropSchemas names {name!r}, which is not a schema in the mapping{guess}. It has no effect,"
                " unless this run removes a schema of that name from the mapping. Remove it from dropSchemas afterwards",
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
        provider = self._create_provider("outside", settings.maintenance_database)
        return postgresql.Database(
            settings.database,
            name=settings.database,
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=provider,
                protect=args.protect,
                retain_on_delete=not args.drops_everything,
                import_=settings.database if settings.adopt_database else None,
            ),
        )

    def _create_roles(self) -> dict[Role, postgresql.Role]:
        """Create group roles, then logins.

        Group roles are deleted even if their schema is kept, because a kept role could not be created again. A deleted owner
        role leaves its objects to the admin. The login for backups is a member of every reader role; a policy of its own lets
        it read the rows of all tenants, which needs no privilege of the admin.
        """
        args = self._args
        definitions = role_definitions(
            args.mapping, args.settings.database, backup=args.backup is not None, replicates=args.replicates
        )
        roles: dict[Role, postgresql.Role] = {}
        for role, definition in definitions.items():
            roles[role] = (
                self._create_login(definition, self._credential(role), [roles[group] for group in definition.member_of])
                if definition.login
                else postgresql.Role(
                    _resource_name(role), name=role.name, login=False, opts=self._protected(self._keeps(role))
                )
            )
        return roles

    def _keeps(self, role: Role) -> bool:
        """Whether the role owns a schema that is kept."""
        return is_owner(role) and isinstance(role, GroupRole) and not self._args.drops(role.schema)

    def _protected(self, protect: bool) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(
            self._options, pulumi.ResourceOptions(protect=self._args.protect and protect)
        )

    def _credential(self, role: Role) -> Credential:
        credential = self._args.credentials[role.module] if isinstance(role, Login) else self._args.backup
        assert credential is not None
        return credential

    def _create_login(
        self, definition: RoleDefinition, credential: Credential, groups: list[postgresql.Role]
    ) -> postgresql.Role:
        return postgresql.Role(
            _resource_name(definition.role),
            name=definition.name,
            login=True,
            password=credential.postgres_verifier,
            connection_limit=definition.connection_limit,
            replication=definition.replication,
            bypass_row_level_security=definition.replication,
            statement_timeout=definition.statement_timeout,
            idle_in_transaction_session_timeout=definition.idle_in_transaction_timeout,
            search_paths=list(definition.search_path or ()),
            roles=[group.name for group in groups],
            opts=self._options,
        )

    def _create_inventory(self) -> None:
        args = self._args
        PostgresInventory(
            "postgres",
            logins={args.mapping.access.login(name): module.name for name, module in args.mapping.modules.items()},
            schemas={name: DROPPED if args.drops(name) else KEPT for name in args.mapping.postgres.schemas},
            drop_schemas=sorted(args.settings.drop_schemas),
            role_prefix=args.settings.role_prefix,
            extensions=args.mapping.postgres.extensions,
            mapping_file=args.mapping.file,
            adopts_database=args.settings.adopt_database,
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(self._logins.values())),
        )

    def _restrict_database(self) -> None:
        """Revoke PUBLIC's privileges on the database and on schema public, and let only the connect role's members connect.

        The maintenance databases are closed for the logins too."""
        chain = GrantChain(self._options, self._database.name)
        chain.grant("public-database", role="public", object_type="database", privileges=[])
        chain.grant("public-schema", role="public", object_type="schema", schema="public", privileges=[])
        chain.grant("connect", role=self._connect.name, object_type="database", privileges=["CONNECT"])
        ClosedDatabases(
            "postgres",
            databases=self._args.settings.closed_databases,
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.provider, depends_on=[self._database]),
        )

    def _create_extensions(self) -> list[pulumi.Resource]:
        """The extensions in a schema of their own, which logins and the owners of schemas may use.

        Like the database they are kept unless every schema is dropped: tables that are kept may use their types.
        """
        extensions = self._args.mapping.postgres.extensions
        if not extensions:
            return []
        kept = pulumi.ResourceOptions(retain_on_delete=not self._args.drops_everything)
        options = pulumi.ResourceOptions.merge(self._options, kept)
        schema = postgresql.Schema(
            EXTENSIONS_SCHEMA, name=EXTENSIONS_SCHEMA, database=self._database.name, opts=options
        )
        installed = [
            postgresql.Extension(
                name, name=name, database=self._database.name, schema=schema.name, create_cascade=True, opts=options
            )
            for name in extensions
        ]
        chain = GrantChain(self._options, self._database.name, schema.name, after=installed)
        owners = [role.name for key, role in self._roles.items() if is_owner(key)]
        for name, role in zip(
            ("connect", *self._args.mapping.postgres.schemas), (self._connect.name, *owners), strict=True
        ):
            chain.grant(f"{name}-extensions", role=role, object_type="schema", privileges=["USAGE"])
        return list(chain.last)

    def _create_schema(self, name: str) -> pulumi.Resource:
        """Create a schema, and return the resource that exists once it has its tables and grants."""
        args, access = self._args, self._args.mapping.access.schemas[name]
        owner, writer, reader = (self._roles[role] for role in groups_of(name, args.settings.role_prefix))
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
        # Not limited to the schema: PUBLIC's EXECUTE is a global default privilege, which per-schema ones cannot revoke.
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
            tables=args.mapping.postgres.schemas[name].column_types,
            mapping_file=args.mapping.file,
            append_only=list(access.append_only),
            tenant_tables=self._tenant_tables(name),
            tenant_bypass=self._tenant_bypass(name),
            opts=pulumi.ResourceOptions(
                parent=self, provider=args.provider, depends_on=[schema, functions, writer, reader, *self._extensions]
            ),
        )
        chain = GrantChain(self._options, self._database.name, schema.name, after=(migrations, self._revisions))
        logins = {module: login.name for module, login in self._logins.items()}
        grant_schema(chain, args.mapping, name, writer.name, reader.name, logins)
        return Privileges(
            name,
            schema=schema.name,
            owner=owner.name,
            access=access.words,
            migration=migrations.version,
            revision=self._revisions.of(name),
            opts=pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=list(chain.last)),
        )

    def _tenant_tables(self, schema: str) -> dict[str, dict[str, str]]:
        """Table -> the rule that assigns its rows to tenants; empty without tenant isolation."""
        if not self._args.settings.isolates_tenants:
            return {}
        rules = self._args.mapping.access.schemas[schema].tenant_rules
        return {
            table: {"column": rule.column} | ({"parent": rule.parent} if rule.parent else {})
            for table, rule in rules.items()
        }

    def _tenant_bypass(self, schema: str) -> list[pulumi.Input[str]]:
        """The logins that see the rows of every tenant; empty without tenant isolation."""
        if not self._args.settings.isolates_tenants:
            return []
        access = self._args.mapping.access.schemas[schema]
        bypass = [self._logins[module].name for module in access.tenant_bypass]
        return [*bypass, *([self.backup] if self.backup and access.tenant_rules else [])]


def _resource_name(role: Role) -> str:
    """The name of the role's resource: without the prefix, so that a new prefix renames the role."""
    return replace(role, prefix="").name
