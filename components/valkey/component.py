"""The ``Valkey`` component: configuration, users and streams, on Kubernetes, on a running server, or both.

Made from the mapping's ``modules.*.valkey``, ``services`` and ``valkey``. It deliberately starts no server outside
Kubernetes and writes no file: the local server renders its own from the same templates.
"""

import hashlib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider

from components.backups.names import VALKEY_USER as BACKUP_USER
from components.credentials import Credential
from components.mapping import Mapping
from components.mapping.access import stream_groups
from components.mapping.names import memory_bytes
from components.settings import KubernetesSettings, ValkeySettings
from components.valkey.kubernetes import ACL_FILE, DATA_DIRECTORY, PORT, DeploymentArgs, deploy
from components.valkey.render import acl_rules, render_acl, render_conf
from components.valkey.streams_resource import ValkeyStreams
from components.valkey.users_resource import ValkeyUsers


@dataclass(frozen=True)
class ValkeyArgs:
    """What the component is made from. ``kubernetes_provider`` is None where ``kubernetes.mode`` is none;
    ``allow_data_loss`` lets streams be deleted with their entries; ``backup`` is who reads snapshots, if anybody."""

    mapping: Mapping
    settings: ValkeySettings
    kubernetes: KubernetesSettings
    kubernetes_provider: Provider | None
    credentials: dict[str, Credential]
    allow_data_loss: bool
    backup: Credential | None = None


def streams_of(mapping: Mapping) -> dict[str, list[str]]:
    """Stream -> its consumer groups, in the mapping's order."""
    streams: dict[str, list[str]] = {name: [] for name in mapping.valkey.streams}
    for group in stream_groups(mapping):
        streams[group.stream].append(group.name)
    return streams


class Valkey(pulumi.ComponentResource):
    """Users and streams of the mapping. Output ``users``: their names; ``streams``: stream -> groups."""

    def __init__(self, name: str, args: ValkeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:valkey:Valkey", name, None, opts)
        self._args = args
        self._passwords = {user: args.credentials[user].valkey_sha256 for user in args.mapping.users}
        if args.backup is not None:
            self._passwords[BACKUP_USER] = args.backup.valkey_sha256
        if args.settings.apply == "direct":
            self._apply_directly()
        if args.kubernetes_provider is not None:
            self._deploy(args.kubernetes_provider)
        self.register_outputs({"users": list(self._passwords), "streams": streams_of(args.mapping)})

    def _apply_directly(self) -> None:
        mapping = self._args.mapping
        ValkeyUsers(
            "valkey-users",
            users={user: list(acl_rules(mapping, user)) for user in self._passwords},
            hashes=dict(self._passwords),
            opts=pulumi.ResourceOptions(parent=self),
        )
        ValkeyStreams(
            "valkey-streams",
            streams=streams_of(mapping),
            allow_data_loss=self._args.allow_data_loss,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _deploy(self, provider: Provider) -> None:
        mapping = self._args.mapping
        conf = render_conf(mapping, directory=DATA_DIRECTORY, port=PORT, bind="* -::*", aclfile=ACL_FILE)
        acl = self._acl()
        # Not secret: it cannot be turned back, since each password's hash hides behind all the others.
        checksum = pulumi.Output.unsecret(acl).apply(lambda text: hashlib.sha256((conf + text).encode()).hexdigest())
        deploy(
            DeploymentArgs(
                namespace=self._args.kubernetes.namespace,
                conf=conf,
                acl=acl,
                checksum=checksum,
                maxmemory=memory_bytes(mapping.valkey.memory.maxmemory),
            ),
            pulumi.ResourceOptions(parent=self, provider=provider),
        )

    def _acl(self) -> pulumi.Output[str]:
        """``users.acl`` with hashes only; a secret."""
        mapping, admin = self._args.mapping, self._args.settings.admin_user

        def render(values: MappingType[str, str]) -> str:
            users = {user: values[user] for user in self._passwords}
            return render_acl(mapping, users, admin=(admin, hashlib.sha256(values["/admin"].encode()).hexdigest()))

        # No user's name has a slash.
        return pulumi.Output.all(**self._passwords, **{"/admin": self._args.settings.admin_password}).apply(render)
