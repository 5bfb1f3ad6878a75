"""Read everything that an ``up`` can change on the servers of a local stack, as comparable facts.

A fact is a tuple of strings, its kind first, with a value: ``("privilege", "vexlens", "vex.consensus", "SELECT")`` -> "".
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import yaml

from provider.rustfs import admin
from provider.rustfs.store import Store
from tests.support.stack import LocalStack
from tools.local.paths import State

Fact = tuple[str, ...]
Facts = dict[Fact, str]

# Settings of Valkey that the mapping or the stack's config decides.
DIRECTIVES = (
    "maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "stream-node-max-bytes", "stream-node-max-entries",
)  # fmt: skip

HELD = "held"  # the application name of sessions that a test holds open

# What each role may do, through its groups and PUBLIC as well. Superusers may do everything, so they are left out, and so
# are the owner's privileges on its own objects.
_ROLES = "SELECT oid, rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_'"
_SCHEMAS = "SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_RELATIONS = f"""
    SELECT c.oid, c.relnamespace, c.relowner, n.nspname || '.' || c.relname AS name, c.relkind, n.nspname, c.relname
    FROM pg_class c JOIN ({_SCHEMAS}) n ON n.oid = c.relnamespace"""
_QUERIES = {
    "privilege": f"""
        SELECT r.rolname, t.name, p, '' FROM ({_ROLES}) r CROSS JOIN ({_RELATIONS}) t
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
        WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT pg_has_role(r.oid, t.relowner, 'USAGE')
          AND has_schema_privilege(r.oid, t.relnamespace, 'USAGE') AND has_table_privilege(r.oid, t.oid, p)
        UNION ALL
        SELECT r.rolname, t.name || '(' || a.attname || ')', p, '' FROM ({_ROLES}) r CROSS JOIN ({_RELATIONS}) t
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_schema_privilege(r.oid, t.relnamespace, 'USAGE')
          AND NOT has_table_privilege(r.oid, t.oid, p) AND has_column_privilege(r.oid, t.oid, a.attnum, p)
        UNION ALL
        SELECT r.rolname, t.name, p, '' FROM ({_ROLES}) r CROSS JOIN ({_RELATIONS}) t
        CROSS JOIN unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p
        WHERE t.relkind = 'S' AND NOT pg_has_role(r.oid, t.relowner, 'USAGE') AND has_sequence_privilege(r.oid, t.oid, p)
        UNION ALL
        SELECT r.rolname, n.nspname || '.' || f.proname, 'EXECUTE', '' FROM ({_ROLES}) r CROSS JOIN pg_proc f
        JOIN ({_SCHEMAS}) n ON n.oid = f.pronamespace
        WHERE NOT pg_has_role(r.oid, f.proowner, 'USAGE') AND has_schema_privilege(r.oid, n.oid, 'USAGE')
          AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
        UNION ALL
        SELECT r.rolname, 'schema ' || n.nspname, p, '' FROM ({_ROLES}) r CROSS JOIN ({_SCHEMAS}) n
        CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) p
        WHERE NOT pg_has_role(r.oid, n.nspowner, 'USAGE') AND has_schema_privilege(r.oid, n.oid, p)
        UNION ALL
        SELECT r.rolname, 'database ' || d.datname, p, '' FROM ({_ROLES}) r CROSS JOIN pg_database d
        CROSS JOIN unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) p
        WHERE d.datallowconn AND NOT pg_has_role(r.oid, d.datdba, 'USAGE') AND has_database_privilege(r.oid, d.oid, p)
          AND has_database_privilege(r.oid, d.oid, 'CONNECT')""",
    "role": "SELECT rolname, CASE WHEN rolcanlogin THEN 'login' ELSE 'group' END FROM pg_roles WHERE rolname !~ '^pg_'",
    "attribute": """
        SELECT rolname, name, '' FROM pg_roles CROSS JOIN LATERAL (VALUES ('SUPERUSER', rolsuper),
          ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication),
          ('BYPASSRLS', rolbypassrls)) AS attributes (name, held) WHERE held AND rolname !~ '^pg_'""",
    "limit": "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname !~ '^pg_'",
    "expiry": "SELECT rolname, rolvaliduntil FROM pg_roles WHERE rolvaliduntil IS NOT NULL",
    "verifier": "SELECT rolname, md5(rolpassword) FROM pg_authid WHERE rolpassword IS NOT NULL",
    "setting": """
        SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), split_part(s, '=', 1), substr(s, strpos(s, '=') + 1)
        FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase
        CROSS JOIN unnest(setconfig) s""",
    "member": """
        SELECT m.rolname, g.rolname, '' FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
        JOIN pg_roles g ON g.oid = a.roleid WHERE NOT m.rolsuper AND m.rolname !~ '^pg_'""",
    "database": "SELECT datname, pg_get_userbyid(datdba) FROM pg_database",
    "schema": f"SELECT nspname, pg_get_userbyid(nspowner) FROM ({_SCHEMAS}) n",
    "table": f"SELECT name, pg_get_userbyid(relowner) FROM ({_RELATIONS}) t WHERE relkind IN ('r', 'p', 'v', 'm', 'f')",
    "column": f"""
        SELECT t.name, attname, format_type(atttypid, atttypmod) FROM ({_RELATIONS}) t JOIN pg_attribute ON attrelid = t.oid
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND attnum > 0 AND NOT attisdropped""",
    "index": f"SELECT t.name, pg_get_indexdef(t.oid) FROM ({_RELATIONS}) t WHERE relkind = 'i'",
    "constraint": f"SELECT t.name, conname, pg_get_constraintdef(k.oid) FROM ({_RELATIONS}) t JOIN pg_constraint k ON conrelid = t.oid",
    "trigger": f"""
        SELECT t.name, tgname, tgenabled::text || ' ' || pg_get_triggerdef(g.oid) FROM ({_RELATIONS}) t
        JOIN pg_trigger g ON tgrelid = t.oid WHERE NOT tgisinternal""",
    "row security": f"""
        SELECT t.name, CASE WHEN c.relforcerowsecurity THEN 'forced' ELSE 'enabled' END FROM ({_RELATIONS}) t
        JOIN pg_class c ON c.oid = t.oid WHERE c.relrowsecurity""",
    "policy": """
        SELECT schemaname || '.' || tablename, policyname,
          concat_ws(' ', permissive, roles::text, cmd, 'USING', qual, 'CHECK', with_check) FROM pg_policies""",
    "function": f"""
        SELECT n.nspname || '.' || f.proname, md5(pg_get_functiondef(f.oid)) FROM pg_proc f
        JOIN ({_SCHEMAS}) n ON n.oid = f.pronamespace WHERE f.prokind <> 'a'""",
    "extension": "SELECT extname, '' FROM pg_extension",
    "session": f"SELECT usename, '' FROM pg_stat_activity WHERE application_name = '{HELD}'",
    "default privileges": """
        SELECT pg_get_userbyid(defaclrole), coalesce(n.nspname, ''), defaclobjtype::text, defaclacl::text
        FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace""",
}  # fmt: skip


def read(stack: LocalStack) -> Facts:
    """Read all facts. Each value is a string that is equal if nothing changed."""
    stack.__dict__.pop("outputs", None)
    return {
        fact: value
        for reader in (_postgres, _valkey, _objects, _manifests, _outputs, _checkpoint)
        for fact, value in reader(stack)
    }


def _postgres(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    with stack.admin("postgres") as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'stellaops'").fetchone()
    with stack.admin("stellaops" if exists else "postgres") as connection:
        for kind, query in _QUERIES.items():
            for *names, value in connection.execute(query.encode()):
                yield (kind, *map(str, names)), str(value)
        tables = connection.execute(
            f"SELECT nspname FROM ({_RELATIONS}) t WHERE relname = 'schema_migrations'".encode()
        ).fetchall()
        for (schema,) in tables:
            for version, checksum in connection.execute(
                f'SELECT version, checksum FROM "{schema}".schema_migrations'.encode()
            ):
                yield ("migration", schema, str(version)), str(checksum)


def _valkey(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    with stack.valkey_admin() as client:
        for user in client.acl_users():
            account = client.acl_getuser(user)
            yield ("user", user), " ".join(sorted(account["flags"]))
            yield ("user password", user), _digest(account["passwords"])
            for permissions in (account, *map(_pairs, account.get("selectors") or ())):
                commands = [word for word in _words(permissions["commands"]) if word not in ("-@all", "+@none")]
                for target in (*_words(permissions["keys"]), *_words(permissions["channels"])):
                    for command in commands:
                        yield ("rule", user, target, command), ""
                if not _words(permissions["keys"]) and not _words(permissions["channels"]):
                    for command in commands:
                        yield ("rule", user, "", command), ""
        for name in DIRECTIVES:
            yield ("directive", name), str(client.config_get(name)[name])
        yield ("process", "valkey"), str(client.info("server")["run_id"])
        for key in sorted(client.scan_iter(_type="stream")):
            yield ("stream", key), "entries" if client.xlen(key) else ""
            for group in client.xinfo_groups(key):
                yield ("consumer group", key, str(group["name"])), ""


def _pairs(selector: Any) -> dict[str, Any]:
    return dict(selector) if isinstance(selector, dict) else dict(zip(selector[::2], selector[1::2], strict=True))


def _words(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(item) for item in value]


def _objects(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    s3, prefix = stack.s3(), stack.bucket_prefix
    for item in s3.list_buckets()["Buckets"]:
        if not item["Name"].startswith(prefix):
            continue
        physical, bucket = item["Name"], item["Name"].removeprefix(prefix)
        yield ("bucket", bucket), str(item["CreationDate"])
        if s3.list_object_versions(Bucket=physical, MaxKeys=1).get("Versions"):
            yield ("objects", bucket), ""
        yield ("versioning", bucket), str(s3.get_bucket_versioning(Bucket=physical).get("Status"))
        yield from _lifecycle(s3, physical, bucket)
        lock = _optional(lambda name=physical: s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"])
        if lock:
            retention = lock.get("Rule", {}).get("DefaultRetention", {})
            yield ("object lock", bucket, "days"), str(retention.get("Days", 0))
            yield ("object lock", bucket, "mode"), str(retention.get("Mode", ""))
        policy = _optional(lambda name=physical: json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]))
        for number, statement in enumerate((policy or {}).get("Statement", ())):
            in_order = {key: sorted(value) if isinstance(value, list) else value for key, value in statement.items()}
            yield ("bucket policy", bucket, str(statement.get("Sid", number))), json.dumps(in_order, sort_keys=True)
    yield from _access_keys(stack)


def _lifecycle(s3: Any, physical: str, bucket: str) -> Iterator[tuple[Fact, str]]:
    rules = _optional(lambda: s3.get_bucket_lifecycle_configuration(Bucket=physical)["Rules"]) or []
    for rule in rules:
        prefix = str(rule.get("Filter", {}).get("Prefix", ""))
        for kind, days in (
            ("noncurrent", rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")),
            ("uploads", rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")),
            ("current", rule.get("Expiration", {}).get("Days")),
        ):
            if days is not None and rule["Status"] == "Enabled":
                yield ("expires", bucket, kind, prefix), str(days)


def _optional(call: Any) -> Any:
    from botocore.exceptions import ClientError

    try:
        return call()
    except ClientError as error:
        if not str(error.response["Error"]["Code"]).startswith(("NoSuch", "ObjectLockConfigurationNotFound")):
            raise
        return None


def _access_keys(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    config = stack.config
    store = Store(
        config["objectStoreEndpoint"], config.get("objectStoreRegion", "us-east-1"), config["objectStoreAccessKey"],
        config["objectStoreSecretKey"],
    )  # fmt: skip
    server = admin.connect(store)
    policies = server.policies()
    for name, user in server.users().items():
        if not name.startswith(stack.bucket_prefix):
            continue
        module = name.removeprefix(stack.bucket_prefix)
        yield ("access key", module), str(user.get("status"))
        for policy in filter(None, str(user.get("policyName") or "").split(",")):
            for statement in policies.get(policy, {}).get("Statement", ()):
                for resource in _listed(statement["Resource"]):
                    for action in _listed(statement["Action"]):
                        place = resource.removeprefix("arn:aws:s3:::").removeprefix(stack.bucket_prefix)
                        condition = json.dumps(statement.get("Condition", ""), sort_keys=True)
                        yield ("object access", module, statement["Effect"], place, action), condition


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _manifests(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    """What is rendered for Kubernetes, which the local stack does not run."""
    for file in State(stack.state).rendered.rglob("*.yaml"):
        for document in yaml.load_all(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if document:
                metadata = document["metadata"]
                place = (document["kind"], str(metadata.get("namespace", "")), metadata["name"])
                yield ("manifest", *place), ""
                yield from _contents(place, document)


def _contents(place: tuple[str, str, str], document: dict[str, Any]) -> Iterator[tuple[Fact, str]]:
    for part in ("data", "stringData"):
        for key, value in (document.get(part) or {}).items():
            yield ("manifest data", *place, key), _digest(value) if place[0] == "Secret" else str(value)
    for key, value in (document.get("spec") or {}).items():
        yield ("manifest spec", *place, key), json.dumps(value, sort_keys=True)


def _outputs(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    """The passwords and the times to live that services read in the stack's outputs."""
    for user, values in stack.outputs.get("secrets", {}).items():
        for name, value in values.items():
            yield ("secret", user, name), _digest(value)
    for module in stack.outputs.get("contract", {"modules": {}})["modules"].values():
        valkey = module.get("valkey") or {}
        for kind, title in (("keys", "pattern"), ("streams", "name")):
            for use in valkey.get(kind) or ():
                if "ttl" in use:
                    yield ("time to live", use[title]), str(use["ttl"])


def _checkpoint(stack: LocalStack) -> Iterator[tuple[Fact, str]]:
    """What the next run may delete."""
    latest = json.loads(State(stack.state).checkpoint.read_text())["checkpoint"].get("latest") or {}
    for resource in latest.get("resources") or ():
        kind, name = resource["type"].rpartition(":")[2], resource["urn"].rpartition("::")[2]
        inputs = resource.get("inputs") or {}
        if resource.get("protect"):
            yield ("protected", kind, name), ""
        if kind == "Inventory":
            for schema, fate in (inputs.get("schemas") or {}).items():
                yield ("schema leaves", schema), str(fate)
        for key in ("forceDestroy", "allowDataLoss"):
            if key in inputs:
                yield ("deletable", kind, name), str(inputs[key])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def difference(before: Facts, after: Facts) -> dict[Fact, tuple[str | None, str | None]]:
    """Each fact that changed, with its value before and after; None without it."""
    return {
        fact: (before.get(fact), after.get(fact))
        for fact in sorted(before.keys() | after.keys())
        if before.get(fact) != after.get(fact)
    }
