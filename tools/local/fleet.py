"""The three servers of the local stack, and the stack config that depends on them."""

import json
import shutil
from pathlib import Path

from tools import processes
from tools.local import config
from tools.local.console import Console
from tools.local.engine import tools
from tools.local.paths import PRIVATE_DIRECTORY, State, read_json, write_private
from tools.local.servers import homes, restored
from tools.local.servers.objects import ExternalObjectStore, LocalObjectStore
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import DEFAULT_MAPPING, LocalValkey


class Fleet:
    """PostgreSQL, Valkey and the object store of one state directory."""

    def __init__(
        self, state: State, objects: LocalObjectStore | ExternalObjectStore, mapping: Path = DEFAULT_MAPPING
    ) -> None:
        self.postgres = LocalPostgres(state.servers / LocalPostgres.name)
        self.valkey = LocalValkey(state.servers / LocalValkey.name, mapping)
        self.objects = objects

    @staticmethod
    def ready(state: State, console: Console) -> "Fleet":
        """The servers, ready to start. The object store is external, RustFS, or MinIO, which is built if needed."""
        external = _external(state)
        objects = external or LocalObjectStore(_objects_directory(state), tools.object_store_program(console))
        return Fleet(state, objects, config.mapping(state))

    @staticmethod
    def current(state: State) -> "Fleet":
        """The servers, to query or stop them; builds nothing."""
        return Fleet(state, _external(state) or LocalObjectStore(_objects_directory(state), None))

    @property
    def servers(self) -> tuple[LocalPostgres, LocalValkey, LocalObjectStore | ExternalObjectStore]:
        return self.postgres, self.valkey, self.objects

    @property
    def created(self) -> bool:
        """Whether ``start`` created the data of a server; resources in the engine's state may then be missing there."""
        return any(server.created for server in self.servers)

    def start(self, console: Console, *, reconfigure: bool = False) -> None:
        """Start the servers that aren't running and wait until all accept logins. Raises ``UserError``.

        With ``reconfigure``, servers whose configuration the mapping changed are restarted.
        """
        for orphan in homes.orphans():
            remove_home(orphan.home)
            console.line("postgres", f"removed {orphan.home}: its state directory {orphan.directory} was deleted")
        for server in self.servers:
            with console.step(server.name) as step:
                notes: list[str] = []
                step.update(f"starting {server.title}")
                if server.start(notes.append, reconfigure=reconfigure):
                    step.done(f"{server.title} started at {server.endpoint}")
                for note in notes:
                    console.line(server.name, console.paint("yellow", note))

    def stop(self) -> list[str]:
        """Stop the servers that ``make`` started, and return the titles of those that were running."""
        count = restored.stop_all(self.postgres.home)
        restored_servers = [f"{count} restored server{'s' if count > 1 else ''}"] if count else []
        return [server.title for server in self.servers if server.stop()] + restored_servers

    def remove(self) -> None:
        """Stop all servers and delete their data."""
        self.stop()
        for server in self.servers:
            server.remove()

    def settings(self) -> dict[str, str | int | bool]:
        """The plain stack config of the servers."""
        prefix = {"bucketPrefix": self.objects.bucket_prefix} if self.objects.bucket_prefix else {}
        return {
            "postgresHost": self.postgres.host,
            "postgresPort": self.postgres.port,
            "postgresAdminUser": self.postgres.user,
            "valkeyHost": self.valkey.host,
            "valkeyPort": self.valkey.port,
            "valkeyAdminUser": self.valkey.user,
            "objectStore:target": self.objects.target,
            "objectStoreEndpoint": self.objects.endpoint,
            **prefix,
        }

    def secrets(self) -> dict[str, str]:
        """The secret stack config of the servers."""
        return {
            "postgresAdminPassword": self.postgres.password,
            "valkeyAdminPassword": self.valkey.password,
            "objectStoreAccessKey": self.objects.access_key,
            "objectStoreSecretKey": self.objects.secret_key,
        }


def remove_home(home: Path) -> None:
    """Stop the servers whose data are in a PostgreSQL home directory, and delete it."""
    restored.stop_all(home)
    pid = processes.find(str(home / "data"), LocalPostgres.program)
    created = processes.created(pid) if pid else None
    if pid and created:
        processes.stop(pid, created, LocalPostgres.stop_signals)
    shutil.rmtree(home, ignore_errors=True)


def _objects_directory(state: State) -> Path:
    return state.servers / LocalObjectStore.name


def _external(state: State) -> ExternalObjectStore | None:
    """The store from the environment, else the last one used, so that another shell uses the same store."""
    file = state.servers / "external-objects.json"
    configured = ExternalObjectStore.configured()
    if configured:
        settings = {
            "endpoint": configured.endpoint,
            "access_key": configured.access_key,
            "secret_key": configured.secret_key,
            "bucket_prefix": configured.bucket_prefix,
        }
        if read_json(file) != settings:
            state.servers.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            write_private(file, json.dumps(settings))
        return configured
    stored = read_json(file)
    return ExternalObjectStore(**stored) if stored else None
