"""The three servers of the local stack, and the settings with which the program reaches them."""

import json
from pathlib import Path

from tools.local.console import Console
from tools.local.engine import tools
from tools.local.paths import PRIVATE_DIRECTORY, State, read_json, write_private
from tools.local.servers import restored
from tools.local.servers.objects import ExternalObjectStore, ObjectStore
from tools.local.servers.postgres import Postgres
from tools.local.servers.valkey import Valkey


class Fleet:
    """PostgreSQL, Valkey and the object store of one state directory."""

    def __init__(self, state: State, objects: ObjectStore | ExternalObjectStore) -> None:
        self.postgres = Postgres(state.servers / Postgres.name)
        self.valkey = Valkey(state.servers / Valkey.name)
        self.objects = objects

    @staticmethod
    def ready(state: State, console: Console) -> "Fleet":
        """With an object store that can be started: an external one, RustFS, or MinIO, built if it must be."""
        external = _external(state)
        return Fleet(state, external or ObjectStore(_place(state), tools.object_store_program(console)))

    @staticmethod
    def as_it_is(state: State) -> "Fleet":
        """For asking and stopping: nothing is built."""
        return Fleet(state, _external(state) or ObjectStore(_place(state), None))

    @property
    def servers(self) -> tuple[Postgres, Valkey, ObjectStore | ExternalObjectStore]:
        return self.postgres, self.valkey, self.objects

    @property
    def created(self) -> bool:
        """Whether a server's data were made anew by ``start``: then the engine's state knows of what is not there."""
        return any(server.created for server in self.servers)

    def start(self, console: Console) -> None:
        """Have all of them run and answer, with a line for each that was started. Raises ``UserError``."""
        for server in self.servers:
            with console.step(server.name) as step:
                notes: list[str] = []
                step.update(f"starting {server.title}")
                if server.start(notes.append):
                    step.done(f"{server.title} started at {server.endpoint}")
                for note in notes:
                    console.line(server.name, console.paint("yellow", note))

    def stop(self) -> list[str]:
        """Stop what we started; the titles of those that ran."""
        count = restored.stop_all(self.postgres.home)
        also = [f"{count} restored server{'s' if count > 1 else ''}"] if count else []
        return [server.title for server in self.servers if server.stop()] + also

    def remove(self) -> None:
        """Stop all of them and delete their data."""
        self.stop()
        for server in self.servers:
            server.remove()

    def settings(self, state: State) -> dict[str, str | int]:
        """The stack's config: endpoints."""
        return {
            "postgresHost": self.postgres.host,
            "postgresPort": self.postgres.port,
            "postgresAdminUser": self.postgres.user,
            "valkeyHost": self.valkey.host,
            "valkeyPort": self.valkey.port,
            "valkeyAdminUser": self.valkey.user,
            "objectStore:target": self.objects.target,
            "objectStoreEndpoint": self.objects.endpoint,
            "bucketPrefix": self.objects.bucket_prefix,
            "kubernetesRenderDirectory": str(state.rendered),
        }

    def secrets(self) -> dict[str, str]:
        """The stack's config: what is encrypted."""
        return {
            "postgresAdminPassword": self.postgres.password,
            "valkeyAdminPassword": self.valkey.password,
            "objectStoreAccessKey": self.objects.access_key,
            "objectStoreSecretKey": self.objects.secret_key,
        }


def _place(state: State) -> Path:
    return state.servers / ObjectStore.name


def _external(state: State) -> ExternalObjectStore | None:
    """From the environment, else as remembered: `make preview` in another shell means the same store."""
    remembered = state.servers / "external-objects.json"
    configured = ExternalObjectStore.configured()
    if configured:
        keys = {
            "endpoint": configured.endpoint,
            "access_key": configured.access_key,
            "secret_key": configured.secret_key,
            "bucket_prefix": configured.bucket_prefix,
        }
        if read_json(remembered) != keys:
            state.servers.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            write_private(remembered, json.dumps(keys))
        return configured
    kept = read_json(remembered)
    return ExternalObjectStore(**kept) if kept else None
