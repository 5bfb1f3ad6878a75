"""The state of a stack with dynamic resources, rewritten: nothing is lost, and all that depended on them still does."""

from typing import Any

import pytest

from provider.errors import ProviderError
from provider.plugin import StellaOpsPlugin
from tools.operations.stack import Stack
from tools.operations.upgrade_state import KINDS, SECRET, provider_inputs, upgraded

HEAD = "urn:pulumi:dev::stellaops-storage"
STACK = f"{HEAD}::pulumi:pulumi:Stack::stellaops-storage-dev"
OLD_PROVIDER = f"{HEAD}::pulumi:providers:pulumi-python::default"
OLD_BUCKET = f"{HEAD}::stellaops:rustfs:ObjectStore$pulumi-python:dynamic/storage:Bucket::blobs"
NEW_BUCKET = f"{HEAD}::stellaops:rustfs:ObjectStore$stellaops:objectstore:Bucket::blobs"
CONFIG = {
    f"stellaops-storage:{key}": value
    for key, value in {
        "postgresHost": "db",
        "postgresAdminPassword": "pw",
        "valkeyHost": "cache",
        "valkeyAdminPassword": "pw",
        "objectStoreEndpoint": "http://s3",
        "objectStoreAccessKey": "key",
        "objectStoreSecretKey": "secret",
    }.items()
}


def bucket(**changes: Any) -> dict[str, Any]:
    props = {"bucket": "blobs", "object_lock": True, "force_destroy": False, "rules": {}, "__provider": "pickled"}
    return {
        "urn": OLD_BUCKET,
        "custom": True,
        "id": "blobs",
        "type": "pulumi-python:dynamic/storage:Bucket",
        "inputs": props,
        "outputs": {**props, "left_to_server": ["a"]},
        "protect": True,
        "provider": f"{OLD_PROVIDER}::some-id",
        "propertyDependencies": {"object_lock": [STACK], "__provider": []},
        "additionalSecretOutputs": ["left_to_server"],
        **changes,
    }


def exported(*resources: dict[str, Any], **deployment: Any) -> dict[str, Any]:
    stack = {"urn": STACK, "custom": False, "type": "pulumi:pulumi:Stack"}
    provider = {"urn": OLD_PROVIDER, "custom": True, "id": "some-id", "type": "pulumi:providers:pulumi-python"}
    return {"version": 3, "deployment": {"resources": [stack, provider, *resources], **deployment}}


def resources(*given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = upgraded(exported(*given), provider_inputs(Stack("dev", CONFIG)))
    return {item["urn"]: item for item in found.deployment["deployment"]["resources"]}


def test_a_resource_keeps_all_but_its_type_names_and_provider() -> None:
    found = resources(bucket())
    assert OLD_PROVIDER not in found
    item, provider = found[NEW_BUCKET], found[f"{HEAD}::pulumi:providers:stellaops::stellaops"]
    assert item["type"] == "stellaops:objectstore:Bucket" and item["id"] == "blobs" and item["protect"]
    assert item["inputs"] == {"bucket": "blobs", "objectLock": True, "forceDestroy": False, "rules": {}}
    assert item["outputs"] == {**item["inputs"], "leftToServer": ["a"]}
    assert item["provider"] == f"{provider['urn']}::{provider['id']}"
    assert item["propertyDependencies"] == {"objectLock": [STACK]}
    assert item["additionalSecretOutputs"] == ["leftToServer"]


def test_what_depends_on_a_resource_still_does() -> None:
    versioning: dict[str, Any] = {
        "urn": f"{HEAD}::aws:s3/bucketVersioning:BucketVersioning::blobs",
        "type": "aws:s3/bucketVersioning:BucketVersioning",
        "dependencies": [OLD_BUCKET],
        "propertyDependencies": {"bucket": [OLD_BUCKET]},
    }
    item = resources(bucket(), versioning)[versioning["urn"]]
    assert item["dependencies"] == [NEW_BUCKET] and item["propertyDependencies"] == {"bucket": [NEW_BUCKET]}


def test_the_provider_comes_before_what_it_serves_and_its_passwords_are_secret() -> None:
    found = resources(bucket())
    order = list(found)
    provider = f"{HEAD}::pulumi:providers:stellaops::stellaops"
    assert order.index(provider) < order.index(NEW_BUCKET), "the engine refuses a state in another order"
    inputs = found[provider]["inputs"]
    assert inputs["postgresPort"] == "5432" and inputs["valkeyTls"] == "false" and inputs["postgresHost"] == "db"
    assert inputs["postgresAdminPassword"] == {**SECRET, "plaintext": '"pw"'}
    assert {name for name, value in inputs.items() if isinstance(value, dict)} == {
        "postgresAdminPassword", "valkeyAdminPassword", "objectStoreAccessKey", "objectStoreSecretKey",
    }  # fmt: skip


def test_every_old_kind_has_a_successor_that_takes_its_properties() -> None:
    types = StellaOpsPlugin().types
    never_dynamic = {f"stellaops:postgres:{kind}" for kind in ("AccessRevisions", "ClosedDatabases", "Privileges")}
    assert {token for token, _ in KINDS.values()} == types.keys() - never_dynamic
    for token, names in KINDS.values():
        assert set(names.values()) <= types[token].properties.keys(), token


def test_what_an_up_without_the_command_left_is_forgotten() -> None:
    provider = {
        "urn": f"{HEAD}::pulumi:providers:stellaops::stellaops",
        "id": "x",
        "type": "pulumi:providers:stellaops",
    }
    successor = {"urn": NEW_BUCKET, "type": "stellaops:objectstore:Bucket", "id": "blobs", "inputs": {"adopt": True}}
    found = upgraded(exported(provider, successor, bucket()), {})
    rest = found.deployment["deployment"]["resources"]
    assert [item["urn"] for item in rest] == [STACK, provider["urn"], NEW_BUCKET], (
        "the engine refuses a URN that is there twice"
    )
    assert rest[-1] == successor


def test_a_state_without_dynamic_resources_stays_as_it_is() -> None:
    before = exported()
    found = upgraded(before, {})
    assert found.count == 0 and found.deployment is before
    again = upgraded(upgraded(exported(bucket()), {}).deployment, {})
    assert again.count == 0, "a second run must do nothing"


def test_an_interrupted_run_is_finished_first() -> None:
    state = exported(bucket(), pending_operations=[{"type": "creating"}])
    with pytest.raises(ProviderError, match="the last run was interrupted"):
        upgraded(state, {})
