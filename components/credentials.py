"""Passwords of modules and services: generated once, kept encrypted in the stack's state, renewed on request.

A ``Credential`` leaves it to others to tell the stores: the login's verifier goes to ``postgres``, the hash to
``valkey``. Only the service itself ever gets the clear password, as a secret output.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

PASSWORD_BYTES = 32
SCRAM_ITERATIONS = 4096  # PostgreSQL's own default, scram_iterations
SCRAM_SALT_BYTES = 16

SECRET_OUTPUTS = ["postgres_password", "postgres_verifier", "valkey_password", "valkey_sha256"]


def scram_verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores for ``password``: with it the clear text reaches neither the server nor its log.

    The form is ``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`` (RFC 5803, base64 parts).
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    b64_salt, b64_stored, b64_server = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{b64_salt}${b64_stored}:{b64_server}"


class CredentialProvider(ResourceProvider):
    """Generates on create. A changed ``rotate`` replaces the resource, so that a preview shows who gets a new one."""

    # What is serialized is the name of this class; the passwords are outputs.
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        postgres = secrets.token_urlsafe(PASSWORD_BYTES)
        valkey = secrets.token_urlsafe(PASSWORD_BYTES)
        outs = {
            "user": props["user"],
            "rotate": props["rotate"],
            "postgres_password": postgres,
            "postgres_verifier": scram_verifier(postgres, secrets.token_bytes(SCRAM_SALT_BYTES)),
            "valkey_password": valkey,
            "valkey_sha256": hashlib.sha256(valkey.encode()).hexdigest(),
        }
        return CreateResult(id_=f"credential/{props['user']}", outs=outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changed = [key for key in ("user", "rotate") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=False)


class Credential(Resource, module="storage", name="Credential"):
    """The secrets of one module or service.

    ``user`` is its name; ``rotate`` is the mapping's number: another number gives new secrets.
    """

    postgres_password: pulumi.Output[str]
    postgres_verifier: pulumi.Output[str]
    valkey_password: pulumi.Output[str]
    valkey_sha256: pulumi.Output[str]

    def __init__(self, name: str, user: str, rotate: int, opts: pulumi.ResourceOptions | None = None) -> None:
        props: dict[str, Any] = {"user": user, "rotate": rotate, **dict.fromkeys(SECRET_OUTPUTS)}
        options = pulumi.ResourceOptions(additional_secret_outputs=SECRET_OUTPUTS)
        super().__init__(CredentialProvider(), name, props, pulumi.ResourceOptions.merge(opts, options))

    def clear(self, has_login: bool) -> dict[str, pulumi.Output[str]]:
        """The clear passwords for the stack's secret output; without a login there is none for PostgreSQL."""
        secrets_ = {"postgres_password": self.postgres_password} if has_login else {}
        return {**secrets_, "valkey_password": self.valkey_password}
