"""Backups on Kubernetes: a Secret, a ConfigMap with agent and scripts, three CronJobs, and a Deployment that receives WAL.

PostgreSQL's programs run in its official image and write to a volume; a container with a Python image uploads from there.
A failed Job is kept, with the error as its pod's termination message. The namespace must exist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.mapping.backup_names import POD_LABELS as LABELS
from components.valkey.deployment.arguments import SKIP_AWAIT, container_security, pod_security
from pods.backup_agent import kinds

PODS = Path(__file__).parents[2] / "pods"
RESP = PODS / "valkey_upkeep" / "resp.py"
NAME = "backup"
# Paths in a container. The agent is a package below PROGRAM.
PROGRAM, WORK, CA = "/program", "/work", "/ca"
CA_SECRET = "backup-ca"  # noqa: S105 - an optional Secret that users create: ca.crt of a private certificate authority
UID = 999  # the image's user postgres; libpq requires that the user has a name

DUMP_SCHEDULE, BASE_SCHEDULE, VALKEY_SCHEDULE = "17 1 * * *", "47 2 * * 0", "7 * * * *"  # UTC
SHIP_SECONDS = 60
SHIP_LATE_SECONDS = 300  # the pod is unready if it uploaded nothing for this long
DEADLINE_SECONDS = {DUMP_SCHEDULE: 6 * 3600, BASE_SCHEDULE: 24 * 3600, VALKEY_SCHEDULE: 3000}
# The variable that each script needs besides those of libpq. wal.sh has no SCHEMAS: a new schema must not restart it.
SCRIPT_VARIABLES = {"dump.sh": "SCHEMAS", "base.sh": "SCHEMAS", "wal.sh": "SLOT"}
MEMORY, CPU = {"agent": "256Mi", "postgres": "256Mi"}, "100m"


@dataclass(frozen=True)
class PodsArgs:
    """Arguments of ``deploy``.

    ``environment`` and ``secrets`` become environment variables; those in ``secrets`` come from a Secret. ``retention``:
    kind of backup -> days. ``wal``: whether to add base backups and WAL.
    """

    namespace: pulumi.Input[str]
    wait: bool
    environment: dict[str, pulumi.Input[str]]
    secrets: dict[str, pulumi.Input[str]]
    retention: dict[str, int]
    postgres_image: str
    agent_image: str
    volume_size: str
    wal: bool


def files() -> dict[str, str]:
    """Return ConfigMap key -> content: the agent's modules, the RESP client that it imports, and the scripts."""
    modules = [*sorted((PODS / "backup_agent").glob("*.py")), RESP]
    paths = [*modules, *sorted((PODS / "scripts" / "backups").iterdir())]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def _program_path(key: str) -> str:
    """Return the path below ``PROGRAM`` of the file with this ConfigMap key."""
    if key == RESP.name:
        return str(RESP.relative_to(PODS.parent))
    return f"{'agent' if key.endswith('.py') else 'scripts'}/{key}"


def deploy(args: PodsArgs, opts: pulumi.ResourceOptions) -> None:
    """Create all objects. ``opts`` has their parent and provider."""
    secret = core.Secret(NAME, metadata=_metadata(NAME, args), string_data=args.secrets, opts=opts)
    program = core.ConfigMap(NAME, metadata=_metadata(NAME, args), data=files(), opts=opts)
    pods = _Pods(args, secret, program)
    dump, upload_dump = pods.postgres("dump", "dump.sh"), pods.publish(kinds.DUMP)
    _cron_job("backup-postgres-dump", DUMP_SCHEDULE, pods.pod([dump], [upload_dump], pods.scratch()), args, opts)
    snapshot = pods.agent("snapshot", ["valkey"], kinds.RDB)
    _cron_job("backup-valkey", VALKEY_SCHEDULE, pods.pod([], [snapshot]), args, opts)
    if args.wal:
        base, upload_base = pods.postgres("base", "base.sh"), pods.publish(kinds.BASE)
        _cron_job("backup-postgres-base", BASE_SCHEDULE, pods.pod([base], [upload_base], pods.scratch()), args, opts)
        _wal(pods, args, opts)


