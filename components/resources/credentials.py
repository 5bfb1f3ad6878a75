"""``Credential``: the passwords of one module or service."""

from typing import cast

import pulumi

TOKEN = "stellaops:index:Credential"  # noqa: S105 - a type
SECRET_OUTPUTS = ("postgresPassword", "postgresVerifier", "valkeyPassword", "valkeySha256")


@pulumi.type_token(TOKEN)
class Credential(pulumi.CustomResource):
    """Passwords for PostgreSQL and Valkey, generated once and kept encrypted in the stack's state.

    Contacts no server: other resources set the verifier on the login's role and the hash on the Valkey user. Only the
    service itself gets the clear-text passwords, as a secret output.

    Inputs: ``user``, the name of the module or service; ``rotate``, an integer from the mapping. A change of either
    replaces the resource, which generates new passwords.

    Import id: ``USER=FILE``. FILE is a JSON file with ``postgres_password`` and ``valkey_password``, as in the stack
    output ``secrets`` of each module.
    """

    def __init__(
        self, resource_name: str, *, user: str, rotate: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        inputs = {"user": user, "rotate": rotate, **dict.fromkeys(SECRET_OUTPUTS)}
        options = pulumi.ResourceOptions(additional_secret_outputs=list(SECRET_OUTPUTS))
        super().__init__(TOKEN, resource_name, inputs, pulumi.ResourceOptions.merge(opts, options))

    @property
    @pulumi.getter(name="postgresPassword")
    def postgres_password(self) -> pulumi.Output[str]:
        """The password of the module's login, 43 characters. Secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "postgresPassword"))

    @property
    @pulumi.getter(name="postgresVerifier")
    def postgres_verifier(self) -> pulumi.Output[str]:
        """The SCRAM-SHA-256 verifier that PostgreSQL stores instead of the password. Secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "postgresVerifier"))

    @property
    @pulumi.getter(name="valkeyPassword")
    def valkey_password(self) -> pulumi.Output[str]:
        """The password of the Valkey user, 43 characters. Secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "valkeyPassword"))

    @property
    @pulumi.getter(name="valkeySha256")
    def valkey_sha256(self) -> pulumi.Output[str]:
        """The SHA-256 in hex that Valkey stores instead of the password. Secret."""
        return cast("pulumi.Output[str]", pulumi.get(self, "valkeySha256"))

    def clear(self, has_login: bool) -> dict[str, pulumi.Output[str]]:
        """Return the clear-text passwords for the stack's secret output. Without a login, omit the PostgreSQL one."""
        passwords = {"postgres_password": self.postgres_password} if has_login else {}
        return {**passwords, "valkey_password": self.valkey_password}
