"""Valkey users and streams, buckets and object-store users under the engine, on real servers: imported, then managed."""

import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from components.mapping import load
from components.rustfs.lifecycle import from_s3, left_to_server, retention_rules, to_s3
from components.rustfs.policy_documents import by_name, document_of
from components.valkey.acl import set_user
from provider.rustfs import admin, emptying
from provider.rustfs.store import Store
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.own_valkey import OwnValkey, own_valkey, password, sha256
from tests.support.stack import PROJECT
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine

PROGRAM = """
import json
import pulumi
from components.resources.object_store import Bucket, ObjectStoreUser
from components.resources.provider import Provider
from components.resources.valkey import ValkeyStreams, ValkeyUsers

s = json.load(open("settings.json"))
provider = Provider(
    "stellaops", postgres_host="127.0.0.1", postgres_port=5432, postgres_ssl_mode="disable", postgres_admin_user="none",
    postgres_admin_password="none", postgres_database="none", postgres_maintenance_database="none",
    valkey_host="127.0.0.1", valkey_port=s["valkey_port"], valkey_tls=False, valkey_admin_user="admin",
    valkey_admin_password=s["valkey_password"], object_store_endpoint=s["endpoint"], object_store_region="us-east-1",
    object_store_access_key=s["access_key"], object_store_secret_key=s["secret_key"],
)
if s["declared"]:
    opts = pulumi.ResourceOptions(provider=provider)
    ValkeyUsers("users", users=s["users"], password_hashes=s["hashes"], opts=opts)
    ValkeyStreams("streams", streams=s["streams"], opts=opts)
    Bucket("bucket", bucket=s["name"], rules=s["rules"], opts=opts)
    user = ObjectStoreUser("user", user=s["name"], rotate=s["rotate"], policy=s["policy"], opts=opts)
    pulumi.export("key", user.secret_key)
"""
USERS = {"scanner": ["resetchannels", "+ping", "(%R~scan:* +get)"], "policy": ["resetchannels", "+ping"]}
STREAMS = {"scanner:jobs": ["scanner-workers"], "audit": []}
TOKENS = {
    "users": "stellaops:valkey:Users",
    "streams": "stellaops:valkey:Streams",
    "bucket": "stellaops:objectstore:Bucket",
    "user": "stellaops:objectstore:User",
}


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[OwnValkey]:
    """With users and streams that no stack made."""
    with own_valkey(load(PROJECT / "schema-mapping.yaml"), []) as own:
        with own.client() as client:
            for name, rules in USERS.items():
                client.execute_command("ACL SETUSER", name, *set_user(sha256(name), rules))
            client.xgroup_create("scanner:jobs", "scanner-workers", "0", mkstream=True)
            client.xadd("audit", {"kept": "yes"})
        yield own


@pytest.fixture(scope="module")
def store(object_store: Any) -> Store:
    return Store(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key)


