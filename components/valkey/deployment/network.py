"""How Valkey is reached, by whom, and how many servers may go at a time."""

from pulumi import ResourceOptions
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.networking import v1 as networking
from pulumi_kubernetes.policy import v1 as policy

from components.mapping.backup_names import POD_LABELS as BACKUP_LABELS
from components.valkey.deployment.arguments import DeploymentArgs, metadata
from components.valkey.deployment.names import (
    EXPORTER_PORT,
    HEADLESS,
    LABELS,
    MAINTENANCE_LABELS,
    NAME,
    PORT,
    SENTINEL_PORT,
)

# The API server sets it on every namespace, to its name: nobody can pretend to be another one.
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def services(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """The headless one gives each pod a name, ready or not; clients use the other."""
    for name in (HEADLESS, NAME):
        headless = name == HEADLESS
        ports = {"valkey": PORT}
        if args.settings.replicas:
            ports["sentinel"] = SENTINEL_PORT
        if args.settings.exporter and headless:
            ports["metrics"] = EXPORTER_PORT
        core.Service(
            name,
            # Nothing to wait for but the pods, and the StatefulSet's own waiting sees those.
            metadata=metadata(name, args, waits=True),
            spec=core.ServiceSpecArgs(
                type="ClusterIP",
                selector=LABELS,
                ports=[
                    core.ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                    for port, number in ports.items()
                ],
                cluster_ip="None" if headless else None,
                publish_not_ready_addresses=True if headless else None,
            ),
            opts=opts,
        )


def network_policy(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """Who may connect: pods in the module namespaces, the servers among themselves, the jobs, backups; to the exporter, pods in
    the monitoring namespaces."""
    data = [_port(PORT), *([_port(SENTINEL_PORT)] if args.settings.replicas else [])]
    modules = args.settings.module_namespaces or (args.namespace_name,)
    rules = [
        networking.NetworkPolicyIngressRuleArgs(
            from_=[
                *(_namespace(name) for name in modules),
                networking.NetworkPolicyPeerArgs(pod_selector=meta.LabelSelectorArgs(match_labels=LABELS)),
                networking.NetworkPolicyPeerArgs(pod_selector=meta.LabelSelectorArgs(match_labels=MAINTENANCE_LABELS)),
                networking.NetworkPolicyPeerArgs(pod_selector=meta.LabelSelectorArgs(match_labels=BACKUP_LABELS)),
            ],
            ports=data,
        )
    ]
    if args.settings.exporter:
        rules.append(
            networking.NetworkPolicyIngressRuleArgs(
                from_=[_namespace(name) for name in args.settings.monitoring_namespaces], ports=[_port(EXPORTER_PORT)]
            )
        )
    networking.NetworkPolicy(
        NAME,
        metadata=metadata(NAME, args),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=meta.LabelSelectorArgs(match_labels=LABELS), policy_types=["Ingress"], ingress=rules
        ),
        opts=opts,
    )


def _namespace(name: str) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=meta.LabelSelectorArgs(match_labels={NAMESPACE_LABEL: name})
    )


def _port(number: int) -> networking.NetworkPolicyPortArgs:
    return networking.NetworkPolicyPortArgs(port=number, protocol="TCP")


def disruption_budget(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """One server at a time, also when it is the only one: else its node could never be drained. It saves before."""
    policy.PodDisruptionBudget(
        NAME,
        metadata=metadata(NAME, args),
        spec=policy.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=meta.LabelSelectorArgs(match_labels=LABELS),
            # A server that does not work anyway must not hold up a drain.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=opts,
    )


def service_monitor(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """For the Prometheus operator; only one Service has a port of that name."""
    CustomResource(
        NAME,
        api_version="monitoring.coreos.com/v1",
        kind="ServiceMonitor",
        metadata=metadata(NAME, args),
        spec={"selector": {"matchLabels": LABELS}, "endpoints": [{"port": "metrics", "interval": "30s"}]},
        opts=opts,
    )
