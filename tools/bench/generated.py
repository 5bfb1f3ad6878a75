"""The shipped mapping with N copies of its modules, schemas, keys, streams and buckets, and migrations for it.

Copy 2 of ``scanner`` is ``scanner_2``; its keys begin with ``c2:``, its bucket is ``blobs-2``. Shared keys
(``events:*`` and ``queue:*``) are not copied: every user's rules would grow with N.
"""

import copy
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
LINKED = ("__main__.py", "Pulumi.yaml", "components", "provider", "pods", "schemas", "stacks", "valkey-config")


def mapping(factor: int) -> dict[str, Any]:
    """Return the data of a mapping with ``factor`` times the modules."""
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "schema-mapping.yaml").read_text(encoding="utf-8"))
    copied = copy.deepcopy(shipped)
    for number in range(2, factor + 1):
        _merge(copied, _renamed(copy.deepcopy(shipped), number))
    return copied


def add_module(data: dict[str, Any], name: str) -> None:
    """Add a module with its own schema, which has one table, and its own keys."""
    data["modules"][name] = {
        "name": name.title(),
        "purpose": "Added by the benchmark",
        "postgres": {"owns": [name]},
        "valkey": {"owns": [f"{name}:*"]},
    }
    columns = {"widget_id": "uuid", "tenant_id": "uuid", "created_at": "timestamptz"}
    tables = {"widgets": {"purpose": "Widgets", "columns": columns}}
    data["postgres"]["schemas"][name] = {"purpose": "Widgets", "tables": tables}
    data["valkey"]["keys"][f"{name}:*"] = {"type": "string", "ttl": "1h", "evictable": True, "purpose": "Widgets"}


def project(directory: Path, data: dict[str, Any]) -> None:
    """Make ``directory`` a project of this program with mapping ``data``; can be repeated with other data."""
    directory.mkdir(exist_ok=True)
    for name in LINKED:
        if not (directory / name).exists():
            (directory / name).symlink_to(ROOT / name)
    text = yaml.safe_dump(data, sort_keys=False, width=10_000, allow_unicode=True)
    (directory / "schema-mapping.yaml").write_text(text, encoding="utf-8")
    for schema, definition in data["postgres"]["schemas"].items():
        place = directory / "sql" / schema
        if place.exists():
            continue
        shipped = ROOT / "sql" / re.sub(r"_\d+$", "", schema)
        if shipped.exists():
            shutil.copytree(shipped, place)
        else:
            place.mkdir(parents=True)
            (place / "0001_tables.sql.j2").write_text(_tables(definition["tables"]), encoding="utf-8")


def _tables(tables: dict[str, Any]) -> str:
    return "\n".join(
        f"CREATE TABLE {{{{ schema }}}}.{name} (\n  "
        + ",\n  ".join(f"{column} {kind.upper()}" for column, kind in table["columns"].items())
        + "\n);"
        for name, table in tables.items()
    )


def _renamed(shipped: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the named parts of the mapping, renamed for copy ``number``."""
    modules, services = shipped["modules"], shipped["services"]
    keys = {name: key for name, key in shipped["valkey"]["keys"].items() if not key.get("shared")}
    users = {*modules, *services}

    def user(name: str) -> str:
        return f"{name}_{number}" if name in users else name

    def key(pattern: str) -> str:
        return f"c{number}:{pattern}"

    def target(text: str) -> str:
        schema, dot, rest = text.partition(".")
        return f"{schema}_{number}{dot}{rest}"

    def path(text: str) -> str:
        bucket, slash, rest = text.partition("/")
        return f"{bucket}-{number}{slash}{rest}"

    rename = {"postgres": target, "valkey": key, "rustfs": path}

    def member(definition: dict[str, Any]) -> dict[str, Any]:
        renamed = dict(definition, name=f"{definition['name']}{number}")
        for store, change in rename.items():
            if store in definition:
                verbs = definition[store]
                renamed[store] = {
                    verb: [change(item) for item in value] if isinstance(value, list) else value
                    for verb, value in verbs.items()
                }
        return renamed

    def stream(definition: dict[str, Any]) -> dict[str, Any]:
        renamed = dict(definition)
        for role in ("producers", "consumers"):
            if role in definition:
                renamed[role] = [user(name) for name in definition[role]]
        if "groups" in definition:
            renamed["groups"] = {
                name: dict(group, consumer=user(group["consumer"])) for name, group in definition["groups"].items()
            }
        return renamed

    def schema(definition: dict[str, Any]) -> dict[str, Any]:
        functions = {
            name: dict(function, execute=[user(module) for module in function["execute"]])
            for name, function in definition.get("functions", {}).items()
        }
        return dict(definition, functions=functions) if functions else definition

    valkey = shipped["valkey"]
    return {
        "modules": {user(name): member(item) for name, item in modules.items()},
        "services": {user(name): member(item) for name, item in services.items()},
        "postgres": {"schemas": {f"{name}_{number}": schema(s) for name, s in shipped["postgres"]["schemas"].items()}},
        "valkey": {
            "keys": {key(name): item for name, item in keys.items()},
            "estimates": {key(name): item for name, item in valkey["estimates"].items() if name in keys},
            "streams": {key(name): stream(item) for name, item in valkey["streams"].items()},
        },
        "rustfs": {"buckets": {f"{name}-{number}": item for name, item in shipped["rustfs"]["buckets"].items()}},
    }


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
