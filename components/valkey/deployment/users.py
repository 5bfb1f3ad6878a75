"""ACL users of the deployment itself: its nodes, its exporter, its jobs. What each may do, and no more.

A hyphen stands in each name, so that no module or service can have it.
"""

from collections.abc import Mapping

from components.valkey.acl import set_user
from components.valkey.render import acl_mark

NODE_USER = "valkey-node"
EXPORTER_USER = "valkey-exporter"


def node_rules(*, replicas: bool, tls: bool) -> tuple[str, ...]:
    """For what runs inside of the servers' pods: save before the end; read renewed certificates; and with replicas
    what replication and Sentinel need. It may read everything then: a replica does."""
    rules = ["resetchannels", "+ping", "+role", "+save"]
    if tls:
        rules.append("+config|set")
    if replicas:
        rules += ["+psync", "+replconf"]
        # As Valkey's documentation of Sentinel lists them; failover is for coordinated ones of later versions.
        rules += [
            "+multi", "+exec", "+replicaof", "+slaveof", "+info", "+config|rewrite", "+client|setname", "+client|kill",
            "+subscribe", "+publish", "+script|kill", "+failover", "&__sentinel__:hello",
        ]  # fmt: skip
    return tuple(rules)


def exporter_rules() -> tuple[str, ...]:
    """Counters of the server, of no key. Not CONFIG GET: it shows the password of the replication."""
    return (
        "resetchannels", "+ping", "+info", "+client|setname", "+client|setinfo", "+latency|latest",
        "+latency|histogram", "+slowlog|len",
    )  # fmt: skip


def acl_file(modules: str, internal: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    """``users.acl`` of the deployment: that of ``render_acl``, the deployment's own users (name -> SHA-256 of the
    password, rules), and the mark by which a server is seen to have loaded it."""
    lines = [line for line in modules.splitlines() if line != f"user {acl_mark(modules)} reset off"]
    lines += [f"user {name} {' '.join(set_user(sha256, rules))}" for name, (sha256, rules) in internal.items()]
    text = "\n".join(lines) + "\n"
    return f"{text}user {acl_mark(text)} reset off\n"
