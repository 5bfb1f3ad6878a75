"""The servers' pod: the server, Sentinel, the exporter, and a container that reloads certificates."""

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.valkey.acl import PROBE_USER
from components.valkey.deployment.arguments import (
    CONF_MOUNT,
    PASSWORD_FILE,
    PASSWORD_MOUNT,
    TLS_MOUNT,
    DeploymentArgs,
    cli_tls,
    container_security,
    env,
    mount,
    pod_security,
    resources,
    secret_volume,
)
from components.valkey.deployment.names import (
    ACL_DIRECTORY,
    CONF_DIRECTORY,
    DATA_DIRECTORY,
    EXPORTER_PORT,
    LABELS,
    NAME,
    PORT,
    PRIMARY_NAME,
    SENTINEL_PORT,
    TLS_DIRECTORY,
    VALKEY_UID,
    node,
)
from components.valkey.deployment.pod_resources import FAILOVER_SECONDS, quantity
from components.valkey.deployment.users import EXPORTER_USER, NODE_USER

CHECKSUM = "stellaops.io/config-checksum"
PERIOD_SECONDS = 10
HOST_LABEL = "kubernetes.io/hostname"
ZONE_LABEL = "topology.kubernetes.io/zone"


def template(
    args: DeploymentArgs, conf: pulumi.Input[str], acl: pulumi.Input[str], passwords: pulumi.Input[str]
) -> core.PodTemplateSpecArgs:
    """The pod template; ``conf``, ``acl`` and ``passwords`` are the names of the ConfigMap and the Secrets."""
    containers = [_server(args)]
    if args.settings.replicas:
        containers.append(_sentinel(args))
    if args.tls:
        containers.append(_tls_reload(args))
    if args.settings.exporter:
        containers.append(_exporter(args, passwords))
    volumes = [
        core.VolumeArgs(name="conf", config_map=core.ConfigMapVolumeSourceArgs(name=conf)),
        secret_volume("acl", acl),
        secret_volume("password", passwords, **{NODE_USER: "password"}),
    ]
    if args.tls:
        volumes.append(secret_volume("tls", args.settings.tls_secret))
    return core.PodTemplateSpecArgs(
        metadata=meta.ObjectMetaArgs(labels=LABELS, annotations={CHECKSUM: args.checksum}),
        spec=core.PodSpecArgs(
            automount_service_account_token=False,
            # Otherwise every container's environment has VALKEY_PORT=tcp://..., from the Service.
            enable_service_links=False,
            termination_grace_period_seconds=args.sizing.termination_seconds,
            priority_class_name=args.settings.priority_class or None,
            topology_spread_constraints=[
                _spread(HOST_LABEL, required=bool(args.settings.replicas)),
                _spread(ZONE_LABEL, required=False),
            ],
            security_context=pod_security(VALKEY_UID),
            containers=containers,
            volumes=volumes,
        ),
    )


def _spread(label: str, *, required: bool) -> core.TopologySpreadConstraintArgs:
    """Spread the servers over the nodes or zones in ``label``, strictly if ``required``."""
    return core.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key=label,
        when_unsatisfiable="DoNotSchedule" if required else "ScheduleAnyway",
        label_selector=meta.LabelSelectorArgs(match_labels=LABELS),
    )


