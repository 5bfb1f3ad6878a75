"""Tamperings of buckets, objects, policies and users: ``drift`` names each exactly, and its remedy corrects it."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from components.mapping.printable import printable
from components.resources.object_store import BUCKET, USER
from components.rustfs.lifecycle import from_s3, to_s3
from components.rustfs.policy_documents import Document, by_name
from components.rustfs.servers import KINDS
from provider.difference import BY_UP, Difference
from provider.rustfs import admin, emptying
from provider.rustfs.guard import current
from tests.support import accounts, remedies
from tests.support.operated import stack_of
from tests.support.stack import LocalStack
from tools.operations import drift_rustfs
from tools.operations.drift_rustfs import versions
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")

TOKEN = secrets.token_hex(4)
STRANGER = f"stranger-{TOKEN}"
SECRET = f"secret-of-{TOKEN}"
GROUP = f"staff-{TOKEN}"
ALL = "{p}backups, {p}blobs, {p}evidence, {p}images, {p}offline-kits"


class Stores:
    """The live object store, as its root user. Each change is undone by ``undo``, also if the change fails half-way."""

    def __init__(self, live: LocalStack, undo: ExitStack) -> None:
        self.live = live
        self.stack: Stack = stack_of(live)
        self.s3 = live.s3()
        self.admin = admin.connect(self.stack.object_store)
        self.prefix = live.bucket_prefix
        self.undo = undo

    def name(self, name: str) -> str:
        """The name of a bucket or user on the server."""
        return self.prefix + name

    def differences(self) -> list[Difference]:
        return [finding.difference for finding in drift_rustfs.compare(self.stack)]

    # Buckets

    def put_versioning(self, bucket: str, status: str) -> None:
        configuration = {"Status": status}
        self.s3.put_bucket_versioning(Bucket=self.name(bucket), VersioningConfiguration=configuration)

    def suspend(self, bucket: str) -> None:
        self.undo.callback(self.put_versioning, bucket, "Enabled")
        self.put_versioning(bucket, "Suspended")

    def change_rules(self, bucket: str, change: Callable[[dict[str, Any]], None]) -> None:
        """``change`` edits the rules in the form of PutBucketLifecycleConfiguration: ID -> rule."""
        live = from_s3(self.s3.get_bucket_lifecycle_configuration(Bucket=self.name(bucket)))
        self.undo.callback(self.put_rules, bucket, to_s3(live)["Rules"])
        rules = {rule["ID"]: rule for rule in to_s3(live)["Rules"]}
        change(rules)
        self.put_rules(bucket, list(rules.values()))

    def put_rules(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.name(bucket), LifecycleConfiguration={"Rules": rules})

    def change_policy(self, bucket: str, change: Callable[[list[Document]], list[Document]]) -> None:
        """``change`` returns the new statements of the bucket policy; none delete the policy."""
        document = current(self.s3, self.name(bucket))
        self.undo.callback(self.put_policy, bucket, document)
        statements = change(json.loads(json.dumps(document["Statement"])) if document else [])
        self.put_policy(bucket, {"Version": "2012-10-17", "Statement": statements} if statements else None)

    def put_policy(self, bucket: str, document: Document | None) -> None:
        name = self.name(bucket)
        if document is None:
            self.s3.delete_bucket_policy(Bucket=name)
        else:
            self.s3.put_bucket_policy(Bucket=name, Policy=json.dumps(document))

    def publish(self, bucket: str, *actions: str) -> None:
        """Allow everybody the actions on the bucket's objects."""
        statement = {
            "Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": list(actions),
            "Resource": [f"arn:aws:s3:::{self.name(bucket)}/*"],
        }  # fmt: skip
        if KINDS[self.stack.object_store_target].public_access_block:
            # Never on MinIO, which deletes an empty bucket then.
            flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
            block = {"Bucket": self.name(bucket), "PublicAccessBlockConfiguration": dict.fromkeys(flags, True)}
            self.undo.callback(self.s3.put_public_access_block, **block)
            self.s3.delete_public_access_block(Bucket=self.name(bucket))
        self.change_policy(bucket, lambda statements: [*statements, statement])

    def lock(self, **retention: Any) -> None:
        self.undo.callback(self.put_lock, Mode="GOVERNANCE", Days=90)
        self.put_lock(**retention)

    def put_lock(self, **retention: Any) -> None:
        rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
        configuration = {"ObjectLockEnabled": "Enabled", **rule}
        self.s3.put_object_lock_configuration(Bucket=self.name("evidence"), ObjectLockConfiguration=configuration)

    def put_object(self, bucket: str, key: str, body: bytes) -> dict[str, Any]:
        """Write an object; all objects of the bucket are removed afterwards. Returns its version as it is listed."""
        self.undo.callback(self.empty, bucket)
        written = self.s3.put_object(Bucket=self.name(bucket), Key=key, Body=body)["VersionId"]
        return next(item for item in self.versions(bucket, key) if item["VersionId"] == written)

    def versions(self, bucket: str, key: str) -> list[dict[str, Any]]:
        listed = self.s3.list_object_versions(Bucket=self.name(bucket), Prefix=key)
        return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]

    def empty(self, bucket: str) -> None:
        with ExitStack() as restored:
            policy = current(self.s3, self.name(bucket))
            restored.callback(self.put_policy, bucket, policy)
            self.put_policy(bucket, None)
            emptying.empty(self.s3, self.name(bucket), bypass_governance=bucket == "evidence")

    # Users

    def policy(self, user: str) -> Document:
        declared = next(item for item in self.stack.object_store_users if item.name == user)
        copied: Document = json.loads(json.dumps(declared.policy))
        return copied

    def restore_user(self, user: str) -> None:
        name, secret = self.name(user), self.stack.object_store_secret_key(user)
        assert secret
        self.admin.put_policy(name, self.policy(user))
        self.admin.put_user(name, secret)
        self.admin.attach(name, name)

    def change_statements(self, user: str, change: Callable[[list[Document]], list[Document]]) -> None:
        self.undo.callback(self.restore_user, user)
        document = self.policy(user)
        self.admin.put_policy(self.name(user), {**document, "Statement": change(document["Statement"])})

    def stranger(self, *statements: Document, policy: str = "") -> None:
        """Create a user with a policy of these statements, or with an existing policy."""
        self.undo.callback(self.admin.remove_policy, STRANGER)
        self.undo.callback(self.admin.remove_user, STRANGER)
        self.admin.put_user(STRANGER, SECRET)
        if statements:
            self.admin.put_policy(STRANGER, {"Version": "2012-10-17", "Statement": list(statements)})
        if statements or policy:
            self.admin.attach(STRANGER, policy or STRANGER)

    def join_group(self, member: str, policy: str) -> None:
        self.undo.callback(accounts.remove_group, self.admin, GROUP, member)
        accounts.add_to_group(self.admin, GROUP, member, policy)

    def service_account(self, parent: tuple[str, str], policy: Document | None = None) -> None:
        self.undo.callback(accounts.remove_service_account, self.admin, STRANGER)
        accounts.add_service_account(self.stack.object_store, parent, (STRANGER, SECRET), policy)


