"""Explicit providers of the stores that are not PostgreSQL; default providers are switched off."""

from typing import Any
from urllib.parse import urlsplit

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.config.model import KubernetesSettings, ObjectStoreSettings


def object_store(settings: ObjectStoreSettings) -> aws.Provider:
    """S3 at the stack's endpoint. Only AWS itself is asked for more than S3, and reached by bucket names as hosts."""
    compatible = not (urlsplit(settings.endpoint).hostname or "").endswith("amazonaws.com")
    return aws.Provider(
        "object-store",
        region=settings.region,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        s3_use_path_style=compatible,
        skip_credentials_validation=compatible,
        skip_requesting_account_id=compatible,
        skip_metadata_api_check=compatible,
        endpoints=[aws.ProviderEndpointArgs(s3=settings.endpoint)],
    )


def cluster(settings: KubernetesSettings) -> kubernetes.Provider | None:
    """The Kubernetes cluster, or a directory that manifests are rendered to; None where neither is wanted."""
    if settings.mode == "none":
        return None
    # A changed ConfigMap or Secret keeps its name, so that it must be changed in place and not deleted first.
    common: dict[str, Any] = {
        "namespace": settings.namespace,
        "enable_config_map_mutable": True,
        "enable_secret_mutable": True,
    }
    if settings.mode == "render":
        return kubernetes.Provider("manifests", render_yaml_to_directory=settings.render_directory, **common)
    return kubernetes.Provider("cluster", enable_server_side_apply=True, context=settings.context or None, **common)
