"""Maintenance jobs: load users and create streams after each change, trim streams, audit keys.

They run ``python3 -m maintenance`` from a ConfigMap in a plain Python image. An audit with findings exits with code 2,
which fails its job, so an alert on failed jobs is enough.
"""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.valkey.deployment.arguments import (
    PASSWORD_FILE,
    PASSWORD_MOUNT,
    TLS_MOUNT,
    DeploymentArgs,
    container_security,
    env,
    metadata,
    mount,
    pod_security,
    resources,
    secret_volume,
)
from components.valkey.deployment.names import (
    MAINTENANCE,
    MAINTENANCE_LABELS,
    MAINTENANCE_UID,
    PORT,
    TLS_DIRECTORY,
)
from components.valkey.render import MAINTENANCE_USER

PROGRAM_PARENT = "/opt"
# A kubelet updates a changed Secret in running pods within two minutes; a server may have to load its data first.
WAIT_SECONDS = 300
APPLY_DEADLINE_SECONDS = 900
CRON_DEADLINE_SECONDS = 3600


def apply_job(
    args: DeploymentArgs, files: pulumi.Input[str], passwords: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> None:
    """Create the job that loads users and creates streams.

    Its name has a digest of users, streams and its program, so it runs again when one of them changes.
    """
    name = pulumi.Output.concat("valkey-apply-", args.job_digest)
    # Otherwise a failed run leaves the old job to be deleted later. If the mapping is reverted, the next run creates a job
    # of that name and then deletes it.
    old_first = pulumi.ResourceOptions(delete_before_replace=True)
    wait = ["--wait", str(WAIT_SECONDS)]
    batch.Job(
        "valkey-apply",
        metadata=metadata(name, args, labels=MAINTENANCE_LABELS, waits=True),
        spec=batch.JobSpecArgs(
            backoff_limit=3,
            active_deadline_seconds=APPLY_DEADLINE_SECONDS,
            template=_template(
                args,
                files,
                passwords,
                [
                    _container(args, "users", ["acl", "--mark", args.mark, *wait]),
                    _container(args, "streams", ["streams", *wait]),
                ],
            ),
        ),
        opts=pulumi.ResourceOptions.merge(opts, old_first),
    )


def cron_jobs(
    args: DeploymentArgs, files: pulumi.Input[str], passwords: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> None:
    """Create the CronJobs that trim streams and audit keys. Their runs never overlap; the last ones are kept."""
    schedules = {
        "trim": (args.settings.trim_schedule, ["trim"]),
        "keys": (args.settings.keys_schedule, ["keys", "--prometheus"]),
    }
    for command, (schedule, arguments) in schedules.items():
        batch.CronJob(
            f"valkey-{command}",
            metadata=metadata(f"valkey-{command}", args, labels=MAINTENANCE_LABELS),
            spec=batch.CronJobSpecArgs(
                schedule=schedule,
                time_zone="Etc/UTC",
                concurrency_policy="Forbid",
                starting_deadline_seconds=600,
                successful_jobs_history_limit=1,
                failed_jobs_history_limit=3,
                job_template=batch.JobTemplateSpecArgs(
                    spec=batch.JobSpecArgs(
                        # A retry would have the same findings.
                        backoff_limit=0,
                        active_deadline_seconds=CRON_DEADLINE_SECONDS,
                        template=_template(args, files, passwords, [_container(args, command, arguments)]),
                    )
                ),
            ),
            opts=opts,
        )


def _template(
    args: DeploymentArgs,
    files: pulumi.Input[str],
    passwords: pulumi.Input[str],
    steps: list[core.ContainerArgs],
) -> core.PodTemplateSpecArgs:
    """A pod that runs ``steps`` one after the other."""
    volumes = [
        core.VolumeArgs(name="program", config_map=core.ConfigMapVolumeSourceArgs(name=files)),
        secret_volume("password", passwords, **{MAINTENANCE_USER: "password"}),
    ]
    if args.tls:
        # Only the CA's certificate: a job does not need the servers' private key.
        volumes.append(secret_volume("tls", args.settings.tls_secret, **{"ca.crt": "ca.crt"}))
    return core.PodTemplateSpecArgs(
        metadata=meta.ObjectMetaArgs(labels=MAINTENANCE_LABELS),
        spec=core.PodSpecArgs(
            automount_service_account_token=False,
            enable_service_links=False,
            restart_policy="Never",
            security_context=pod_security(MAINTENANCE_UID),
            init_containers=steps[:-1] or None,
            containers=steps[-1:],
            volumes=volumes,
        ),
    )


def _container(args: DeploymentArgs, name: str, arguments: Sequence[pulumi.Input[str]]) -> core.ContainerArgs:
    return core.ContainerArgs(
        name=name,
        image=args.settings.maintenance_image,
        command=["python3", "-m", "maintenance", *arguments],
        working_dir=PROGRAM_PARENT,
        env=env(
            VALKEY_HOST=args.host,
            VALKEY_PORT=str(PORT),
            VALKEY_TLS=str(args.tls).lower(),
            **({"VALKEY_CA_FILE": f"{TLS_DIRECTORY}/ca.crt"} if args.tls else {}),
            VALKEY_USER=MAINTENANCE_USER,
            VALKEY_PASSWORD_FILE=PASSWORD_FILE,
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONUNBUFFERED="1",
        ),
        resources=resources("128Mi", "50m"),
        security_context=container_security(),
        volume_mounts=[
            mount("program", f"{PROGRAM_PARENT}/{MAINTENANCE.partition('-')[2]}"),
            PASSWORD_MOUNT,
            *([TLS_MOUNT] if args.tls else []),
        ],
    )
