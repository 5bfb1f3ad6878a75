"""Tamperings of buckets, policies and users: ``drift`` names each in words, and the stack puts it right."""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from components.mapping import load
from components.rustfs.policies import identity_policy
from components.rustfs.servers import KINDS
from provider.rustfs import admin
from tests.support.disabling import disable
from tests.support.operated import stack_of
from tests.support.stack import PROJECT, LocalStack
from tools.operations import drift_rustfs
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")

MAPPING = load(PROJECT / "schema-mapping.yaml")
STRANGER = f"stranger-{secrets.token_hex(4)}"


class Stores:
    """The live object store, as its root user."""

    def __init__(self, live: LocalStack) -> None:
        self.stack: Stack = stack_of(live)
        self.s3 = live.s3()
        self.admin = admin.connect(self.stack.object_store)
        self.prefix = live.bucket_prefix
        self.secrets = live.outputs["secrets"]

    def bucket(self, name: str) -> str:
        return self.prefix + name

    def policy(self, module: str) -> dict[str, Any]:
        document = identity_policy(MAPPING, module, self.prefix)
        assert document is not None
        return document

    def rules(self, bucket: str) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = self.s3.get_bucket_lifecycle_configuration(Bucket=self.bucket(bucket))["Rules"]
        return rules

    def put_rules(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        plain = [
            {key: value for key, value in rule.items() if key in ("ID", "Status", "Filter", "Expiration", "NoncurrentVersionExpiration")}
            for rule in rules
        ]  # fmt: skip
        plain = [{**rule, "Expiration": {k: v for k, v in rule["Expiration"].items() if v}} if "Expiration" in rule else rule for rule in plain]  # fmt: skip
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket(bucket), LifecycleConfiguration={"Rules": plain})

    def restore_user(self, module: str) -> None:
        name = self.prefix + module
        self.admin.put_policy(name, self.policy(module))
        self.admin.put_user(name, self.secrets[module]["object_store_secret_key"])
        self.admin.attach(name, name)


Tampering = Callable[[Stores], Callable[[], Any]]


# Each does something by hand and returns what undoes it.


def suspended_versioning(stores: Stores) -> Callable[[], Any]:
    def put(status: str) -> None:
        stores.s3.put_bucket_versioning(Bucket=stores.bucket("images"), VersioningConfiguration={"Status": status})

    put("Suspended")
    return lambda: put("Enabled")


def shorter_retention(stores: Stores) -> Callable[[], Any]:
    before = stores.rules("offline-kits")
    changed = [dict(rule) for rule in before]
    for rule in changed:
        if rule["ID"] == "expire-noncurrent-versions":
            rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 3}
    stores.put_rules("offline-kits", changed)
    return lambda: stores.put_rules("offline-kits", before)


def rule_that_deletes(stores: Stores) -> Callable[[], Any]:
    before = stores.rules("images")
    extra = {"ID": "tidy-up", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}}
    stores.put_rules("images", [*before, extra])
    return lambda: stores.put_rules("images", before)


def rule_taken_away(stores: Stores) -> Callable[[], Any]:
    before = stores.rules("images")
    stores.put_rules("images", [rule for rule in before if rule["ID"] != "remove-expired-delete-markers"])
    return lambda: stores.put_rules("images", before)


def rule_disabled(stores: Stores) -> Callable[[], Any]:
    before = stores.rules("images")
    stores.put_rules("images", [{**rule, "Status": "Disabled"} for rule in before])
    return lambda: stores.put_rules("images", before)


def guard_removed(stores: Stores) -> Callable[[], Any]:
    name = stores.bucket("evidence")
    text = stores.s3.get_bucket_policy(Bucket=name)["Policy"]
    stores.s3.delete_bucket_policy(Bucket=name)
    return lambda: stores.s3.put_bucket_policy(Bucket=name, Policy=text)


