"""The ``Valkey`` component: configuration, users and streams, on Kubernetes, on a running server, or both.

Built from the mapping's ``modules.*.valkey``, ``services`` and ``valkey``. It deliberately starts no server outside
Kubernetes and writes no files: the local server renders its own files from the same templates.
"""

import hashlib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider as ClusterProvider

from components.config.model import KubernetesSettings, ValkeyDeploymentSettings, ValkeySettings
from components.mapping import Mapping
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.resources.credentials import Credential
from components.resources.provider import Provider
from components.resources.valkey import ValkeyStreams, ValkeyUsers
from components.valkey.deployment.arguments import DeploymentArgs, digest
from components.valkey.deployment.deploy import deploy, namespace
from components.valkey.deployment.files import configuration
from components.valkey.deployment.pod_resources import sizing
from components.valkey.deployment.users import EXPORTER_USER, NODE_USER, acl_file, exporter_rules, node_rules
from components.valkey.plan import maintenance_files
from components.valkey.render import MAINTENANCE_USER, acl_mark, acl_rules, maintenance_rules, render_acl


@dataclass(frozen=True)
class ValkeyArgs:
    """Arguments of ``ValkeyComponent``.

    ``provider`` manages users, streams and passwords. ``kubernetes_provider`` is None if ``kubernetes.mode`` is none.
    ``allow_data_loss`` deletes streams with their entries, and volumes with the StatefulSet. ``protect`` refuses to delete
    the namespace. ``backup`` is the credential of the user that reads snapshots, None without backups.
    """

    mapping: Mapping
    settings: ValkeySettings
    kubernetes: KubernetesSettings
    kubernetes_provider: ClusterProvider | None
    provider: Provider
    credentials: dict[str, Credential]
    allow_data_loss: bool
    protect: bool
    deployment: ValkeyDeploymentSettings
    backup: Credential | None = None


def streams_of(mapping: Mapping) -> dict[str, list[str]]:
    """Stream -> its consumer groups, in the mapping's order."""
    streams: dict[str, list[str]] = {name: [] for name in mapping.valkey.streams}
    for group in mapping.access.stream_groups:
        streams[group.stream].append(group.name)
    return streams


class ValkeyComponent(pulumi.ComponentResource):
    """Users and streams of the mapping. Output ``users``: their names; ``streams``: stream -> groups.

    ``namespace``: the deployment's namespace; if the stack creates it, an output of that resource. ``ready``: the
    resources after which users can log in; empty unless users are applied directly.
    """

    namespace: pulumi.Input[str]
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ValkeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:valkey:Valkey", name, None, opts)
        self._args = args
        self._options = pulumi.ResourceOptions(parent=self, provider=args.provider)
        self.namespace = args.kubernetes.namespace
        self._passwords = {user: args.credentials[user].valkey_sha256 for user in args.mapping.users}
        if args.backup is not None:
            self._passwords[BACKUP_USER] = args.backup.valkey_sha256
        self.ready = self._apply_directly() if args.settings.apply == "direct" else []
        if args.kubernetes_provider is not None:
            self._deploy(args.kubernetes_provider)
        self.register_outputs({"users": list(self._passwords), "streams": streams_of(args.mapping)})

    def _apply_directly(self) -> list[pulumi.Resource]:
        mapping = self._args.mapping
        users = ValkeyUsers(
            "valkey-users",
            users={user: list(acl_rules(mapping, user)) for user in self._passwords},
            password_hashes=self._passwords,
            opts=self._options,
        )
        streams = ValkeyStreams(
            "valkey-streams",
            streams=streams_of(mapping),
            allow_data_loss=self._args.allow_data_loss,
            opts=self._options,
        )
        return [users, streams]

    def _deploy(self, provider: ClusterProvider) -> None:
        args, mapping = self._args, self._args.mapping
        options, tls = args.deployment, args.settings.tls
        opts = pulumi.ResourceOptions(parent=self, provider=provider)
        internal = self._internal()
        acl = self._acl(internal)
        # Not secret: a digest of the whole file, from which no password's hash can be derived.
        mark = pulumi.Output.unsecret(acl).apply(acl_mark)
        conf = configuration(mapping, replicas=options.replicas, tls=tls, appendfsync=options.appendfsync)
        maintenance = maintenance_files(mapping)
        # Pods restart for changed files and passwords of the deployment's own users; they load all other users without it.
        hashes = pulumi.Output.unsecret(pulumi.Output.all(*(item.valkey_sha256 for item in internal.values())))
        checksum = hashes.apply(lambda values: digest(*conf, *conf.values(), *values))
        name = args.kubernetes.namespace
        created = namespace(name, self._protected(opts)) if args.kubernetes.create_namespace else None
        self.namespace = created.metadata.name if created else name
        deploy(
            DeploymentArgs(
                namespace=self.namespace,
                namespace_name=name,
                settings=options,
                tls=tls,
                sizing=sizing(
                    mapping.valkey.memory.maxmemory.bytes,
                    replicas=options.replicas,
                    strategy=mapping.backups.valkey.strategy,
                ),
                wait=args.kubernetes.wait,
                delete_volumes=args.allow_data_loss,
                files=conf,
                maintenance=maintenance,
                acl=acl,
                mark=mark,
                passwords={user: item.valkey_password for user, item in internal.items()},
                checksum=checksum,
                job_digest=mark.apply(lambda value: digest(value, *maintenance, *maintenance.values())[:10]),
            ),
            opts,
        )

    def _protected(self, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=self._args.protect))

    def _internal(self) -> dict[str, Credential]:
        """Credentials of the deployment's own users."""
        options = self._args.deployment
        users = [NODE_USER, MAINTENANCE_USER, *([EXPORTER_USER] if options.exporter else [])]
        return {user: Credential(user, user=user, rotate=options.rotate, opts=self._options) for user in users}

    def _acl(self, internal: dict[str, Credential]) -> pulumi.Output[str]:
        """``users.acl``, which has only hashes of passwords; a secret."""
        mapping, admin, tls = self._args.mapping, self._args.settings.admin_user, self._args.settings.tls
        rules = {
            NODE_USER: node_rules(replicas=bool(self._args.deployment.replicas), tls=tls),
            MAINTENANCE_USER: maintenance_rules(mapping),
            EXPORTER_USER: exporter_rules(),
        }

        def render(values: MappingType[str, str]) -> str:
            users = {user: values[user] for user in self._passwords}
            modules = render_acl(mapping, users, admin=(admin, hashlib.sha256(values["/admin"].encode()).hexdigest()))
            return acl_file(modules, {user: (values[f"/{user}"], rules[user]) for user in internal})

        # The slash separates these keys from users' names, which have none.
        hashes = {f"/{user}": item.valkey_sha256 for user, item in internal.items()}
        admin_password = {"/admin": self._args.settings.admin_password}
        return pulumi.Output.all(**self._passwords, **hashes, **admin_password).apply(render)