@pytest.fixture
def stores(live_stack: LocalStack) -> Iterator[Stores]:
    with ExitStack() as undo:
        yield Stores(live_stack, undo)
    assert Stores(live_stack, undo).differences() == [], "the tampering was not undone"


def allow(action: str | list[str], *resources: str, **more: Any) -> Document:
    return {"Effect": "Allow", "Action": action, "Resource": [f"arn:aws:s3:::{item}" for item in resources], **more}


# Each does something by hand.


def suspended_versioning(stores: Stores) -> None:
    stores.suspend("images")


def suspended_versioning_of_backups(stores: Stores) -> None:
    stores.suspend("backups")


def shorter_retention(stores: Stores) -> None:
    days = {"NoncurrentDays": 3}
    stores.change_rules(
        "offline-kits", lambda rules: rules["expire-noncurrent-versions"].update(NoncurrentVersionExpiration=days)
    )


def rule_that_deletes(stores: Stores) -> None:
    extra = {"ID": "tidy-up", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}}
    stores.change_rules("images", lambda rules: rules.update({"tidy-up": extra}))


def rule_that_deletes_backups(stores: Stores) -> None:
    extra = {"ID": "tidy-up", "Status": "Enabled", "Filter": {"Prefix": "postgres/"}, "Expiration": {"Days": 1}}
    stores.change_rules("backups", lambda rules: rules.update({"tidy-up": extra}))


