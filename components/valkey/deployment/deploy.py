"""All objects of the deployment, in the order of their dependencies.

Every object has a fixed name, so that services find it and changes update it in place. Certificates and StorageClasses
must exist; so must the namespace, unless the stack's config creates it.
"""

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.valkey.deployment import jobs, network, pod
from components.valkey.deployment.arguments import DeploymentArgs, metadata
from components.valkey.deployment.names import (
    ACL,
    CONFIGURATION,
    HEADLESS,
    LABELS,
    MAINTENANCE,
    MAINTENANCE_LABELS,
    NAME,
    PASSWORDS,
)
from components.valkey.deployment.pod_resources import quantity

POD_SECURITY = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def namespace(name: str, opts: pulumi.ResourceOptions) -> core.Namespace:
    """The namespace, which enforces the Pod Security Standard ``restricted``. Deleting it deletes all of its objects."""
    labels = {**POD_SECURITY, "app.kubernetes.io/part-of": "stellaops"}
    return core.Namespace(name, metadata=meta.ObjectMetaArgs(name=name, labels=labels), opts=opts)


def deploy(args: DeploymentArgs, opts: pulumi.ResourceOptions) -> None:
    """Create all objects; ``opts`` has their parent and provider."""
    conf = core.ConfigMap(CONFIGURATION, metadata=metadata(CONFIGURATION, args), data=args.files, opts=opts)
    acl = core.Secret(ACL, metadata=metadata(ACL, args), string_data={"users.acl": args.acl}, opts=opts)
    passwords = core.Secret(PASSWORDS, metadata=metadata(PASSWORDS, args), string_data=args.passwords, opts=opts)
    program = core.ConfigMap(
        MAINTENANCE, metadata=metadata(MAINTENANCE, args, labels=MAINTENANCE_LABELS), data=args.maintenance, opts=opts
    )
    network.services(args, opts)
    network.network_policy(args, opts)
    network.disruption_budget(args, opts)
    if args.settings.service_monitor:
        network.service_monitor(args, opts)
    servers = apps.StatefulSet(
        NAME,
        metadata=metadata(NAME, args, waits=True),
        spec=apps.StatefulSetSpecArgs(
            replicas=1 + args.settings.replicas,
            service_name=HEADLESS,
            # Start all servers at once: one may wait for another one's name, and must not also wait for its turn.
            pod_management_policy="Parallel",
            selector=meta.LabelSelectorArgs(match_labels=LABELS),
            template=pod.template(args, conf.metadata.name, acl.metadata.name, passwords.metadata.name),
            volume_claim_templates=[_volume_claim(args)],
            persistent_volume_claim_retention_policy=apps.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                when_deleted="Delete" if args.delete_volumes else "Retain", when_scaled="Retain"
            ),
        ),
        # Immutable, and without effect on existing volumes: a larger maxmemory must not replace the StatefulSet.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["spec.volumeClaimTemplates"])),
    )
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[servers]))
    jobs.apply_job(args, program.metadata.name, passwords.metadata.name, after)
    jobs.cron_jobs(args, program.metadata.name, passwords.metadata.name, opts)


def _volume_claim(args: DeploymentArgs) -> core.PersistentVolumeClaimArgs:
    return core.PersistentVolumeClaimArgs(
        metadata=meta.ObjectMetaArgs(name="data"),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=args.settings.storage_class or None,
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": quantity(args.sizing.disk)}),
        ),
    )
