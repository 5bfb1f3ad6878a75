"""Compare the whole object store with the stack's inventory of buckets and users."""

from collections.abc import Iterator

from provider.difference import Difference
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_rustfs import buckets, users, versions
from tools.operations.stack import Stack

STORE = "rustfs"


def compare(stack: Stack) -> list[DriftFinding]:
    """Return every difference between the object store and the mapping. Raises ``ProviderError``."""
    return [DriftFinding(STORE, difference) for difference in _differences(stack)]


def _differences(stack: Stack) -> Iterator[Difference]:
    with stack.object_store.client() as client:
        for bucket in stack.buckets:
            if not buckets.exists(client, bucket.physical):
                yield Difference(f"bucket {bucket.physical} does not exist")
                continue
            yield from buckets.differences(stack, client, bucket)
            if bucket.write_once:
                yield from versions.differences(stack, client, bucket)
    if stack.object_store_target != "aws":
        yield from users.differences(stack)
