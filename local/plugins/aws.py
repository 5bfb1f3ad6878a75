"""The offline aws plugin: what the stack asks of S3 beside buckets and lifecycle, on boto3.

Inputs, outputs and ids are those of the official plugin 7.51. A bucket's id is its name in all of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from local.plugins.base import Plugin, PluginError, ResourceType, serve
from local.plugins.schema import Property, Schema
from local.plugins.values import Props

VERSION = "7.51.1"
MISSING = {"NoSuchBucket", "404", "NotFound"}
# The server has the bucket, and nothing of this kind on it.
UNSET = {
    "NoSuchBucketPolicy",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchObjectLockConfiguration",
}
CONNECT_TIMEOUT_SECONDS = 5


class Store:
    """One S3 endpoint with one pair of keys."""

    def __init__(self, settings: Props) -> None:
        self.region: str = settings.get("region", "us-east-1")
        endpoints = settings.get("endpoints") or [{}]
        self.endpoint: str = endpoints[0].get("s3", "")
        self._settings = settings
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            style = "path" if self._settings.get("s3UsePathStyle") else "auto"
            self._client = boto3.client(
                "s3",
                endpoint_url=self.endpoint or None,
                region_name=self.region,
                aws_access_key_id=self._settings.get("accessKey"),
                aws_secret_access_key=self._settings.get("secretKey"),
                config=Config(
                    s3={"addressing_style": style},
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    retries={"mode": "standard", "max_attempts": 5},
                ),
            )
        return self._client

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Errors of S3 in one line that names ``what``."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code, text = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            raise PluginError(f"S3 at {self.endpoint or 'AWS'}: {what}: {code} {text}".strip()) from None
        except BotoCoreError as error:
            raise PluginError(
                f"S3 at {self.endpoint or 'AWS'}: {what}: {' '.join(str(error).split())}; see that it runs and that "
                "objectStoreEndpoint is right"
            ) from None


def code_of(error: Any) -> str:
    return str(error.response["Error"].get("Code", ""))


class OnBucket(ResourceType):
    """A setting of a bucket: put, got and removed as a whole."""

    def identify(self, outputs: Props) -> str:
        return str(outputs["bucket"])

    def put(self, store: Store, inputs: Props) -> None:
        raise NotImplementedError

    def get(self, store: Store, bucket: str) -> Props | None:
        """The properties as the server has them, None when it has none."""
        raise NotImplementedError

    def remove(self, store: Store, bucket: str, state: Props) -> None:
        raise NotImplementedError

    def create(self, config: Store, inputs: Props) -> Props:
        with config.errors(f"bucket {inputs['bucket']}"):
            self.put(config, inputs)
        outputs = self.read(config, inputs["bucket"], inputs)
        if outputs is None:
            # MinIO takes a setting for a bucket that it does not have, and says nothing.
            raise PluginError(
                f"S3 at {config.endpoint}: bucket {inputs['bucket']} does not exist, or does not keep this"
                " setting; create it first"
            )
        return outputs

    def update(self, config: Store, id_: str, olds: Props, news: Props) -> Props:
        return self.create(config, news)

    def read(self, config: Store, id_: str, state: Props) -> Props | None:
        from botocore.exceptions import ClientError

        with config.errors(f"bucket {id_}"):
            try:
                found = self.get(config, id_)
            except ClientError as error:
                if code_of(error) in MISSING | UNSET:
                    return None
                raise
        return None if found is None else {"bucket": id_, "region": config.region, **found}

    def delete(self, config: Store, id_: str, state: Props) -> None:
        from botocore.exceptions import ClientError

        with config.errors(f"bucket {id_}"):
            try:
                self.remove(config, id_, state)
            except ClientError as error:
                if code_of(error) not in MISSING | UNSET:
                    raise


_COMMON = {
    "bucket": Property("string", required=True, force_new=True),
    "expectedBucketOwner": Property("string", force_new=True),
    "region": Property("string", computed=True, force_new=True),
}


class BucketVersioning(OnBucket):
    _configuration: ClassVar[dict[str, Property]] = {
        "status": Property("string", required=True),
        "mfaDelete": Property("string", computed=True),
    }
    schema: ClassVar[Schema] = Schema(
        {
            **_COMMON,
            "mfa": Property("string"),
            "versioningConfiguration": Property("map", required=True, fields=_configuration),
        }
    )

    def invalid(self, inputs: Props) -> str | None:
        status = inputs["versioningConfiguration"].get("status")
        known = ("Enabled", "Suspended", "Disabled")
        return (
            None
            if not isinstance(status, str) or status in known
            else f"status {status!r} is not one of {', '.join(known)}"
        )

    def put(self, store: Store, inputs: Props) -> None:
        status = inputs["versioningConfiguration"]["status"]
        if status != "Disabled":
            store.client.put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration={"Status": status})

    def get(self, store: Store, bucket: str) -> Props | None:
        answer = store.client.get_bucket_versioning(Bucket=bucket)
        configuration = {"mfaDelete": answer.get("MFADelete", ""), "status": answer.get("Status", "Disabled")}
        return {"versioningConfiguration": configuration}

    def remove(self, store: Store, bucket: str, state: Props) -> None:
        # Versioning cannot be removed, and a bucket with object lock refuses even to suspend it.
        if state.get("versioningConfiguration", {}).get("status") == "Enabled" and not _locked(store, bucket):
            store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def _locked(store: Store, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        answer = store.client.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) in UNSET:
            return False
        raise
    return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")


class Aws(Plugin):
    name = "aws"
    config_schema = Schema(
        {
            "region": Property("string"),
            "accessKey": Property("string", secret=True),
            "secretKey": Property("string", secret=True),
            "s3UsePathStyle": Property("bool"),
            "skipCredentialsValidation": Property("bool"),
            "skipRequestingAccountId": Property("bool"),
            "skipMetadataApiCheck": Property("bool"),
            "skipRegionValidation": Property("bool"),
            "endpoints": Property("list", fields={}),
        }
    )
    _types: ClassVar[dict[str, ResourceType]] = {"aws:s3/bucketVersioning:BucketVersioning": BucketVersioning()}

    def type(self, token: str) -> ResourceType | None:
        return self._types.get(token)

    def configure(self, config: Props) -> Store:
        return Store(config)


if __name__ == "__main__":
    serve(Aws, VERSION)
