"""Resolve a bucket's name on the command line: its name in the mapping, or the name with the stack's prefix."""

import difflib
from collections.abc import Sequence

from provider.errors import ProviderError
from tools.operations.stack import Stack


def known(stack: Stack, name: str) -> str:
    """Return the name in the mapping of one of its buckets. Raises ``ProviderError`` with the closest match."""
    return _known(stack, name, list(stack.mapping.rustfs.buckets))


def known_or_backups(stack: Stack, name: str) -> str:
    """Like ``known``, and also accept the bucket of backups."""
    return _known(stack, name, [bucket.name for bucket in stack.buckets])


def _known(stack: Stack, name: str, buckets: Sequence[str]) -> str:
    for bucket in buckets:
        if name in (bucket, stack.bucket_prefix + bucket):
            return bucket
    near = difflib.get_close_matches(name, buckets, 1)
    hint = f'did you mean "{near[0]}"?' if near else f"the mapping has {', '.join(buckets)}"
    raise ProviderError(f"no bucket {name!r} in the mapping; {hint}")
