"""Arguments of the deployment, and parts that its objects share."""

import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.config.model import ValkeyDeploymentSettings
from components.valkey.deployment.names import CONF_DIRECTORY, LABELS, NAME, PASSWORD_DIRECTORY, TLS_DIRECTORY, nodes
from components.valkey.deployment.pod_resources import PodResources

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}


@dataclass(frozen=True)
class DeploymentArgs:
    """Arguments of the deployment.

    ``files`` are configuration and scripts, ``maintenance`` the jobs' program, both by file name. ``acl`` is the whole
    ``users.acl`` and ``mark`` the user that identifies it. ``passwords`` are the passwords of the deployment's own users
    in clear text (a secret). ``checksum`` changes when pods must restart, ``job_digest`` when the job must run again.
    """

    namespace: pulumi.Input[str]
    namespace_name: str
    settings: ValkeyDeploymentSettings
    tls: bool
    sizing: PodResources
    wait: bool
    delete_volumes: bool
    files: dict[str, str]
    maintenance: dict[str, str]
    acl: pulumi.Output[str]
    mark: pulumi.Output[str]
    passwords: dict[str, pulumi.Output[str]]
    checksum: pulumi.Output[str]
    job_digest: pulumi.Output[str]

    @property
    def nodes(self) -> list[str]:
        return nodes(self.namespace_name, 1 + self.settings.replicas)

    @property
    def host(self) -> str:
        """The servers' host names for jobs: the Service, or with replicas every server, because only one is the primary."""
        return ",".join(self.nodes) if self.settings.replicas else f"{NAME}.{self.namespace_name}.svc"


def metadata(
    name: pulumi.Input[str], args: DeploymentArgs, *, labels: dict[str, str] = LABELS, waits: bool = False
) -> meta.ObjectMetaArgs:
    """``waits``: whether Pulumi waits by default until an object of this kind is ready."""
    annotations = SKIP_AWAIT if waits and not args.wait else None
    return meta.ObjectMetaArgs(name=name, namespace=args.namespace, labels=labels, annotations=annotations)


def pod_security(uid: int) -> core.PodSecurityContextArgs:
    """With ``container_security``, the settings that the Pod Security Standard ``restricted`` requires."""
    return core.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=uid,
        run_as_group=uid,
        fs_group=uid,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> core.SecurityContextArgs:
    return core.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=core.CapabilitiesArgs(drop=["ALL"]),
    )


def resources(memory: str, cpu: str) -> core.ResourceRequirementsArgs:
    """Memory is reserved in full; CPU has no limit, because throttling a server stalls all of its clients."""
    return core.ResourceRequirementsArgs(requests={"cpu": cpu, "memory": memory}, limits={"memory": memory})


def secret_volume(name: str, secret: pulumi.Input[str], **items: str) -> core.VolumeArgs:
    """A volume of a Secret that only the pod's user and group can read. ``items``: key -> file name; default: all keys."""
    selected = [core.KeyToPathArgs(key=key, path=path) for key, path in items.items()] or None
    return core.VolumeArgs(
        name=name, secret=core.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, items=selected)
    )


def mount(name: str, path: str, *, read_only: bool = True) -> core.VolumeMountArgs:
    # None instead of `false`, which the API server omits.
    return core.VolumeMountArgs(name=name, mount_path=path, read_only=read_only or None)


def env(**values: pulumi.Input[str]) -> list[core.EnvVarArgs]:
    return [core.EnvVarArgs(name=name, value=value) for name, value in values.items()]


def cli_tls(args: DeploymentArgs) -> str:
    """TLS options of ``valkey-cli``, which verifies the certificate's issuer but not its name: it talks to its own pod."""
    return f"--tls --cacert {TLS_DIRECTORY}/ca.crt" if args.tls else ""


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


CONF_MOUNT = mount("conf", CONF_DIRECTORY)
PASSWORD_MOUNT = mount("password", PASSWORD_DIRECTORY)
TLS_MOUNT = mount("tls", TLS_DIRECTORY)
PASSWORD_FILE = f"{PASSWORD_DIRECTORY}/password"
