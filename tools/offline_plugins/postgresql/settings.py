"""Connection settings of the server, from the provider's configuration."""

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConnectionSettings:
    """Address and credentials of the server. ``superuser``: whether the program configures the user as one."""

    host: str
    port: int
    user: str
    password: str | None
    database: str
    database_user: str | None
    superuser: bool
    connect_timeout_seconds: int
    max_connections: int  # for each database; 0: unlimited
    ssl: dict[str, str]

    @staticmethod
    def of(configuration: dict[str, Any]) -> "ConnectionSettings":
        certificate = configuration.get("clientcert") or {}
        ssl = {
            "sslmode": configuration.get("sslmode") or configuration.get("sslMode") or "prefer",
            "sslrootcert": configuration.get("sslrootcert"),
            "sslcert": certificate.get("cert"),
            "sslkey": certificate.get("key"),
        }
        return ConnectionSettings(
            host=configuration.get("host") or os.environ.get("PGHOST", "localhost"),
            port=configuration["port"],
            user=configuration["username"],
            password=configuration.get("password") or os.environ.get("PGPASSWORD"),
            database=configuration["database"],
            database_user=configuration.get("databaseUsername"),
            superuser=configuration["superuser"],
            connect_timeout_seconds=configuration["connectTimeout"],
            max_connections=configuration["maxConnections"],
            ssl={name: value for name, value in ssl.items() if value},
        )
