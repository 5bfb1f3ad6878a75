"""``Credential``: the passwords of a module or service, generated on create. Contacts no server."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from provider.base.plugin import FoundResource
from provider.base.schema import Property
from provider.errors import ProviderError
from provider.kind import Kind
from provider.postgres.scram import scram_verifier

PASSWORD_BYTES = 32
SCRAM_SALT_BYTES = 16


class Credential(Kind):
    """A change of ``rotate`` replaces the resource, so that a preview shows whose passwords are rotated."""

    token = "stellaops:index:Credential"  # noqa: S105 - a type
    description = "The passwords of one module or service for PostgreSQL and Valkey. Import id: USER=FILE"
    properties = {  # noqa: RUF012 - a constant
        "user": Property(required=True, force_new=True, description="The module or service"),
        "rotate": Property("integer", required=True, force_new=True, description="Increase to rotate the passwords"),
        "postgresPassword": Property(output=True, secret=True),
        "postgresVerifier": Property(output=True, secret=True),
        "valkeyPassword": Property(output=True, secret=True),
        "valkeySha256": Property(output=True, secret=True),
    }

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        passwords = (secrets.token_urlsafe(PASSWORD_BYTES) for _ in range(2))
        return _resource(inputs["user"], inputs["rotate"], *passwords)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the state unchanged, since passwords are stored nowhere else. For an import, read the file."""
        return FoundResource(id_, {key: state.get(key) for key in self.properties}) if state else _imported(id_)

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        """Never called, because every change replaces the resource."""
        return FoundResource(id_, {**state, **inputs})

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Do nothing: other resources remove the users from the stores."""


def _resource(user: str, rotate: int, postgres: str, valkey: str) -> FoundResource:
    return FoundResource(
        f"credential/{user}",
        {
            "user": user,
            "rotate": rotate,
            "postgresPassword": postgres,
            "postgresVerifier": scram_verifier(postgres, secrets.token_bytes(SCRAM_SALT_BYTES)),
            "valkeyPassword": valkey,
            "valkeySha256": hashlib.sha256(valkey.encode()).hexdigest(),
        },
    )


def _imported(id_: str) -> FoundResource:
    """Read ``USER=FILE``. For a service without a login, the file has no PostgreSQL password; generate an unused one."""
    user, _, file = id_.partition("=")
    id_format = (
        "the import id of a Credential is USER=FILE, where FILE is a JSON file with postgres_password and "
        "valkey_password, as in the stack output secrets"
    )
    if not user or not file:
        raise ProviderError(f"{id_!r} is not a valid import id; {id_format}")
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProviderError(f"{file} cannot be read ({error}); {id_format}") from None
    valkey = content.get("valkey_password") if isinstance(content, dict) else None
    if not isinstance(valkey, str) or not valkey:
        raise ProviderError(f"{file} has no valkey_password; {id_format}")
    postgres = content.get("postgres_password") or secrets.token_urlsafe(PASSWORD_BYTES)
    return _resource(user, int(content.get("rotate", 1)), str(postgres), valkey)
