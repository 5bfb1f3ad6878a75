"""Each module's ConfigMap and Secret: only its own, no secret in a ConfigMap, in the namespace that config says."""

import json
from typing import Any

import pytest
from pulumi.runtime import rpc

from clients import contract_reader
from tests.program.test_stacks import run

Objects = tuple[dict[str, Any], dict[str, Any]]


def objects(monkeypatch: pytest.MonkeyPatch, **config: str) -> Objects:
    """ConfigMaps and Secrets of modules, by name."""
    recorder, _ = run("dev", monkeypatch, **config)
    kinds = ("core/v1:ConfigMap", "core/v1:Secret")
    maps, secrets = (
        {name: item for name, item in recorder.of(kind).items() if name.startswith("stellaops-storage-")}
        for kind in kinds
    )
    return maps, secrets


@pytest.fixture(scope="module")
def usual() -> Objects:
    """The objects of a stack that says nothing about them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return objects(monkeypatch)


def clear(secret: dict[str, Any]) -> dict[str, str]:
    """What a Secret holds. It must be something that the engine encrypts and hides."""
    assert rpc.is_rpc_secret(secret["stringData"]), f"a preview would show {secret['metadata']['name']}"
    found: dict[str, str] = secret["stringData"]["value"]
    return found


def test_a_service_reads_all_that_it_needs_from_its_two_objects(usual: Objects) -> None:
    maps, secrets = usual
    assert len(maps) == len(secrets) == 24 + 3
    name = "stellaops-storage-sbom-service"
    storage = contract_reader.from_environment({**maps[name]["data"], **clear(secrets[name])})
    assert storage.module == "sbom_service" and storage.postgres is not None
    assert storage.postgres.host == "postgres.dev.stellaops.internal"
    assert storage.postgres.password == "sbom_service-postgres_password"
    assert storage.object_store is not None and storage.object_store.secret_key == "sbom_service-secret_key"


def test_no_module_gets_anothers_secrets_and_none_stands_in_a_config_map(usual: Objects) -> None:
    maps, secrets = usual
    # The access key's id is the module's name, and no secret.
    passwords = {
        name: [value for key, value in clear(item).items() if key != "AWS_ACCESS_KEY_ID"]
        for name, item in secrets.items()
    }
    for name, values in passwords.items():
        others = [value for other in passwords if other != name for value in passwords[other]]
        assert not set(values) & set(others), f"{name} could log in as another"
        assert not [value for value in [*values, *others] if value in json.dumps(maps[name])], name
    assert set(clear(secrets["stellaops-storage-telemetry"])) == {"VALKEY_PASSWORD"}, "it has no login"


def test_a_config_map_tells_a_module_nothing_of_the_others(usual: Objects) -> None:
    contract = json.loads(usual[0]["stellaops-storage-vexlens"]["data"]["STELLAOPS_CONTRACT"])
    assert list(contract["modules"]) == ["vexlens"]


def test_they_are_where_the_deployment_is(usual: Objects) -> None:
    assert {item["metadata"]["namespace"] for found in usual for item in found.values()} == {"stellaops-dev"}


@pytest.mark.parametrize(
    ("config", "namespace"),
    [
        ({"contractNamespace": "apps"}, "apps"),
        ({"contractNamespace": "stellaops-{module}"}, "stellaops-risk-engine"),
    ],
)
def test_they_go_where_config_says(monkeypatch: pytest.MonkeyPatch, config: dict[str, str], namespace: str) -> None:
    for found in objects(monkeypatch, **config):
        assert found["stellaops-storage-risk-engine"]["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("config", [{"contractObjects": "false"}, {"kubernetesMode": "none"}])
def test_an_environment_may_do_without_them(monkeypatch: pytest.MonkeyPatch, config: dict[str, str]) -> None:
    assert objects(monkeypatch, **config) == ({}, {})
