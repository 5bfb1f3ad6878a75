"""Access derived from the mapping. Only this package turns verbs into privileges.

Roles, grants, ACLs, policies, the contract, drift, docs and the access tests all use ``mapping.access``, so they agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from components.mapping.access.objects import ObjectAccess, object_access
from components.mapping.access.postgres import (
    APPEND,
    CHANGE,
    READ,
    TENANT_COLUMN,
    TENANT_TYPE,
    VERSION_TABLE,
    DirectGrant,
    LoginAccess,
    LoginLimits,
    SchemaAccess,
    TableAccess,
    TenantRule,
    direct_grants,
    login_access,
    schema_access,
)
from components.mapping.access.valkey import KeyAccess, StreamGroup, key_access, stream_groups
from components.mapping.column_types import EXTENSIONS_SCHEMA
from components.mapping.model import Contents
from components.mapping.roles import Login, RoleNames, owner, reader

__all__ = [
    "APPEND",
    "CHANGE",
    "EXTENSIONS_SCHEMA",
    "READ",
    "TENANT_COLUMN",
    "TENANT_TYPE",
    "VERSION_TABLE",
    "Access",
    "DirectGrant",
    "KeyAccess",
    "LoginAccess",
    "LoginLimits",
    "ObjectAccess",
    "SchemaAccess",
    "StreamGroup",
    "TableAccess",
    "TenantRule",
]


@dataclass(frozen=True)
class Access:
    """What each module and service may do. Each part is derived on first use."""

    contents: Contents
    role_prefix: str = ""

    @cached_property
    def logins(self) -> Mapping[str, LoginAccess]:
        """Module -> what its login may do in PostgreSQL."""
        return {
            name: login_access(self.contents, name, self._grants[name], self.role_prefix)
            for name in self.contents.modules
        }

    @cached_property
    def schemas(self) -> Mapping[str, SchemaAccess]:
        """Schema -> what each role and module may do in it."""
        return {
            name: schema_access(self.contents, name, self._grants, self.role_prefix)
            for name in self.contents.postgres.schemas
        }

    @cached_property
    def keys(self) -> Mapping[str, tuple[KeyAccess, ...]]:
        """Module or service -> every key pattern that it may use in Valkey, sorted."""
        return {user: key_access(self.contents, user) for user in self.contents.users}

    @cached_property
    def stream_groups(self) -> tuple[StreamGroup, ...]:
        """Every consumer group, in the order of the mapping."""
        return stream_groups(self.contents)

    @cached_property
    def objects(self) -> Mapping[str, tuple[ObjectAccess, ...]]:
        """Module -> every object prefix that it may use, sorted."""
        return {name: object_access(self.contents, name) for name in self.contents.modules}

    def roles(self, *databases: str) -> RoleNames:
        """The PostgreSQL roles that follow from the mapping, including those of ``databases``."""
        return RoleNames(self.contents.postgres.schemas, self.contents.modules, databases, self.role_prefix)

    def login(self, module: str) -> str:
        """Name of the module's login."""
        return Login(module, self.role_prefix).name

    def owner(self, schema: str) -> str:
        """Name of the schema's owner role."""
        return owner(schema, self.role_prefix)

    def reader(self, schema: str) -> str:
        """Name of the schema's reader role."""
        return reader(schema, self.role_prefix)

    @cached_property
    def _grants(self) -> Mapping[str, tuple[DirectGrant, ...]]:
        schemas = self.contents.postgres.schemas
        return {name: direct_grants(module.postgres, schemas) for name, module in self.contents.modules.items()}
