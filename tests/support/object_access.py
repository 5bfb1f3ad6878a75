"""Try operations on an S3-compatible server, and tell a refusal from other errors."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

DENIED = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
NO_LOCK = {"InvalidRequest", "ObjectLockConfigurationNotFoundError"}


def is_allowed(operation: Callable[[], Any]) -> bool:
    """Run the operation. Return False if the server refuses it; raise its other errors."""
    try:
        operation()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in NO_LOCK and "Retention" in error.operation_name:
            return False  # in a bucket without object lock there is nothing to be allowed
        if code not in DENIED:
            raise
        return False
    return True
