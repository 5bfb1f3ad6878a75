"""The contract says what the mapping says, holds no secret, and keeps its shape."""

import json
from pathlib import Path

import pytest

from components.contract import document as contract
from components.mapping import load

ROOT = Path(__file__).parents[3]
WHERE = contract.Endpoints(
    postgres=contract.PostgresEndpoint(host="db", port=5432, database="stellaops", sslmode="verify-full"),
    valkey=contract.ValkeyEndpoint(host="cache", port=6379, tls=False),
    object_store=contract.ObjectStoreEndpoint(endpoint="https://s3", region="us-east-1"),
)
DOCUMENT = contract.build(load(ROOT / "schema-mapping.yaml"), WHERE, "dev-")
SECRETS = {
    name: {
        "postgres_password": f"pg $'{name}", "valkey_password": f"vk-{name}",
        "object_store_access_key": f"dev-{name}", "object_store_secret_key": f"s3-{name}",
    }
    for name in DOCUMENT.modules
}  # fmt: skip


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


def test_a_module_with_objects_is_pointed_to_its_access_key_and_no_other_is() -> None:
    assert DOCUMENT.modules["attestor"].secrets["object_store_secret_key"] == "attestor.object_store_secret_key"
    assert not [name for name in DOCUMENT.modules["authority"].secrets if name.startswith("object_store")]


def test_any_s3_client_connects_with_what_the_environment_says() -> None:
    outputs = {"contract": json.loads(DOCUMENT.model_dump_json()), "secrets": SECRETS}
    lines = contract.env_lines(outputs, "scanner")
    for line in (
        "AWS_ACCESS_KEY_ID=dev-scanner", "AWS_SECRET_ACCESS_KEY=s3-scanner", "AWS_ENDPOINT_URL_S3=https://s3", "AWS_REGION=us-east-1",
    ):  # fmt: skip
        assert f"export {line}" in lines
    assert not [line for line in contract.env_lines(outputs, "authority") if line.startswith("export AWS_")]


def test_a_writer_learns_where_it_may_delete() -> None:
    uses = {(use.bucket, use.verb): use.deletes for use in DOCUMENT.modules["scanner"].object_store}
    assert uses == {("dev-blobs", "write"): False, ("dev-images", "write"): True}


def test_the_layout_says_each_key_with_its_content_type() -> None:
    layout = DOCUMENT.layout["blobs"]
    types = {template.key.rpartition("/")[2]: template.content_type for template in layout.templates}
    assert layout.bucket == "dev-blobs" and layout.templates[0].key == "{sha256_prefix}/{full_digest}/sbom.json"
    assert types == {
        "sbom.json": "application/json", "sbom.meta.json": "application/json", "attestation.dsse": "application/vnd.dsse+json",
        "sbom.cdx.pb": "application/vnd.cyclonedx+protobuf", "evidence.bundle": "application/zip",
    }  # fmt: skip
    folders = [template for template in DOCUMENT.layout["evidence"].templates if template.key.endswith("/")]
    assert len(folders) == 3 and not [folder for folder in folders if folder.content_type]


def test_what_version_1_0_had_is_still_there() -> None:
    # A consumer that reads 1.0 must find its fields; only the second number was raised.
    assert DOCUMENT.version.startswith("1.") and DOCUMENT.version != "1.0"
    module = json.loads(DOCUMENT.model_dump_json())["modules"]["scanner"]
    assert {"name", "postgres", "valkey", "object_store", "secrets"} <= set(module)
    assert {"bucket", "prefix", "verb"} <= set(module["object_store"][0])
