"""Typed resource classes for users and streams on a running Valkey. ``provider/valkey`` implements them."""

from collections.abc import Mapping, Sequence
from typing import cast

import pulumi

USERS = "stellaops:valkey:Users"
STREAMS = "stellaops:valkey:Streams"


@pulumi.type_token(USERS)
class ValkeyUsers(pulumi.CustomResource):
    """ACL users on a running Valkey. Does not change users that it did not create.

    Inputs:
        users: User name -> arguments of ``ACL SETUSER`` after ``reset``, ``on`` and the password: ``["+ping", "(...)"]``.
            A changed user is replaced in place, and its connections stay open.
        password_hashes: User name -> SHA-256 of its password, 64 lower-case hexadecimal digits. Secret.

    Outputs:
        users, password_hashes: As given; after a refresh, as they are on the server.
        canonical_rules: User name -> its rules as the server formats them, which a refresh compares.

    Errors:
        Check refuses ``default``, the admin and the health probe as users, a user without a hash, and a hash that is
        not a SHA-256. Create and update fail when the server is unreachable or refuses the admin.

    Import:
        By the comma-separated names of the users:
        ``pulumi import stellaops:valkey:Users valkey-users scanner,policy``.
    """

    users: pulumi.Output[Mapping[str, Sequence[str]]]

    def __init__(
        self,
        resource_name: str,
        *,
        users: Mapping[str, Sequence[str]],
        password_hashes: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        hashes = {name: pulumi.Output.secret(value) for name, value in password_hashes.items()}
        props = {"users": users, "passwordHashes": hashes, "canonicalRules": None}
        super().__init__(USERS, resource_name, props, opts)

    @property
    def password_hashes(self) -> pulumi.Output[Mapping[str, str]]:
        return cast("pulumi.Output[Mapping[str, str]]", pulumi.get(self, "passwordHashes"))

    @property
    def canonical_rules(self) -> pulumi.Output[Mapping[str, str]]:
        return cast("pulumi.Output[Mapping[str, str]]", pulumi.get(self, "canonicalRules"))


@pulumi.type_token(STREAMS)
class ValkeyStreams(pulumi.CustomResource):
    """Streams and their consumer groups on a running Valkey. An update never changes the entries of a stream it keeps.

    Inputs:
        streams: Stream name -> names of its consumer groups. A new group starts at the oldest entry.
        allow_data_loss: Whether a stream may be deleted with its entries, and a group with entries that were delivered
            but not acknowledged. Default: false, which refuses both.

    Outputs:
        streams, allow_data_loss: As given; after a refresh, the streams and groups that still exist.

    Errors:
        Create and update fail when a key of another type has a stream's name. Update and delete fail, and delete no
        stream, when a stream that they would delete holds entries and ``allow_data_loss`` is false.

    Import:
        By the comma-separated names of the streams, including all their groups:
        ``pulumi import stellaops:valkey:Streams valkey-streams scanner:jobs,scanner:events``.
    """

    streams: pulumi.Output[Mapping[str, Sequence[str]]]

    def __init__(
        self,
        resource_name: str,
        *,
        streams: Mapping[str, Sequence[str]],
        allow_data_loss: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"streams": streams, "allowDataLoss": allow_data_loss}
        super().__init__(STREAMS, resource_name, props, opts)

    @property
    def allow_data_loss(self) -> pulumi.Output[bool]:
        return cast("pulumi.Output[bool]", pulumi.get(self, "allowDataLoss"))
