"""Errors name the remedy if a server does not answer, refuses the credentials, or has a different time.

The program runs under the engine on the shared stack, with wrong or outdated config.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pods.backup_agent import kinds, repository, s3
from pods.backup_agent.errors import BackupError
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from provider.rustfs import admin
from tests.faults import stores
from tests.faults.conftest import SmallStack, clear
from tests.faults.silence import silent_server
from tools.local.servers.objects import LocalObjectStore
from tools.local.servers.postgres import LocalPostgres

# One resource of each store, each in a run of its own: the first refusal ends a run. With --continue-on-error the engine
# 3.274 now and then writes a resource before the failed one that it depends on, and then refuses that state.
RESOURCES = ("**:Role::signer", "**:valkey:Streams::**", "**:Bucket::evidence")
UP = ("pulumi", "up", "--yes", "--skip-preview", "--target=**pulumi:providers:**")
CLOCK = Path(__file__).parent / "clock"
HOUR = 3600


@contextmanager
def configured(stack: SmallStack, **settings: str) -> Iterator[None]:
    """Change values of the stack's config, and restore them afterwards."""
    file = stack.state / "Pulumi.local.yaml"
    before = file.read_text()
    config = yaml.safe_load(before)
    config["config"] |= {f"stellaops-storage:{key}": value for key, value in settings.items()}
    file.write_text(yaml.safe_dump(config))
    try:
        yield
    finally:
        file.write_text(before)


def refused(stack: SmallStack) -> str:
    """Run ``up`` with a change in each store, assert that it fails within two minutes, and return what was printed."""
    stack.change()
    lines: set[str] = set()
    for resource in RESOURCES:
        result = stack.run(*UP, f"--target={resource}", timeout=120)
        said = result.stdout + result.stderr
        assert result.returncode != 0 and "Traceback" not in said and "panic:" not in said, said
        lines |= {line for line in said.splitlines() if "error" in line or line.lstrip().startswith("* ")}
    return "\n".join(sorted(lines))


def test_servers_that_accept_and_never_answer_are_named_and_the_next_up_converges(small_stack: SmallStack) -> None:
    with ExitStack() as servers:
        postgres, valkey, objects = (servers.enter_context(silent_server()) for _ in range(3))
        endpoint = f"http://127.0.0.1:{objects}"
        with configured(small_stack, postgresPort=str(postgres), valkeyPort=str(valkey), objectStoreEndpoint=endpoint):
            said = refused(small_stack)
    assert (
        f"PostgreSQL at 127.0.0.1:{postgres}" in said
        and "check that the server runs and that host and password are correct" in said
    ), said
    assert f"Valkey at 127.0.0.1:{valkey}" in said and "valkeyHost, valkeyPort and valkeyTls are right" in said, said
    assert f"object store at {endpoint}" in said and "objectStoreEndpoint is right" in said, said
    small_stack.whole()
    small_stack.at_rest()


@contextmanager
def outdated_credentials(stack: SmallStack) -> Iterator[None]:
    """Let PostgreSQL's admin expire, change the password of Valkey's admin, and delete the object store's key."""
    stack.forget()
    server = admin.connect(stores.store(stack))
    key = f"removed-{secrets.token_hex(4)}"
    server.put_user(key, secrets.token_urlsafe(30))
    server.attach(key, "consoleAdmin")
    server.remove_user(key)
    valkey: Any = stack.valkey_admin()
    with stack.admin() as postgres, configured(stack):
        stack.must("pulumi", "config", "set", "--secret", "objectStoreAccessKey", key)
        user, valkey_user = stack.config["postgresAdminUser"], stack.config["valkeyAdminUser"]
        postgres.execute(f"ALTER ROLE {user} VALID UNTIL '2000-01-01'".encode())
        valkey.execute_command("ACL", "SETUSER", valkey_user, "resetpass", f">{secrets.token_urlsafe()}")
        try:
            yield
        finally:
            postgres.execute(f"ALTER ROLE {user} VALID UNTIL 'infinity'".encode())
            password = f">{stack.config['valkeyAdminPassword']}"
            valkey.execute_command("ACL", "SETUSER", valkey_user, "resetpass", password)
            valkey.close()


def test_credentials_that_expired_or_were_changed_or_removed_are_named_and_up_converges_with_the_right_ones(
    small_stack: SmallStack,
) -> None:
    if small_stack.shares_object_store:
        pytest.skip("the object store is somebody else's")
    with outdated_credentials(small_stack):
        said = refused(small_stack)
        make = clear(small_stack.run("up"))
    assert "password authentication failed" in said, said
    assert "set stellaops-storage:valkeyAdminUser and valkeyAdminPassword" in said, said
    assert "InvalidAccessKeyId" in said and "set stellaops-storage:objectStoreAccessKey" in said, said
    assert "refuses the admin password" in make and "VALID UNTIL" in make, make
    small_stack.whole()
    small_stack.at_rest()


def test_an_admin_that_expired_is_told_how_it_is_renewed(postgres_server: LocalPostgres) -> None:
    user = f"expired_{secrets.token_hex(4)}"
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'known' VALID UNTIL '2000-01-01'".encode())
    host, port = postgres_server.host, postgres_server.port
    server = PostgresServer(host, port, user, "known", "postgres", "postgres", "disable")
    with pytest.raises(ProviderError, match=f"expired.* ALTER ROLE {user} VALID UNTIL 'infinity'"), server.connected():
        pass


def test_a_clock_that_jumped_is_named_and_up_converges_when_it_is_right(
    small_stack: SmallStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_stack.change()
    monkeypatch.setitem(small_stack.environment, "PYTHONPATH", str(CLOCK))
    for seconds, words in ((HOUR, "minutes ahead of the server's"), (-HOUR, "minutes behind the server's")):
        monkeypatch.setitem(small_stack.environment, "FAULTS_CLOCK_SECONDS", str(seconds))
        said = clear(small_stack.run("up"))
        assert words in said and "correct the clock" in said, said
    monkeypatch.undo()
    small_stack.whole()


def test_a_clock_that_jumped_expires_no_backup(object_store: LocalObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"clock-{secrets.token_hex(4)}"
    object_store.client().create_bucket(Bucket=name)
    bucket = s3.BucketClient(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key, name)
    now = datetime.now().astimezone()
    for days in (2, 1):
        repository.publish(bucket, kinds.RDB, now - timedelta(days=days), {"dump.rdb": [b"x"]}, {"stack": "test"})

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=60)

    monkeypatch.setattr(s3, "datetime", Jumped)
    with pytest.raises(BackupError, match="RequestTimeTooSkewed"):
        repository.prune(bucket, kinds.RDB, timedelta(days=7), Jumped.now(now.tzinfo))
    monkeypatch.undo()
    assert len(repository.find(bucket, kinds.RDB)[0]) == 2, "backups were lost to a clock"
