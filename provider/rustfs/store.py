"""Connect to an S3 endpoint, and turn failures into one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from provider.errors import ProviderError
from provider.rustfs import timeouts

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# Retries after 5xx, throttling and lost connections, with doubling waits: about 3 s in total, enough for a restart.
# No retries after a time-out, because a server that is silent for so long is not about to become ready.
ATTEMPTS = 8
TIMEOUT_SECONDS = 20
# Servers refuse a signature whose time differs by more than 15 minutes. One minute less, to allow for transit time.
CLOCK_TOLERANCE = timedelta(minutes=14)

# boto3 creates its client classes at run time, so they have no static type.
Client = Any

_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
_DENIED = ("AccessDenied", *_WRONG_KEYS, "401", "403", "Forbidden")
_MISSING_BUCKET = ("404", "NoSuchBucket", "NotFound")


@dataclass(frozen=True)
class Store:
    """The address of the object store and the admin's keys, from the provider's inputs (never from a resource's)."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str

    def accepts(self, access_key: str, secret_key: str) -> bool:
        """Whether the keys are valid, regardless of their permissions. Raises ``ProviderError`` if the check fails."""
        from botocore.exceptions import ClientError

        with replace(self, access_key=access_key, secret_key=secret_key).client() as client:
            try:
                client.list_buckets()
            except ClientError as error:
                if code(error) in _WRONG_KEYS:
                    return False
                if code(error) not in _DENIED:
                    raise
        return True

    @contextmanager
    def client(self, attempts: int = ATTEMPTS) -> Iterator[Client]:
        """Yield an S3 client with path-style addressing, which sends a request at most ``attempts`` times.

        Raises ``ProviderError`` for errors of server and network.
        """
        # Imported here, because the import would slow down every preview.
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
        )
        remedy = "check that it runs and that stellaops-storage:objectStoreEndpoint is right"
        try:
            client = boto3.client(
                "s3",
                endpoint_url=self.endpoint,
                region_name=self.region,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                config=config,
            )
        except ValueError as error:
            raise ProviderError(f"object store at {self.endpoint}: {error}; {remedy}") from None
        timeouts.disable_retries_after_timeout(client)
        try:
            yield client
        except ClientError as error:
            raise ProviderError(f"object store at {self.endpoint}: {_text(error)}; {_remedy(error)}") from None
        except BotoCoreError as error:
            text = " ".join(str(error).split())
            raise ProviderError(f"object store at {self.endpoint}: {text}; {remedy}") from None


def code(error: "ClientError") -> str:
    """Return the error's S3 code or, if the response has no body, the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing_bucket(error: "ClientError") -> bool:
    """Whether the error means that the bucket does not exist."""
    return code(error) in _MISSING_BUCKET


def clock_remedy(date: str) -> str:
    """Return the remedy if this machine's clock is wrong by the response's ``Date`` header, otherwise an empty string."""
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return ""
    if abs(ahead) < CLOCK_TOLERANCE:
        return ""
    minutes, direction = abs(ahead) // timedelta(minutes=1), "ahead of" if ahead > timedelta() else "behind"
    return (
        f"this machine's clock is {minutes} minutes {direction} the server's, which therefore refuses signed requests;"
        " correct the clock"
    )


def _text(error: "ClientError") -> str:
    message = error.response.get("Error", {}).get("Message", "") or str(error)
    return f"{error.operation_name} failed: {code(error)}, {' '.join(message.split())}"


def _remedy(error: "ClientError") -> str:
    # Compare the clocks, because the response to a HEAD request has no error code.
    if clock := clock_remedy(error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")):
        return clock
    if code(error) in _DENIED:
        keys = "stellaops-storage:objectStoreAccessKey and objectStoreSecretKey"
        return f"set {keys} to a key that may manage buckets; or the bucket's name may belong to somebody else"
    return "see the server's log"
