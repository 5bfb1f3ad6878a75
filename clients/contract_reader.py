"""Read a service's part of the contract and its secrets. Copy this file into the service.

It needs Python 3.9 or later and only the standard library. Choose the function by where the contract is:

    storage = from_environment()                               # Kubernetes envFrom; eval "$(make -s env MODULE=scanner)"
    storage = from_files("/etc/stellaops/config", "/etc/stellaops/secrets")   # ConfigMap and Secret, mounted
    storage = from_outputs("outputs.json", "scanner")          # pulumi stack output --json --show-secrets

    psycopg.connect(**storage.postgres.connection())
    valkey.Valkey(**storage.valkey.connection())

Every function raises ``ContractError`` with a one-line message. Unknown fields of a newer contract are ignored. A
contract with a different first version number is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAJOR = 1  # the first number of the contract versions that this file supports
CONTRACT_VARIABLE = "STELLAOPS_CONTRACT"
# Environment variable or file -> name of the same secret in the stack output ``secrets``.
SECRETS = {
    "PGPASSWORD": "postgres_password",
    "VALKEY_PASSWORD": "valkey_password",
    "AWS_ACCESS_KEY_ID": "object_store_access_key",
    "AWS_SECRET_ACCESS_KEY": "object_store_secret_key",
}

_PLACEHOLDER = re.compile(r"\{([^}]*)\}")
_Password = Callable[[str], str]


class ContractError(Exception):
    """The contract is missing, has an unsupported version, or does not allow the request."""


@dataclass(frozen=True)
class Postgres:
    """The login and its privileges. ``tables``: ``schema.table`` -> privileges on the whole table; ``columns``:
    ``schema.table`` -> column -> privileges on that column only."""

    host: str
    port: int
    database: str
    sslmode: str
    user: str
    password: str = field(repr=False)
    tables: Mapping[str, frozenset[str]]
    columns: Mapping[str, Mapping[str, frozenset[str]]]
    functions: tuple[str, ...]
    isolates_tenants: bool  # if true, each transaction must start with SET LOCAL app.tenant_id to see rows

    def connection(self) -> dict[str, Any]:
        """Return connection arguments with libpq's names, for ``psycopg.connect`` and others."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
        }

    def may(self, privilege: str, table: str, column: str | None = None) -> bool:
        """Return whether the login has a privilege such as ``SELECT`` on ``schema.table``, or on one column of it."""
        if privilege in self.tables.get(table, frozenset()):
            return True
        return column is not None and privilege in self.columns.get(table, {}).get(column, frozenset())


@dataclass(frozen=True)
class Key:
    """A key pattern. ``ttl``: a duration such as ``90d``, or ``infinite``, ``until-utc-midnight`` or ``none``."""

    pattern: str
    type: str
    ttl: str
    verb: str


@dataclass(frozen=True)
class Stream:
    """A stream. ``verb``: produce or consume. ``groups``: the service's own consumer groups -> idle timeout."""

    name: str
    verb: str
    events: tuple[str, ...]
    groups: Mapping[str, str]


@dataclass(frozen=True)
class Sentinel:
    """The address of Sentinel, and the name under which it monitors the primary."""

    host: str
    port: int
    primary: str


@dataclass(frozen=True)
class Valkey:
    """The user, its keys and streams. With ``sentinel``, ``host`` may be a replica: to write, get the primary's address
    from Sentinel."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    sentinel: Sentinel | None
    keys: tuple[Key, ...]
    streams: tuple[Stream, ...]

    def connection(self) -> dict[str, Any]:
        """Return arguments for ``valkey.Valkey`` and ``redis.Redis``."""
        return {
            "host": self.host,
            "port": self.port,
            "ssl": self.tls,
            "username": self.user,
            "password": self.password,
        }

    def key(self, pattern: str, **parts: str) -> str:
        """Build a key from a pattern: ``key("scan:{digest}", digest="sha256:1")``. Raises for other services' patterns."""
        if pattern not in {key.pattern for key in self.keys}:
            raise ContractError(
                f"{self.user} may not use keys {pattern!r}; it may use {_list(k.pattern for k in self.keys)}"
            )
        placeholders = set(_PLACEHOLDER.findall(pattern))
        if placeholders != set(parts):
            raise ContractError(f"key {pattern!r} has the placeholders {_list(placeholders)}, not {_list(parts)}")
        return _PLACEHOLDER.sub(lambda match: parts[match[1]], pattern)

    def group(self, stream: str) -> str:
        """Return the service's consumer group for a stream. Raises for a stream that it does not consume."""
        groups = [
            group for item in self.streams if item.name == stream and item.verb == "consume" for group in item.groups
        ]
        if len(groups) != 1:
            raise ContractError(f"{self.user} must have one consumer group of stream {stream!r}, not {_list(groups)}")
        return groups[0]

    def produces(self, stream: str) -> bool:
        """Return whether the service may add entries to a stream."""
        return any(item.name == stream and item.verb == "produce" for item in self.streams)


