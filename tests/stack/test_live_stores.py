"""What ``make up`` leaves behind in Valkey, in the object store and in the directory of manifests."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey
import yaml

from components.mapping import load
from components.valkey.component import streams_of
from tests.stack.test_valkey_acl import KEYS, STRAY, expected, granted
from tests.support.valkey_commands import COMMANDS

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture
def swept(live_stack: Any) -> Iterator[Any]:
    """The stack, rid of the sample keys afterwards; its streams are never among them."""
    yield live_stack
    with live_stack.valkey_admin() as admin:
        admin.delete(*(key for key in [*KEYS, *STRAY] if key not in MAPPING.valkey.streams))


@pytest.mark.parametrize("user", list(MAPPING.users))
def test_a_user_logs_in_with_the_password_of_the_stack_and_may_do_what_the_mapping_says(swept: Any, user: str) -> None:
    # Nothing is added to a stream or taken from it: they must be empty to be destroyed.
    tried = {name: text for name, text in COMMANDS.items() if name not in ("XADD", "XDEL", "XGROUP CREATE")}
    with swept.valkey(user) as client:
        for key in [*KEYS, *STRAY]:
            assert granted(client, key, tried) == expected(MAPPING, user, key) & set(tried), f"{user} on {key}"


def test_nobody_comes_in_without_a_password(live_stack: Any) -> None:
    endpoint = live_stack.outputs["contract"]["endpoints"]["valkey"]
    with pytest.raises(valkey.AuthenticationError):
        valkey.Valkey(host=endpoint["host"], port=endpoint["port"]).ping()


def test_every_stream_and_consumer_group_exists(live_stack: Any) -> None:
    with live_stack.valkey_admin() as admin:
        for stream, groups in streams_of(MAPPING).items():
            live = {group["name"] for group in admin.xinfo_groups(stream)}
            assert set(groups) <= live, f"consumers of {stream} would fail with NOGROUP"


def test_every_bucket_is_versioned_and_keeps_old_versions_90_days(live_stack: Any) -> None:
    s3 = live_stack.s3()
    names = {live_stack.bucket_prefix + bucket for bucket in MAPPING.rustfs.buckets}
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} >= names
    for name in names:
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled", (
            f"an overwritten object of {name} would be lost"
        )
        rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}
        assert rules["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
        assert rules["remove-expired-delete-markers"]["Expiration"]["ExpiredObjectDeleteMarker"] is True


def test_the_manifests_are_rendered_and_hold_the_same_users_as_the_server(live_stack: Any) -> None:
    directory = Path(live_stack.project) / live_stack.config.get("kubernetesRenderDirectory", "rendered")
    found = {}
    for path in directory.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            found[document["kind"], document["metadata"]["name"]] = (path, document)
    assert set(found) >= {
        ("StatefulSet", "valkey"), ("Service", "valkey"), ("Service", "valkey-headless"), ("ConfigMap", "valkey-conf"), ("Secret", "valkey-acl"),
        ("CronJob", "backup-postgres-dump"), ("CronJob", "backup-postgres-base"), ("CronJob", "backup-valkey"), ("Deployment", "backup-wal"),
    }  # fmt: skip
    path, secret = found["Secret", "valkey-acl"]
    assert path.stat().st_mode & 0o077 == 0, "password hashes would be readable for everyone on this machine"
    acl = base64.b64decode(secret["data"]["users.acl"]).decode()
    hashes = {line.split()[1]: line for line in acl.splitlines()}
    for user in MAPPING.users:
        password = live_stack.outputs["secrets"][user]["valkey_password"]
        assert hashlib.sha256(password.encode()).hexdigest() in hashes[user], (
            f"{user} could log in locally and not in the cluster"
        )
