"""Cross-checks: what is wrong only when two places of the mapping are seen together.

``cross_check`` returns every finding; the loader adds the place in the file. Nothing here raises.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from components.mapping.access import TENANT_COLUMN, TENANT_TYPE, TableAccess, schemas_used, table_access, tenant_rules
from components.mapping.model import Mapping, Schema, Table
from components.mapping.names import NO_TTL, PLACEHOLDER, TableTarget, days, key_glob, parse_target


@dataclass(frozen=True)
class Finding:
    """Something wrong at ``path``; with ``wrong`` and ``known`` the loader adds the nearest valid name."""

    path: tuple[str | int, ...]
    message: str
    wrong: str | None = None
    known: tuple[str, ...] = ()


def cross_check(mapping: Mapping) -> list[Finding]:
    """All findings, in no order that matters."""
    first = [*_owners(mapping), *_postgres_targets(mapping), *_tenants(mapping)]
    return [
        *first,
        *([] if first else _tenants_of_parents(mapping)),
        *_names(mapping),
        *_twice(mapping),
        *_functions(mapping),
        *_keys(mapping),
        *_streams(mapping),
        *_estimates(mapping),
        *_paths(mapping),
        *_layout(mapping),
        *_flows(mapping),
    ]


def _names(mapping: Mapping) -> Iterator[Finding]:
    groups = {f"{schema}{suffix}" for schema in mapping.postgres.schemas for suffix in ("_owner", "_writer", "_reader")}
    for name in mapping.modules:
        if name in groups:
            yield Finding(("modules", name), f"module {name!r} has the name of a schema's group role; rename it")
    for name in mapping.services:
        if name in mapping.modules:
            yield Finding(("services", name), f"{name!r} is a module already; a service needs a name of its own")


def _owners(mapping: Mapping) -> Iterator[Finding]:
    known = tuple(mapping.postgres.schemas)
    owners: dict[str, str] = {}
    for name, module in mapping.modules.items():
        for index, schema in enumerate(module.postgres.owns):
            path = ("modules", name, "postgres", "owns", index)
            if schema not in mapping.postgres.schemas:
                yield Finding(path, f"no schema {schema!r}", schema, known)
            elif owners.get(schema, name) != name:
                yield Finding(
                    path, f"schema {schema!r} has two owners: {owners[schema]} and {name}; one may only write"
                )
            else:
                owners[schema] = name
    for schema in mapping.postgres.schemas:
        if schema not in owners:
            yield Finding(
                ("postgres", "schemas", schema), f"schema {schema!r} has no owner; list it under owns of one module"
            )


def _postgres_targets(mapping: Mapping) -> Iterator[Finding]:
    schemas = mapping.postgres.schemas
    for name, module in mapping.modules.items():
        access = module.postgres
        covered = {*access.owns, *(text for text in access.writes if text in schemas)}
        seen: list[TableTarget] = []
        for verb, targets in (("writes", access.writes), ("reads", access.reads)):
            if verb == "reads":
                covered |= {text for text in access.reads if text in schemas}
            for index, text in enumerate(targets):
                path = ("modules", name, "postgres", verb, index)
                target = parse_target(text)
                if target.schema not in schemas:
                    yield Finding(path, f"no schema {target.schema!r}", target.schema, tuple(schemas))
                    continue
                whole = target.table is None
                if (target.schema in access.owns) or (not whole and target.schema in covered) or _covered(target, seen):
                    yield Finding(
                        path, f"{text!r} is already covered by what {name} owns, writes or reads; leave it out"
                    )
                    continue
                seen.append(target)
                if target.table is not None:
                    yield from _table_target(schemas[target.schema], verb, target, path)
        for index, schema in enumerate(access.search_path or ()):
            if schema not in schemas:
                path = ("modules", name, "postgres", "search_path", index)
                yield Finding(path, f"no schema {schema!r}", schema, tuple(schemas))


def _covered(target: TableTarget, others: list[TableTarget]) -> bool:
    """Whether one of the others is the same schema, or the same table with no fewer columns."""
    return any(
        other.schema == target.schema
        and other.table == target.table
        and (not other.columns or (bool(target.columns) and set(target.columns) <= set(other.columns)))
        for other in others
    )


def _table_target(schema: Schema, verb: str, target: TableTarget, path: tuple[str | int, ...]) -> Iterator[Finding]:
    assert target.table is not None
    where = f"{target.schema}.{target.table}"
    if target.table not in schema.tables:
        message = f"no table {target.table!r} in schema {target.schema}"
        yield Finding(path, message, target.table, tuple(schema.tables))
        return
    table = schema.tables[target.table]
    for column in target.columns:
        if column not in table.columns:
            yield Finding(path, f"no column {column!r} in {where}", column, tuple(table.columns))
        if target.columns.count(column) > 1:
            yield Finding(path, f"column {column!r} of {where} stands there more than once")
    if verb == "writes" and target.columns and table.append_only:
        message = "columns of an append-only table cannot be written to; its rows never change"
        yield Finding(path, f"{str(target)!r}: {message}")


def _twice(mapping: Mapping) -> Iterator[Finding]:
    """Lists in which an entry stands more than once: what follows from it would be made twice."""
    lists: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = []
    for kind, users in (("modules", mapping.modules), ("services", mapping.services)):
        for name, user in users.items():
            for verb in ("owns", "writes", "reads"):
                lists.append(((kind, name, "valkey", verb), getattr(user.valkey, verb)))
    for name, module in mapping.modules.items():
        lists.append((("modules", name, "postgres", "owns"), module.postgres.owns))
        lists.append((("modules", name, "postgres", "search_path"), module.postgres.search_path or ()))
        lists += [(("modules", name, "rustfs", verb), getattr(module.rustfs, verb)) for verb in ("writes", "reads")]
    for schema, definition in mapping.postgres.schemas.items():
        for function, item in definition.functions.items():
            lists.append((("postgres", "schemas", schema, "functions", function, "execute"), item.execute))
    for stream, parts in mapping.valkey.streams.items():
        for part in ("producers", "consumers", "events"):
            lists.append((("valkey", "streams", stream, part), getattr(parts, part)))
    for store in ("postgres", "valkey", "rustfs"):
        lists.append((("backups", store, "strategy"), getattr(mapping.backups, store).strategy))
    for path, entries in lists:
        for index, entry in enumerate(entries):
            if entry in entries[:index]:
                yield Finding((*path, index), f"{entry!r} stands in the list already; leave it out")


def _functions(mapping: Mapping) -> Iterator[Finding]:
    for schema, definition in mapping.postgres.schemas.items():
        for name, function in definition.functions.items():
            for index, module in enumerate(function.execute):
                if module not in mapping.modules:
                    path = ("postgres", "schemas", schema, "functions", name, "execute", index)
                    yield Finding(path, f"no module {module!r}", module, tuple(mapping.modules))


def _tenants(mapping: Mapping) -> Iterator[Finding]:
    """Each table says whose its rows are in exactly one way, and who uses it may read what tells the tenant."""
    for schema, definition in mapping.postgres.schemas.items():
        for kind, tables in (("tables", definition.tables), ("runtime_tables", definition.runtime_tables)):
            for name, table in tables.items():
                here = ("postgres", "schemas", schema, kind, name)
                yield from _tenant(mapping, schema, table, here)
    for name, module in mapping.modules.items():
        access = module.postgres
        if access.bypass_tenant_isolation and not schemas_used(mapping, name):
            path = ("modules", name, "postgres", "bypass_tenant_isolation")
            yield Finding(path, f"{name} uses no schema, so there is nothing to see; leave it out")


def _tenant(mapping: Mapping, schema: str, table: Table, here: tuple[str, ...]) -> Iterator[Finding]:
    place = (*here, "tenant")
    if TENANT_COLUMN in table.columns:
        if table.tenant is not None:
            yield Finding(place, f"the table has {TENANT_COLUMN}, which says whose its rows are; leave tenant out")
        if table.columns[TENANT_COLUMN] != TENANT_TYPE:
            yield Finding((*here, "columns", TENANT_COLUMN), f"{TENANT_COLUMN} must be {TENANT_TYPE}")
        return
    if table.tenant is None:
        yield Finding(
            here,
            f"the table has no {TENANT_COLUMN}: say whose its rows are, with tenant: {{via: COLUMN, parent: TABLE}}"
            " or tenant: {shared: REASON}",
        )
        return
    via, parent = table.tenant.via, table.tenant.parent
    if via is None or parent is None:
        return
    tables = mapping.postgres.schemas[schema].tables
    if via not in table.columns:
        yield Finding((*place, "via"), f"the table has no column {via!r}", via, tuple(table.columns))
    if parent not in tables:
        yield Finding((*place, "parent"), f"no table {parent!r} in schema {schema}", parent, tuple(tables))
        return
    missing = [column for column in (via, TENANT_COLUMN) if column not in tables[parent].columns]
    if missing:
        yield Finding((*place, "parent"), f"{schema}.{parent} has no column {' and no '.join(missing)}")
        return


def _tenants_of_parents(mapping: Mapping) -> Iterator[Finding]:
    """A table whose tenant stands in another is of no use to a module that may not read that one.

    Needs a mapping whose targets exist.
    """
    for name, module in mapping.modules.items():
        if module.postgres.bypass_tenant_isolation:
            continue
        access = table_access(mapping, name)
        for schema, table in access:
            rule = tenant_rules(mapping, schema).get(table)
            if rule is None or rule.parent is None:
                continue
            parent = access.get((schema, rule.parent), TableAccess())
            if not all(parent.may_select(column) for column in (rule.column, TENANT_COLUMN)):
                yield Finding(
                    ("modules", name, "postgres"),
                    f"{name} uses {schema}.{table}, whose tenant stands in {schema}.{rule.parent}: "
                    f"let it read {schema}.{rule.parent}({rule.column}, {TENANT_COLUMN})",
                )


def _keys(mapping: Mapping) -> Iterator[Finding]:
    keys = mapping.valkey.keys
    owners: dict[str, str] = {}
    for kind, users in (("modules", mapping.modules), ("services", mapping.services)):
        for name, user in users.items():
            for verb in ("owns", "writes", "reads"):
                for index, pattern in enumerate(getattr(user.valkey, verb)):
                    path = (kind, name, "valkey", verb, index)
                    if pattern not in keys:
                        yield Finding(path, f"no key pattern {pattern!r}", pattern, tuple(keys))
                    elif pattern in mapping.valkey.streams and verb != "owns":
                        yield Finding(path, f"{pattern!r} is a stream; name {name} among its producers or consumers")
                    elif keys[pattern].shared:
                        yield Finding(path, f"{pattern!r} is shared by all; leave it out here")
                    elif verb == "owns" and owners.get(pattern, name) != name:
                        yield Finding(path, f"key pattern {pattern!r} has two owners: {owners[pattern]} and {name}")
                    elif verb == "owns":
                        owners[pattern] = name
    for pattern, key in keys.items():
        if pattern not in owners and not key.shared:
            yield Finding(
                ("valkey", "keys", pattern), f"key pattern {pattern!r} has no owner; list it under owns of one module"
            )
    yield from _key_overlaps(mapping, owners)


def _key_overlaps(mapping: Mapping, owners: dict[str, str]) -> Iterator[Finding]:
    patterns = [(pattern, key_glob(pattern), owners.get(pattern)) for pattern in mapping.valkey.keys]
    for index, (second, second_glob, second_owner) in enumerate(patterns):
        for first, first_glob, first_owner in patterns[:index]:
            if first_owner != second_owner and globs_overlap(first_glob, second_glob):
                holders = f"{first_owner or 'all'} and {second_owner or 'all'}"
                yield Finding(
                    ("valkey", "keys", second),
                    f"key pattern {second!r} overlaps {first!r}: keys would belong to {holders}",
                )


def globs_overlap(first: str, second: str) -> bool:
    """Whether some text matches both globs, of which ``*`` is the only special character."""
    # Nearly all pairs differ before the first star.
    plain, other = first.partition("*")[0], second.partition("*")[0]
    if not (plain.startswith(other) or other.startswith(plain)):
        return False
    reachable = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        left, right = pending.pop()
        steps = []
        if left < len(first) and first[left] == "*":
            steps += [(left + 1, right)] + ([(left, right + 1)] if right < len(second) else [])
        if right < len(second) and second[right] == "*":
            steps += [(left, right + 1)] + ([(left + 1, right)] if left < len(first) else [])
        if left < len(first) and right < len(second) and first[left] == second[right]:
            steps.append((left + 1, right + 1))
        for step in steps:
            if step not in reachable:
                reachable.add(step)
                pending.append(step)
    return (len(first), len(second)) in reachable


def _streams(mapping: Mapping) -> Iterator[Finding]:
    users = tuple(mapping.users)
    for name, stream in mapping.valkey.streams.items():
        here = ("valkey", "streams", name)
        key = mapping.valkey.keys.get(name)
        if key is None:
            yield Finding(here, f"stream {name!r} has no row under valkey.keys", name, tuple(mapping.valkey.keys))
        elif key.type != "stream":
            yield Finding(here, f"{name!r} is a {key.type} under valkey.keys; a stream must have type: stream there")
        if "*" in key_glob(name):
            yield Finding(here, f"stream {name!r} is a pattern; a defined stream has one name")
        for role in ("producers", "consumers"):
            for index, user in enumerate(getattr(stream, role)):
                if user not in mapping.users:
                    yield Finding((*here, role, index), f"no module or service {user!r}", user, users)
        for group, definition in stream.groups.items():
            if definition.consumer not in mapping.users:
                path = (*here, "groups", group, "consumer")
                yield Finding(path, f"no module or service {definition.consumer!r}", definition.consumer, users)
            if group in stream.consumers:
                yield Finding((*here, "groups", group), f"group {group!r} exists already for the consumer of that name")
    for pattern, key in mapping.valkey.keys.items():
        if key.type == "stream" and key.ttl != NO_TTL and key.ttl.endswith("ms"):
            yield Finding(("valkey", "keys", pattern, "ttl"), "a stream's retention below a second cannot be kept")


# What says how many elements a key of that type has; the others are one value.
ELEMENTS = {"stream": "entries_per_day"} | dict.fromkeys(("list", "set", "hash", "zset"), "members")


def _estimates(mapping: Mapping) -> Iterator[Finding]:
    for pattern, estimate in mapping.valkey.estimates.items():
        here = ("valkey", "estimates", pattern)
        key = mapping.valkey.keys.get(pattern)
        if key is None:
            yield Finding(here, f"no key pattern {pattern!r}", pattern, tuple(mapping.valkey.keys))
            continue
        for name in ("members", "entries_per_day"):
            wanted = ELEMENTS.get(key.type) == name
            if wanted != (getattr(estimate, name) is not None):
                word = "needs" if wanted else "has no"
                yield Finding(here, f"{pattern!r} is a {key.type}: its estimate {word} {name}")


def _paths(mapping: Mapping) -> Iterator[Finding]:
    buckets = mapping.rustfs.buckets
    owned: list[tuple[str, str]] = []
    for name, module in mapping.modules.items():
        for verb in ("owns", "writes", "reads"):
            for index, path in enumerate(getattr(module.rustfs, verb)):
                where = ("modules", name, "rustfs", verb, index)
                bucket, slash, _ = path.partition("/")
                if bucket not in buckets:
                    yield Finding(where, f"no bucket {bucket!r}", bucket, tuple(buckets))
                elif not slash:
                    yield Finding(where, f"{path!r} names no prefix; write {path}/ for the whole bucket")
                elif "{" in path:
                    yield Finding(
                        where, f"{path!r} has a placeholder, which no key has; write * for whatever may be there"
                    )
                elif verb == "owns":
                    for other, other_path in owned:
                        if globs_overlap(_below(path), _below(other_path)):
                            yield Finding(where, f"prefix {path!r} of {name} overlaps {other_path!r} of {other}")
                    owned.append((name, path))
    for bucket in buckets:
        if not any(path.partition("/")[0] == bucket for _, path in owned):
            yield Finding(
                ("rustfs", "buckets", bucket), f"bucket {bucket!r} has no owner; list it under owns of one module"
            )


def _below(path: str) -> str:
    return f"{path}*" if path.endswith("/") else path


def _layout(mapping: Mapping) -> Iterator[Finding]:
    types = tuple(mapping.rustfs.content_types)
    for bucket, definition in mapping.rustfs.buckets.items():
        if not definition.root.endswith("/"):
            yield Finding(("rustfs", "buckets", bucket, "root"), f"root {definition.root!r} must end in /")
        for name in definition.objects:
            template, here = definition.root + name, ("rustfs", "buckets", bucket, "objects", name)
            placeholders = PLACEHOLDER.findall(template)
            if len(set(placeholders)) < len(placeholders):
                yield Finding(here, f"{template!r} has one placeholder twice; what stands for it would not be clear")
            if "*" in template:
                yield Finding(here, f"{template!r} has a *; name what stands there, like {{digest}}")
            if not name.endswith("/") and not name.endswith(types):
                path = ("rustfs", "buckets", bucket, "objects", name)
                yield Finding(path, f"{name!r} has no content type; add its extension under rustfs.content_types")
        yield from _retention(mapping, bucket)
    envelope = mapping.rustfs.envelope
    known = buckets_objects(mapping)
    if envelope.path not in known:
        yield Finding(
            ("rustfs", "envelope", "path"), f"no object {envelope.path!r} in the layout", envelope.path, known
        )
    for field in envelope.example:
        if field not in envelope.fields:
            yield Finding(
                ("rustfs", "envelope", "example", field),
                f"no field {field!r} in the envelope",
                field,
                tuple(envelope.fields),
            )


def _retention(mapping: Mapping, bucket: str) -> Iterator[Finding]:
    definition = mapping.rustfs.buckets[bucket]
    here = ("rustfs", "buckets", bucket)
    addressed = [name for name, item in definition.objects.items() if item.addressed]
    if definition.content_addressed != (len(addressed) == 1):
        wanted = "one object that is addressed" if definition.content_addressed else "no object that is addressed"
        yield Finding(
            (*here, "objects"), f"a bucket with content_addressed: {definition.content_addressed} has {wanted}"
        )
    if definition.content_addressed and "{full_digest}" not in definition.root:
        yield Finding((*here, "root"), "a content-addressed root must hold {full_digest}")
    longest = mapping.backups.rustfs.retention
    for prefix, kept in definition.noncurrent_versions.items():
        path = (*here, "noncurrent_versions", prefix)
        if days(kept) >= days(longest):
            yield Finding(
                path, f"{kept} is not shorter than backups.rustfs.retention ({longest}), which ends it all the same"
            )
        if not prefix.endswith("/") or "*" in prefix or "{" in prefix:
            yield Finding(path, f"{prefix!r} must be a prefix as it stands in keys, and end in /")


def buckets_objects(mapping: Mapping) -> tuple[str, ...]:
    """Every object template with its bucket in front: ``blobs/{sha256_prefix}/{full_digest}/sbom.json``."""
    return tuple(
        f"{bucket}/{definition.root}{name}"
        for bucket, definition in mapping.rustfs.buckets.items()
        for name in definition.objects
    )


def _flows(mapping: Mapping) -> Iterator[Finding]:
    for index, flow in enumerate(mapping.data_flows):
        here = ("data_flows", index)
        for end in ("source", "module"):
            name = getattr(flow, end)
            if name is not None and name not in mapping.modules:
                yield Finding((*here, end), f"no module {name!r}", name, tuple(mapping.modules))
        if flow.postgres is not None and flow.postgres not in mapping.postgres.schemas:
            yield Finding(
                (*here, "postgres"), f"no schema {flow.postgres!r}", flow.postgres, tuple(mapping.postgres.schemas)
            )
        if flow.rustfs is not None and flow.rustfs.partition("/")[0] not in mapping.rustfs.buckets:
            yield Finding((*here, "rustfs"), f"no bucket {flow.rustfs!r}", flow.rustfs, tuple(mapping.rustfs.buckets))
