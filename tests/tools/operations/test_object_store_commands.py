"""Commands that ``drift`` prints for the object store."""

import json
import subprocess
from typing import Any

import pytest

from components.mapping.printable import printable
from tests.support.operated import stack_with
from tools.operations.drift_rustfs import buckets, commands
from tools.operations.stack import Stack

VALUES = {"objectStoreEndpoint": "http://rustfs:9000", "objectStoreSecretKey": "do-not-print", "bucketPrefix": "dev-"}


@pytest.fixture
def stack() -> Stack:
    return stack_with(VALUES)


@pytest.mark.parametrize("name", ["plain", 'it\'s; rm -rf $HOME `x` \\ "q"', "\x1b[31m\n'\\ü\u202e", "*"])
def test_a_shell_reads_names_as_they_are_and_a_terminal_can_show_them(stack: Stack, name: str) -> None:
    line = commands.undelete(stack, "evidence", name, "v1")
    assert printable(line) == line, "a copied command would name another object"
    words = subprocess.run(
        ["bash", "-c", f"for word in {line}; do printf '%s\\0' \"$word\"; done"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]  # fmt: skip
    assert words == [
        "python3", "-m", "tools", "undelete", f"evidence/{name}", "--version-id", "v1", "--stack", stack.name,
    ]  # fmt: skip


def test_no_command_contains_a_secret(stack: Stack) -> None:
    lines = [
        commands.aws(stack, "delete-bucket-policy", "dev-backups"),
        commands.disable_user(stack, "contractor"),
        commands.remove_service_account(stack, "contractor"),
        commands.recreate(stack, "dev-evidence"),
    ]
    assert not [line for line in lines if "do-not-print" in line]
    host = '"http://$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY@rustfs:9000"'
    assert lines[1] == f"MC_HOST_stellaops={host} mc admin user disable stellaops contractor"
    assert lines[3] == (
        f"export MC_HOST_stellaops={host} && mc mb stellaops/dev-evidence-kept"
        " && mc mirror stellaops/dev-evidence stellaops/dev-evidence-kept && mc rb --force stellaops/dev-evidence"
        " && pulumi up --refresh --stack test && mc mirror stellaops/dev-evidence-kept stellaops/dev-evidence"
    )


class Suspended:
    """A bucket of a RustFS whose guard policy was restored after versioning was suspended."""

    def get_bucket_versioning(self, **_: Any) -> dict[str, Any]:
        return {"Status": "Suspended"}


DELETE_POLICY = (
    "aws s3api delete-bucket-policy --bucket dev-evidence --endpoint-url http://rustfs:9000 --region us-east-1"
)


@pytest.mark.parametrize(
    ("target", "remedy"), [("rustfs", f"{DELETE_POLICY} && pulumi up --refresh --stack test"), ("minio", "")]
)
def test_where_the_guard_policy_binds_the_admin_it_is_deleted_before_versioning_is_enabled(
    target: str, remedy: str
) -> None:
    stack = Stack("test", {**stack_with(VALUES).config, "objectStore:target": target})
    bucket = next(item for item in stack.buckets if item.name == "evidence")
    policy = json.loads(json.dumps(bucket.guard))
    (found,) = buckets._versioning(stack, Suspended(), bucket, policy)
    assert found.remedy == remedy
    (found,) = buckets._versioning(stack, Suspended(), bucket, None)
    assert not found.remedy, "without the guard policy a run with --refresh enables versioning"