def _wal(pods: "_Pods", args: PodsArgs, opts: pulumi.ResourceOptions) -> None:
    """Create the WAL receiver: one pod, because the slot has only one consumer at a time.

    WAL that it has received but not yet uploaded is on a volume that outlives the pod, because the server no longer keeps
    it.
    """
    name = "backup-wal"
    claim = core.PersistentVolumeClaim(
        # The claim is bound only when the pod uses it, and the pod is created after the claim: waiting would never end.
        name, metadata=_metadata(name, args, skip=True), spec=_claim("4Gi"), opts=opts,
    )  # fmt: skip
    labels = {**LABELS, "app.kubernetes.io/component": "wal"}
    volume = core.VolumeArgs(
        name="work", persistent_volume_claim=core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
    )
    check = f"import os, sys, time; sys.exit(time.time() - os.stat('{WORK}/.shipped').st_mtime > {SHIP_LATE_SECONDS})"
    probe = core.ProbeArgs(
        exec_=core.ExecActionArgs(command=["python", "-c", check]), period_seconds=30, timeout_seconds=10
    )
    ship = pods.agent("ship", ["ship", WORK, "--every", str(SHIP_SECONDS)], kinds.BASE, readiness_probe=probe)
    apps.Deployment(
        name,
        metadata=_metadata(name, args, waits=True),
        spec=apps.DeploymentSpecArgs(
            replicas=1,
            strategy=apps.DeploymentStrategyArgs(type="Recreate"),
            selector=meta.LabelSelectorArgs(match_labels=labels),
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=labels),
                spec=pods.pod([], [pods.postgres("receive", "wal.sh"), ship], volume, restart="Always"),
            ),
        ),
        opts=opts,
    )


def _cron_job(
    name: str, schedule: str, pod: core.PodSpecArgs, args: PodsArgs, opts: pulumi.ResourceOptions
) -> batch.CronJob:
    return batch.CronJob(
        name,
        metadata=_metadata(name, args),
        spec=batch.CronJobSpecArgs(
            schedule=schedule,
            time_zone="Etc/UTC",
            concurrency_policy="Forbid",
            starting_deadline_seconds=3600,
            successful_jobs_history_limit=1,
            failed_jobs_history_limit=3,
            job_template=batch.JobTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=LABELS),
                spec=batch.JobSpecArgs(
                    backoff_limit=2,
                    active_deadline_seconds=DEADLINE_SECONDS[schedule],
                    template=core.PodTemplateSpecArgs(metadata=meta.ObjectMetaArgs(labels=LABELS), spec=pod),
                ),
            ),
        ),
        opts=opts,
    )