def rule_removed(stores: Stores) -> None:
    stores.change_rules("images", lambda rules: rules.pop("remove-expired-delete-markers"))


def rule_disabled(stores: Stores) -> None:
    stores.change_rules("images", lambda rules: rules["expire-noncurrent-versions"].update(Status="Disabled"))


def guard_removed(stores: Stores) -> None:
    stores.change_policy("evidence", lambda _statements: [])


def guard_weakened(stores: Stores) -> None:
    def change(statements: list[Document]) -> list[Document]:
        for statement in statements:
            statement["Action"] = [action for action in statement["Action"] if action != "s3:DeleteObjectVersion"]
        return statements

    stores.change_policy("blobs", change)


def public_evidence(stores: Stores) -> None:
    stores.publish("evidence", "s3:GetObject")


def public_images(stores: Stores) -> None:
    stores.publish("images", "s3:GetObject", "s3:PutObject")


def public_backups(stores: Stores) -> None:
    stores.publish("backups", "s3:GetObject")


def shorter_lock(stores: Stores) -> None:
    stores.lock(Mode="GOVERNANCE", Days=1)


def no_default_lock(stores: Stores) -> None:
    stores.lock()


def evidence_overwritten(stores: Stores) -> None:
    stores.put_object("evidence", "bundle-1/manifest.json", b"original")
    stores.put_object("evidence", "bundle-1/manifest.json", b"forged")


def evidence_forged_in_the_same_size(stores: Stores) -> None:
    stores.put_object("evidence", "bundle-1/manifest.json", b"original")
    stores.put_object("evidence", "bundle-1/manifest.json", b"forged!!")


def sbom_overwritten_twice(stores: Stores) -> None:
    for body in (b"original", b"forged", b"forged again"):
        stores.put_object("blobs", "0000/sha256:0/it's an sbom.json", body)


def evidence_deleted(stores: Stores) -> None:
    stores.put_object("evidence", "bundle-1/manifest.json", b"original")
    with ExitStack() as restored:
        # On RustFS the guard policy would refuse the deletion to root as well.
        restored.callback(stores.put_policy, "evidence", current(stores.s3, stores.name("evidence")))
        stores.put_policy("evidence", None)
        stores.s3.delete_object(Bucket=stores.name("evidence"), Key="bundle-1/manifest.json")


def wider_policy(stores: Stores) -> None:
    extra = allow(["s3:GetObject"], f"{stores.prefix}evidence/*")
    stores.change_statements("attestor", lambda statements: [*statements, extra])


def delete_added(stores: Stores) -> None:
    def change(statements: list[Document]) -> list[Document]:
        statements[0]["Action"].append("s3:DeleteObject")
        return statements

    stores.change_statements("scanner", change)


def denial_removed(stores: Stores) -> None:
    stores.change_statements(
        "sbom_service", lambda statements: [item for item in statements if item["Effect"] == "Allow"]
    )


def administration_added(stores: Stores) -> None:
    extra = {"Effect": "Allow", "Action": ["admin:*"]}
    stores.change_statements("airgap", lambda statements: [*statements, extra])


def second_policy(stores: Stores) -> None:
    name = stores.name("airgap")
    stores.undo.callback(stores.restore_user, "airgap")
    stores.admin.attach(name, f"{name},readwrite")


def group_joined(stores: Stores) -> None:
    stores.join_group(stores.name("export_center"), "readwrite")


