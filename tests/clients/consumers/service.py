"""What the three sample services share: clients from the contract, reading a group, and what a refusal is."""

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3
import psycopg
import valkey
from botocore.config import Config
from botocore.exceptions import ClientError
from valkey.exceptions import NoPermissionError

from clients import contract_reader

STORAGE = contract_reader.from_environment()
NOBODY_ELSE = 10_000  # more entries than other users of the streams leave behind


def database() -> psycopg.Connection[Any]:
    """PostgreSQL as this service; each statement is its own transaction."""
    assert STORAGE.postgres is not None
    return psycopg.connect(**STORAGE.postgres.connection(), autocommit=True)


def cache() -> Any:
    return valkey.Valkey(**STORAGE.valkey.connection(), decode_responses=True)


def objects() -> Any:
    """The object store as this service."""
    assert STORAGE.object_store is not None
    style = "path" if STORAGE.object_store.path_style else "auto"
    return boto3.client("s3", config=Config(s3={"addressing_style": style}), **STORAGE.object_store.connection())


def entry_of(client: Any, stream: str, **wanted: str) -> dict[str, str]:
    """The new entry of the stream that has these fields, taken by this service's group and acknowledged."""
    group = STORAGE.valkey.group(stream)
    for _, entries in client.xreadgroup(group, "sample", {stream: ">"}, count=NOBODY_ELSE) or ():
        for number, fields in entries:
            if wanted.items() <= fields.items():
                client.xack(stream, group, number)
                found: dict[str, str] = fields
                return found
    raise LookupError(f"no entry of {stream} for {group} has {wanted}")


def refused(action: Callable[[], Any]) -> str:
    """How the store refuses; ``allowed`` when it does not."""
    try:
        action()
    except (psycopg.errors.InsufficientPrivilege, NoPermissionError) as error:
        return str(error).splitlines()[0]
    except ClientError as error:
        return {"AccessDenied": "no permission"}.get(error.response["Error"]["Code"], str(error))
    return "allowed"


def report(did: dict[str, Any], refusals: dict[str, str]) -> None:
    """What the test reads from standard output."""
    json.dump({"did": did, "refused": refusals}, sys.stdout)
