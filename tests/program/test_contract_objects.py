"""Each module's ConfigMap and Secret: only its own, no secret in a ConfigMap, in the namespace that config says."""

import json
from typing import Any

import pytest

import contract_reader
from tests.program.test_stacks import run


def objects(monkeypatch: pytest.MonkeyPatch, **config: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """ConfigMaps and Secrets of modules, by name."""
    recorder, _ = run("dev", monkeypatch, **config)
    kinds = ("core/v1:ConfigMap", "core/v1:Secret")
    maps, secrets = (
        {name: item for name, item in recorder.of(kind).items() if name.startswith("stellaops-storage-")}
        for kind in kinds
    )
    return maps, secrets


def test_a_service_reads_all_that_it_needs_from_its_two_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, secrets = objects(monkeypatch)
    assert len(maps) == len(secrets) == 24 + 3
    name = "stellaops-storage-sbom-service"
    storage = contract_reader.from_environment({**maps[name]["data"], **secrets[name]["stringData"]})
    assert storage.module == "sbom_service" and storage.postgres is not None
    assert storage.postgres.host == "postgres.dev.stellaops.internal"
    assert storage.postgres.password == "sbom_service-postgres_password"


def test_no_module_gets_anothers_secrets_and_none_stands_in_a_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, secrets = objects(monkeypatch)
    passwords = {name: list(item["stringData"].values()) for name, item in secrets.items()}
    for name, values in passwords.items():
        others = [value for other in passwords if other != name for value in passwords[other]]
        assert not set(values) & set(others), f"{name} could log in as another"
        assert not [value for value in [*values, *others] if value in json.dumps(maps[name])], name
    assert set(secrets["stellaops-storage-telemetry"]["stringData"]) == {"VALKEY_PASSWORD"}, "it has no login"


def test_a_config_map_tells_a_module_nothing_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, _ = objects(monkeypatch)
    contract = json.loads(maps["stellaops-storage-vexlens"]["data"]["STELLAOPS_CONTRACT"])
    assert list(contract["modules"]) == ["vexlens"]


@pytest.mark.parametrize(
    ("config", "namespace"),
    [
        ({}, "stellaops-dev"),
        ({"contractNamespace": "apps"}, "apps"),
        ({"contractNamespace": "stellaops-{module}"}, "stellaops-risk-engine"),
    ],
)
def test_they_go_where_the_modules_are(monkeypatch: pytest.MonkeyPatch, config: dict[str, str], namespace: str) -> None:
    for found in objects(monkeypatch, **config):
        assert found["stellaops-storage-risk-engine"]["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("config", [{"contractObjects": "false"}, {"kubernetesMode": "none"}])
def test_an_environment_may_do_without_them(monkeypatch: pytest.MonkeyPatch, config: dict[str, str]) -> None:
    assert objects(monkeypatch, **config) == ({}, {})
