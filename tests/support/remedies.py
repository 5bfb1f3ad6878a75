"""Run the commands that ``drift`` prints for the object store, as a shell would."""

import os
import shutil
import subprocess
from typing import Any

from provider.rustfs.admin import Admin
from provider.rustfs.store import Store
from tests.support.accounts import disable, remove_service_account
from tests.support.stack import LocalStack
from tests.support.valkey_remedies import shell_words


def run(live: LocalStack, store: Store, server: Admin, s3: Any, line: str) -> None:
    """Run a printed line in bash, with the admin's keys in the environment.

    If its program is not installed, the line is parsed by bash, and a client that has the same request sends it.
    """
    environment = {
        **live.environment,
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
    }
    words = shell_words(line, environment)
    program = words[1] if words[0].startswith("MC_HOST") else words[0]
    if shutil.which(program):
        done = subprocess.run(
            ["bash", "-c", line], cwd=live.project, env=environment, text=True, capture_output=True, check=False, timeout=120
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    elif program == "aws":
        _aws(store, s3, words)
    else:
        _mc(store, server, words)


def _aws(store: Store, s3: Any, words: list[str]) -> None:
    (program, service, operation, *options) = words
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert (program, service) == ("aws", "s3api") and given.keys() == {"--bucket", "--endpoint-url", "--region"}
    assert (given["--endpoint-url"], given["--region"]) == (store.endpoint, store.region)
    getattr(s3, operation.replace("-", "_"))(Bucket=given["--bucket"])


def _mc(store: Store, server: Admin, words: list[str]) -> None:
    (assignment, program, *rest) = words
    host = store.endpoint.replace("://", f"://{store.access_key}:{store.secret_key}@")
    assert (assignment, program) == (f"MC_HOST_stellaops={host}", "mc")
    if rest[:-1] == ["admin", "user", "disable", "stellaops"]:
        disable(server, rest[-1])
    else:
        assert rest[:-1] == ["admin", "user", "svcacct", "rm", "stellaops"], rest
        remove_service_account(server, rest[-1])