def user_disabled(stores: Stores) -> None:
    stores.undo.callback(stores.restore_user, "export_center")
    accounts.disable(stores.admin, stores.name("export_center"))


def user_removed(stores: Stores) -> None:
    stores.undo.callback(stores.restore_user, "evidence_locker")
    stores.admin.remove_user(stores.name("evidence_locker"))


def other_key(stores: Stores) -> None:
    stores.undo.callback(stores.restore_user, "sbom_service")
    stores.admin.put_user(stores.name("sbom_service"), "somebody-elses-key")


def backup_user_widened(stores: Stores) -> None:
    extra = allow(["s3:GetObject"], "*")
    stores.change_statements("backup-agent", lambda statements: [*statements, extra])


def backup_user_removed(stores: Stores) -> None:
    stores.undo.callback(stores.restore_user, "backup-agent")
    stores.admin.remove_user(stores.name("backup-agent"))


def backup_user_with_another_key(stores: Stores) -> None:
    stores.undo.callback(stores.restore_user, "backup-agent")
    stores.admin.put_user(stores.name("backup-agent"), "somebody-elses-key")


def stranger_with_readwrite(stores: Stores) -> None:
    stores.stranger(policy="readwrite")


def stranger_in_a_group(stores: Stores) -> None:
    stores.stranger()
    stores.join_group(STRANGER, "readonly")


def stranger_with_a_wildcard(stores: Stores) -> None:
    stores.stranger(allow("s3:Get*Version", f"{stores.prefix}e?idence/*"), allow("s3:ListBucket", "*kups"))


def stranger_with_not_resource(stores: Stores) -> None:
    others = [f"arn:aws:s3:::{stores.name(bucket)}*" for bucket in ("blobs", "evidence", "images", "offline-kits")]
    stores.stranger({"Effect": "Allow", "Action": ["s3:GetObject"], "NotResource": others})


def stranger_with_a_condition(stores: Stores) -> None:
    condition = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}
    stores.stranger(allow(["s3:GetObject"], f"{stores.prefix}images/*", Condition=condition))


def stranger_who_administers(stores: Stores) -> None:
    stores.stranger({"Effect": "Allow", "Action": ["admin:*"]})


def stranger_who_creates_users(stores: Stores) -> None:
    stores.stranger({"Effect": "Allow", "Action": ["admin:CreateUser", "admin:ServerInfo"]})


def service_account_of_root(stores: Stores) -> None:
    store = stores.stack.object_store
    stores.service_account((store.access_key, store.secret_key))


def service_account_of_a_module(stores: Stores) -> None:
    secret = stores.stack.object_store_secret_key("attestor")
    assert secret
    stores.service_account((stores.name("attestor"), secret))


def limited_service_account(stores: Stores) -> None:
    store, policy = stores.stack.object_store, allow(["s3:GetObject"], f"{stores.prefix}evidence/*")
    stores.service_account((store.access_key, store.secret_key), {"Version": "2012-10-17", "Statement": [policy]})


Tampering = Callable[[Stores], None]
DISABLE = 'MC_HOST_stellaops="{host}" mc admin user disable stellaops {s}'
REMOVE_KEY = 'MC_HOST_stellaops="{host}" mc admin user svcacct rm stellaops {s}'
DELETE_POLICY = "aws s3api delete-bucket-policy --bucket {p}%s --endpoint-url {endpoint} --region us-east-1"
UNDELETE = "python3 -m tools undelete %s --version-id {first} --stack local"
EVERYTHING = "list, read, write, delete, configure, lift the locks of and inspect"
GUARD = "BypassGovernanceRetention, DeleteObject, DeleteObjectVersion"

