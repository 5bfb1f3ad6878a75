"""The state of a running server: whom it follows, paused clients, loaded functions."""

from collections.abc import Iterator

from pods.valkey_upkeep.resp import Connection, pairs
from provider.difference import Difference
from tools.operations.drift_valkey.settings import on_kubernetes
from tools.operations.stack import Stack
from tools.quoting import command


def differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    role = connection.call("ROLE")
    # With replicas, Sentinel decides which server is the primary.
    if role[0] == "slave" and not (on_kubernetes(stack) and stack.settings.valkey_deployment.replicas):
        yield Difference(
            f"the server is a replica of {role[1]}:{role[2]}: it must be the primary", command("REPLICAOF", "NO", "ONE")
        )
    clients = dict(line.partition(":")[::2] for line in connection.call("INFO", "clients").splitlines())
    if clients.get("paused_reason") == "client_pause":
        seconds = int(clients.get("paused_timeout_milliseconds", 0)) // 1000
        yield Difference(
            f"clients are paused ({clients.get('paused_actions')}) for another {seconds} s",
            command("CLIENT", "UNPAUSE"),
        )
    for library in map(pairs, connection.call("FUNCTION", "LIST")):
        name = library["library_name"]
        yield Difference(
            f"function library {name} is loaded: no user of the mapping may call functions",
            command("FUNCTION", "DELETE", name),
        )
