"""Derive everything that a mapping defines without a server; this must never fail for a valid mapping."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from components.contract import document as contract
from components.contract.objects import PREFIX, kubernetes_name
from components.mapping import Mapping
from components.rustfs.layout import Layout
from components.rustfs.lifecycle import retention_rules, to_s3
from components.rustfs.policies import guard_policy, identity_policy
from components.rustfs.policy_documents import by_name
from components.valkey.deployment import pod_resources as pods
from components.valkey.keyspace_size import sizing
from components.valkey.plan import maintenance_plan
from components.valkey.render import acl_rules, maintenance_rules, render_acl, render_conf
from provider.postgres.run_time_tables import matches
from tools.reference.facts import ReferenceFacts
from tools.reference.pages import flows, modules, object_store, retention, valkey

SHA256 = "0" * 64
# RFC 1123: the name of an object, and the value of a label.
KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?")
KUBERNETES_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?")
# One word of an ACL file: no character can end the word or start another rule.
ACL_WORD = re.compile(
    r"reset|on|off|nopass|resetchannels|#[0-9a-f]{64}|[+][a-z|-]+|all(keys|commands|channels)|(%[RW])?~[\w:.*-]+"
)
PATTERN = re.compile(r"[\w./*?-]+")  # of keys and buckets, in a policy


def derive(mapping: Mapping) -> None:
    """Derive everything, and assert that each name appears as one plain word."""
    _postgres(mapping)
    _valkey(mapping)
    _rustfs(mapping)
    _contract(mapping)
    facts = ReferenceFacts(mapping, Path("sql"))
    for page in (flows, modules, object_store, retention, valkey):
        assert list(page.pages(facts)), page.__name__


def _postgres(mapping: Mapping) -> None:
    for module, login in mapping.access.logins.items():
        limits = login.limits
        assert 0 < limits.statement_timeout < 2**31 and 0 < limits.idle_in_transaction_timeout < 2**31
        seen = set()
        for grant in login.grants:
            for privilege in grant.privileges:
                # The resource's name: the engine refuses two resources with one name.
                place = (grant.schema, grant.table, privilege if grant.columns else None)
                assert place not in seen or not grant.columns, f"{module} gets {place} twice"
                seen.add(place)
        for name in (module, *(role.name for role in login.member_of), *limits.search_path):
            _identifier(name)
    for schema, definition in mapping.postgres.schemas.items():
        for table in mapping.access.schemas[schema].append_only:
            assert matches(table, re.sub(r"\{.*?\}", "x", table))
        for name in (schema, *definition.tables, *definition.functions):
            _identifier(name)


def _identifier(name: str) -> None:
    assert len(name.encode()) <= 63, f"PostgreSQL would cut {name!r}"
    assert sql.Identifier(name).as_string(None) == f'"{name}"', f"{name!r} is not itself in quotes"


def _valkey(mapping: Mapping) -> None:
    users = dict.fromkeys(mapping.users, SHA256)
    lines = render_acl(mapping, users, admin=("admin", SHA256)).splitlines()
    assert len(lines) == len(users) + 4, "a name broke a line of the ACL file"
    for line in lines:
        head, name, *words = line.split(" ")
        assert head == "user" and (name in users or name in ("default", "admin", "health-probe") or "acl-mark-" in name)
        for word in words:
            assert ACL_WORD.fullmatch(word.strip("()")), f"{word!r} of {name} is not one rule"
    for user in mapping.users:
        assert acl_rules(mapping, user)
    maintenance_rules(mapping)
    conf = render_conf(mapping, directory="/data", port=6379, bind="*", aclfile="/acl")
    assert len(conf.splitlines()) < 60
    json.dumps(maintenance_plan(mapping), allow_nan=False)
    assert sizing(mapping).total >= 0
    size = pods.sizing(mapping.valkey.memory.maxmemory.bytes, replicas=2, strategy=mapping.backups.valkey.strategy)
    assert size.memory < 2**63 and size.disk < 2**63 and size.termination_seconds < 2**31


def _rustfs(mapping: Mapping) -> None:
    kept, aborted = mapping.backups.rustfs.retention.days, mapping.rustfs.abort_multipart_after.days
    for module in mapping.modules:
        policy = identity_policy(mapping, module, "p-")
        for statement in by_name(policy).values() if policy else ():
            for resource in statement["Resource"]:
                place = resource.removeprefix("arn:aws:s3:::")
                assert PATTERN.fullmatch(place), f"{place!r} is no plain pattern"
                assert place == "*" if statement["Effect"] == "Deny" else "*" not in place.split("/")[0]
    for name, bucket in mapping.rustfs.buckets.items():
        assert KUBERNETES_LABEL.fullmatch(name), "S3's rule for buckets is no wider"
        json.dumps(guard_policy(name, "rustfs"))
        by_prefix = {str(prefix): kept.days for prefix, kept in bucket.noncurrent_versions.items()}
        assert all(rule["ID"] for rule in to_s3(retention_rules(kept, aborted, by_prefix))["Rules"])
        layout = Layout.of(mapping, name)
        for template in layout.templates:
            key = re.sub(r"\{.*?\}", "x", template.key)
            assert layout.fault(f"{key}x" if key.endswith("/") else key) in (None, *_digests(key)), key


def _digests(key: str) -> Iterator[str]:
    yield "x is not a SHA-256 digest (64 hexadecimal digits)"


def _contract(mapping: Mapping) -> None:
    where = contract.Endpoints(
        postgres=contract.PostgresEndpoint(host="h", port=1, database="d", sslmode="disable"),
        valkey=contract.ValkeyEndpoint(host="h", port=1, tls=False),
        object_store=contract.ObjectStoreEndpoint(endpoint="http://h", region="r"),
    )
    document = contract.build(mapping, where, "p-")
    plain = json.loads(json.dumps(document.model_dump(mode="json"), allow_nan=False))
    secrets = {name: dict.fromkeys(contract.SECRET_VARIABLES, "s") for name in mapping.users}
    for module in mapping.users:
        for line in contract.env_lines({"contract": plain, "secrets": secrets}, module):
            assert len(shlex.split(line)) == 2, f"a shell would take {line!r} apart"
        name = kubernetes_name(module)
        assert KUBERNETES_NAME.fullmatch(PREFIX + name) and KUBERNETES_LABEL.fullmatch(name), (
            f"Kubernetes would refuse {name!r}"
        )