# {p}: the bucket prefix. {s}: the stranger's name. {g}: the group. {first}, {first_until}, {second_at}, {third_at}: the
# versions of the object that was overwritten.
TAMPERINGS: list[tuple[Tampering, str | list[str], str]] = [
    (suspended_versioning, "versioning of bucket {p}images is Suspended, not Enabled: overwritten and deleted objects are lost", BY_UP),
    (suspended_versioning_of_backups, "versioning of bucket {p}backups is Suspended, not Enabled: overwritten and deleted objects are lost", BY_UP),
    (shorter_retention, "lifecycle rule expire-noncurrent-versions of bucket {p}offline-kits is NoncurrentDays 3, not NoncurrentDays 90", BY_UP),
    (rule_that_deletes, "lifecycle rule tidy-up of bucket {p}images (Days 7): not in the mapping", BY_UP),
    (rule_that_deletes_backups, "lifecycle rule tidy-up of bucket {p}backups (Prefix postgres/, Days 1): not in the mapping", BY_UP),
    (rule_removed, "lifecycle rule remove-expired-delete-markers of bucket {p}images is missing", BY_UP),
    (rule_disabled, "lifecycle rule expire-noncurrent-versions of bucket {p}images is Status Disabled, NoncurrentDays 90, not NoncurrentDays 90", BY_UP),
    (guard_removed, ["policy of bucket {p}evidence lacks Deny {p}evidence {settings}", "policy of bucket {p}evidence lacks Deny {p}evidence/* " + GUARD], BY_UP),
    (guard_weakened, "policy of bucket {p}blobs: Deny {p}blobs/* lacks DeleteObjectVersion: differs from the mapping", BY_UP),
    (public_evidence, "policy of bucket {p}evidence has Allow {p}evidence/* GetObject for everybody: not in the mapping", BY_UP),
    (public_images, "policy of bucket {p}images has Allow {p}images/* GetObject, PutObject for everybody: not in the mapping", DELETE_POLICY % "images"),
    (public_backups, "policy of bucket {p}backups has Allow {p}backups/* GetObject for everybody: not in the mapping", DELETE_POLICY % "backups"),
    (shorter_lock, "the object lock of bucket {p}evidence is Mode GOVERNANCE, Days 1, not Mode GOVERNANCE, Days 90", BY_UP),
    (no_default_lock, "the object lock of bucket {p}evidence is without retention, not Mode GOVERNANCE, Days 90", BY_UP),
    (evidence_overwritten, "object {p}evidence/bundle-1/manifest.json was overwritten at {second_at}: write-once; its first version is kept until {first_until}", UNDELETE % "evidence/bundle-1/manifest.json"),
    (evidence_forged_in_the_same_size, "object {p}evidence/bundle-1/manifest.json was overwritten at {second_at}: write-once; its first version is kept until {first_until}", UNDELETE % "evidence/bundle-1/manifest.json"),
    (sbom_overwritten_twice, "object {p}blobs/0000/sha256:0/it's an sbom.json was overwritten at {second_at}: write-once; its first version is kept until {first_until}", UNDELETE % """'blobs/0000/sha256:0/it'"'"'s an sbom.json'"""),
    (evidence_deleted, "object {p}evidence/bundle-1/manifest.json was deleted at {second_at}: write-once; its first version is kept until {first_until}", UNDELETE % "evidence/bundle-1/manifest.json"),
    (wider_policy, "user {p}attestor has Allow {p}evidence/* GetObject: not in the mapping", BY_UP),
    (delete_added, "user {p}scanner: Allow {p}blobs/* has DeleteObject: differs from the mapping", BY_UP),
    (denial_removed, "user {p}sbom_service lacks Deny * BypassGovernanceRetention, DeleteObjectVersion, PutObjectLegalHold, PutObjectRetention", BY_UP),
    (administration_added, "user {p}airgap has Allow * admin:*: not in the mapping", BY_UP),
    (second_policy, "user {p}airgap has policy readwrite: not in the mapping", BY_UP),
    (group_joined, "user {p}export_center is a member of group {g}: not in the mapping", BY_UP),
    (user_disabled, "user {p}export_center is disabled", BY_UP),
    (user_removed, "user {p}evidence_locker does not exist", BY_UP),
    (other_key, "user {p}sbom_service is enabled with another secret key", BY_UP),
    (backup_user_widened, "user {p}backup-agent has Allow * GetObject: not in the mapping", BY_UP),
    (backup_user_removed, "user {p}backup-agent does not exist", BY_UP),
    (backup_user_with_another_key, "user {p}backup-agent is enabled with another secret key", BY_UP),
    (stranger_with_readwrite, f"user {{s}} may {EVERYTHING} {ALL} by policy readwrite: not in the mapping", DISABLE),
    (stranger_in_a_group, f"user {{s}} may read and inspect {ALL} by policy readonly of group {{g}}: not in the mapping", DISABLE),
    (stranger_with_a_wildcard, "user {s} may list {p}backups; read {p}evidence by policy {s}: not in the mapping", DISABLE),
    (stranger_with_not_resource, "user {s} may read {p}backups by policy {s}: not in the mapping", DISABLE),
    (stranger_with_a_condition, "user {s} may read {p}images by policy {s}: not in the mapping", DISABLE),
    (stranger_who_administers, "user {s} may manage users, policies or the server (admin:*) by policy {s}: not in the mapping", DISABLE),
    (stranger_who_creates_users, "user {s} may manage users, policies or the server (admin:CreateUser) by policy {s}: not in the mapping", DISABLE),
    (service_account_of_root, f"service account {{s}} of {{root}} may {EVERYTHING} {ALL}; manage users, policies or the server (admin:*): not in the mapping", REMOVE_KEY),
    (service_account_of_a_module, "service account {s} of {p}attestor may list, read, write and inspect {p}blobs: not in the mapping", REMOVE_KEY),
    (limited_service_account, "service account {s} of {root} may read {p}evidence: not in the mapping", REMOVE_KEY),
]  # fmt: skip


