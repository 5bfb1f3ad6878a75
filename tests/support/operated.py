"""Run day-two commands on a test stack, in this process."""

from typing import Any

from tests.support.stack import LocalStack
from tools.operations.stack import Stack


def stack_of(live: LocalStack) -> Stack:
    """The stack as ``python -m tools COMMAND --stack local`` reads it; outputs are those that the tests have already."""
    config = {
        key if ":" in key else f"stellaops-storage:{key}": value
        for key, value in {**live.config, "objectStore:target": live.config["target"]}.items()
    }
    stack = Stack("local", config)
    stack.__dict__["outputs"] = live.outputs
    return stack


def stack_on(object_store: Any, bucket_prefix: str) -> Stack:
    """Return a stack with an object store only."""
    plain = {
        "objectStoreEndpoint": object_store.endpoint,
        "objectStoreAccessKey": object_store.access_key,
        "objectStoreSecretKey": object_store.secret_key,
        "bucketPrefix": bucket_prefix,
    }
    return stack_with(plain)


# Values for the keys that have no default, of servers that a test does not use.
REQUIRED = {
    "postgresHost": "unused.invalid", "postgresAdminPassword": "unused",
    "valkeyHost": "unused.invalid", "valkeyAdminPassword": "unused",
    "objectStoreEndpoint": "http://unused.invalid", "objectStoreAccessKey": "unused", "objectStoreSecretKey": "unused",
}  # fmt: skip


def stack_with(values: dict[str, str]) -> Stack:
    """A stack with ``values`` for keys of the project's namespace."""
    return Stack("test", {f"stellaops-storage:{key}": value for key, value in {**REQUIRED, **values}.items()})
