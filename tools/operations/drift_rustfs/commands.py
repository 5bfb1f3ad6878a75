"""Commands that correct a difference, as text for a shell.

They read the admin's keys from ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, so no secret is printed.
"""

from urllib.parse import urlsplit

from tools.operations.stack import Stack
from tools.quoting import shell

LONGEST_BUCKET = 63
KEPT = "-kept"
ALIAS = "stellaops"  # the name of the server in commands of mc


def aws(stack: Stack, operation: str, bucket: str) -> str:
    """A command of the AWS CLI on a bucket."""
    store = stack.object_store
    words = ["aws", "s3api", operation, "--bucket", bucket, "--endpoint-url", store.endpoint, "--region", store.region]
    return shell(*words)


def disable_user(stack: Stack, name: str) -> str:
    return mc(stack, "admin", "user", "disable", ALIAS, name)


def remove_service_account(stack: Stack, access_key: str) -> str:
    return mc(stack, "admin", "user", "svcacct", "rm", ALIAS, access_key)


def mc(stack: Stack, *words: str) -> str:
    """A command of MinIO's client; RustFS has the same commands under MinIO's paths. Its variable defines the alias."""
    return f"{mc_host(stack)} {shell('mc', *words)}"


def mc_host(stack: Stack) -> str:
    """An assignment of the variable that defines the alias."""
    url = urlsplit(stack.object_store.endpoint)
    return f'MC_HOST_{ALIAS}="{url.scheme}://$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY@{url.netloc}"'


def recreate(stack: Stack, bucket: str) -> str:
    """Copy the current versions of the objects to another bucket, recreate this one, and copy them back."""
    kept = f"{bucket[: LONGEST_BUCKET - len(KEPT)]}{KEPT}"
    steps = [
        f"mc mb {ALIAS}/{kept}",
        f"mc mirror {ALIAS}/{bucket} {ALIAS}/{kept}",
        f"mc rb --force {ALIAS}/{bucket}",
        stack.refreshing_up,
        f"mc mirror {ALIAS}/{kept} {ALIAS}/{bucket}",
    ]
    return f"export {mc_host(stack)} && {' && '.join(steps)}"


def undelete(stack: Stack, bucket: str, key: str, version: str) -> str:
    """``bucket`` is its name in the mapping."""
    return stack.command("undelete", f"{bucket}/{key}", "--version-id", version)