def values(stores: Stores) -> dict[str, str]:
    """What the placeholders of ``TAMPERINGS`` stand for."""
    store, put_lifecycle = stores.stack.object_store, KINDS[stores.stack.object_store_target].put_lifecycle
    found = {
        "p": stores.prefix, "s": STRANGER, "g": GROUP, "root": store.access_key, "endpoint": store.endpoint,
        "host": store.endpoint.replace("://", "://$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY@"),
        "settings": ", ".join(sorted(["PutBucketVersioning", put_lifecycle.removeprefix("s3:")])),
    }  # fmt: skip
    items = [item for bucket in ("evidence", "blobs") for item in stores.versions(bucket, "")]
    items.sort(key=lambda item: item["LastModified"])
    if items:
        first, second = items[:2]
        found["first"] = first["VersionId"]
        found["second_at"] = f"{second['LastModified']:%Y-%m-%d %H:%M:%S} UTC"
        found["first_until"] = f"{second['LastModified'] + timedelta(days=90):%Y-%m-%d}"
    return found


@pytest.mark.parametrize(
    ("tamper", "sentences", "remedy"), TAMPERINGS, ids=[tamper.__name__ for tamper, *_ in TAMPERINGS]
)
def test_each_tampering_is_named_exactly_and_its_command_corrects_it(
    stores: Stores, tamper: Tampering, sentences: str | list[str], remedy: str
) -> None:
    tamper(stores)
    found, known = stores.differences(), values(stores)
    expected = [sentences] if isinstance(sentences, str) else sentences
    assert [item.sentence for item in found] == [sentence.format(**known) for sentence in expected]
    assert {item.remedy for item in found} == {remedy.format(**known)}
    if remedy != BY_UP:
        remedies.run(stores.live, stores.stack.object_store, stores.admin, stores.s3, found[0].remedy)
        assert stores.differences() == [], "the printed command does not correct the difference"


def test_an_untouched_object_store_has_no_drift(stores: Stores) -> None:
    assert stores.differences() == []


def harmless_disabled(stores: Stores) -> None:
    stores.stranger(policy="readwrite")
    accounts.disable(stores.admin, STRANGER)


def harmless_in_a_disabled_group(stores: Stores) -> None:
    stores.stranger()
    stores.join_group(STRANGER, "readwrite")
    accounts.disable_group(stores.admin, GROUP)