@pytest.fixture(scope="module")
def s3(store: Store) -> Iterator[Any]:
    with store.client() as client:
        yield client


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, valkey_server: OwnValkey, store: Store, s3: Any
) -> Iterator[Project]:
    """After ``pulumi import`` of all four, with a bucket and a user that no stack made."""
    name, server = f"test-{secrets.token_hex(6)}", admin.connect(store)
    kind = s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    rules = retention_rules(90, 1)
    for left in left_to_server(kind, rules):
        del rules[left]
    statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{name}/*"]}
    policy = by_name({"Statement": [statement]})
    settings = {
        "valkey_port": valkey_server.port, "valkey_password": valkey_server.server.password, "endpoint": store.endpoint,
        "access_key": store.access_key, "secret_key": store.secret_key, "declared": False, "name": name,
        "users": USERS, "hashes": {user: sha256(user) for user in USERS}, "streams": STREAMS, "rules": rules,
        "policy": policy, "rotate": 1,
    }  # fmt: skip
    project = Project(tmp_path_factory.mktemp("stores"), engine, settings, PROGRAM)
    try:
        s3.create_bucket(Bucket=name)
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=to_s3(rules))
        s3.put_object(Bucket=name, Key="theirs", Body=b"x")
        server.put_policy(name, document_of(policy))
        server.put_user(name, "a-key-from-before")
        server.attach(name, name)
        project.up()
        for kept, id_ in (
            ("users", "scanner,policy"),
            ("streams", "scanner:jobs,audit"),
            ("bucket", name),
            ("user", name),
        ):
            text = project.must(
                "import", "--yes", "--skip-preview", "--protect=false", "--generate-code=false",
                "--provider", f"stellaops={urn(project, 'stellaops')}", TOKENS[kept], kept, id_,
            )  # fmt: skip
            assert "1 imported" in text, text
        yield project
    finally:
        project.run("destroy", "--yes", "--skip-preview")
        emptying.empty(s3, name, bypass_governance=False)
        s3.delete_bucket(Bucket=name)
        server.remove_user(name)
        server.remove_policy(name)


def resources(project: Project) -> dict[str, dict[str, Any]]:
    """Name -> resource in the state, of those with a provider."""
    state = json.loads(project.must("stack", "export"))["deployment"]["resources"]
    return {item["urn"].rpartition("::")[2]: item for item in state}


def urn(project: Project, name: str) -> str:
    return str(resources(project)[name]["urn"])


def paths(project: Project) -> dict[str, set[str]]:
    """Resource -> the properties that a preview shows as changed."""
    return {name: set(step["detailedDiff"] or {}) for name, step in project.preview().items()}


def test_what_was_imported_changes_only_where_the_program_differs(project: Project, s3: Any) -> None:
    kept = resources(project)
    assert kept["streams"]["inputs"]["streams"] == STREAMS
    assert kept["bucket"]["inputs"]["rules"] == project.settings["rules"]
    assert kept["user"]["inputs"]["rotate"] == 0
    clear = json.dumps(kept)
    assert sha256("scanner") not in clear, "the hash of a password would stand readable in the state"
    project.write(declared=True)
    # Rules have the server's own words, and no server shows a secret key.
    assert paths(project) == {"users": {"users.scanner", "users.policy"}, "user": {"rotate"}}
    project.up()
    assert project.nothing_to_do()
    assert s3.get_object(Bucket=project.settings["name"], Key="theirs")["Body"].read() == b"x"
    assert json.loads(project.must("stack", "output", "--json", "--show-secrets"))["key"] not in json.dumps(
        resources(project)
    ), "the secret key would stand readable in the state"


def test_a_refresh_finds_what_was_done_by_hand_and_the_preview_names_it(
    project: Project, valkey_server: OwnValkey, store: Store, s3: Any
) -> None:
    project.write(declared=True)
    project.up()
    name = project.settings["name"]
    with valkey_server.client() as client:
        client.execute_command("ACL SETUSER", "scanner", "+flushall")
        client.xgroup_destroy("scanner:jobs", "scanner-workers")
    s3.delete_bucket_lifecycle(Bucket=name)
    admin.connect(store).put_user(name, "somebody-elses-key")
    project.must("refresh", "--yes", "--skip-preview")
    assert paths(project) == {
        "users": {"users.scanner"},
        "streams": {'streams["scanner:jobs"]'},
        "bucket": {f'rules["{rule}"]' for rule in project.settings["rules"]},
        "user": {"state"},
    }
    project.up()
    assert project.nothing_to_do()
    project.must("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_renewed_password_is_named_by_user_and_never_shown(project: Project, valkey_server: OwnValkey) -> None:
    before = project.settings["hashes"]
    project.write(declared=True, hashes={**before, "policy": sha256("another")})
    try:
        assert paths(project) == {"users": {"passwordHashes.policy"}}
        shown = project.must("preview", "--diff") + project.must("preview", "--json")
        assert sha256("another") not in shown and before["policy"] not in shown
        project.up()
        assert valkey_server.client("policy", given=password("another")).ping()
    finally:
        project.write(hashes=before)
        project.up()


def test_a_mistake_is_shown_at_its_property_before_anything_is_done(project: Project) -> None:
    wrong = {**project.settings["rules"], "odd": {"Prefix": ""}}
    project.write(declared=True, rules=wrong)
    try:
        result = project.run("preview")
    finally:
        del wrong["odd"]
        project.write(rules=wrong)
    assert result.exit_code != 0 and "rules.odd" in result.stdout and "does nothing" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_what_a_failed_run_changed_is_undone_by_the_next_one_if_the_program_is_put_back(
    project: Project, valkey_server: OwnValkey, store: Store, s3: Any
) -> None:
    """In the failed run the server executes the last call of each resource, and an error comes back."""
    address = urlsplit(store.endpoint)
    if address.scheme != "http":
        pytest.skip("the proxy does not decrypt")
    name, server = project.settings["name"], admin.connect(store)

    def live() -> Any:
        with valkey_server.client() as client:
            users, streams = sorted(client.execute_command("ACL LIST")), sorted(client.scan_iter())
        rules = from_s3(s3.get_bucket_lifecycle_configuration(Bucket=name))
        return users, streams, rules, server.policies()[name]

    project.write(declared=True)
    project.up()
    kept, before = dict(project.settings), live()
    hidden = sha256("another")
    edit: dict[str, Any] = {
        # The recorded state is larger than what a response header usually holds.
        "users": {"scanner": ["allkeys", "+@all"], "vexhub": ["+ping", *(f"~{'k' * 50}:{n}" for n in range(1000))]},
        "hashes": {"scanner": hidden, "vexhub": hidden},
        "streams": {**STREAMS, "added": ["group"]},
        "rules": {rule: {**part, "Prefix": "only/"} for rule, part in kept["rules"].items()},
        "policy": {key: {**part, "Action": ["s3:*"]} for key, part in kept["policy"].items()},
        "rotate": kept["rotate"] + 1,
    }
    with faulty_proxy(valkey_server.port) as cache, faulty_proxy(address.port or 80) as objects:
        through = {"valkey_port": cache.port, "endpoint": f"http://{address.hostname}:{objects.port}"}
        try:
            project.write(**through)
            project.up()
            cache.arm(Fault(text=b"SAVE", ran=True), Fault(text=b"XGROUP", nth=2, ran=True))
            objects.arm(Fault(text=b"lifecycle", ran=True), Fault(text=b"set-user-or-group-policy", ran=True))
            project.write(**edit)
            failed = project.run("up", "--yes", "--skip-preview", "--continue-on-error")
            said = failed.stdout + failed.stderr
            assert failed.exit_code != 0 and cache.struck and objects.struck, said
            assert "Traceback" not in said and hidden not in said, said
            unfinished = {key for key, item in resources(project).items() if item.get("initErrors")}
            assert unfinished == set(TOKENS), said
            assert all(now != then for now, then in zip(live(), before, strict=True)), "the failed run changed nothing"
            project.write(**kept | through)
            assert {key: step["op"] for key, step in project.preview().items()} == dict.fromkeys(TOKENS, "update")
            project.up()
            assert live() == before, "the servers still have what the failed edit gave"
            assert project.nothing_to_do()
            key = json.loads(project.must("stack", "output", "--json", "--show-secrets"))["key"]
            assert store.accepts(name, key), "the module could not log in"
        finally:
            project.write(**kept)
            project.up()


def test_a_bucket_that_holds_objects_outlives_a_destroy(project: Project, s3: Any) -> None:
    result = project.run("destroy", "--yes", "--skip-preview", "--target", urn(project, "bucket"))
    assert result.exit_code != 0 and "allowDataLoss" in result.stdout
    assert s3.head_object(Bucket=project.settings["name"], Key="theirs")
