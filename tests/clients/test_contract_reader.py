"""The reader that services copy: it reads what the stack gives, from everywhere that it is given, and refuses the rest."""

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients import contract_reader
from clients.contract_reader import ContractError, Storage
from components.contract import document as contract
from tests.components.contract.test_contract import DOCUMENT, SECRETS

READER = Path(contract_reader.__file__)
OUTPUTS = {"contract": json.loads(DOCUMENT.model_dump_json()), "secrets": SECRETS}


def values(module: str) -> dict[str, str]:
    """What the ConfigMap and the Secret of a module hold together."""
    return {**contract.variables(DOCUMENT, module), **contract.secret_variables(DOCUMENT, module, SECRETS[module])}


def mounted(module: str, directory: Path) -> Storage:
    for name, value in contract.variables(DOCUMENT, module).items():
        (directory / "config").mkdir(exist_ok=True)
        (directory / "config" / name).write_text(value)
    for name, value in contract.secret_variables(DOCUMENT, module, SECRETS[module]).items():
        (directory / "secrets").mkdir(exist_ok=True)
        (directory / "secrets" / name).write_text(value)
    return contract_reader.from_files(directory / "config", directory / "secrets")


def test_environment_files_and_outputs_give_the_same(tmp_path: Path) -> None:
    for module in ("scanner", "signer", "gateway", "export_center"):
        (tmp_path / module).mkdir()
        (tmp_path / f"{module}.json").write_text(json.dumps(OUTPUTS))
        found = contract_reader.from_environment(values(module))
        assert found == mounted(module, tmp_path / module)
        assert found == contract_reader.from_outputs(tmp_path / f"{module}.json", module)
        assert found == contract_reader.from_outputs(OUTPUTS, module)


def test_a_service_connects_with_what_it_reads() -> None:
    scanner = contract_reader.from_environment(values("scanner"))
    assert scanner.postgres is not None and scanner.object_store is not None
    assert scanner.postgres.connection() == {
        "host": "db", "port": 5432, "dbname": "stellaops", "user": "scanner", "password": "pg $'scanner",
        "sslmode": "verify-full",
    }  # fmt: skip
    assert scanner.valkey.connection() == {
        "host": "cache", "port": 6379, "ssl": False, "username": "scanner", "password": "vk-scanner",
    }  # fmt: skip
    assert scanner.object_store.bucket("blobs") == "dev-blobs"
    assert scanner.object_store.connection() == {
        "endpoint_url": "https://s3", "region_name": "us-east-1",
        "aws_access_key_id": SECRETS["scanner"]["object_store_access_key"],
        "aws_secret_access_key": SECRETS["scanner"]["object_store_secret_key"],
    }  # fmt: skip
    with pytest.raises(
        ContractError, match="this service has no access to bucket 'evidence'; it may use blobs, images"
    ):
        scanner.object_store.bucket("evidence")


def test_privileges_are_those_of_the_table_or_of_the_column() -> None:
    signer = contract_reader.from_environment(values("signer")).postgres
    assert signer is not None
    assert signer.may("SELECT", "authority.keys") and not signer.may("INSERT", "authority.keys")
    assert signer.may("SELECT", "authority.clients", "scopes") and not signer.may("SELECT", "authority.clients")
    assert not signer.may("SELECT", "authority.clients", "redirect_uris")


def test_keys_are_made_from_patterns_that_are_ones_own() -> None:
    valkey = contract_reader.from_environment(values("scanner")).valkey
    assert valkey.key("scan:{digest}", digest="sha256:1") == "scan:sha256:1"
    with pytest.raises(ContractError, match=r"scanner may not use keys 'policy:active'"):
        valkey.key("policy:active")
    with pytest.raises(ContractError, match=r"has the placeholders digest, not tag"):
        valkey.key("scan:{digest}", tag="latest")


def test_a_consumer_knows_its_group_and_a_producer_that_it_has_none() -> None:
    policy = contract_reader.from_environment(values("policy")).valkey
    assert policy.group("scanner:events") == "policy" and policy.produces("policy:evaluated")
    assert not policy.produces("scanner:events")
    with pytest.raises(
        ContractError, match=r"policy must have one consumer group of stream 'policy:evaluated', not none"
    ):
        policy.group("policy:evaluated")


def test_a_module_without_a_store_has_none_there() -> None:
    assert contract_reader.from_environment(values("gateway")).object_store is None
    assert contract_reader.from_outputs(OUTPUTS, "telemetry").postgres is None