@dataclass(frozen=True)
class Objects:
    """The objects with ``prefix`` (which may contain ``*``) in a bucket. ``verb``: write or read."""

    bucket: str
    prefix: str
    verb: str


@dataclass(frozen=True)
class ObjectStore:
    """The S3 endpoint and the objects that the service may use. The keys are None in contract version 1.0."""

    endpoint: str
    region: str
    path_style: bool
    access_key: str | None
    secret_key: str | None = field(repr=False)
    objects: tuple[Objects, ...]
    buckets: Mapping[str, str]  # name in the mapping -> real name

    def connection(self) -> dict[str, Any]:
        """Return arguments for ``boto3.client("s3", ...)``; with ``path_style``, set its addressing style to ``path``."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }

    def bucket(self, name: str) -> str:
        """Return the real name of a bucket in the mapping, to which stack config may add a prefix."""
        if name not in self.buckets:
            raise ContractError(f"this service has no access to bucket {name!r}; it may use {_list(self.buckets)}")
        return self.buckets[name]


@dataclass(frozen=True)
class Storage:
    """Everything that one service may use. ``postgres`` and ``object_store`` are None if it has no access there."""

    module: str
    version: str
    postgres: Postgres | None
    valkey: Valkey
    object_store: ObjectStore | None


def from_environment(environment: Mapping[str, str] | None = None) -> Storage:
    """Read ``STELLAOPS_CONTRACT`` and the password variables; ``environment`` is ``os.environ`` by default."""
    values = os.environ if environment is None else environment
    return _from_values(values, "environment")


def from_files(*directories: str | os.PathLike[str]) -> Storage:
    """Read files named like the environment variables, in any of the directories. Call it again to get rotated secrets."""
    values: dict[str, str] = {}
    for name in (CONTRACT_VARIABLE, *SECRETS):
        for directory in directories:
            path = Path(directory) / name
            try:
                values[name] = path.read_text(encoding="utf-8")
                break
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise ContractError(f"{path} can't be read: {error}") from None
    return _from_values(values, " and ".join(str(directory) for directory in directories))


def from_outputs(outputs: str | os.PathLike[str] | Mapping[str, Any], module: str) -> Storage:
    """Read the JSON file of ``pulumi stack output --json --show-secrets``, or its parsed content."""
    if not isinstance(outputs, Mapping):
        where = str(outputs)
        try:
            outputs = _object(json.loads(Path(outputs).read_text(encoding="utf-8")), where)
        except (OSError, ValueError) as error:
            raise ContractError(f"{where} can't be read: {error}") from None
    else:
        where = "stack outputs"
    secrets = _object(_get(_object(_get(outputs, "secrets", where), "secrets"), module, "secrets"), module)
    passwords = {variable: str(secrets[name]) for variable, name in SECRETS.items() if name in secrets}
    return _storage(_object(_get(outputs, "contract", where), "contract"), module, passwords, where)


def _from_values(values: Mapping[str, str], where: str) -> Storage:
    text = values.get(CONTRACT_VARIABLE)
    if text is None:
        raise ContractError(
            f"{CONTRACT_VARIABLE} is not in {where}; set it from the module's ConfigMap or with make env"
        )
    try:
        contract = _object(json.loads(text), CONTRACT_VARIABLE)
    except ValueError as error:
        raise ContractError(f"{CONTRACT_VARIABLE} in {where} is not JSON: {error}") from None
    _check_version(contract, where)
    modules = list(_object(_get(contract, "modules", CONTRACT_VARIABLE), "modules"))
    if len(modules) != 1:
        raise ContractError(f"{CONTRACT_VARIABLE} in {where} contains {len(modules)} modules; it must contain one")
    passwords = {name: values[name] for name in SECRETS if name in values}
    return _storage(contract, modules[0], passwords, where)


def _check_version(contract: Mapping[str, Any], where: str) -> str:
    version = str(_get(contract, "version", "contract"))
    if version.partition(".")[0] != str(MAJOR):
        raise ContractError(
            f"the contract in {where} has version {version}, this reader supports {MAJOR}.x; use the contract_reader.py of that version"
        )
    return version


def _storage(contract: Mapping[str, Any], module: str, passwords: Mapping[str, str], where: str) -> Storage:
    version = _check_version(contract, where)
    modules = _object(_get(contract, "modules", "contract"), "modules")
    if module not in modules:
        raise ContractError(f"no module {module!r} in the contract; it contains {_list(modules)}")
    entry = _object(modules[module], module)
    endpoints = _object(_get(contract, "endpoints", "contract"), "endpoints")
    layout = _object(contract.get("layout", {}), "layout")

    def password(variable: str) -> str:
        if variable not in passwords:
            raise ContractError(f"{variable} of {module} is not in {where}; set it from the module's Secret")
        return passwords[variable]

    try:
        return Storage(
            module=module,
            version=version,
            postgres=_postgres(entry["postgres"], endpoints["postgres"], password) if entry["postgres"] else None,
            valkey=_valkey(entry["valkey"], endpoints["valkey"], password),
            object_store=_object_store(entry, endpoints["object_store"], layout, password)
            if entry["object_store"]
            else None,
        )
    except KeyError as error:
        raise ContractError(f"the contract of {module} in {where} has no field {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ContractError(f"the contract of {module} in {where} is not valid: {error}") from None


def _postgres(entry: Mapping[str, Any], endpoint: Mapping[str, Any], password: _Password) -> Postgres:
    tables = {
        f"{schema}.{table}": access
        for schema, schema_tables in entry["schemas"].items()
        for table, access in schema_tables.items()
    }
    return Postgres(
        host=endpoint["host"],
        port=int(endpoint["port"]),
        database=endpoint["database"],
        sslmode=endpoint["sslmode"],
        user=entry["role"],
        password=password("PGPASSWORD"),
        tables={table: frozenset(access["privileges"]) for table, access in tables.items()},
        columns={
            table: {column: frozenset(privileges) for column, privileges in access.get("columns", {}).items()}
            for table, access in tables.items()
        },
        functions=tuple(entry.get("functions", ())),
        isolates_tenants=endpoint.get("tenant_isolation", "off") != "off",
    )


def _valkey(entry: Mapping[str, Any], endpoint: Mapping[str, Any], password: _Password) -> Valkey:
    sentinel = endpoint.get("sentinel")
    return Valkey(
        host=endpoint["host"],
        port=int(endpoint["port"]),
        tls=bool(endpoint["tls"]),
        user=entry["user"],
        password=password("VALKEY_PASSWORD"),
        sentinel=Sentinel(sentinel["host"], int(sentinel["port"]), sentinel["primary"]) if sentinel else None,
        keys=tuple(Key(key["pattern"], key["type"], key["ttl"], key["verb"]) for key in entry["keys"]),
        streams=tuple(
            Stream(item["name"], item["verb"], tuple(item["events"]), dict(item.get("groups", {})))
            for item in entry["streams"]
        ),
    )


def _object_store(
    entry: Mapping[str, Any], endpoint: Mapping[str, Any], layout: Mapping[str, Any], password: _Password
) -> ObjectStore:
    has_keys = "object_store_secret_key" in entry["secrets"]
    used = {item["bucket"] for item in entry["object_store"]}
    # Contract version 1.0 has no layout; its modules have the real names of buckets.
    names = {name: item["bucket"] for name, item in layout.items()} or {bucket: bucket for bucket in used}
    return ObjectStore(
        endpoint=endpoint["endpoint"],
        region=endpoint["region"],
        path_style=bool(endpoint.get("path_style", True)),
        access_key=password("AWS_ACCESS_KEY_ID") if has_keys else None,
        secret_key=password("AWS_SECRET_ACCESS_KEY") if has_keys else None,
        objects=tuple(Objects(item["bucket"], item["prefix"], item["verb"]) for item in entry["object_store"]),
        buckets={name: bucket for name, bucket in names.items() if bucket in used},
    )


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ContractError(f"{where} is not a JSON object")
    return value


def _get(values: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in values:
        raise ContractError(f"{where} has no {name!r}")
    return values[name]


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
