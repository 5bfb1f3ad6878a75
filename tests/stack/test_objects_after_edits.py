"""After any edit of the mapping, every access key may do what the mapping says, and every bucket has its settings.

The ObjectStore component alone under the engine, on a real server. After each ``up`` every module tries every operation
on every key with its own access key, and the settings of every bucket are read.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from components.mapping.globs import globs_overlap
from provider.rustfs import admin
from provider.rustfs.store import Store
from tests.support.edits import PROGRAM, Document, EditedStack, rows_of_edits, smallest_document
from tests.support.object_access import is_allowed
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine
from tools.local.servers.objects import ExternalObjectStore, LocalObjectStore

OBJECTS_PROGRAM = (
    PROGRAM
    + """
from components import providers
from components.config.model import ObjectStoreSettings
from components.rustfs.component import ObjectStoreArgs, ObjectStoreComponent

p = s["provider"]
settings = ObjectStoreSettings(
    target=s["target"], endpoint=p["object_store_endpoint"], region=p["object_store_region"],
    access_key=pulumi.Output.secret(p["object_store_access_key"]),
    secret_key=pulumi.Output.secret(p["object_store_secret_key"]), bucket_prefix=s["prefix"],
)
store = ObjectStoreComponent("objects", ObjectStoreArgs(
    load(Path("schema-mapping.yaml")), settings, provider, providers.object_store(settings), protect=False,
    allow_data_loss=s["allow_data_loss"],
))
pulumi.export("keys", pulumi.Output.secret(store.secrets))
"""
)

DIGEST = "ab" * 32
# Keys at each place that a path below tells apart, and keys beside them.
SAMPLES = (
    f"abab/{DIGEST}/sbom.json", f"abab/{DIGEST}/attestation.dsse", "x/attestation.dsse", "one/doc.json",
    "one/two/doc.json", "onetwo/doc.json", "exact.json", "exact.json2",
)  # fmt: skip
PATHS = ("", "one/", "one/two/", "*/attestation.dsse", "exact.json", "o*/")
BUCKETS = ("first", "second", "third")
LETTERS = ("a", "b", "c")
PREFIXES = ("one/", "x/")
# Actions and resources of the statements of a bucket policy.
Denied = set[tuple[str, str]]
READING = {"get", "list"}
WRITING = READING | {"put"}


@dataclass
class Bucket:
    """``lock``: days of object lock, 0 without; ``noncurrent`` maps prefixes to days of their noncurrent versions."""

    addressed: bool = False
    lock: int = 0
    noncurrent: dict[str, int] = field(default_factory=dict)

    @property
    def keeps_everything(self) -> bool:
        return self.addressed or self.lock > 0


@dataclass
class Module:
    """``verbs`` maps owns, writes and reads to paths, with the bucket's name first."""

    rotate: int = 1
    verbs: dict[str, list[str]] = field(default_factory=lambda: {"owns": [], "writes": [], "reads": []})

    @property
    def paths(self) -> list[str]:
        return [path for paths in self.verbs.values() for path in paths]


@dataclass
class Shape:
    buckets: dict[str, Bucket]
    modules: dict[str, Module]
    retention: int = 90


def _on_objects(denied: Denied) -> Denied:
    return {(action, resource) for action, resource in denied if resource.endswith("/*")}


