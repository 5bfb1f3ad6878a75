"""The contract says what the mapping says, holds no secret, and keeps its shape."""

import json
from pathlib import Path

import pytest

from components import contract
from components.mapping import load

ROOT = Path(__file__).parents[2]
WHERE = contract.Endpoints(
    postgres=contract.PostgresEndpoint(host="db", port=5432, database="stellaops", sslmode="verify-full"),
    valkey=contract.ValkeyEndpoint(host="cache", port=6379, tls=False),
    object_store=contract.ObjectStoreEndpoint(endpoint="https://s3", region="us-east-1"),
)
DOCUMENT = contract.build(load(ROOT / "schema-mapping.yaml"), WHERE, "dev-")
SECRETS = {name: {"postgres_password": f"pg $'{name}", "valkey_password": f"vk-{name}"} for name in DOCUMENT.modules}


def test_every_module_and_service_has_a_contract() -> None:
    assert len(DOCUMENT.modules) == 24 + 3


def test_a_module_that_owns_a_schema_sees_its_tables_and_what_it_may_do() -> None:
    postgres = DOCUMENT.modules["concelier"].postgres
    assert postgres is not None
    assert postgres.schemas["vuln"]["advisory_raw"].privileges == ("INSERT", "SELECT")
    assert postgres.schemas["vuln"]["linksets"].privileges == ("DELETE", "INSERT", "SELECT", "UPDATE")


def test_a_module_that_is_given_columns_sees_which() -> None:
    postgres = DOCUMENT.modules["signer"].postgres
    assert postgres is not None
    clients = postgres.schemas["authority"]["clients"]
    assert (
        clients.privileges == () and clients.columns["scopes"] == ("SELECT",) and "redirect_uris" not in clients.columns
    )


def test_a_consumer_learns_its_group_and_idle_timeout() -> None:
    streams = {(stream.name, stream.verb): stream for stream in DOCUMENT.modules["notifier"].valkey.streams}
    assert streams["notify:delivery", "consume"].groups == {"notify-workers": "30s"}
    assert streams["scanner:events", "consume"].groups == {"notifier": "60s"}


def test_buckets_carry_the_prefix_of_the_environment() -> None:
    assert {use.bucket for use in DOCUMENT.modules["export_center"].object_store} == {
        "dev-evidence",
        "dev-offline-kits",
    }


def test_secrets_are_only_pointed_at() -> None:
    assert DOCUMENT.modules["scanner"].secrets["postgres_password"] == "scanner.postgres_password"


def test_the_environment_of_a_module_survives_a_shell_and_names_only_its_stores() -> None:
    outputs = {"contract": json.loads(DOCUMENT.model_dump_json()), "secrets": SECRETS}
    lines = contract.env_lines(outputs, "authority")
    assert "export PGUSER=authority" in lines
    assert """export PGPASSWORD='pg $'"'"'authority'""" in lines
    assert not [line for line in lines if line.startswith("export S3_")], "Authority has no bucket"
    assert not [line for line in contract.env_lines(outputs, "telemetry") if "PG" in line], "services have no login"


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(KeyError, match="scaner"):
        contract.env_lines({"contract": json.loads(DOCUMENT.model_dump_json()), "secrets": SECRETS}, "scaner")
