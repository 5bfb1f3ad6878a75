"""Read the content of the three stores without passwords, to compare two stacks; and check logins."""

import difflib
import json
import os
import re
import subprocess
from typing import Any

from botocore.exceptions import ClientError

from provider.rustfs import admin
from provider.rustfs.store import Store
from tests.support.stack import LocalStack
from tools.local.servers.postgres import installation

DATABASE = "stellaops"
# Lines of pg_dump with a random key (it protects psql against commands in names).
_RESTRICT = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)


def contents(stack: LocalStack) -> dict[str, Any]:
    """Return the content by store; it is equal for stacks with the same mapping, whatever their history."""
    stack.forget()
    return {"postgres": _postgres(stack), "valkey": _valkey(stack), "objects": _objects(stack)}


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """Format the differences as a diff; empty if there are none."""
    before, after = (json.dumps(part, indent=1, sort_keys=True).splitlines() for part in (wanted, found))
    return "\n".join(difflib.unified_diff(before, after, "undisturbed", "disturbed", lineterm="", n=4))


def _postgres(stack: LocalStack) -> dict[str, list[str]]:
    """Read roles with attributes, memberships and settings, and the database with owners, ACLs and comments."""
    found = {
        "roles": _lines(_dump(stack, "pg_dumpall", "--roles-only", "--no-role-passwords")),
        "catalog": _lines(_dump(stack, "pg_dump", "--create", "--schema-only", "--dbname", DATABASE)),
    }
    with stack.admin(DATABASE) as connection:
        schemas = connection.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'schema_migrations' AND relkind = 'r' ORDER BY 1"
        ).fetchall()
        for (schema,) in schemas:
            query = f"SELECT version, description, checksum FROM {schema}.schema_migrations ORDER BY 1"
            found[f"{schema}.schema_migrations"] = [str(row) for row in connection.execute(query.encode()).fetchall()]
        # A dump does not show that an index is INVALID after an interrupted CREATE INDEX CONCURRENTLY.
        invalid = connection.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
        found["invalid indexes"] = [row[0] for row in invalid]
    return found


def _dump(stack: LocalStack, program: str, *arguments: str) -> str:
    config = stack.config
    return subprocess.run(
        [str(installation() / "bin" / program), "--host", config["postgresHost"], "--port", config["postgresPort"],
         "--username", config["postgresAdminUser"], *arguments],
        env={"PATH": os.defpath, "PGPASSWORD": config["postgresAdminPassword"]}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def _lines(dump: str) -> list[str]:
    """Sort the lines of each statement, and the statements: a dump has grants in the order of their creation."""
    blocks = _RESTRICT.sub("", dump).split("\n\n")
    found = (
        "\n".join(sorted(line for line in block.splitlines() if line and not line.startswith("--"))) for block in blocks
    )
    return sorted(block for block in found if block)


def _valkey(stack: LocalStack) -> dict[str, Any]:
    client: Any = stack.valkey_admin()
    lines = [re.sub(r" #[0-9a-f]{64}", "", line) for line in client.execute_command("ACL LIST")]
    keys = sorted(client.scan_iter())
    groups = {
        key: sorted((group["name"], group["last-delivered-id"]) for group in client.xinfo_groups(key))
        for key in keys
        if client.type(key) == "stream"
    }
    return {"users": sorted(lines), "keys": keys, "groups": groups}


def _objects(stack: LocalStack) -> dict[str, Any]:
    s3, server = stack.s3(), admin.connect(store(stack))
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    ask = {
        "versioning": s3.get_bucket_versioning,
        "lifecycle": s3.get_bucket_lifecycle_configuration,
        "policy": s3.get_bucket_policy,
        "object lock": s3.get_object_lock_configuration,
        "encryption": s3.get_bucket_encryption,
    }
    users = {
        name: {key: value for key, value in user.items() if key != "updatedAt"} for name, user in server.users().items()
    }
    return {
        "buckets": {name: {what: _answer(call, name) for what, call in ask.items()} for name in sorted(names)},
        "users": users,
        "policies": {name: sorted_document(document) for name, document in server.policies().items()},
    }


def sorted_document(value: Any) -> Any:
    """Sort lists, because servers return rules, statements and actions in any order."""
    if isinstance(value, dict):
        return {key: sorted_document(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted(map(sorted_document, value), key=repr)
    return value


def _answer(call: Any, bucket: str) -> Any:
    try:
        answer = call(Bucket=bucket)
    except ClientError as error:
        return error.response["Error"]["Code"]
    if "Policy" in answer:
        return sorted_document(json.loads(answer["Policy"]))
    return sorted_document({key: value for key, value in answer.items() if key != "ResponseMetadata"})


def store(stack: LocalStack) -> Store:
    """Connect to the object store as its root user."""
    config = stack.config
    return Store(
        config["objectStoreEndpoint"], config.get("objectStoreRegion", "us-east-1"), config["objectStoreAccessKey"],
        config["objectStoreSecretKey"],
    )  # fmt: skip


def refused_logins(stack: LocalStack) -> list[str]:
    """Return ``module at store`` for each password in the outputs that its store refuses."""
    stack.forget()
    refused = []
    for name, secrets in stack.outputs["secrets"].items():
        if "postgres_password" in secrets and not _works(lambda name=name: stack.login(name).close()):
            refused.append(f"{name} at PostgreSQL")
        if not _works(lambda name=name: _ping(stack, name)):
            refused.append(f"{name} at Valkey")
        if "object_store_secret_key" in secrets and not store(stack).accepts(
            secrets["object_store_access_key"], secrets["object_store_secret_key"]
        ):
            refused.append(f"{name} at the object store")
    return refused


def _ping(stack: LocalStack, name: str) -> None:
    client: Any = stack.valkey(name)
    try:
        client.execute_command("ACL WHOAMI")
    finally:
        client.close()


def _works(login: Any) -> bool:
    import psycopg
    import valkey

    try:
        login()
    except psycopg.OperationalError:
        return False
    except valkey.exceptions.NoPermissionError:
        return True
    except valkey.exceptions.AuthenticationError:
        return False
    return True