def guard_weakened(stores: Stores) -> Callable[[], Any]:
    name = stores.bucket("blobs")
    text = stores.s3.get_bucket_policy(Bucket=name)["Policy"]
    document = json.loads(text)
    for statement in document["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != "s3:DeleteObjectVersion"]
    stores.s3.put_bucket_policy(Bucket=name, Policy=json.dumps(document))
    return lambda: stores.s3.put_bucket_policy(Bucket=name, Policy=text)


def public_read(stores: Stores) -> Callable[[], Any]:
    name = stores.bucket("images")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{name}/*"],
    }
    blocked = KINDS[stores.stack.object_store_target].public_access_block
    if blocked:
        stores.s3.delete_public_access_block(Bucket=name)
    stores.s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def undo() -> None:
        stores.s3.delete_bucket_policy(Bucket=name)
        if blocked:
            flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
            stores.s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(flags, True))

    return undo


def shorter_lock(stores: Stores) -> Callable[[], Any]:
    def put(days: int) -> None:
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        stores.s3.put_object_lock_configuration(Bucket=stores.bucket("evidence"), ObjectLockConfiguration=configuration)

    put(1)
    return lambda: put(90)


def wider_policy(stores: Stores) -> Callable[[], Any]:
    document = stores.policy("attestor")
    extra = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{stores.bucket('evidence')}/*"]}
    stores.admin.put_policy(stores.prefix + "attestor", {**document, "Statement": [*document["Statement"], extra]})
    return lambda: stores.restore_user("attestor")


def delete_added(stores: Stores) -> Callable[[], Any]:
    document = json.loads(json.dumps(stores.policy("scanner")))
    document["Statement"][0]["Action"].append("s3:DeleteObject")
    stores.admin.put_policy(stores.prefix + "scanner", document)
    return lambda: stores.restore_user("scanner")


def second_policy(stores: Stores) -> Callable[[], Any]:
    name = stores.prefix + "airgap"
    stores.admin.attach(name, f"{name},readwrite")
    return lambda: stores.restore_user("airgap")


def user_disabled(stores: Stores) -> Callable[[], Any]:
    disable(stores.admin, stores.prefix + "export_center")
    return lambda: stores.restore_user("export_center")


def user_removed(stores: Stores) -> Callable[[], Any]:
    stores.admin.remove_user(stores.prefix + "evidence_locker")
    return lambda: stores.restore_user("evidence_locker")


def other_key(stores: Stores) -> Callable[[], Any]:
    stores.admin.put_user(stores.prefix + "sbom_service", "somebody-elses-key")
    return lambda: stores.restore_user("sbom_service")


def stranger(stores: Stores) -> Callable[[], Any]:
    stores.admin.put_user(STRANGER, "strangers-secret")
    stores.admin.attach(STRANGER, "readwrite")
    return lambda: stores.admin.remove_user(STRANGER)


TAMPERINGS: list[tuple[Tampering, str]] = [
    (suspended_versioning, "versioning of bucket {p}images is Suspended, not Enabled"),
    (shorter_retention, "lifecycle rule expire-noncurrent-versions of bucket {p}offline-kits is NoncurrentDays 3, not NoncurrentDays 90"),
    (rule_that_deletes, "lifecycle rule tidy-up of bucket {p}images (Days 7): not in the mapping"),
    (rule_taken_away, "lifecycle rule remove-expired-delete-markers of bucket {p}images is missing"),
    (rule_disabled, "lifecycle rule expire-noncurrent-versions of bucket {p}images is Status Disabled"),
    (guard_removed, "policy of bucket {p}evidence lacks Deny {p}evidence/* BypassGovernanceRetention, DeleteObject, DeleteObjectVersion"),
    (guard_weakened, "policy of bucket {p}blobs: Deny {p}blobs/* lacks DeleteObjectVersion"),
    (public_read, "policy of bucket {p}images has Allow {p}images/* GetObject: not in the mapping"),
    (shorter_lock, "the object lock of bucket {p}evidence is Mode GOVERNANCE, Days 1, not Mode GOVERNANCE, Days 90"),
    (wider_policy, "user {p}attestor has Allow {p}evidence/* GetObject: not in the mapping"),
    (delete_added, "user {p}scanner: Allow {p}blobs/* has DeleteObject: differs from the mapping"),
    (second_policy, "user {p}airgap has policy readwrite: not in the mapping"),
    (user_disabled, "user {p}export_center is disabled"),
    (user_removed, "user {p}evidence_locker does not exist"),
    (other_key, "user {p}sbom_service is enabled with another secret key"),
    (stranger, "user {s} has access to {p}blobs, {p}images, {p}evidence, {p}offline-kits by policy readwrite: not in the mapping"),
]  # fmt: skip


def sentences(stores: Stores) -> list[str]:
    return [difference.sentence for difference in drift_rustfs.compare(stores.stack)]


def test_an_untouched_object_store_has_no_drift(live_stack: LocalStack) -> None:
    assert sentences(Stores(live_stack)) == []


@pytest.mark.parametrize(("tamper", "says"), TAMPERINGS, ids=[tamper.__name__ for tamper, _ in TAMPERINGS])
def test_each_tampering_is_named_in_words_and_nothing_else_is(
    live_stack: LocalStack, tamper: Tampering, says: str
) -> None:
    stores = Stores(live_stack)
    undo = tamper(stores)
    try:
        found = sentences(stores)
    finally:
        undo()
    expected = says.format(p=stores.prefix, s=STRANGER)
    assert [sentence for sentence in found if sentence.startswith(expected)], "\n".join(found)
    words = [word.removeprefix(stores.prefix) for word in re.split(r"[ ,:/]+", expected)]
    subject = next(word for word in words if word in NAMES)
    assert all(subject in sentence for sentence in found), "\n".join(found)
    assert sentences(stores) == []


NAMES = {*MAPPING.rustfs.buckets, *MAPPING.modules, STRANGER}


def test_refresh_and_up_find_and_mend_what_was_done_to_each_kind_of_resource(live_stack: LocalStack) -> None:
    stores = Stores(live_stack)
    done = (suspended_versioning, shorter_retention, guard_weakened, shorter_lock, wider_policy, other_key)
    for tamper in done:
        tamper(stores)
    live_stack.must("refresh")
    shown = live_stack.run("preview", "--diff", "--expect-no-changes")
    assert shown.returncode != 0
    assert "expire-noncurrent-versions" in shown.stdout, "the diff must name the rule that was changed"
    assert f"Allow {stores.bucket('evidence')}/*" in shown.stdout, "the diff must name what the module may do since"
    assert "another secret key" in shown.stdout
    live_stack.must("up")
    assert sentences(stores) == []
    assert live_stack.run("preview", "--expect-no-changes").returncode == 0


def test_the_command_exits_2_and_says_it(live_stack: LocalStack) -> None:
    undo = user_disabled(Stores(live_stack))
    try:
        result = live_stack.run("drift", "--store", "rustfs")
    finally:
        undo()
    assert result.returncode == 2, result.stderr
    assert f"rustfs: user {live_stack.bucket_prefix}export_center is disabled" in result.stdout.splitlines()
