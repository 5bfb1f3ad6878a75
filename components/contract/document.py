"""The contract: one versioned document with the endpoints and the access of each module, without secrets.

``build`` creates it from the mapping and the endpoints. ``variables`` and ``secret_variables`` return one module's part as
environment variables, for Kubernetes (``ContractObjects``) and for a shell (``env_lines``).

Removing or retyping a field is a breaking change: increase the first number of ``VERSION``. For an added field, increase
the second.
"""

import shlex
from collections.abc import Mapping as MappingType
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from components.config.model import Settings
from components.mapping import Mapping
from components.rustfs.layout import Layout
from components.valkey.deployment.names import PRIMARY_NAME, SENTINEL_PORT

VERSION = "1.1"

Secret = TypeVar("Secret")


class Part(BaseModel):
    """Base of the contract's parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresEndpoint(Part):
    """If ``tenant_isolation`` is row-level-security, a session must run ``SET LOCAL app.tenant_id`` in each transaction."""

    host: str
    port: int
    database: str
    sslmode: str
    tenant_isolation: Literal["off", "row-level-security"] = "off"


class SentinelEndpoint(Part):
    """The address of Sentinel, and Sentinel's name of the primary."""

    host: str
    port: int
    primary: str


class ValkeyEndpoint(Part):
    """With ``sentinel``, ``host`` may be a replica: writers must get the primary's address from Sentinel."""

    host: str
    port: int
    tls: bool
    sentinel: SentinelEndpoint | None = None


class ObjectStoreEndpoint(Part):
    endpoint: str
    region: str
    path_style: bool = True


class Endpoints(Part):
    postgres: PostgresEndpoint
    valkey: ValkeyEndpoint
    object_store: ObjectStoreEndpoint


class TableUse(Part):
    """``privileges`` apply to the whole table; ``columns`` maps single columns to privileges."""

    privileges: tuple[str, ...]
    columns: dict[str, tuple[str, ...]] = {}


class PostgresUse(Part):
    """The module's login and its privileges: schema -> table -> privileges."""

    role: str
    member_of: tuple[str, ...]
    schemas: dict[str, dict[str, TableUse]]
    functions: tuple[str, ...] = ()


class KeyUse(Part):
    """A key pattern. ``verb`` is write or read; ``ttl`` is written as in the mapping."""

    pattern: str
    type: str
    ttl: str
    verb: str


class StreamUse(Part):
    """A stream. ``verb`` is produce or consume; ``groups`` maps consumer groups to their idle timeouts."""

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
    """Objects below ``prefix``, which may contain ``*``. ``bucket`` is the physical name.

    ``deletes``: whether a writer may also delete objects. It can never delete noncurrent versions.
    """

    bucket: str
    prefix: str
    verb: str
    deletes: bool = False


class ObjectTemplate(Part):
    """A key in a bucket's layout; a key that ends in / is a folder. ``content_type`` is null if the extension decides."""

    key: str
    content_type: str | None = None


class BucketLayout(Part):
    """``bucket`` is the physical name. ``content_types``: extension -> type; the longest matching extension applies."""

    bucket: str
    templates: tuple[ObjectTemplate, ...]
    content_types: dict[str, str]


class ModuleContract(Part):
    """One module. ``secrets`` maps each secret to its path in the stack's output ``secrets``."""

    name: str
    postgres: PostgresUse | None
    valkey: ValkeyUse
    object_store: tuple[ObjectUse, ...]
    secrets: dict[str, str]


class Contract(Part):
    """``layout``: bucket in the mapping -> its physical name and its keys."""

    version: str
    endpoints: Endpoints
    modules: dict[str, ModuleContract]
    layout: dict[str, BucketLayout] = {}


def endpoints(settings: Settings) -> Endpoints:
    """Return the endpoints of the stores from the stack's config."""
    postgres, valkey, store = settings.postgres, settings.valkey, settings.object_store
    return Endpoints(
        postgres=PostgresEndpoint(
            host=postgres.host,
            port=postgres.port,
            database=postgres.database,
            sslmode=postgres.ssl_mode,
            tenant_isolation=postgres.tenant_isolation,
        ),
        valkey=ValkeyEndpoint(host=valkey.host, port=valkey.port, tls=valkey.tls, sentinel=_sentinel(settings)),
        object_store=ObjectStoreEndpoint(endpoint=store.endpoint, region=store.region),
    )


def _sentinel(settings: Settings) -> SentinelEndpoint | None:
    if settings.kubernetes.mode == "none" or not settings.valkey_deployment.replicas:
        return None
    return SentinelEndpoint(host=settings.valkey.host, port=SENTINEL_PORT, primary=PRIMARY_NAME)


def build(mapping: Mapping, where: Endpoints, bucket_prefix: str) -> Contract:
    """Return the contract of all modules and services."""
    return Contract(
        version=VERSION,
        endpoints=where,
        modules={name: _module(mapping, name, bucket_prefix) for name in mapping.users},
        layout={name: _layout(mapping, name, bucket_prefix) for name in mapping.rustfs.buckets},
    )


def _layout(mapping: Mapping, bucket: str, bucket_prefix: str) -> BucketLayout:
    templates = Layout.of(mapping, bucket).templates
    return BucketLayout(
        bucket=bucket_prefix + bucket,
        templates=tuple(ObjectTemplate(key=item.key, content_type=item.content_type) for item in templates),
        content_types={extension: item.type for extension, item in mapping.rustfs.content_types.items()},
    )