def test_no_password_is_shown_when_an_object_is_printed() -> None:
    shown = repr(contract_reader.from_outputs(OUTPUTS, "scanner"))
    secrets = {name: value for name, value in SECRETS["scanner"].items() if name != "object_store_access_key"}
    assert "scanner" in shown and len(secrets) == 3
    assert not [name for name, value in secrets.items() if value in shown]


def altered(change: Callable[[dict[str, Any]], None]) -> dict[str, str]:
    found = values("scanner")
    document = json.loads(found[contract.CONTRACT_VARIABLE])
    change(document)
    return {**found, contract.CONTRACT_VARIABLE: json.dumps(document)}


def test_fields_of_a_newer_contract_are_ignored() -> None:
    def newer(document: dict[str, Any]) -> None:
        document["version"] = "1.7"
        document["modules"]["scanner"]["valkey"]["more"] = {"a": 1}
        document["endpoints"]["search"] = {}

    assert contract_reader.from_environment(altered(newer)).version == "1.7"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "STELLAOPS_CONTRACT is not in environment; set it from the module's ConfigMap or with make env"),
        ({"STELLAOPS_CONTRACT": "{"}, "STELLAOPS_CONTRACT in environment is not JSON"),
        ({"STELLAOPS_CONTRACT": "[]"}, "STELLAOPS_CONTRACT is not a JSON object"),
        ({"STELLAOPS_CONTRACT": "{}"}, "contract has no 'version'"),
        (altered(lambda document: document.update(version="2.0")), "has version 2.0, this reader supports 1.x"),
        (altered(lambda document: document["endpoints"]["valkey"].pop("host")), "has no field 'host'"),
        (
            altered(lambda document: document["modules"]["scanner"].update(valkey=7)),
            "the contract of scanner in environment is not valid: ",
        ),
        (altered(lambda document: document["modules"].update(other={})), "contains 2 modules; it must contain one"),
        (
            {"STELLAOPS_CONTRACT": values("scanner")["STELLAOPS_CONTRACT"]},
            "PGPASSWORD of scanner is not in environment; set it from the module's Secret",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ContractError) as raised:
        contract_reader.from_environment(environment)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_files_and_outputs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"STELLAOPS_CONTRACT is not in .*nowhere"):
        contract_reader.from_files(tmp_path / "nowhere")
    with pytest.raises(ContractError, match=r"outputs\.json can't be read"):
        contract_reader.from_outputs(tmp_path / "outputs.json", "scanner")
    with pytest.raises(ContractError, match=r"no module 'scaner' in the contract|secrets has no 'scaner'"):
        contract_reader.from_outputs(OUTPUTS, "scaner")


def test_it_needs_nothing_but_the_standard_library_of_python_3_9() -> None:
    tree = ast.parse(READER.read_text(), feature_version=(3, 9))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names


def test_it_knows_the_version_and_the_secrets_of_the_contract_beside_it() -> None:
    assert contract.VERSION.split(".")[0] == str(contract_reader.MAJOR)
    assert contract_reader.CONTRACT_VARIABLE == contract.CONTRACT_VARIABLE
    assert {variable: name for name, variable in contract.SECRET_VARIABLES.items()} == contract_reader.SECRETS


def test_a_contract_of_the_first_version_is_read_though_it_has_no_keys_of_the_object_store() -> None:
    def first(document: dict[str, Any]) -> None:
        document["version"] = "1.0"
        del document["layout"]
        for secret in ("object_store_access_key", "object_store_secret_key"):
            del document["modules"]["scanner"]["secrets"][secret]

    store = contract_reader.from_environment(altered(first)).object_store
    assert store is not None and store.access_key is None and store.bucket("dev-blobs") == "dev-blobs"


def test_sentinel_and_tenants_are_read_where_an_environment_has_them() -> None:
    def more(document: dict[str, Any]) -> None:
        document["endpoints"]["valkey"]["sentinel"] = {"host": "cache", "port": 26379, "primary": "stellaops"}
        document["endpoints"]["postgres"]["tenant_isolation"] = "row-level-security"

    usual, found = (contract_reader.from_environment(item) for item in (values("scanner"), altered(more)))
    assert usual.valkey.sentinel is None and usual.postgres is not None and not usual.postgres.isolates_tenants
    assert found.valkey.sentinel == contract_reader.Sentinel("cache", 26379, "stellaops")
    assert found.postgres is not None and found.postgres.isolates_tenants
