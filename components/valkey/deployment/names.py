"""Names, ports and paths of the deployment, fixed so that services find it and changes update it in place."""

NAME = "valkey"
HEADLESS = "valkey-headless"
MAINTENANCE = "valkey-maintenance"
CONFIGURATION = "valkey-conf"
ACL = "valkey-acl"
PASSWORDS = "valkey-passwords"

PORT = 6379
SENTINEL_PORT = 26379
EXPORTER_PORT = 9121
PRIMARY_NAME = "stellaops"  # Sentinel's name of the primary, which clients look up

VALKEY_UID = 999  # the image's user
MAINTENANCE_UID = 65532

CONF_DIRECTORY = "/etc/valkey/conf"
ACL_DIRECTORY = "/etc/valkey/acl"
PASSWORD_DIRECTORY = "/etc/valkey/password"  # noqa: S105
TLS_DIRECTORY = "/etc/valkey/tls"
DATA_DIRECTORY = "/data"
ACL_FILE = f"{ACL_DIRECTORY}/users.acl"

PART_OF = {"app.kubernetes.io/part-of": "stellaops"}
# The servers' pods; a StatefulSet cannot change its selector.
LABELS = {"app.kubernetes.io/name": NAME, **PART_OF}
MAINTENANCE_LABELS = {"app.kubernetes.io/name": MAINTENANCE, **PART_OF}


def nodes(namespace: str, count: int) -> list[str]:
    """The servers' host names, without the cluster's domain: it varies, and the pods' resolvers add it."""
    return [node(f"{NAME}-{number}", namespace) for number in range(count)]


def node(pod: str, namespace: str) -> str:
    return f"{pod}.{HEADLESS}.{namespace}.svc"
