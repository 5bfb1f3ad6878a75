"""The Valkey deployment on Kubernetes: ConfigMap, Secret, two Services and a StatefulSet with one primary.

Every object has a fixed name, so that services find it and a change updates in place. It deliberately makes no
namespace, and no users or streams beyond what ``users.acl`` says.
"""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.valkey.render import PROBE_USER

IMAGE = "valkey/valkey:8.1.8"
NAME = "valkey"
HEADLESS = "valkey-headless"
PORT = 6379
VALKEY_UID = 999  # the image's user

CONF_DIRECTORY = "/etc/valkey/conf"
ACL_DIRECTORY = "/etc/valkey/acl"
DATA_DIRECTORY = "/data"
ACL_FILE = f"{ACL_DIRECTORY}/users.acl"

LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "stellaops"}

# While a snapshot or an AOF rewrite runs, copy-on-write can double what maxmemory counts.
MEMORY_PER_MAXMEMORY = 2
# AOF, the AOF that a rewrite is making, the snapshot and the one being written.
DISK_PER_MAXMEMORY = 4
PERIOD_SECONDS = 10
LOADING_SECONDS = 1800  # for reading the AOF back, before the kubelet gives up
STOPPING_SECONDS = 120  # for the last fsync and snapshot
MIB = 1 << 20


@dataclass(frozen=True)
class DeploymentArgs:
    """``conf`` and ``acl`` are whole files; ``maxmemory`` is in bytes; ``checksum`` changes when a pod must restart."""

    namespace: str
    conf: str
    acl: pulumi.Output[str]
    checksum: pulumi.Output[str]
    maxmemory: int


def deploy(args: DeploymentArgs, opts: pulumi.ResourceOptions) -> apps.StatefulSet:
    """Everything of the deployment. ``opts`` carries parent and provider of each object."""
    conf = core.ConfigMap(
        "valkey-conf", metadata=_metadata("valkey-conf", args), data={"valkey.conf": args.conf}, opts=opts
    )
    acl = core.Secret(
        "valkey-acl", metadata=_metadata("valkey-acl", args), string_data={"users.acl": args.acl}, opts=opts
    )
    _service(HEADLESS, args, opts, headless=True)
    _service(NAME, args, opts, headless=False)
    return apps.StatefulSet(
        NAME,
        metadata=_metadata(NAME, args),
        spec=apps.StatefulSetSpecArgs(
            replicas=1,
            service_name=HEADLESS,
            selector=meta.LabelSelectorArgs(match_labels=LABELS),
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(
                    labels=LABELS, annotations={"stellaops.io/config-checksum": args.checksum}
                ),
                spec=_pod(args, conf, acl),
            ),
            volume_claim_templates=[_volume_claim(args)],
        ),
        opts=opts,
    )


def _metadata(name: str, args: DeploymentArgs) -> meta.ObjectMetaArgs:
    return meta.ObjectMetaArgs(name=name, namespace=args.namespace, labels=LABELS)


def _service(name: str, args: DeploymentArgs, opts: pulumi.ResourceOptions, *, headless: bool) -> core.Service:
    """The headless one gives each pod a name, ready or not; clients use the other."""
    return core.Service(
        name,
        metadata=_metadata(name, args),
        spec=core.ServiceSpecArgs(
            type="ClusterIP",
            selector=LABELS,
            ports=[core.ServicePortArgs(name="valkey", port=PORT, target_port="valkey", protocol="TCP")],
            cluster_ip="None" if headless else None,
            publish_not_ready_addresses=True if headless else None,
        ),
        opts=opts,
    )


def _pod(args: DeploymentArgs, conf: core.ConfigMap, acl: core.Secret) -> core.PodSpecArgs:
    return core.PodSpecArgs(
        automount_service_account_token=False,
        # Otherwise VALKEY_PORT=tcp://... of the Service stands in every container's environment.
        enable_service_links=False,
        termination_grace_period_seconds=STOPPING_SECONDS,
        security_context=core.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=VALKEY_UID,
            run_as_group=VALKEY_UID,
            fs_group=VALKEY_UID,
            seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[_container(args)],
        volumes=[
            core.VolumeArgs(name="conf", config_map=core.ConfigMapVolumeSourceArgs(name=conf.metadata.name)),
            core.VolumeArgs(
                name="acl", secret=core.SecretVolumeSourceArgs(secret_name=acl.metadata.name, default_mode=0o440)
            ),
        ],
    )


def _container(args: DeploymentArgs) -> core.ContainerArgs:
    memory = f"{args.maxmemory * MEMORY_PER_MAXMEMORY // MIB}Mi"
    return core.ContainerArgs(
        name=NAME,
        image=IMAGE,
        command=["valkey-server", f"{CONF_DIRECTORY}/valkey.conf"],
        ports=[core.ContainerPortArgs(name="valkey", container_port=PORT, protocol="TCP")],
        resources=core.ResourceRequirementsArgs(requests={"cpu": "250m", "memory": memory}, limits={"memory": memory}),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        ),
        # A loading server answers PING with an error: only the start-up probe may see it, and it is patient.
        startup_probe=_probe(failures=LOADING_SECONDS // PERIOD_SECONDS),
        readiness_probe=_probe(failures=3),
        liveness_probe=_probe(failures=6),
        volume_mounts=[
            core.VolumeMountArgs(name="data", mount_path=DATA_DIRECTORY),
            core.VolumeMountArgs(name="conf", mount_path=CONF_DIRECTORY, read_only=True),
            core.VolumeMountArgs(name="acl", mount_path=ACL_DIRECTORY, read_only=True),
        ],
    )


def _probe(failures: int) -> core.ProbeArgs:
    """PING as a user that may do nothing else and needs no password; -e makes an error answer a failure."""
    command = ["valkey-cli", "-e", "-p", str(PORT), "--no-auth-warning", "--user", PROBE_USER, "--pass", "none", "ping"]
    return core.ProbeArgs(
        exec_=core.ExecActionArgs(command=command),
        period_seconds=PERIOD_SECONDS,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _volume_claim(args: DeploymentArgs) -> core.PersistentVolumeClaimArgs:
    return core.PersistentVolumeClaimArgs(
        metadata=meta.ObjectMetaArgs(name="data"),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            resources=core.VolumeResourceRequirementsArgs(
                requests={"storage": f"{args.maxmemory * DISK_PER_MAXMEMORY // MIB}Mi"}
            ),
        ),
    )
