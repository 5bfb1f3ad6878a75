"""Properties of the resource types as in the official plugin 3.18, and the validation of their values."""

from collections.abc import Iterator, Mapping
from typing import Any

from provider.base.schema import Failure, Property, strings

_CLOUD = "logging in through a cloud's identity service needs the official plugin"

CONFIGURATION = {
    "host": Property(),
    "port": Property("integer", default=5432, minimum=1),
    "username": Property(default="postgres"),
    "password": Property(secret=True),
    "database": Property(default="postgres"),
    "databaseUsername": Property(),
    "sslmode": Property(choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
    "sslMode": Property(),
    "sslrootcert": Property(),
    "clientcert": Property("object", fields={"cert": Property(), "key": Property(), "sslinline": Property("boolean")}),
    "superuser": Property("boolean", default=True),
    "connectTimeout": Property("integer", default=180, minimum=0),
    "maxConnections": Property("integer", default=20, minimum=0),
    "expectedVersion": Property(default="9.0.0"),
    "scheme": Property(default="postgres", choices=("postgres",)),
    "awsRdsIamAuth": Property("boolean", unsupported=_CLOUD),
    "awsRdsIamProfile": Property(unsupported=_CLOUD),
    "awsRdsIamProviderRoleArn": Property(unsupported=_CLOUD),
    "awsRdsIamRegion": Property(unsupported=_CLOUD),
    "azureIdentityAuth": Property("boolean", unsupported=_CLOUD),
    "azureTenantId": Property(unsupported=_CLOUD),
    "gcpIamImpersonateServiceAccount": Property(unsupported=_CLOUD),
}

DATABASE = {
    "name": Property(),
    "owner": Property(computed=True),
    "template": Property(computed=True, force_new=True),
    "encoding": Property(computed=True, force_new=True),
    "lcCollate": Property(computed=True, force_new=True),
    "lcCtype": Property(computed=True, force_new=True),
    "tablespaceName": Property(computed=True),
    "connectionLimit": Property("integer", default=-1, minimum=-1),
    "allowConnections": Property("boolean", default=True),
    "isTemplate": Property("boolean", computed=True),
    "alterObjectOwnership": Property("boolean", default=False),
}

_WRITE_ONLY = "write-only passwords need the official plugin; 'password' is kept encrypted"

ROLE = {
    "name": Property(),
    "login": Property("boolean", default=False),
    "password": Property(secret=True),
    "encryptedPassword": Property("boolean", default=True),
    "roles": strings("set"),
    "searchPaths": strings("list"),
    "validUntil": Property(default="infinity"),
    "connectionLimit": Property("integer", default=-1, minimum=-1),
    "superuser": Property("boolean", default=False),
    "createDatabase": Property("boolean", default=False),
    "createRole": Property("boolean", default=False),
    "inherit": Property("boolean", default=True),
    "replication": Property("boolean", default=False),
    "bypassRowLevelSecurity": Property("boolean", default=False),
    "statementTimeout": Property("integer", minimum=0),
    "idleInTransactionSessionTimeout": Property("integer", minimum=0),
    "assumeRole": Property(),
    "skipDropRole": Property("boolean", default=False),
    "skipReassignOwned": Property("boolean", default=False),
    "encrypted": Property(unsupported="deprecated; use 'encryptedPassword'"),
    "passwordWo": Property(secret=True, unsupported=_WRITE_ONLY),
    "passwordWoVersion": Property(unsupported=_WRITE_ONLY),
}

SCHEMA = {
    "name": Property(),
    "database": Property(computed=True, force_new=True),
    "owner": Property(computed=True),
    "ifNotExists": Property("boolean", default=True),
    "dropCascade": Property("boolean", default=False),
    "policies": Property("list", unsupported="deprecated; use a Grant of object type 'schema'"),
}

EXTENSION = {
    "name": Property(force_new=True),
    "database": Property(computed=True, force_new=True),
    "schema": Property(computed=True),
    "version": Property(computed=True),
    "createCascade": Property("boolean", default=False),
    "dropCascade": Property("boolean", default=False),
}

# The official plugin also supports foreign_data_wrapper and foreign_server.
GRANT_OBJECTS = ("database", "schema", "table", "sequence", "function", "procedure", "routine", "column")

GRANT = {
    "role": Property(required=True, force_new=True),
    "database": Property(required=True, force_new=True),
    "schema": Property(force_new=True),
    "objectType": Property(required=True, force_new=True, choices=GRANT_OBJECTS),
    "objects": strings("set", force_new=True),
    "columns": strings("set", force_new=True),
    "privileges": strings("set", required=True),
    "withGrantOption": Property("boolean", default=False, force_new=True),
}

DEFAULT_OBJECTS = ("table", "sequence", "function", "routine", "type", "schema")

DEFAULT_PRIVILEGES = {
    "role": Property(required=True, force_new=True),
    "database": Property(required=True, force_new=True),
    "owner": Property(required=True, force_new=True),
    "schema": Property(force_new=True),
    "objectType": Property(required=True, force_new=True, choices=DEFAULT_OBJECTS),
    "privileges": strings("set", required=True),
    "withGrantOption": Property("boolean", default=False, force_new=True),
}

PUBLIC = "public"

# https://www.postgresql.org/docs/current/ddl-priv.html; MAINTAIN since PostgreSQL 17.
PRIVILEGES = {
    "database": ("CREATE", "CONNECT", "TEMPORARY"),
    "schema": ("CREATE", "USAGE"),
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "procedure": ("EXECUTE",),
    "routine": ("EXECUTE",),
    "type": ("USAGE",),
    "column": ("SELECT", "INSERT", "UPDATE", "REFERENCES"),
}


def validate_role(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    for index, path in enumerate(inputs.get("searchPaths", [])):
        if ", " in path:
            yield Failure(f"searchPaths[{index}]", "must not contain ', '")


def _validate_privileges(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    type_ = inputs.get("objectType")
    if type_ not in PRIVILEGES:
        return
    for index, privilege in enumerate(inputs.get("privileges", [])):
        if privilege != "ALL" and privilege not in PRIVILEGES[type_]:
            known = ", ".join(PRIVILEGES[type_])
            yield Failure(
                f"privileges[{index}]", f"{privilege!r} is not a privilege on a {type_}; use one of {known}, ALL"
            )


def validate_grant(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """Check each rule if all properties that it compares are known; unknown properties are not in ``inputs``."""
    type_ = inputs.get("objectType")
    if inputs.get("objects") and type_ in {"database", "schema"}:
        yield Failure("objects", f"must not be set with objectType '{type_}'")
    if inputs.get("columns") and type_ != "column":
        yield Failure("columns", "must only be set with objectType 'column'")
    if type_ == "column":
        for name, needed in (("objects", "exactly one table"), ("privileges", "exactly one privilege")):
            if name in inputs and len(inputs[name]) != 1:
                yield Failure(name, f"must have {needed} with objectType 'column'")
    yield from _validate_privileges(inputs)


def validate_default_privileges(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    if inputs.get("schema") and inputs.get("objectType") == "schema":
        yield Failure("schema", "must not be set with objectType 'schema'")
    if inputs.get("withGrantOption") and inputs.get("role") == PUBLIC:
        yield Failure("withGrantOption", "must not be true for role 'public'")
    yield from _validate_privileges(inputs)
