"""Passwords: generated once, renewed by ``rotate``, and known to PostgreSQL only as a verifier."""

import hashlib

from components.credentials import SECRET_OUTPUTS, CredentialProvider, scram_verifier


def test_the_verifier_is_what_postgresql_computes_itself() -> None:
    # salt and result of: SET password_encryption = 'scram-sha-256'; ALTER ROLE x PASSWORD 'pencil'; (RFC 7677's password)
    verifier = scram_verifier("pencil", bytes.fromhex("5b6d99689d1c7aeb0a1a3f3b5a0d4a1c"))
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0ceusKGj87Wg1KHA==$")
    stored, server = verifier.rpartition("$")[2].split(":")
    assert len(stored) == len(server) == 44, "PostgreSQL takes a malformed verifier for a clear password"


def test_each_module_gets_passwords_of_its_own() -> None:
    first, second = (CredentialProvider().create({"user": user, "rotate": 1}).outs for user in ("scanner", "policy"))
    assert first is not None and second is not None
    assert not {first[key] for key in SECRET_OUTPUTS} & {second[key] for key in SECRET_OUTPUTS}


def test_valkey_gets_the_hash_of_the_password() -> None:
    outs = CredentialProvider().create({"user": "scanner", "rotate": 1}).outs
    assert outs is not None
    assert outs["valkey_sha256"] == hashlib.sha256(outs["valkey_password"].encode()).hexdigest()


def test_the_same_rotate_keeps_the_passwords() -> None:
    result = CredentialProvider().diff(
        "x", {"user": "scanner", "rotate": 1.0, "postgres_password": "p"}, {"user": "scanner", "rotate": 1}
    )
    assert not result.changes, "every up would lock all services out"


def test_another_rotate_replaces_so_that_the_preview_shows_who_is_affected() -> None:
    result = CredentialProvider().diff("x", {"user": "scanner", "rotate": 1.0}, {"user": "scanner", "rotate": 2})
    assert result.changes and result.replaces == ["rotate"]
