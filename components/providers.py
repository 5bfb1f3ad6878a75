"""Explicit providers, because default providers are disabled. ``PostgresComponent`` creates its own two."""

from urllib.parse import urlsplit

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.config.model import KubernetesSettings, ObjectStoreSettings, Settings
from components.resources.provider import Provider


def stellaops(settings: Settings) -> Provider:
    """Return the provider ``stellaops``: migrations, credentials, Valkey users and streams, buckets and access keys."""
    postgres, valkey, store = settings.postgres, settings.valkey, settings.object_store
    return Provider(
        "stellaops",
        postgres_host=postgres.host,
        postgres_port=postgres.port,
        postgres_ssl_mode=postgres.ssl_mode,
        postgres_admin_user=postgres.admin_user,
        postgres_admin_password=postgres.admin_password,
        postgres_database=postgres.database,
        postgres_maintenance_database=postgres.maintenance_database,
        valkey_host=valkey.host,
        valkey_port=valkey.port,
        valkey_tls=valkey.tls,
        valkey_admin_user=valkey.admin_user,
        valkey_admin_password=valkey.admin_password,
        object_store_endpoint=store.endpoint,
        object_store_region=store.region,
        object_store_access_key=store.access_key,
        object_store_secret_key=store.secret_key,
    )


def object_store(settings: ObjectStoreSettings) -> aws.Provider:
    """Return the AWS provider for the stack's S3 endpoint.

    For servers other than Amazon S3 it uses path-style addresses and skips the AWS APIs that they lack.
    """
    not_aws = not (urlsplit(settings.endpoint).hostname or "").endswith("amazonaws.com")
    return aws.Provider(
        "object-store",
        region=settings.region,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        s3_use_path_style=not_aws,
        skip_credentials_validation=not_aws,
        skip_requesting_account_id=not_aws,
        skip_metadata_api_check=not_aws,
        endpoints=[aws.ProviderEndpointArgs(s3=settings.endpoint)],
    )


def cluster(settings: KubernetesSettings) -> kubernetes.Provider | None:
    """Return the provider of the cluster or of the directory of rendered manifests; None if ``kubernetesMode`` is none."""
    if settings.mode == "none":
        return None
    rendered = settings.mode == "render"
    return kubernetes.Provider(
        "manifests" if rendered else "cluster",
        namespace=settings.namespace,
        # ConfigMaps and Secrets have fixed names: update them in place. A replacement would delete them first.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        render_yaml_to_directory=settings.render_directory if rendered else None,
        enable_server_side_apply=None if rendered else True,
        context=None if rendered else settings.context or None,
    )
