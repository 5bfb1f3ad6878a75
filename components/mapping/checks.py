"""Cross-checks: errors that appear only when two parts of the mapping are compared.

``cross_check`` returns every finding and raises nothing; the loader adds the position in the file.
"""

from collections.abc import Iterator

from components.mapping import checks_postgres, checks_rustfs, checks_valkey
from components.mapping.findings import Finding
from components.mapping.mapping import Mapping
from components.mapping.roles import groups_of


def cross_check(mapping: Mapping) -> list[Finding]:
    """All findings, in no particular order."""
    return [
        *checks_postgres.check(mapping),
        *checks_valkey.check(mapping),
        *checks_rustfs.check(mapping),
        *_name_clashes(mapping),
        *_duplicates(mapping),
        *_flows(mapping),
    ]


def _name_clashes(mapping: Mapping) -> Iterator[Finding]:
    groups = {role.name for schema in mapping.postgres.schemas for role in groups_of(schema)}
    for name in mapping.modules:
        if name in groups:
            yield Finding(("modules", name), f"module {name!r} has the name of a schema's group role; rename it")
    for name in mapping.services:
        if name in mapping.modules:
            yield Finding(("services", name), f"{name!r} is already a module; choose another name for the service")


def _duplicates(mapping: Mapping) -> Iterator[Finding]:
    """Duplicate list entries: what is derived from an entry would be created twice."""
    lists: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = []
    for kind, users in (("modules", mapping.modules), ("services", mapping.services)):
        for name, user in users.items():
            for verb in ("owns", "writes", "reads"):
                lists.append(((kind, name, "valkey", verb), getattr(user.valkey, verb)))
    for name, module in mapping.modules.items():
        lists.append((("modules", name, "postgres", "owns"), module.postgres.owns))
        lists.append((("modules", name, "postgres", "search_path"), module.postgres.search_path or ()))
        lists += [(("modules", name, "rustfs", verb), getattr(module.rustfs, verb)) for verb in ("writes", "reads")]
    lists.append((("postgres", "extensions"), mapping.postgres.extensions))
    for schema, definition in mapping.postgres.schemas.items():
        for function, item in definition.functions.items():
            lists.append((("postgres", "schemas", schema, "functions", function, "execute"), item.execute))
    for name, stream in mapping.valkey.streams.items():
        for part in ("producers", "consumers", "events"):
            lists.append((("valkey", "streams", name, part), getattr(stream, part)))
    for store in ("postgres", "valkey", "rustfs"):
        lists.append((("backups", store, "strategy"), getattr(mapping.backups, store).strategy))
    for path, entries in lists:
        for index, entry in enumerate(entries):
            if entry in entries[:index]:
                yield Finding((*path, index), f"{entry!r} is already in the list; remove it")


def _flows(mapping: Mapping) -> Iterator[Finding]:
    for index, flow in enumerate(mapping.data_flows):
        flow_path = ("data_flows", index)
        for end in ("source", "module"):
            name = getattr(flow, end)
            if name is not None and name not in mapping.modules:
                yield Finding((*flow_path, end), f"no module {name!r}", name, tuple(mapping.modules))
        if flow.postgres is not None and flow.postgres not in mapping.postgres.schemas:
            yield Finding(
                (*flow_path, "postgres"), f"no schema {flow.postgres!r}", flow.postgres, tuple(mapping.postgres.schemas)
            )
        if flow.rustfs is not None and flow.rustfs.bucket not in mapping.rustfs.buckets:
            yield Finding(
                (*flow_path, "rustfs"),
                f"no bucket {flow.rustfs.bucket!r}",
                flow.rustfs.bucket,
                tuple(mapping.rustfs.buckets),
            )
