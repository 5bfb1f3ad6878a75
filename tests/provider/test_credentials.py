"""Passwords: generated once, renewed by ``rotate``, and stored in PostgreSQL only as a verifier."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.base.values import UNKNOWN
from provider.postgres.scram import scram_verifier
from tests.provider.base.harness import PluginClient, failure, stellaops

TOKEN = "stellaops:index:Credential"
SECRETS = {"postgresPassword", "postgresVerifier", "valkeyPassword", "valkeySha256"}


@pytest.fixture(scope="module")
def client() -> Iterator[PluginClient]:
    with stellaops() as client:
        yield client


def test_the_verifier_is_what_postgresql_computes_itself() -> None:
    # salt and result of: SET password_encryption = 'scram-sha-256'; ALTER ROLE x PASSWORD 'pencil'; (RFC 7677's password)
    verifier = scram_verifier("pencil", bytes.fromhex("5b6d99689d1c7aeb0a1a3f3b5a0d4a1c"))
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0ceusKGj87Wg1KHA==$")
    stored, server = verifier.rpartition("$")[2].split(":")
    assert len(stored) == len(server) == 44, "PostgreSQL takes a malformed verifier for a clear password"


def test_each_module_gets_passwords_of_its_own(client: PluginClient) -> None:
    first, second = (client.create(TOKEN, {"user": user, "rotate": 1}) for user in ("scanner", "policy"))
    assert not {first.outputs[key] for key in SECRETS} & {second.outputs[key] for key in SECRETS}
    assert first.secret == SECRETS, "the state would hold a password in clear"
    assert first.id == "credential/scanner"


def test_valkey_gets_the_hash_of_the_password(client: PluginClient) -> None:
    outputs = client.create(TOKEN, {"user": "scanner", "rotate": 1}).outputs
    assert outputs["valkeySha256"] == hashlib.sha256(outputs["valkeyPassword"].encode()).hexdigest()


def test_the_same_rotate_keeps_the_passwords(client: PluginClient) -> None:
    made = client.create(TOKEN, {"user": "scanner", "rotate": 1})
    assert client.diff(made, {"user": "scanner", "rotate": 1}).detailed == {}, "every up would lock all services out"
    read = client.refresh(made)
    assert read is not None and (read.outputs, read.secret) == (made.outputs, made.secret)


def test_another_rotate_replaces_so_that_the_preview_shows_who_is_affected(client: PluginClient) -> None:
    made = client.create(TOKEN, {"user": "scanner", "rotate": 1})
    difference = client.diff(made, {"user": "scanner", "rotate": 2})
    assert difference.replaces == ["rotate"] and difference.detailed == {"rotate": "UPDATE_REPLACE"}
    assert not difference.delete_before_replace, "a password must not be gone before its successor is in use"


def test_a_preview_has_no_password_yet(client: PluginClient) -> None:
    planned = client.create(TOKEN, {"user": "scanner", "rotate": 1}, preview=True)
    assert {planned.outputs[key] for key in SECRETS} == {UNKNOWN} and planned.outputs["user"] == "scanner"


def test_a_wrong_input_is_refused_where_it_stands(client: PluginClient) -> None:
    _, failures = client.check(TOKEN, {"user": 1, "rotate": "2", "postgresPassword": "x"})
    assert {text.partition(":")[0] for text in failures} == {"user", "rotate", "postgresPassword"}


def test_an_import_takes_the_passwords_of_a_file(client: PluginClient, tmp_path: Path) -> None:
    file = tmp_path / "scanner.json"
    file.write_text(json.dumps({"postgres_password": "p", "valkey_password": "v", "object_store_secret_key": "other"}))
    read = client.imported(TOKEN, f"scanner={file}")
    assert read is not None and read.id == "credential/scanner", "the state would keep the path"
    assert read.outputs["postgresPassword"] == "p" and read.outputs["valkeyPassword"] == "v"
    assert read.secret == SECRETS and read.outputs["postgresVerifier"].startswith("SCRAM-SHA-256$")
    assert read.inputs == {"user": "scanner", "rotate": 1}
    assert client.diff(read, {"user": "scanner", "rotate": 1}).detailed == {}


@pytest.mark.parametrize(
    ("content", "said"), [("{}", "has no valkey_password"), ("[", "cannot be read"), (None, "cannot be read")]
)
def test_an_import_without_passwords_is_refused(
    client: PluginClient, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "scanner.json"
    if content is not None:
        file.write_text(content)
    assert said in failure(lambda: client.imported(TOKEN, f"scanner={file}"))
    assert "USER=FILE" in failure(lambda: client.imported(TOKEN, "scanner"))
