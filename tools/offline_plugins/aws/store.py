"""One S3 endpoint with one access key. The first request loads boto3."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provider.base.schema import Property
from provider.errors import ProviderError
from provider.rustfs import timeouts

_UNSUPPORTED = "needs the official plugin; set accessKey and secretKey instead"

CONFIGURATION = {
    "region": Property(),
    "accessKey": Property(secret=True),
    "secretKey": Property(secret=True),
    "token": Property(secret=True),
    "endpoints": Property("list", item=Property("object")),
    "s3UsePathStyle": Property("boolean", default=False),
    "insecure": Property("boolean", default=False),
    "customCaBundle": Property(),
    "maxRetries": Property("integer", default=25, minimum=0),
    "skipCredentialsValidation": Property("boolean", default=False),
    "skipMetadataApiCheck": Property("boolean", default=False),
    "skipRegionValidation": Property("boolean", default=True),
    "skipRequestingAccountId": Property("boolean", default=False),
    "profile": Property(unsupported=_UNSUPPORTED),
    "sharedConfigFiles": Property("list", unsupported=_UNSUPPORTED),
    "sharedCredentialsFiles": Property("list", unsupported=_UNSUPPORTED),
    "assumeRoles": Property("list", unsupported=_UNSUPPORTED),
    "assumeRoleWithWebIdentity": Property("object", unsupported=_UNSUPPORTED),
    "defaultTags": Property("object", unsupported="tags need the official plugin; this stack does not use them"),
}

CONNECT_SECONDS = 10
READ_SECONDS = 20
MAX_ATTEMPTS = 6  # with botocore's back-off, about half a minute if a store answers 5xx
NO_BUCKET = frozenset({"NoSuchBucket"})


class StoreError(ProviderError):
    """An error response from S3; ``code`` is its error code."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class S3Endpoint:
    """Safe for use by many threads, as boto3's clients are."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        endpoints = configuration.get("endpoints") or [{}]
        self.endpoint: str = endpoints[0].get("s3") or ""
        self.region: str = configuration.get("region") or "us-east-1"

    def client(self, region: str) -> Any:
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._make_client(region)
            return self._clients[region]

    def _make_client(self, region: str) -> Any:
        import boto3
        from botocore.config import Config

        configuration = self._configuration
        style = "path" if configuration["s3UsePathStyle"] else "auto"
        verify = configuration.get("customCaBundle") or (False if configuration["insecure"] else None)
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint or None,
            region_name=region,
            aws_access_key_id=configuration.get("accessKey"),
            aws_secret_access_key=configuration.get("secretKey"),
            aws_session_token=configuration.get("token"),
            verify=verify,
            config=Config(
                s3={"addressing_style": style},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": min(configuration["maxRetries"] + 1, MAX_ATTEMPTS)},
            ),
        )
        timeouts.disable_retries_after_timeout(client)
        return client

    @contextmanager
    def errors_as(self, action: str) -> Iterator[None]:
        """Convert errors to a ``StoreError`` of one line: could not do ``action``."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"S3 at {self.endpoint or 'AWS'}"
        try:
            yield
        except ClientError as error:
            code, text = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            raise StoreError(f"{where}: could not {action}: {code} {text}".rstrip(), code) from error
        except BotoCoreError as error:
            raise StoreError(
                f"{where}: could not {action}: {error}; check that it runs and that the endpoint and keys are correct"
            ) from error
