"""The contract: what each module may use and where it is, as one versioned document without a secret in it.

``build`` makes it from the mapping and the endpoints; ``env_lines`` turns it, with the secrets, into shell exports.
Removing or retyping a field is a breaking change: raise the first number of ``VERSION``. Adding one raises the second.
"""

import shlex
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from components.mapping import Mapping
from components.mapping.access import group_roles, key_access, object_access, stream_groups, table_access
from components.settings import Settings

VERSION = "1.1"


class Part(BaseModel):
    """Base of the contract's parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresEndpoint(Part):
    """With ``tenant_isolation`` row-level-security a session says ``SET LOCAL app.tenant_id`` in each transaction."""

    host: str
    port: int
    database: str
    sslmode: str
    tenant_isolation: Literal["off", "row-level-security"] = "off"


class ValkeyEndpoint(Part):
    host: str
    port: int
    tls: bool


class ObjectStoreEndpoint(Part):
    endpoint: str
    region: str
    path_style: bool = True


class Endpoints(Part):
    postgres: PostgresEndpoint
    valkey: ValkeyEndpoint
    object_store: ObjectStoreEndpoint


class TableUse(Part):
    """``privileges`` on the whole table; ``columns`` maps a column to privileges on it alone."""

    privileges: tuple[str, ...]
    columns: dict[str, tuple[str, ...]] = {}


class PostgresUse(Part):
    """The module's login and what it may do: schema -> table -> privileges."""

    role: str
    member_of: tuple[str, ...]
    schemas: dict[str, dict[str, TableUse]]
    functions: tuple[str, ...] = ()


class KeyUse(Part):
    """A key pattern; ``verb`` is write or read, ``ttl`` as the mapping writes it."""

    pattern: str
    type: str
    ttl: str
    verb: str


class StreamUse(Part):
    """A stream; ``verb`` is produce or consume, ``groups`` the consumer groups with their idle time-outs."""

    name: str
    verb: str
    ttl: str
    events: tuple[str, ...]
    groups: dict[str, str] = {}


class ValkeyUse(Part):
    user: str
    keys: tuple[KeyUse, ...]
    streams: tuple[StreamUse, ...]


class ObjectUse(Part):
    """Objects below ``prefix`` (which may hold ``*``) in the bucket of that physical name."""

    bucket: str
    prefix: str
    verb: str


class ModuleContract(Part):
    """One module. ``secrets`` says where in the stack's secret output ``secrets`` each of them stands."""

    name: str
    postgres: PostgresUse | None
    valkey: ValkeyUse
    object_store: tuple[ObjectUse, ...]
    secrets: dict[str, str]


class Contract(Part):
    version: str
    endpoints: Endpoints
    modules: dict[str, ModuleContract]


def endpoints(settings: Settings) -> Endpoints:
    """Where the stores are, as the stack's config says."""
    postgres, valkey, store = settings.postgres, settings.valkey, settings.object_store
    return Endpoints(
        postgres=PostgresEndpoint(
            host=postgres.host,
            port=postgres.port,
            database=postgres.database,
            sslmode=postgres.ssl_mode,
            tenant_isolation=postgres.tenant_isolation,
        ),
        valkey=ValkeyEndpoint(host=valkey.host, port=valkey.port, tls=valkey.tls),
        object_store=ObjectStoreEndpoint(endpoint=store.endpoint, region=store.region),
    )


def build(mapping: Mapping, where: Endpoints, bucket_prefix: str) -> Contract:
    """The contract of every module and service."""
    return Contract(
        version=VERSION,
        endpoints=where,
        modules={name: _module(mapping, name, bucket_prefix) for name in mapping.users},
    )


def _module(mapping: Mapping, name: str, bucket_prefix: str) -> ModuleContract:
    has_login = name in mapping.modules
    secrets = ["postgres_password", "valkey_password"] if has_login else ["valkey_password"]
    objects = object_access(mapping, name) if has_login else ()
    return ModuleContract(
        name=mapping.users[name].name,
        postgres=_postgres(mapping, name) if has_login else None,
        valkey=_valkey(mapping, name),
        object_store=tuple(
            ObjectUse(bucket=bucket_prefix + item.bucket, prefix=item.prefix, verb=item.verb) for item in objects
        ),
        secrets={secret: f"{name}.{secret}" for secret in secrets},
    )


def _postgres(mapping: Mapping, name: str) -> PostgresUse:
    schemas: dict[str, dict[str, TableUse]] = {}
    for (schema, table), access in sorted(table_access(mapping, name).items()):
        columns = {column: tuple(sorted(privileges)) for column, privileges in sorted(access.columns.items())}
        use = TableUse(privileges=tuple(sorted(access.privileges)), columns=columns)
        schemas.setdefault(schema, {})[table] = use
    functions = tuple(
        f"{schema}.{function}({', '.join(definition.arguments)})"
        for schema, contents in mapping.postgres.schemas.items()
        for function, definition in contents.functions.items()
        if name in definition.execute
    )
    return PostgresUse(role=name, member_of=group_roles(mapping, name), schemas=schemas, functions=functions)


def _valkey(mapping: Mapping, name: str) -> ValkeyUse:
    keys, streams = [], []
    for access in key_access(mapping, name):
        ttl = mapping.valkey.keys[access.pattern].ttl
        if access.verb in ("produce", "consume"):
            groups = {
                group.name: group.idle_timeout
                for group in stream_groups(mapping)
                if access.verb == "consume" and group.stream == access.pattern and group.consumer == name
            }
            events = mapping.valkey.streams[access.pattern].events
            streams.append(StreamUse(name=access.pattern, verb=access.verb, ttl=ttl, events=events, groups=groups))
        else:
            keys.append(KeyUse(pattern=access.pattern, type=access.type, ttl=ttl, verb=access.verb))
    return ValkeyUse(user=name, keys=tuple(keys), streams=tuple(streams))


def env_lines(outputs: dict[str, Any], module: str) -> list[str]:
    """Shell ``export`` lines with which ``module`` connects: libpq's variables, ``VALKEY_*`` and ``S3_*``.

    ``outputs`` are the stack's outputs with ``contract`` and, in clear, ``secrets``. Raises ``KeyError`` with the
    module's name when the contract does not know it.
    """
    contract = Contract.model_validate(outputs["contract"])
    use = contract.modules[module]
    secrets = outputs["secrets"][module]
    postgres, valkey, store = contract.endpoints.postgres, contract.endpoints.valkey, contract.endpoints.object_store
    variables: dict[str, str] = {}
    if use.postgres is not None:
        variables |= {
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGDATABASE": postgres.database,
            "PGSSLMODE": postgres.sslmode,
            "PGUSER": use.postgres.role,
            "PGPASSWORD": secrets["postgres_password"],
        }
    variables |= {
        "VALKEY_HOST": valkey.host,
        "VALKEY_PORT": str(valkey.port),
        "VALKEY_TLS": str(valkey.tls).lower(),
        "VALKEY_USER": use.valkey.user,
        "VALKEY_PASSWORD": secrets["valkey_password"],
    }
    if use.object_store:
        variables |= {
            "S3_ENDPOINT": store.endpoint,
            "S3_REGION": store.region,
            "S3_BUCKETS": " ".join(sorted({item.bucket for item in use.object_store})),
        }
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
