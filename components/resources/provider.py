"""``Provider``: the addresses and credentials of the stores, for the resources of ``stellaops``."""

from typing import Any

import pulumi


class Provider(pulumi.ProviderResource):
    """The explicit provider of every ``stellaops`` resource. Inputs have the names of the stack config keys.

    Passwords and keys are secret in state. A change updates the provider in place and replaces no resource. The
    provider contacts no server until a resource is created, updated, deleted or refreshed.

    - ``postgres_*``: the server and its admin; ``postgres_maintenance_database`` is used while ``postgres_database``
      does not exist. ``postgres_ssl_mode`` is libpq's ``sslmode``.
    - ``valkey_*``: the server whose users and streams are managed, and its admin.
    - ``object_store_*``: the S3 endpoint as a URL, its region, and the admin's access key and secret key.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        postgres_host: pulumi.Input[str],
        postgres_port: pulumi.Input[int],
        postgres_ssl_mode: pulumi.Input[str],
        postgres_admin_user: pulumi.Input[str],
        postgres_admin_password: pulumi.Input[str],
        postgres_database: pulumi.Input[str],
        postgres_maintenance_database: pulumi.Input[str],
        valkey_host: pulumi.Input[str],
        valkey_port: pulumi.Input[int],
        valkey_tls: pulumi.Input[bool],
        valkey_admin_user: pulumi.Input[str],
        valkey_admin_password: pulumi.Input[str],
        object_store_endpoint: pulumi.Input[str],
        object_store_region: pulumi.Input[str],
        object_store_access_key: pulumi.Input[str],
        object_store_secret_key: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        # A provider receives inputs other than strings as JSON text.
        inputs: dict[str, Any] = {
            "postgresHost": postgres_host,
            "postgresPort": _json(postgres_port),
            "postgresSslMode": postgres_ssl_mode,
            "postgresAdminUser": postgres_admin_user,
            "postgresAdminPassword": pulumi.Output.secret(postgres_admin_password),
            "postgresDatabase": postgres_database,
            "postgresMaintenanceDatabase": postgres_maintenance_database,
            "valkeyHost": valkey_host,
            "valkeyPort": _json(valkey_port),
            "valkeyTls": _json(valkey_tls),
            "valkeyAdminUser": valkey_admin_user,
            "valkeyAdminPassword": pulumi.Output.secret(valkey_admin_password),
            "objectStoreEndpoint": object_store_endpoint,
            "objectStoreRegion": object_store_region,
            "objectStoreAccessKey": pulumi.Output.secret(object_store_access_key),
            "objectStoreSecretKey": pulumi.Output.secret(object_store_secret_key),
        }
        super().__init__("stellaops", resource_name, inputs, opts)


def _json(value: Any) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(value)
