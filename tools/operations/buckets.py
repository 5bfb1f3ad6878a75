"""Resolve a bucket's name on the command line: the mapping's name, or the name with the stack's prefix."""

import difflib

from provider.errors import ProviderError
from tools.operations.stack import Stack


def known(stack: Stack, name: str) -> str:
    """Return the bucket's name in the mapping. Raises ``ProviderError`` with the closest match."""
    buckets = list(stack.mapping.rustfs.buckets)
    for bucket in buckets:
        if name in (bucket, stack.bucket_prefix + bucket):
            return bucket
    near = difflib.get_close_matches(name, buckets, 1)
    hint = f'did you mean "{near[0]}"?' if near else f"the mapping has {', '.join(buckets)}"
    raise ProviderError(f"no bucket {name!r} in the mapping; {hint}")
