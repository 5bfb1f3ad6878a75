"""Run the backup agent in a pod: ``python -m agent COMMAND``. Environment variables configure it.

``S3_*`` set the destination, ``STACK`` sets the stack, ``RETENTION_DAYS`` the retention.
"""

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from . import jobs, kinds
from .errors import BackupError
from .rdb import SnapshotSource
from .s3 import BucketClient


def main() -> int:
    """Run a command. If it fails, print one line to standard error and return 1."""
    parser = argparse.ArgumentParser(prog="agent")
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser("publish", help="upload the files that a script wrote to a directory")
    publish.add_argument("kind", choices=(kinds.DUMP, kinds.BASE))
    publish.add_argument("directory", type=Path)
    ship = commands.add_parser("ship", help="upload WAL continuously")
    ship.add_argument("directory", type=Path)
    ship.add_argument("--every", type=float, default=60.0, help="seconds between uploads")
    commands.add_parser("valkey", help="take a snapshot of Valkey and upload it")
    options = parser.parse_args()
    try:
        bucket = BucketClient.from_environment()
        stack, retention = _required("STACK"), timedelta(days=int(_required("RETENTION_DAYS")))
        if options.command == "publish":
            jobs.publish(bucket, options.kind, options.directory, stack, retention, print_line)
        elif options.command == "ship":
            _ship(bucket, options.directory, options.every)
        else:
            jobs.snapshot(bucket, _valkey(), stack, retention, print_line)
    except BackupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def print_line(text: str) -> None:
    print(text, flush=True)


def _ship(bucket: BucketClient, directory: Path, every: float) -> None:
    """Upload WAL until the pod stops. While the object store is unavailable, keep WAL on the volume and retry."""
    from .wal import PARTIAL, Shipper

    shipper, last_upload = Shipper(bucket, directory), directory / ".shipped"
    while True:
        try:
            uploaded = shipper.ship()
            for name in uploaded:
                if not name.endswith(PARTIAL):
                    print_line(f"shipped {name}")
            if uploaded:
                last_upload.touch()  # the readiness probe checks this file
        except BackupError as error:
            print(f"error: {error}; trying again in {every:.0f} s", file=sys.stderr, flush=True)
        time.sleep(every)


def _valkey() -> SnapshotSource:
    return SnapshotSource(
        _required("VALKEY_HOST"),
        int(_required("VALKEY_PORT")),
        _required("VALKEY_USER"),
        _required("VALKEY_PASSWORD"),
        os.environ.get("VALKEY_TLS") == "true",
        os.environ.get("CA_FILE", ""),
    )


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise BackupError(f"{name} is not set")
    return value


if __name__ == "__main__":
    sys.exit(main())