class _Pods:
    """Containers and pods that share images, files, settings and security."""

    def __init__(self, args: PodsArgs, secret: core.Secret, program: core.ConfigMap) -> None:
        self._args = args
        self._secret = secret
        self._program = program

    def postgres(self, name: str, script: str) -> core.ContainerArgs:
        """Return a container that runs a script with PostgreSQL's programs."""
        return self._container(
            name, self._args.postgres_image, ["sh", f"{PROGRAM}/scripts/{script}"], {"SCRIPTS": f"{PROGRAM}/scripts"},
            MEMORY["postgres"], "PG", SCRIPT_VARIABLES[script],
        )  # fmt: skip

    def publish(self, kind: str) -> core.ContainerArgs:
        return self.agent("publish", ["publish", kind, WORK], kind)

    def agent(self, name: str, arguments: list[str], kind: str, **more: Any) -> core.ContainerArgs:
        """Return a container that runs the agent, which also deletes expired backups of ``kind``."""
        settings = {
            "PYTHONPATH": PROGRAM,
            "PYTHONDONTWRITEBYTECODE": "1",
            "RETENTION_DAYS": str(self._args.retention[kind]),
        }
        prefixes = ("S3_", "STACK", "VALKEY_") if kind == kinds.RDB else ("S3_", "STACK")
        command = ["python", "-m", "agent", *arguments]
        return self._container(name, self._args.agent_image, command, settings, MEMORY["agent"], *prefixes, **more)

    def _container(
        self,
        name: str,
        image: str,
        command: list[str],
        settings: dict[str, str],
        memory: str,
        *prefixes: str,
        **more: Any,
    ) -> core.ContainerArgs:
        """Return a container. It has only the variables that begin with ``prefixes``: pg_dump gets no key of the bucket."""
        plain = {
            **{key: value for key, value in self._args.environment.items() if key.startswith(prefixes)},
            **settings,
            "WORK": WORK,
            "SPOOL": WORK,
            "CA_FILE": f"{CA}/ca.crt",
        }
        secrets = [key for key in self._args.secrets if key.startswith(prefixes)]
        return core.ContainerArgs(
            name=name,
            image=image,
            command=command,
            env=[
                *(core.EnvVarArgs(name=key, value=value) for key, value in plain.items()),
                *(core.EnvVarArgs(name=key, value_from=self._reference(key)) for key in secrets),
            ],
            resources=core.ResourceRequirementsArgs(requests={"cpu": CPU, "memory": memory}, limits={"memory": memory}),
            security_context=container_security(),
            # The pod's status then has the end of the log, with the error.
            termination_message_policy="FallbackToLogsOnError",
            volume_mounts=[
                core.VolumeMountArgs(name="work", mount_path=WORK),
                core.VolumeMountArgs(name="program", mount_path=PROGRAM, read_only=True),
                core.VolumeMountArgs(name="ca", mount_path=CA, read_only=True),
            ],
            **more,
        )

    def _reference(self, key: str) -> core.EnvVarSourceArgs:
        return core.EnvVarSourceArgs(
            secret_key_ref=core.SecretKeySelectorArgs(name=self._secret.metadata.name, key=key)
        )

    def pod(
        self,
        init_containers: list[core.ContainerArgs],
        containers: list[core.ContainerArgs],
        work: core.VolumeArgs | None = None,
        restart: str = "Never",
    ) -> core.PodSpecArgs:
        """Return a pod that runs ``init_containers`` one after the other, then ``containers`` in parallel."""
        items = [core.KeyToPathArgs(key=key, path=_program_path(key)) for key in files()]
        return core.PodSpecArgs(
            restart_policy=restart,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security(UID),
            init_containers=init_containers or None,
            containers=containers,
            volumes=[
                work or core.VolumeArgs(name="work", empty_dir=core.EmptyDirVolumeSourceArgs(size_limit="16Mi")),
                core.VolumeArgs(
                    name="program",
                    config_map=core.ConfigMapVolumeSourceArgs(name=self._program.metadata.name, items=items),
                ),
                core.VolumeArgs(name="ca", secret=core.SecretVolumeSourceArgs(secret_name=CA_SECRET, optional=True)),
            ],
        )

    def scratch(self) -> core.VolumeArgs:
        """Return a volume for one dump or base backup, which is created and deleted with the pod."""
        template = core.PersistentVolumeClaimTemplateArgs(spec=_claim(self._args.volume_size))
        return core.VolumeArgs(name="work", ephemeral=core.EphemeralVolumeSourceArgs(volume_claim_template=template))


def _claim(size: str) -> core.PersistentVolumeClaimSpecArgs:
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=["ReadWriteOnce"], resources=core.VolumeResourceRequirementsArgs(requests={"storage": size})
    )


def _metadata(name: str, args: PodsArgs, *, waits: bool = False, skip: bool = False) -> meta.ObjectMetaArgs:
    """Return the metadata of an object.

    ``waits``: the engine waits for the object if ``kubernetesWait`` is true. ``skip``: the engine never waits.
    """
    annotations = SKIP_AWAIT if skip or (waits and not args.wait) else None
    return meta.ObjectMetaArgs(name=name, namespace=args.namespace, labels=LABELS, annotations=annotations)
