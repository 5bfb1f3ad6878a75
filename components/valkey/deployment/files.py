"""The files that the deployment's pods read, as text: configuration from ``valkey-config/``, scripts from
``pods/scripts/valkey``."""

from pathlib import Path

from components.mapping import Mapping
from components.valkey.deployment.names import (
    ACL_FILE,
    DATA_DIRECTORY,
    PORT,
    SENTINEL_PORT,
    TLS_DIRECTORY,
)
from components.valkey.deployment.pod_resources import BACKLOG_MIB, REPLICA_BUFFER_MIB
from components.valkey.deployment.users import NODE_USER
from components.valkey.render import render_conf, template

ANY_ADDRESS = "* -::*"
SCRIPTS = Path(__file__).parents[3] / "pods" / "scripts" / "valkey"


def configuration(
    mapping: Mapping,
    *,
    replicas: int,
    tls: bool,
    appendfsync: str = "everysec",
    port: int = PORT,
    sentinel_port: int = SENTINEL_PORT,
    bind: str = ANY_ADDRESS,
    data: str = DATA_DIRECTORY,
    aclfile: str = ACL_FILE,
    tls_directory: str = TLS_DIRECTORY,
) -> dict[str, str]:
    """File name -> text: ``valkey.conf``, ``sentinel.conf`` and the scripts of the pods.

    Ports, addresses and paths are parameters for tests, which run servers elsewhere.
    """
    tls_at = tls_directory if tls else ""
    conf = render_conf(
        mapping, directory=data, port=0 if tls else port, bind=bind, aclfile=aclfile, appendfsync=appendfsync
    )
    conf += template("node.conf.j2").render(
        tls=tls_at,
        port=port,
        replicas=replicas,
        user=NODE_USER,
        backlog=BACKLOG_MIB,
        replica_buffer=REPLICA_BUFFER_MIB,
    )
    files = {"valkey.conf": conf, "stop.sh": script("stop.sh")}
    if tls:
        files["tls-reload.sh"] = script("tls-reload.sh")
    if replicas:
        files["sentinel.conf"] = template("sentinel.conf.j2").render(tls=tls_at, port=sentinel_port, bind=bind)
        files |= {name: script(name) for name in ("start.sh", "sentinel.sh")}
    return files


def script(name: str) -> str:
    return (SCRIPTS / name).read_text(encoding="utf-8")