def _server(args: DeploymentArgs) -> core.ContainerArgs:
    replicated = bool(args.settings.replicas)
    command = ["sh", f"{CONF_DIRECTORY}/start.sh"] if replicated else ["valkey-server", f"{CONF_DIRECTORY}/valkey.conf"]
    tls = [TLS_MOUNT] if args.tls else []
    stop = core.ExecActionArgs(command=["sh", f"{CONF_DIRECTORY}/stop.sh"])
    return core.ContainerArgs(
        name=NAME,
        image=args.settings.image,
        command=command,
        env=_environment(args),
        ports=[core.ContainerPortArgs(name="valkey", container_port=PORT, protocol="TCP")],
        resources=resources(quantity(args.sizing.memory), "250m"),
        security_context=container_security(),
        # A loading server answers PING with an error: it is not ready, and gets enough time at the start.
        startup_probe=_probe(args, failures=args.sizing.startup_seconds // PERIOD_SECONDS, strict=True),
        readiness_probe=_probe(args, failures=3, strict=True),
        # Any answer is enough: a replica that copies from a new primary loads again, and must not be killed meanwhile.
        liveness_probe=_probe(args, failures=6, strict=False),
        lifecycle=core.LifecycleArgs(pre_stop=core.LifecycleHandlerArgs(exec_=stop)),
        volume_mounts=[
            mount("data", DATA_DIRECTORY, read_only=False),
            CONF_MOUNT,
            mount("acl", ACL_DIRECTORY),
            PASSWORD_MOUNT,
            *tls,
        ],
    )


def _environment(args: DeploymentArgs) -> list[core.EnvVarArgs]:
    """Environment variables of the scripts in ``pods/scripts/valkey``."""
    pod_name = core.EnvVarArgs(
        name="POD_NAME",
        value_from=core.EnvVarSourceArgs(
            field_ref=core.ObjectFieldSelectorArgs(api_version="v1", field_path="metadata.name")
        ),
    )
    replicated = bool(args.settings.replicas)
    return [
        pod_name,
        *env(
            ME=node("$(POD_NAME)", args.namespace_name),
            LOCAL="127.0.0.1",
            NODES=" ".join(args.nodes) if replicated else "",
            PORT=str(PORT),
            SENTINEL_PORT=str(SENTINEL_PORT),
            PRIMARY_NAME=PRIMARY_NAME,
            QUORUM=str((1 + args.settings.replicas) // 2 + 1),
            DATA=DATA_DIRECTORY,
            CONF=CONF_DIRECTORY,
            NODE_USER=NODE_USER,
            PASSWORD_FILE=PASSWORD_FILE,
            CLI_TLS=cli_tls(args),
            TLS_DIRECTORY=TLS_DIRECTORY if args.tls else "",
            FAILOVER_SECONDS=str(FAILOVER_SECONDS),
        ),
    ]


def _probe(args: DeploymentArgs, *, failures: int, strict: bool) -> core.ProbeArgs:
    """PING as a user without a password that may do nothing else. With ``strict`` (-e), an error reply is a failure."""
    command = [
        "valkey-cli", *(["-e"] if strict else []), "-p", str(PORT), *cli_tls(args).split(), "--no-auth-warning",
        "--user", PROBE_USER, "--pass", "none", "ping",
    ]  # fmt: skip
    return core.ProbeArgs(
        exec_=core.ExecActionArgs(command=command),
        period_seconds=PERIOD_SECONDS,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _sentinel(args: DeploymentArgs) -> core.ContainerArgs:
    """Sentinel, which stores its state on the server's volume and also works while this pod's server is down."""
    command = ["valkey-cli", "-e", "-p", str(SENTINEL_PORT), *cli_tls(args).split(), "ping"]
    return core.ContainerArgs(
        name="sentinel",
        image=args.settings.image,
        command=["sh", f"{CONF_DIRECTORY}/sentinel.sh"],
        env=_environment(args),
        ports=[core.ContainerPortArgs(name="sentinel", container_port=SENTINEL_PORT, protocol="TCP")],
        resources=resources("64Mi", "50m"),
        security_context=container_security(),
        liveness_probe=core.ProbeArgs(
            exec_=core.ExecActionArgs(command=command),
            initial_delay_seconds=PERIOD_SECONDS,
            period_seconds=PERIOD_SECONDS,
            timeout_seconds=5,
            failure_threshold=6,
        ),
        volume_mounts=[
            mount("data", DATA_DIRECTORY, read_only=False),
            CONF_MOUNT,
            PASSWORD_MOUNT,
            *([TLS_MOUNT] if args.tls else []),
        ],
    )


def _tls_reload(args: DeploymentArgs) -> core.ContainerArgs:
    return core.ContainerArgs(
        name="tls-reload",
        image=args.settings.image,
        command=["sh", f"{CONF_DIRECTORY}/tls-reload.sh"],
        env=_environment(args),
        resources=resources("32Mi", "10m"),
        security_context=container_security(),
        volume_mounts=[CONF_MOUNT, PASSWORD_MOUNT, TLS_MOUNT],
    )


def _exporter(args: DeploymentArgs, passwords: pulumi.Input[str]) -> core.ContainerArgs:
    """The exporter of this pod's server. With TLS it connects to the pod's name, which the certificate has."""
    address = f"rediss://$(ME):{PORT}" if args.tls else f"redis://127.0.0.1:{PORT}"
    password = core.EnvVarArgs(
        name="REDIS_PASSWORD",
        value_from=core.EnvVarSourceArgs(secret_key_ref=core.SecretKeySelectorArgs(name=passwords, key=EXPORTER_USER)),
    )
    return core.ContainerArgs(
        name="exporter",
        image=args.settings.exporter_image,
        env=[
            *_environment(args)[:2],
            *env(
                REDIS_ADDR=address,
                REDIS_USER=EXPORTER_USER,
                # CONFIG GET would show the replication password.
                REDIS_EXPORTER_CONFIG_COMMAND="-",
                REDIS_EXPORTER_WEB_LISTEN_ADDRESS=f":{EXPORTER_PORT}",
                **({"REDIS_EXPORTER_TLS_CA_CERT_FILE": f"{TLS_DIRECTORY}/ca.crt"} if args.tls else {}),
            ),
            password,
        ],
        ports=[core.ContainerPortArgs(name="metrics", container_port=EXPORTER_PORT, protocol="TCP")],
        resources=resources("64Mi", "20m"),
        security_context=container_security(),
        volume_mounts=[TLS_MOUNT] if args.tls else None,
    )
