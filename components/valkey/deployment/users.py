"""The deployment's own ACL users, for its nodes and its exporter, with only the permissions that they need.

Their names have a hyphen, so that no module or service can have them.
"""

from collections.abc import Mapping

from components.valkey.acl import set_user
from components.valkey.render import acl_mark

NODE_USER = "valkey-node"
EXPORTER_USER = "valkey-exporter"


def node_rules(*, replicas: bool, tls: bool) -> tuple[str, ...]:
    """Rules of the user inside the servers' pods: save before the pod stops, reload certificates, and with replicas
    replicate and serve Sentinel. A user that replicates can read all data."""
    rules = ["resetchannels", "+ping", "+role", "+save"]
    if tls:
        rules.append("+config|set")
    if replicas:
        rules += ["+psync", "+replconf"]
        # From Valkey's Sentinel documentation; +failover is for coordinated failovers in later versions.
        rules += [
            "+multi", "+exec", "+replicaof", "+slaveof", "+info", "+config|rewrite", "+client|setname", "+client|kill",
            "+subscribe", "+publish", "+script|kill", "+failover", "&__sentinel__:hello",
        ]  # fmt: skip
    return tuple(rules)


def exporter_rules() -> tuple[str, ...]:
    """Rules of the exporter: server metrics, no keys. Without CONFIG GET, which shows the replication password."""
    return (
        "resetchannels", "+ping", "+info", "+client|setname", "+client|setinfo", "+latency|latest",
        "+latency|histogram", "+slowlog|len",
    )  # fmt: skip


def acl_file(modules: str, internal: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    """``users.acl`` of the deployment: the file from ``render_acl``, the deployment's own users (name -> SHA-256 of the
    password, rules), and a new mark."""
    lines = [line for line in modules.splitlines() if line != f"user {acl_mark(modules)} reset off"]
    lines += [f"user {name} {' '.join(set_user(sha256, rules))}" for name, (sha256, rules) in internal.items()]
    text = "\n".join(lines) + "\n"
    return f"{text}user {acl_mark(text)} reset off\n"