def harmless_elsewhere(stores: Stores) -> None:
    stores.stranger(allow("s3:*", f"{stores.prefix}blobs-of-others", f"{stores.prefix}blobs-of-others/*"))


def harmless_by_denial(stores: Stores) -> None:
    buckets = [f"arn:aws:s3:::{bucket.physical}*" for bucket in stores.stack.buckets]
    deny = {"Effect": "Deny", "Action": ["s3:*"], "Resource": buckets}
    stores.stranger(allow("s3:GetObject", "*"), deny)


def harmless_diagnostics(stores: Stores) -> None:
    stores.stranger(policy="diagnostics")


HARMLESS: list[Tampering] = [
    harmless_disabled, harmless_in_a_disabled_group, harmless_elsewhere, harmless_by_denial, harmless_diagnostics
]  # fmt: skip


@pytest.mark.parametrize("create", HARMLESS, ids=[create.__name__ for create in HARMLESS])
def test_a_stranger_without_access_to_the_stacks_buckets_is_no_drift(stores: Stores, create: Tampering) -> None:
    create(stores)
    assert stores.differences() == []


def test_a_public_bucket_of_backups_is_closed_by_the_printed_command(stores: Stores) -> None:
    stores.put_object("backups", "postgres/dump", b"secret")
    stores.publish("backups", "s3:GetObject")
    url = f"{stores.stack.object_store.endpoint}/{stores.name('backups')}/postgres/dump"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"secret", "otherwise the refusal below would show nothing"
    (found,) = stores.differences()
    remedies.run(stores.live, stores.stack.object_store, stores.admin, stores.s3, found.remedy)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url, timeout=10)


