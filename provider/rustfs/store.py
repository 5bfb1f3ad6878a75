"""Connections to an S3 endpoint, with failures as one line for the user."""

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

# On 5xx, throttling and lost connections, with waits that double from 50 ms: some 3 s in all, a server's restart.
# Never after a time-out: a server that is silent for that long is not about to start.
ATTEMPTS = 8
TIMEOUT_SECONDS = 20
# Servers refuse a signature whose time is further from theirs; less than the 15 minutes, as seconds pass on the way.
CLOCK_TOLERANCE = timedelta(minutes=14)

# The library's clients are made at run time and have no static type.
Client = Any

_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch")
_DENIED = ("AccessDenied", *_WRONG_KEYS, "401", "403", "Forbidden")
_GONE = ("404", "NoSuchBucket", "NotFound")


@dataclass(frozen=True)
class Store:
    """Where the object store is and the key that manages it: configuration of the provider, never a resource's inputs."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str

    def accepts(self, access_key: str, secret_key: str) -> bool:
        """Whether the server takes these keys, whatever they may do. Raises ``ProviderError`` when it can't be asked."""
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
    def client(self) -> Iterator[Client]:
        """An S3 client, path style. Raises ``ProviderError`` for whatever the server or the network reports."""
        # Imported here, or the start of every preview would pay for it.
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
        )
        todo = "see that it runs and that stellaops-storage:objectStoreEndpoint is right"
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
            raise ProviderError(f"object store at {self.endpoint}: {error}; {todo}") from None
        timeouts.never_ask_again_after_one(client)
        try:
            yield client
        except ClientError as error:
            raise ProviderError(f"object store at {self.endpoint}: {_text(error)}; {_remedy(error)}") from None
        except BotoCoreError as error:
            text = " ".join(str(error).split())
            raise ProviderError(f"object store at {self.endpoint}: {text}; {todo}") from None


def code(error: "ClientError") -> str:
    """The error's code: S3's own word or, for an answer without a body, the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_gone(error: "ClientError") -> bool:
    """Whether the error says that there is no such bucket."""
    return code(error) in _GONE


def clock_remedy(date: str) -> str:
    """What to do when a request was refused for its time; empty when that can't be, by the answer's ``Date`` header."""
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return ""
    if abs(ahead) < CLOCK_TOLERANCE:
        return ""
    minutes, word = abs(ahead) // timedelta(minutes=1), "ahead of" if ahead > timedelta() else "behind"
    return (
        f"this machine's clock is {minutes} minutes {word} the server's, and it refuses what is signed so: set it right"
    )


def _text(error: "ClientError") -> str:
    message = error.response.get("Error", {}).get("Message", "") or str(error)
    return f"{error.operation_name} failed: {code(error)}, {' '.join(message.split())}"


def _remedy(error: "ClientError") -> str:
    # Asked by the clocks and not by the code: an answer to HEAD has none.
    if clock := clock_remedy(error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")):
        return clock
    if code(error) in _DENIED:
        keys = "stellaops-storage:objectStoreAccessKey and objectStoreSecretKey"
        return f"set {keys} to a key that may manage buckets; a bucket of that name may also be somebody else's"
    return "see the server's log"