def _module(mapping: Mapping, name: str, bucket_prefix: str) -> ModuleContract:
    has_login = name in mapping.modules
    secrets = ["postgres_password", "valkey_password"] if has_login else ["valkey_password"]
    objects = mapping.access.objects[name] if has_login else ()
    secrets += ["object_store_access_key", "object_store_secret_key"] if objects else []
    return ModuleContract(
        name=mapping.users[name].name,
        postgres=_postgres(mapping, name) if has_login else None,
        valkey=_valkey(mapping, name),
        object_store=tuple(
            ObjectUse(
                bucket=bucket_prefix + item.bucket,
                prefix=item.prefix,
                verb=item.verb,
                deletes=item.verb == "write" and not mapping.rustfs.buckets[item.bucket].keeps_everything,
            )
            for item in objects
        ),
        secrets={secret: f"{name}.{secret}" for secret in secrets},
    )


def _postgres(mapping: Mapping, name: str) -> PostgresUse:
    login = mapping.access.logins[name]
    schemas: dict[str, dict[str, TableUse]] = {}
    for (schema, table), access in sorted(login.tables.items(), key=lambda item: item[0]):
        columns = {column: tuple(sorted(privileges)) for column, privileges in sorted(access.columns.items())}
        use = TableUse(privileges=tuple(sorted(access.privileges)), columns=columns)
        schemas.setdefault(schema, {})[table] = use
    member_of = tuple(role.name for role in login.member_of)
    return PostgresUse(role=mapping.access.login(name), member_of=member_of, schemas=schemas, functions=login.functions)


def _valkey(mapping: Mapping, name: str) -> ValkeyUse:
    keys, streams = [], []
    for access in mapping.access.keys[name]:
        ttl = str(mapping.valkey.keys[access.pattern].ttl)
        if access.verb in ("produce", "consume"):
            groups = {
                group.name: str(group.idle_timeout)
                for group in mapping.access.stream_groups
                if access.verb == "consume" and group.stream == access.pattern and group.consumer == name
            }
            events = mapping.valkey.streams[access.pattern].events
            streams.append(StreamUse(name=access.pattern, verb=access.verb, ttl=ttl, events=events, groups=groups))
        else:
            keys.append(KeyUse(pattern=access.pattern, type=access.type, ttl=ttl, verb=access.verb))
    return ValkeyUse(user=name, keys=tuple(keys), streams=tuple(streams))


# Secret in the stack output ``secrets`` -> its environment variable, which is also its key in the Kubernetes Secret.
SECRET_VARIABLES = {
    "postgres_password": "PGPASSWORD",
    "valkey_password": "VALKEY_PASSWORD",
    "object_store_access_key": "AWS_ACCESS_KEY_ID",
    "object_store_secret_key": "AWS_SECRET_ACCESS_KEY",
}
# Holds the module's part of the contract, as JSON.
CONTRACT_VARIABLE = "STELLAOPS_CONTRACT"


def excerpt(contract: Contract, module: str) -> Contract:
    """Return the contract of one module. Raises ``KeyError`` for an unknown module."""
    use = contract.modules[module]
    used = {item.bucket for item in use.object_store}
    layout = {name: item for name, item in contract.layout.items() if item.bucket in used}
    return contract.model_copy(update={"modules": {module: use}, "layout": layout})


def variables(contract: Contract, module: str) -> dict[str, str]:
    """Return the environment variables of ``module`` without secrets: those of libpq, ``VALKEY_*``, ``S3_*``, ``AWS_*``
    and its part of the contract.

    Raises ``KeyError`` for an unknown module.
    """
    use = contract.modules[module]
    postgres, valkey, store = contract.endpoints.postgres, contract.endpoints.valkey, contract.endpoints.object_store
    settings: dict[str, str] = {}
    if use.postgres is not None:
        settings |= {
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGDATABASE": postgres.database,
            "PGSSLMODE": postgres.sslmode,
            "PGUSER": use.postgres.role,
        }
    settings |= {
        "VALKEY_HOST": valkey.host,
        "VALKEY_PORT": str(valkey.port),
        "VALKEY_TLS": str(valkey.tls).lower(),
        "VALKEY_USER": use.valkey.user,
    }
    if valkey.sentinel is not None:
        settings |= {
            "VALKEY_SENTINEL_HOST": valkey.sentinel.host,
            "VALKEY_SENTINEL_PORT": str(valkey.sentinel.port),
            "VALKEY_SENTINEL_PRIMARY": valkey.sentinel.primary,
        }
    if use.object_store:
        settings |= {
            "S3_ENDPOINT": store.endpoint,
            "S3_REGION": store.region,
            "S3_BUCKETS": " ".join(sorted({item.bucket for item in use.object_store})),
            "AWS_ENDPOINT_URL_S3": store.endpoint,
            "AWS_REGION": store.region,
        }
    return {**settings, CONTRACT_VARIABLE: excerpt(contract, module).model_dump_json()}


def secret_variables(contract: Contract, module: str, secrets: MappingType[str, Secret]) -> dict[str, Secret]:
    """Return the module's secrets by environment variable."""
    return {SECRET_VARIABLES[name]: secrets[name] for name in contract.modules[module].secrets}


def env_lines(outputs: dict[str, Any], module: str) -> list[str]:
    """Return shell ``export`` lines with the same variables that the pods of ``module`` have.

    ``outputs`` are the stack's outputs, with ``contract`` and ``secrets`` in plain text. Raises ``KeyError`` for an
    unknown module.
    """
    contract = Contract.model_validate(outputs["contract"])
    settings = {**variables(contract, module), **secret_variables(contract, module, outputs["secrets"][module])}
    return [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