class ObjectStack(EditedStack[Shape]):
    """Every bucket and access key begins with ``prefix``."""

    def __init__(self, directory: Path, engine: Engine, server: LocalObjectStore | ExternalObjectStore) -> None:
        self.prefix, self.directory, self.s3 = f"e{secrets.token_hex(3)}-", directory, server.client()
        self.target = server.target
        self.store = Store(server.endpoint, "us-east-1", server.access_key, server.secret_key)
        self.former: set[tuple[str, str]] = set()
        self.checked = Shape({}, {})
        self.versions: dict[str, set[str]] = {}
        self.shape = self.begin()
        provider = {
            "object_store_endpoint": server.endpoint, "object_store_region": "us-east-1",
            "object_store_access_key": server.access_key, "object_store_secret_key": server.secret_key,
        }  # fmt: skip
        settings = {"provider": provider, "target": server.target, "prefix": self.prefix, "allow_data_loss": True}
        self.project = Project(directory, engine, settings, OBJECTS_PROGRAM)

    def begin(self) -> Shape:
        a, b = Module(), Module()
        a.verbs |= {"owns": ["first/"], "writes": ["second/one/"]}
        b.verbs |= {"owns": ["second/"], "reads": ["first/*/attestation.dsse"]}
        return Shape({"first": Bucket(addressed=True), "second": Bucket()}, {"a": a, "b": b})

    def write(self, shape: Shape) -> None:
        (self.directory / "schema-mapping.yaml").write_text(yaml.safe_dump(self._document(shape)))

    def _document(self, shape: Shape) -> Document:
        document = smallest_document("keeper")
        for name, bucket in shape.buckets.items():
            first = {"sbom.json": {"purpose": "test", "addressed": True}} if bucket.addressed else {}
            document["rustfs"]["buckets"][name] = {
                "purpose": "test", "content_addressed": bucket.addressed,
                "root": "{sha256_prefix}/{full_digest}/" if bucket.addressed else "{id}/",
                "objects": {**first, "attestation.dsse": {"purpose": "test"}},
                "noncurrent_versions": {prefix: f"{days}d" for prefix, days in bucket.noncurrent.items()},
                **({"object_lock": {"retention": f"{bucket.lock}d"}} if bucket.lock else {}),
            }  # fmt: skip
        owned = {path.partition("/")[0] for module in shape.modules.values() for path in module.verbs["owns"]}
        keeper = document["modules"]["keeper"]["rustfs"]["owns"]
        keeper += [f"{name}/" for name in shape.buckets if name not in owned]
        for name, module in shape.modules.items():
            document["modules"][name] = {
                "name": "Test", "purpose": "test", "rotate": module.rotate, "rustfs": module.verbs,
            }  # fmt: skip
        document["backups"]["rustfs"]["retention"] = f"{shape.retention}d"
        return document

    # Comparison.

    def cells_off(self) -> list[str]:
        keys: dict[str, dict[str, str]] = json.loads(self.project.must("stack", "output", "keys", "--show-secrets"))
        pairs = {name: (key["object_store_access_key"], key["object_store_secret_key"]) for name, key in keys.items()}
        off = [*self.buckets_off(), *self._keys_off(pairs)]
        for module, pair in pairs.items():
            if module in self.shape.modules:
                off += self._operations_off(module, self._client(*pair))
        self.former |= set(pairs.values())
        self.checked = deepcopy(self.shape)
        return off

    def _client(self, access_key: str, secret_key: str) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.store.endpoint, region_name="us-east-1", aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def buckets_off(self, *, lifted: bool = False) -> Iterator[str]:
        """Names of buckets, their settings, and versions that an edit deleted.

        ``lifted``: guard policies may lack the statement about settings.
        """
        names = (item["Name"] for item in self.s3.list_buckets()["Buckets"])
        live = {name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)}
        wanted = {*self.shape.buckets, "keeper"}
        if live != wanted:
            yield f"buckets {sorted(live)} instead of {sorted(wanted)}"
        for name, bucket in self.shape.buckets.items():
            if name in live:
                for setting, found, right in self._settings(self.prefix + name, bucket, lifted=lifted):
                    if found != right:
                        yield f"{setting} of {name}: {found} instead of {right}"
                before = self.checked.buckets.get(name)
                if before and (before.lock > 0) == (bucket.lock > 0):
                    lost = self.versions.get(name, set()) - self._versions(name)
                    if lost:
                        yield f"{len(lost)} versions in {name} are lost"

    def _settings(self, physical: str, bucket: Bucket, *, lifted: bool) -> Iterator[tuple[str, object, object]]:
        """Each setting's name, its value on the server, and its value by the mapping."""
        yield "versioning", self.s3.get_bucket_versioning(Bucket=physical).get("Status"), "Enabled"
        yield "object lock", self._lock(physical), bucket.lock
        denied, guard = self._denied(physical), self._guard(physical) if bucket.keeps_everything else set()
        yield "guard policy", *((_on_objects(denied), _on_objects(guard)) if lifted else (denied, guard))
        rules = self.s3.get_bucket_lifecycle_configuration(Bucket=physical)["Rules"]
        found = {
            (rule.get("Filter", {}).get("Prefix", ""), rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
            for rule in rules
            if "NoncurrentVersionExpiration" in rule
        }
        yield "retention", found, {("", self.shape.retention), *bucket.noncurrent.items()}

    def _lock(self, physical: str) -> int:
        try:
            lock = self.s3.get_object_lock_configuration(Bucket=physical)["ObjectLockConfiguration"]
        except ClientError as error:
            if "ObjectLock" not in error.response["Error"]["Code"]:
                raise
            return 0
        retention = lock["Rule"]["DefaultRetention"]
        assert retention["Mode"] == "GOVERNANCE"
        return int(retention["Days"])

    def _denied(self, physical: str) -> Denied:
        """(action, resource) of every statement of the bucket policy, which all must deny everybody."""
        try:
            document = json.loads(self.s3.get_bucket_policy(Bucket=physical)["Policy"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
            return set()
        found = set()
        for statement in document["Statement"]:
            principal = statement["Principal"]
            assert statement["Effect"] == "Deny" and principal in ("*", {"AWS": "*"}, {"AWS": ["*"]}), statement
            actions, resources = (
                [value] if isinstance(value, str) else value for value in (statement["Action"], statement["Resource"])
            )
            found |= {(action, resource) for action in actions for resource in resources}
        return found

    def _guard(self, physical: str) -> Denied:
        on_objects = ("s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion")
        lifecycle = "s3:PutBucketLifecycle" if self.target == "rustfs" else "s3:PutLifecycleConfiguration"
        on_bucket = (lifecycle, "s3:PutBucketVersioning")
        return {
            *((action, f"arn:aws:s3:::{physical}/*") for action in on_objects),
            *((action, f"arn:aws:s3:::{physical}") for action in on_bucket),
        }

    def _keys_off(self, pairs: dict[str, tuple[str, str]]) -> Iterator[str]:
        """Access keys on the server and in the outputs, and those of earlier runs."""
        users = admin.connect(self.store).users()
        live = {name.removeprefix(self.prefix) for name in users if name.startswith(self.prefix)}
        wanted = {"keeper", *(name for name, module in self.shape.modules.items() if module.paths)}
        for what, found in (("access keys", live), ("output keys", set(pairs))):
            if found != wanted:
                yield f"{what} {sorted(found)} instead of {sorted(wanted)}"
        for name, pair in pairs.items():
            if not self.store.accepts(*pair):
                yield f"the key of {name} is refused"
        for pair in self.former - set(pairs.values()):
            if self.store.accepts(*pair):
                yield f"a key of {pair[0]} from an earlier run is accepted"

    def _operations_off(self, module: str, client: Any) -> Iterator[str]:
        for name in self.shape.buckets:
            bucket = self.prefix + name
            granted = is_allowed(partial(client.list_objects_v2, Bucket=bucket))
            if granted != (f"{name}/" in self.shape.modules[module].paths):
                yield f"{module} may{'' if granted else ' not'} list all of {name}"
            for key in SAMPLES:
                version = self.s3.put_object(Bucket=bucket, Key=key, Body=b"old")["VersionId"]
                tried = self._operations(client, bucket, key, version)
                found = {operation for operation, run in tried.items() if is_allowed(run)}
                for operation in sorted(found ^ self.expected(module, name, key)):
                    yield f"{module} may{'' if operation in found else ' not'} {operation} {name}/{key}"
            self.versions[name] = self._versions(name)

    @staticmethod
    def _operations(client: Any, bucket: str, key: str, version: str) -> dict[str, Callable[[], Any]]:
        """In an order in which none spoils the next."""
        return {
            "get": lambda: client.get_object(Bucket=bucket, Key=key),
            "list": lambda: client.list_objects_v2(Bucket=bucket, Prefix=key),
            "put": lambda: client.put_object(Bucket=bucket, Key=key, Body=b"new"),
            "delete version": lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version),
            "delete": lambda: client.delete_object(Bucket=bucket, Key=key),
        }

    def expected(self, module: str, bucket: str, key: str) -> set[str]:
        """The operations that the mapping gives the module on the key."""
        found: set[str] = set()
        definition = self.shape.buckets[bucket]
        for verb, paths in self.shape.modules[module].verbs.items():
            for path in paths:
                place, _, prefix = path.partition("/")
                glob = prefix + "*" if prefix.endswith("/") or not prefix else prefix
                if prefix == "*/attestation.dsse" and definition.addressed:
                    glob = "????/*/attestation.dsse"
                if place == bucket and fnmatchcase(key, glob):
                    deletes = set() if definition.keeps_everything else {"delete"}
                    found |= READING if verb == "reads" else WRITING | deletes
        return found

    def _versions(self, name: str) -> set[str]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.prefix + name)
        return {version["VersionId"] for page in pages for version in page.get("Versions", [])}

    # Edits.

    def edit(self, shape: Shape, chance: Random) -> str:
        kinds: list[Callable[[Shape, Random], str]] = [
            self._edit_access, self._edit_access, self._edit_buckets, self._edit_buckets, self._edit_modules,
        ]  # fmt: skip
        return chance.choice(kinds)(shape, chance)

    def _edit_access(self, shape: Shape, chance: Random) -> str:
        name = chance.choice(sorted(shape.modules))
        verbs, verb = shape.modules[name].verbs, chance.choice(["owns", "writes", "reads"])
        kind, held = chance.choice(["give", "take", "change", "change", "move"]), verbs[verb]
        if not held or kind == "give":
            path = f"{chance.choice(sorted(shape.buckets))}/{chance.choice(PATHS)}"
            # The path that an edit gives to an owner takes the place of those that overlap it.
            held.insert(0, path)
            return f"{name} {verb} {path}"
        path = held.pop(chance.randrange(len(held)))
        if kind == "take":
            return f"{name} no longer {verb} {path}"
        if kind == "move":
            other = chance.choice([item for item in verbs if item != verb])
            verbs[other].append(path)
            return f"{name} {other} {path} instead of {verb}"
        held.append(f"{path.partition('/')[0]}/{chance.choice(PATHS)}")
        return f"{name} {verb} {held[-1]} instead of {path}"

    def _edit_buckets(self, shape: Shape, chance: Random) -> str:
        name = chance.choice(BUCKETS)
        bucket = shape.buckets.get(name)
        if bucket is None:
            shape.buckets[name] = Bucket(chance.choice((True, False)), chance.choice((0, 0, 1)))
            return f"bucket {name} added: {shape.buckets[name]}"
        kind = chance.choice(["addressed", "addressed", "lock", "lock", "noncurrent", "retention", "remove"])
        if kind == "remove" and len(shape.buckets) > 1:
            del shape.buckets[name]
            return f"bucket {name} removed"
        if kind == "addressed":
            bucket.addressed = not bucket.addressed
        elif kind == "lock":
            bucket.lock = chance.choice([days for days in (0, 1, 2) if days != bucket.lock])
        elif kind == "noncurrent":
            prefix = chance.choice(PREFIXES)
            if bucket.noncurrent.pop(prefix, 0) == 0:
                bucket.noncurrent[prefix] = chance.choice((5, 7))
        else:
            shape.retention = chance.choice((30, 60, 90))
        return f"{name} is {bucket}, retention {shape.retention}"

    def _edit_modules(self, shape: Shape, chance: Random) -> str:
        name = chance.choice(LETTERS)
        module = shape.modules.get(name)
        if module is None:
            shape.modules[name] = Module()
            shape.modules[name].verbs["reads"] = [f"{chance.choice(sorted(shape.buckets))}/"]
            return f"module {name} added"
        kind = chance.choice(["rotate", "remove", "nothing"])
        if kind == "remove" and len(shape.modules) > 1:
            del shape.modules[name]
            return f"module {name} removed"
        if kind == "nothing":
            module.verbs = {"owns": [], "writes": [], "reads": []}
            return f"module {name} without objects"
        module.rotate += 1
        return f"rotate of {name}: {module.rotate}"

    def tidy(self, shape: Shape) -> None:
        """Take out paths of buckets that are not there, and owned paths that overlap an earlier one."""
        owned: list[str] = []
        for module in shape.modules.values():
            for verb, paths in module.verbs.items():
                module.verbs[verb] = [path for path in dict.fromkeys(paths) if path.partition("/")[0] in shape.buckets]
            kept = []
            for path in module.verbs["owns"]:
                glob = f"{path}*" if path.endswith("/") else path
                if not any(globs_overlap(glob, other) for other in owned):
                    owned.append(glob)
                    kept.append(path)
            module.verbs["owns"] = kept

    def destroy(self) -> None:
        self.project.run("destroy", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, object_store: LocalObjectStore | ExternalObjectStore
) -> Iterator[ObjectStack]:
    made = ObjectStack(tmp_path_factory.mktemp("object-edits"), engine, object_store)
    yield made
    made.destroy()


def _lock(shape: Shape) -> None:
    shape.buckets["second"].lock = 1


def _remove(shape: Shape) -> None:
    del shape.buckets["first"]


@pytest.mark.parametrize("change", [_lock, _remove])
def test_a_bucket_that_cannot_be_deleted_because_it_holds_objects_stays_as_well_protected_as_before(
    tmp_path: Path,
    engine: Engine,
    object_store: LocalObjectStore | ExternalObjectStore,
    change: Callable[[Shape], None],
) -> None:
    stack = ObjectStack(tmp_path, engine, object_store)
    stack.project.write(allow_data_loss=False)
    before, after = stack.begin(), stack.begin()
    # Only the guard changes since the bucket was created.
    stack.up(before)
    before.buckets["second"].addressed = after.buckets["second"].addressed = True
    stack.up(before)
    stack.check("the second up")
    change(after)
    stack.tidy(after)
    stack.write(after)
    refused = stack.project.run("up", "--yes", "--skip-preview")
    said = refused.stdout + refused.stderr
    assert refused.exit_code != 0 and "still holds objects" in said and "allowDataLoss" in said, said
    off = list(stack.buckets_off(lifted=True))
    assert not off, off
    stack.up(before)
    stack.check("the mapping was put back")
    assert stack.at_rest()
    stack.project.write(allow_data_loss=True)
    stack.up(before)
    stack.destroy()


@rows_of_edits
def test_every_operation_of_every_key_is_right_after_every_edit(stack: ObjectStack, number: int) -> None:
    """Each row of edits follows on the last one, on the same stack."""
    stack.edit_in_a_row(number)