def test_an_object_that_was_written_again_with_the_same_content_is_no_drift(stores: Stores) -> None:
    key = "bundle-1/manifest.json"
    stores.put_object("evidence", key, b"original")
    stores.put_object("evidence", key, b"original")
    upload = {"Bucket": stores.name("evidence"), "Key": key}
    parts = stores.s3.create_multipart_upload(**upload)["UploadId"]
    etag = stores.s3.upload_part(**upload, UploadId=parts, PartNumber=1, Body=b"original")["ETag"]
    stores.s3.complete_multipart_upload(
        **upload, UploadId=parts, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    assert len({item["ETag"] for item in stores.versions("evidence", key)}) == 2
    assert stores.differences() == []


def test_overwritten_objects_are_found_across_pages_and_their_names_are_escaped(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PAGE_SIZE", 1)
    for number in range(2):
        for body in (b"original", b"forged"):
            stores.put_object("evidence", f"bundle-{number}/a\x1b[31m\u202eb.json", body)
    found = stores.differences()
    assert len(found) == 2
    for number, item in enumerate(found):
        line = printable(f"{item.sentence}; run: {item.remedy}")
        assert line.startswith(
            f"object {stores.prefix}evidence/bundle-{number}/a\\x1b[31m\\u202eb.json was overwritten"
        )
        assert printable(item.remedy) == item.remedy, "the command would be printed in another form than it works"
    remedies.run(stores.live, stores.stack.object_store, stores.admin, stores.s3, found[0].remedy)
    assert stores.differences() == found[1:]


def test_drift_walks_exactly_what_the_stack_provisioned(live_stack: LocalStack) -> None:
    stack = stack_of(live_stack)
    state = json.loads(live_stack.must("pulumi", "stack", "export", "--stack", "local"))
    resources = state["deployment"]["resources"]
    buckets = {item["inputs"]["bucket"]: item["inputs"] for item in resources if item["type"] == BUCKET}
    assert {bucket.physical: bucket.rules for bucket in stack.buckets} == {
        name: inputs["rules"] for name, inputs in buckets.items()
    }
    assert {bucket.physical for bucket in stack.buckets if bucket.lock} == {
        name for name, inputs in buckets.items() if inputs["objectLock"]
    }
    assert {bucket.physical: bucket.guard for bucket in stack.buckets if bucket.guard} == {
        item["inputs"]["bucket"]: json.loads(item["inputs"]["policy"])
        for item in resources
        if item["type"] == "aws:s3/bucketPolicy:BucketPolicy"
    }
    for setting in ("Versioning", "PublicAccessBlock", "ObjectLockConfiguration"):
        kind = f"aws:s3/bucket{setting}:Bucket{setting}"
        declared = {
            "Versioning": set(buckets),
            "PublicAccessBlock": {bucket.physical for bucket in stack.buckets if bucket.public_access_block},
            "ObjectLockConfiguration": {bucket.physical for bucket in stack.buckets if bucket.lock},
        }
        assert {item["inputs"]["bucket"] for item in resources if item["type"] == kind} == declared[setting]
    users = {item["inputs"]["user"]: item["inputs"]["policy"] for item in resources if item["type"] == USER}
    assert {user.access_key: by_name(user.policy) for user in stack.object_store_users} == users
    assert live_stack.bucket_prefix + "backups" in buckets and live_stack.bucket_prefix + "backup-agent" in users


def evidence_recreated_without_lock(stores: Stores) -> None:
    name = stores.name("evidence")
    stores.put_policy("evidence", None)
    stores.s3.delete_bucket(Bucket=name)
    stores.s3.create_bucket(Bucket=name)


def images_deleted(stores: Stores) -> None:
    stores.s3.delete_bucket(Bucket=stores.name("images"))


# Those of which none hides another, and two that only ``up`` can undo.
FOR_ONE_UP: list[Tampering] = [
    evidence_recreated_without_lock, images_deleted, suspended_versioning_of_backups, rule_that_deletes_backups,
    shorter_retention, guard_weakened, wider_policy, delete_added, administration_added, second_policy, group_joined,
    user_removed, other_key, backup_user_widened,
]  # fmt: skip


def test_one_run_with_refresh_corrects_everything_whose_remedy_it_is(live_stack: LocalStack) -> None:
    with ExitStack() as undo:
        stores = Stores(live_stack, undo)
        for tamper in FOR_ONE_UP:
            tamper(stores)
        found, known = stores.differences(), values(stores)
        sentences = [item.sentence for item in found]
        expected = {tamper: str(sentence) for tamper, sentence, _ in TAMPERINGS}
        for sentence in (
            "bucket {p}images does not exist",
            "bucket {p}evidence has no object lock; only a new bucket can be different",
            *(expected[tamper] for tamper in FOR_ONE_UP[2:]),
        ):
            assert sentence.format(**known) in sentences
        assert {item.remedy for item in found} == {BY_UP}
        live_stack.must("refresh")
        shown = live_stack.run("preview", "--diff", "--expect-no-changes")
        assert shown.returncode != 0
        assert "expire-noncurrent-versions" in shown.stdout, "the diff must name the rule that was changed"
        assert f"Allow {stores.name('evidence')}/*" in shown.stdout, "the diff must name what the module may do since"
        assert "another secret key" in shown.stdout
        live_stack.must("up", "--refresh")
        # The run generated another secret key for the user that was removed, so the callbacks would restore a wrong one.
        undo.pop_all()
        live_stack.forget()
        stores = Stores(live_stack, undo)
        accounts.remove_group(stores.admin, GROUP)
        assert stores.differences() == []
    assert live_stack.run("preview", "--expect-no-changes").returncode == 0


def test_the_command_exits_2_and_prints_each_difference_with_its_remedy(stores: Stores) -> None:
    user_disabled(stores)
    stores.stranger(policy="readwrite")
    result = stores.live.run("drift", "--store", "rustfs")
    assert result.returncode == 2, result.stderr
    disable = DISABLE.format(**values(stores))
    assert result.stdout.splitlines() == [
        f"rustfs: user {stores.prefix}export_center is disabled; run: make up ARGS=--refresh",
        f"rustfs: user {STRANGER} may {EVERYTHING} {ALL.format(p=stores.prefix)} by policy readwrite: not in the mapping; run: {disable}",
    ]
    assert stores.stack.object_store.secret_key not in result.stdout
