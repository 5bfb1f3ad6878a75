"""The object store: RustFS if it is on the PATH, else MinIO, which is for local use and tests only."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from components.rustfs.servers import target_of
from tools import processes
from tools.local.errors import UserError
from tools.local.servers.base import LocalServer, NotReady

ANSWER_SECONDS = 5.0
EXTERNAL = ("RUSTFS_ENDPOINT", "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY")


class LocalObjectStore(LocalServer):
    """``program_path`` is a ``rustfs`` or ``minio`` executable; each keeps its own data."""

    name = "objects"
    title = "object store"
    bucket_prefix = ""
    # The root access key. The engine masks it in all its output, so it must not be a word that occurs elsewhere.
    user = "local-root-key"

    def __init__(self, directory: Path, program_path: Path | None, tuning: dict[str, str] | None = None) -> None:
        """``tuning``: additional environment variables of the server."""
        super().__init__(directory)
        self.program_path = program_path
        self.tuning = tuning or {}
        self.program = program_path.name if program_path else "minio"
        self.title = f"object store ({self.program})"

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def access_key(self) -> str:
        return self.user

    @property
    def secret_key(self) -> str:
        return self.password

    @property
    def target(self) -> str:
        """The stack's ``objectStore:target``."""
        return self.program

    @property
    def data(self) -> Path:
        return self.directory / f"data-{self.program}"

    def client(self) -> Any:
        """A boto3 S3 client as the root user."""
        return _client(self.endpoint, self.access_key, self.secret_key)

    def _prepare(self) -> None:
        if not self.data.exists():
            self.data.mkdir(mode=0o700)
            self.created = True

    def _spawn(self) -> int:
        if self.program_path is None:
            raise UserError("the object store's program is not available", "run make up")
        address = f"{self.host}:{self.port}"
        # The root credentials are passed in the environment, since every user can read a command line.
        common = {"PATH": os.defpath, "HOME": str(self.directory), "LC_ALL": "C", **self.tuning}
        if self.program == "rustfs":
            environment = {
                **common,
                "RUSTFS_VOLUMES": str(self.data),
                "RUSTFS_ADDRESS": address,
                "RUSTFS_ACCESS_KEY": self.user,
                "RUSTFS_SECRET_KEY": self.password,
                "RUSTFS_CONSOLE_ENABLE": "false",
            }
            # RustFS also reads its data directory from the environment; on the command line it identifies the process.
            return processes.spawn([self.program_path, self.data], self.directory, environment, self.log)
        environment = {
            **common,
            "MINIO_ROOT_USER": self.user,
            "MINIO_ROOT_PASSWORD": self.password,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        command: list[str | Path] = [self.program_path, "server", "--address", address, "--quiet", self.data]
        return processes.spawn(command, self.directory, environment, self.log)

    def _log_in(self) -> None:
        path = "/health/ready" if self.program == "rustfs" else "/minio/health/ready"
        _get(self.endpoint + path)


class ExternalObjectStore:
    """An S3 endpoint outside the local stack, which is never started or stopped."""

    name = "objects"
    title = "object store (external)"
    created = False
    status = "external"
    ended = ""  # its process is unknown
    target = "rustfs"  # the stack's ``objectStore:target``; ``start`` detects it

    def __init__(self, endpoint: str, access_key: str, secret_key: str, bucket_prefix: str = "") -> None:
        """``bucket_prefix`` is prepended to the names of buckets and access keys if several stacks share the server."""
        self.endpoint = endpoint.rstrip("/")
        self.access_key = access_key
        self.secret_key = secret_key
        self.bucket_prefix = bucket_prefix

    def client(self) -> Any:
        """A boto3 S3 client with these keys."""
        return _client(self.endpoint, self.access_key, self.secret_key)

    @staticmethod
    def configured() -> "ExternalObjectStore | None":
        """From ``RUSTFS_ENDPOINT``, its keys and ``RUSTFS_BUCKET_PREFIX``; None if the first is not set.

        Raises ``UserError`` if a key is missing.
        """
        values = [os.environ.get(name, "") for name in EXTERNAL]
        if not values[0]:
            return None
        missing = [name for name, value in zip(EXTERNAL, values, strict=True) if not value]
        if missing:
            raise UserError(
                f"RUSTFS_ENDPOINT is set, but {' and '.join(missing)} is not", "set it, or unset RUSTFS_ENDPOINT"
            )
        endpoint, access_key, secret_key = values
        return ExternalObjectStore(endpoint, access_key, secret_key, os.environ.get("RUSTFS_BUCKET_PREFIX", ""))

    def start(self, report: object = None, *, reconfigure: bool = True) -> bool:
        """Log in once. Raises ``UserError`` if the server does not answer or refuses the keys."""
        del report
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(connect_timeout=ANSWER_SECONDS, retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        try:
            response = boto3.client(
                "s3", endpoint_url=self.endpoint, region_name="us-east-1", config=config,
                aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key,
            ).list_buckets()  # fmt: skip
            self.target = target_of(response["ResponseMetadata"]["HTTPHeaders"].get("server", ""))
        except ClientError as error:
            reason = error.response["Error"]["Code"]
            raise UserError(f"{self.endpoint} refuses RUSTFS_ACCESS_KEY ({reason})", "correct the keys") from None
        except (BotoCoreError, ValueError) as error:
            raise UserError(
                f"RUSTFS_ENDPOINT={self.endpoint} can't be used: {error}", "start it or correct the URL"
            ) from None
        return False

    def stop(self) -> bool:
        return False

    def remove(self) -> None:
        pass


def _client(endpoint: str, access_key: str, secret_key: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


def _get(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):  # noqa: S310 - our own loopback URL
            pass
    except (urllib.error.URLError, OSError) as error:
        raise NotReady(str(error)) from None
