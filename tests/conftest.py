"""Servers and a whole stack for tests: each started once a worker, in a temporary directory, and stopped in any case."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.stack import LocalStack, temporary_stack
from tests.support.watchdog import Watchdog
from tools.local import environment
from tools.local.console import Console
from tools.local.engine import tools
from tools.local.engine.tools import Engine
from tools.local.paths import State, write_private
from tools.local.servers.base import LocalServer
from tools.local.servers.objects import ExternalObjectStore, LocalObjectStore
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import LocalValkey

pytest_plugins = ["tests.support.edit"]

LIVE_STACK = "live_stack"
API_SERVER = "api_server"
AnyServer = TypeVar("AnyServer", bound=LocalServer)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the live stack run on one worker, so that it is brought up once; those of the API server, too."""
    for item in items:
        for shared in (LIVE_STACK, API_SERVER):
            if shared in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_settings() -> None:
    """The developer's own PG*, AWS_* and PULUMI_* variables lead no test elsewhere.

    ``RUSTFS_ENDPOINT`` with its keys does: the same tests run against that server, each under a prefix of its own.
    """
    environment.scrub()
    os.environ.pop("STELLAOPS_STATE_DIR", None)


@pytest.fixture(scope="session")
def watchdog() -> Iterator[Watchdog]:
    """Give it each directory in which a test starts servers."""
    made = Watchdog()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def servers_directory(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Path:
    directory = tmp_path_factory.mktemp("servers")
    watchdog.watch(directory)
    return directory


@contextmanager
def _running(server: AnyServer) -> Iterator[AnyServer]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_server(servers_directory: Path) -> Iterator[LocalPostgres]:
    """A PostgreSQL: ``host``, ``port``, ``user``, ``password``, ``connect(database)``. Shared: use names of your own."""
    with _running(LocalPostgres(servers_directory / LocalPostgres.name)) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(servers_directory: Path) -> Iterator[LocalValkey]:
    """A Valkey: ``host``, ``port``, ``user`` (the admin), ``password``. Shared: use keys of your own."""
    with _running(LocalValkey(servers_directory / LocalValkey.name)) as server:
        yield server


@pytest.fixture(scope="session")
def object_store(servers_directory: Path) -> Iterator[LocalObjectStore | ExternalObjectStore]:
    """An object store: ``endpoint``, ``access_key``, ``secret_key``, ``client()``. Shared: use buckets of your own."""
    external = ExternalObjectStore.configured()
    if external:
        external.start()
        yield external
        return
    with _running(
        LocalObjectStore(servers_directory / LocalObjectStore.name, tools.object_store_program(Console()))
    ) as server:
        yield server


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that ``make up`` uses; ``engine.pulumi`` is the executable."""
    return tools.engine(Console())


@pytest.fixture
def pulumi_env(tmp_path: Path, engine: Engine) -> dict[str, str]:
    """The environment of an engine with its own home, backend and passphrase; for programs of the test's own."""
    state = State(tmp_path / "state")
    state.make()
    write_private(state.passphrase, "for tests")
    return environment.of_program(state, engine)


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[LocalStack]:
    """A local stack after ``make up``. Tests leave it as they found it; its servers and data go with the session."""
    with temporary_stack(tmp_path_factory.mktemp("live-stack"), watchdog) as stack:
        stack.must("up")
        yield stack
