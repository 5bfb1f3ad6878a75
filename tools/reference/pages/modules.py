"""A page for every module and service: what it owns, what it may use and how it connects."""

from components.contract.objects import PREFIX, kubernetes_name
from tools.reference.facts import VERBS, ReferenceFacts, module_page, schema_page
from tools.reference.markdown import Page, code, codes, fence, link, page, prose, table
from tools.reference.pages.acl_limits import limits


def pages(facts: ReferenceFacts) -> list[Page]:
    return [_page(facts, user) for user in facts.mapping.users]


def _page(facts: ReferenceFacts, user: str) -> Page:
    definition = facts.mapping.users[user]
    kind = "Module" if user in facts.mapping.modules else "Service"
    return page(
        module_page(user),
        prose(definition.name),
        "Modules",
        f"{prose(definition.purpose)}. {kind} {code(user)} in the mapping.",
        *(_postgres(facts, user) if user in facts.mapping.modules else ()),
        *_valkey(facts, user),
        *_objects(facts, user),
        *_connect(facts, user),
    )


def _postgres(facts: ReferenceFacts, module: str) -> list[str | None]:
    access, path = facts.mapping.modules[module].postgres, module_page(module)
    rows = [
        [link(code(f"{schema}.{name}"), path, schema_page(schema)), "; ".join(part for part in found if part)]
        for (schema, name), found in facts.access[module].items()
    ]
    owned = [link(code(schema), path, schema_page(schema)) for schema in access.owns]
    defaults = facts.mapping.postgres.defaults
    limits = (
        f"At most {access.connection_limit or defaults.connection_limit} connections, statements up to "
        f"{access.statement_timeout or defaults.statement_timeout}, idle in a transaction up to "
        f"{access.idle_in_transaction_timeout or defaults.idle_in_transaction_timeout}."
    )
    return [
        "## PostgreSQL",
        f"Owns {', '.join(owned)}." if owned else None,
        f"Login {code(module)}, member of {codes(role.name for role in facts.mapping.access.logins[module].member_of)}. {limits}"
        if rows
        else f"Login {code(module)}, which may connect but cannot access any table.",
        f"Sees the rows of all tenants: {prose(access.bypass_tenant_isolation)}."
        if access.bypass_tenant_isolation
        else None,
        table(["Table", "Privileges"], rows),
        *_other_modules(facts, access.owns, module),
    ]


def _other_modules(facts: ReferenceFacts, owned: tuple[str, ...], module: str) -> list[str | None]:
    rows = [
        [link(prose(facts.name(other)), module_page(module), module_page(other)), code(f"{schema}.{name}"), text]
        for other, access in facts.access.items()
        if other != module
        for (schema, name), found in access.items()
        if schema in owned and (text := "; ".join(part for part in found if part))
    ]
    return (
        ["### Other modules with access to its schemas", table(["Module", "Table", "Privileges"], rows)] if rows else []
    )


def _valkey(facts: ReferenceFacts, user: str) -> list[str | None]:
    valkey = facts.mapping.valkey
    keys, streams = [], []
    for access in facts.keys[user]:
        key = valkey.keys[access.pattern]
        if access.verb in ("produce", "consume"):
            groups = [
                f"{code(group.name)} ({group.idle_timeout})"
                for group in facts.mapping.access.stream_groups
                if group.stream == access.pattern and group.consumer == user and access.verb == "consume"
            ]
            streams.append(
                [
                    code(access.pattern),
                    VERBS[access.verb],
                    ", ".join(groups),
                    codes(valkey.streams[access.pattern].events),
                ]
            )
        else:
            shared = " (shared by all)" if key.shared else ""
            keys.append([code(access.pattern), key.type, str(key.ttl), VERBS[access.verb] + shared, prose(key.purpose)])
    return [
        "## Valkey",
        f"User {code(user)}.",
        table(["Keys", "Type", "TTL", "May", "Purpose"], keys),
        "### Streams" if streams else None,
        table(["Stream", "May", "Group (idle timeout)", "Events"], streams),
        *limits(facts, user),
    ]


def _objects(facts: ReferenceFacts, user: str) -> list[str | None]:
    if user not in facts.mapping.modules or not facts.objects(user):
        return []
    return [
        "## Object storage",
        table(["Path", "May"], [[code(path), verb] for path, verb in facts.objects(user)]),
        "The first part of a path is the bucket. Stack config may add a prefix to its name (`bucketPrefix`).",
    ]


def _connect(facts: ReferenceFacts, user: str) -> list[str | None]:
    name = PREFIX + kubernetes_name(user)
    lines = ["import contract_reader", "", "storage = contract_reader.from_environment()"]
    shell = [f'eval "$(make -s env MODULE={user})"']
    if user in facts.mapping.modules:
        lines.append("psycopg.connect(**storage.postgres.connection())")
        shell.append("psql")
    lines.append("valkey.Valkey(**storage.valkey.connection())")
    return [
        "## How to connect",
        "On a laptop, while the local stack runs:",
        fence("sh", "\n".join(shell)),
        f"On Kubernetes, use the ConfigMap and the Secret {code(name)} in `envFrom`. In Python, use `clients/contract_reader.py`:",
        fence("python", "\n".join(lines)),
    ]
