"""Services, network policy, disruption budget and ServiceMonitor of Valkey."""

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

# The API server sets this label of every namespace to the namespace's name, so it cannot be forged.
NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def services(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """Create the headless Service, which gives every pod a name even before it is ready, and the clients' Service."""
    for name in (HEADLESS, NAME):
        headless = name == HEADLESS
        ports = {"valkey": PORT}
        if args.settings.replicas:
            ports["sentinel"] = SENTINEL_PORT
        if args.settings.exporter and headless:
            ports["metrics"] = EXPORTER_PORT
        core.Service(
            name,
            # A Service only waits for its pods, and the StatefulSet does that already.
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
    """Allow connections from the module namespaces, the servers themselves, jobs and backups; to the exporter, from the
    monitoring namespaces."""
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
    """Evict at most one server at a time, but also a single one, so that its node can be drained; it saves its data."""
    policy.PodDisruptionBudget(
        NAME,
        metadata=metadata(NAME, args),
        spec=policy.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=meta.LabelSelectorArgs(match_labels=LABELS),
            # A server that is not healthy must not block a drain.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
        opts=opts,
    )


def service_monitor(args: DeploymentArgs, opts: ResourceOptions) -> None:
    """Create a ServiceMonitor for the Prometheus operator. Only the headless Service has a port named ``metrics``."""
    CustomResource(
        NAME,
        api_version="monitoring.coreos.com/v1",
        kind="ServiceMonitor",
        metadata=metadata(NAME, args),
        spec={"selector": {"matchLabels": LABELS}, "endpoints": [{"port": "metrics", "interval": "30s"}]},
        opts=opts,
    )
