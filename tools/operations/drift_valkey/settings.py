"""Settings that the mapping, the deployment or a safe default determine."""

from collections.abc import Iterator
from typing import Any

from components.valkey.deployment.files import configuration
from components.valkey.render import render_conf
from pods.valkey_upkeep.resp import Connection, pairs
from provider.difference import Difference
from provider.errors import ProviderError
from tools.operations.stack import Stack
from tools.quoting import command

# Directives of the rendered configuration that depend on the machine, not on the mapping.
MACHINE_DIRECTIVES = frozenset({"bind", "port", "dir", "aclfile", "logfile", "daemonize", "tcp-keepalive"})

# Defaults of the server that decide what is lost, who learns what, and when clients get errors, unless the deployment's
# configuration has another value. A server that lacks a setting is not reported.
SAFE_DEFAULTS = {
    "acllog-max-len": "128",
    "active-expire-effort": "1",
    "aof-load-truncated": "yes",
    "auto-aof-rewrite-percentage": "100",
    "busy-reply-threshold": "5000",
    "hide-user-data-from-log": "yes",
    "maxmemory-clients": "0",
    "min-replicas-max-lag": "10",
    "min-replicas-to-write": "0",
    "no-appendfsync-on-rewrite": "no",
    "notify-keyspace-events": "",
    "proto-max-bulk-len": "536870912",
    "replica-read-only": "yes",
    "replica-serve-stale-data": "yes",
    "timeout": "0",
}


def on_kubernetes(stack: Stack) -> bool:
    """Whether the stack deploys the server."""
    return stack.settings.kubernetes.mode != "none" and stack.settings.valkey.apply == "none"


def differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    """Compare with ``CONFIG GET``. Raises ``ProviderError`` if the server lacks a setting that the mapping needs."""
    for name, wanted in _directives(stack).items():
        answer: dict[str, Any] = pairs(connection.call("CONFIG", "GET", name))
        if name not in answer:
            if name in SAFE_DEFAULTS:
                continue
            raise ProviderError(f"{connection.endpoint}: it has no setting {name}; the server is too old")
        live = answer[name]
        # A stack may be stricter than the mapping's default.
        if live != wanted and (name, live) != ("appendfsync", "always"):
            yield Difference(
                f"setting {name} is {live or 'empty'}, not {wanted or 'empty'}", command("CONFIG", "SET", name, wanted)
            )


def _directives(stack: Stack) -> dict[str, str]:
    """Directive -> value, as ``CONFIG GET`` returns it."""
    mapping, deployment = stack.mapping, stack.settings.valkey_deployment
    mapped = _parse(render_conf(mapping, directory="/", port=1, bind="", aclfile="/"))
    deployed: dict[str, str] = {}
    if on_kubernetes(stack):
        files = configuration(
            mapping, replicas=deployment.replicas, tls=stack.settings.valkey.tls, appendfsync=deployment.appendfsync
        )
        deployed = _parse(files["valkey.conf"])
    defaults = {name: deployed.get(name, value) for name, value in SAFE_DEFAULTS.items()}
    wanted = {name: deployed.get(name, value) for name, value in mapped.items() if name not in MACHINE_DIRECTIVES}
    return {**defaults, **wanted, "maxmemory": str(mapping.valkey.memory.maxmemory.bytes)}


def _parse(conf: str) -> dict[str, str]:
    lines = [line.split(" ", 1) for line in conf.splitlines() if line and not line.startswith("#")]
    return {name: value.strip('"') for name, value in lines}
