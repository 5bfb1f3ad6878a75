"""After any edit of the mapping, every Valkey user may run the commands that the mapping gives it, and no others.

The Valkey component alone under the engine, on a real server. After each ``up`` every command on every key is tried for
every user (``ACL DRYRUN``), every user logs in, and producers and consumers use the streams.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

import pytest
import valkey
import yaml

from components.mapping.globs import globs_overlap
from tests.support.edits import PROGRAM, Document, EditedStack, rows_of_edits, smallest_document
from tests.support.valkey_commands import COMMANDS, allowed
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine
from tools.local.servers.valkey import LocalValkey

VALKEY_PROGRAM = (
    PROGRAM
    + """
from components.config.model import KubernetesSettings, ValkeyDeploymentSettings, ValkeySettings
from components.valkey.component import ValkeyArgs, ValkeyComponent

mapping = load(Path("schema-mapping.yaml"))
settings = ValkeySettings(
    host=s["provider"]["valkey_host"], port=s["provider"]["valkey_port"], tls=False,
    admin_user=s["provider"]["valkey_admin_user"],
    admin_password=pulumi.Output.secret(s["provider"]["valkey_admin_password"]), apply="direct",
)
credentials = {name: Credential(name, user=name, rotate=user.rotate, opts=opts) for name, user in mapping.users.items()}
ValkeyComponent("valkey", ValkeyArgs(
    mapping, settings, KubernetesSettings(mode="none"), None, provider, credentials,
    allow_data_loss=s["allow_data_loss"], protect=False, deployment=ValkeyDeploymentSettings(),
))
pulumi.export("passwords", pulumi.Output.secret({name: item.valkey_password for name, item in credentials.items()}))
"""
)

TYPES = ("string", "list", "set", "hash", "zset", "various", "stream")
PATTERNS = ("one:{id}", "one:*", "one:fixed", "one:{id}:part", "two:{id}", "two:a.b-c", "three:*:{id}", "queue:*")
STREAMS = ("events", "jobs")
# Keys of each pattern, keys that are beside or below one, and keys of nobody.
SAMPLES = (
    "one:x", "one:fixed", "one:fixed:part", "one:x:part", "one:", "one", "oneX", "two:x", "two:a.b-c", "two:aXb-c",
    "three:x:y", "three:x", "queue:x", "events", "events:2", "jobs", "job?", "stray",
)  # fmt: skip
LETTERS = ("a", "b", "c", "d")


@dataclass
class Stream:
    """``groups`` maps the named groups to their consumers."""

    producers: list[str]
    consumers: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)


@dataclass
class User:
    """A module, or a service; ``verbs`` maps owns, writes and reads to patterns."""

    service: bool = False
    rotate: int = 1
    verbs: dict[str, list[str]] = field(default_factory=lambda: {"owns": [], "writes": [], "reads": []})


@dataclass
class Shape:
    """``keys`` maps patterns to types, without the defined streams; ``shared`` are those that everybody may use."""

    keys: dict[str, str]
    shared: set[str]
    streams: dict[str, Stream]
    users: dict[str, User]


class ValkeyStack(EditedStack[Shape]):
    """Every user's name and every key of it ends or begins with ``suffix``."""

    def __init__(self, directory: Path, engine: Engine, server: LocalValkey) -> None:
        self.suffix, self.server, self.directory = secrets.token_hex(3), server, directory
        self.keeper = f"keeper_{self.suffix}"
        self.former: set[tuple[str, str]] = set()
        self.entries: dict[str, int] = {}
        self.shape = self.begin()
        provider = {
            "valkey_host": server.host, "valkey_port": server.port, "valkey_admin_user": server.user,
            "valkey_admin_password": server.password,
        }  # fmt: skip
        self.project = Project(directory, engine, {"provider": provider, "allow_data_loss": True}, VALKEY_PROGRAM)

    def name(self, letter: str) -> str:
        return f"{letter}_{self.suffix}"

    def key(self, text: str) -> str:
        return f"k{self.suffix}:{text}"

    def begin(self) -> Shape:
        a, b = self.name("a"), self.name("b")
        one, two, events = self.key("one:{id}"), self.key("two:{id}"), self.key("events")
        first, second = User(), User()
        first.verbs["owns"] = [one]
        second.verbs |= {"owns": [two], "reads": [one]}
        return Shape(
            keys={one: "string", two: "hash"},
            shared=set(),
            streams={events: Stream([a], [b])},
            users={a: first, b: second},
        )

    def write(self, shape: Shape) -> None:
        (self.directory / "schema-mapping.yaml").write_text(yaml.safe_dump(self._document(shape)))

    def _document(self, shape: Shape) -> Document:
        document = smallest_document(self.keeper)
        keys = document["valkey"]["keys"]
        for pattern, kind in shape.keys.items():
            stream = kind == "stream"
            keys[pattern] = {
                "type": kind, "ttl": "none" if stream else "1h", "evictable": not stream, "purpose": "test",
                **({"shared": "all"} if pattern in shape.shared else {}),
            }  # fmt: skip
        keys |= {
            name: {"type": "stream", "ttl": "none", "evictable": False, "purpose": "test"} for name in shape.streams
        }
        document["valkey"]["streams"] = {
            name: {
                "producers": stream.producers,
                "consumers": stream.consumers,
                "groups": {group: {"consumer": user, "idle_timeout": "30s"} for group, user in stream.groups.items()},
            }
            for name, stream in shape.streams.items()
        }
        document["modules"][self.keeper]["valkey"]["owns"] += list(shape.streams)
        for name, user in shape.users.items():
            kind = "services" if user.service else "modules"
            document[kind][name] = {"name": "Test", "purpose": "test", "rotate": user.rotate, "valkey": user.verbs}
        return document

    # Comparison.

    def cells_off(self) -> list[str]:
        passwords: dict[str, str] = json.loads(self.project.must("stack", "output", "passwords", "--show-secrets"))
        with self._client() as admin:
            off = [*self._users_off(admin), *self._commands_off(admin), *self._streams_off(admin, passwords)]
        off += self._logins_off(passwords)
        self.former |= set(passwords.items())
        return off

    def _client(self, user: str | None = None, password: str | None = None) -> Any:
        return valkey.Valkey(
            host=self.server.host, port=self.server.port, username=user or self.server.user,
            password=password or self.server.password, decode_responses=True,
        )  # fmt: skip

    def _users_off(self, admin: Any) -> Iterator[str]:
        live = {name for name in admin.acl_users() if name.endswith(self.suffix)}
        wanted = {*self.shape.users, self.keeper}
        if live != wanted:
            yield f"users {sorted(live)} instead of {sorted(wanted)}"

    def _commands_off(self, admin: Any) -> Iterator[str]:
        cells = [(user, key, name) for user in self.shape.users for key in map(self.key, SAMPLES) for name in COMMANDS]
        with admin.pipeline(transaction=False) as together:
            for user, key, name in cells:
                together.execute_command("ACL DRYRUN", user, *COMMANDS[name].replace("{key}", key).split())
            answers = together.execute(raise_on_error=False)
        for (user, key, name), answer in zip(cells, answers, strict=True):
            wanted, granted = name in self.expected(user, key), answer == "OK"
            assert granted or "no permissions" in str(answer), answer
            if granted != wanted:
                yield f"{user} may{'' if granted else ' not'} {name} {key}"

    def expected(self, user: str, key: str) -> set[str]:
        """The commands that the mapping gives the user on the key."""
        found: set[str] = set()
        verbs = self.shape.users[user].verbs
        for pattern, kind in self.shape.keys.items():
            if not fnmatchcase(key.replace("?", "!"), re.sub(r"\{[^}]*\}", "*", pattern)):
                continue
            if pattern in self.shape.shared or pattern in verbs["owns"] or pattern in verbs["writes"]:
                found |= allowed("write", kind)
            elif pattern in verbs["reads"]:
                found |= allowed("read", kind)
        stream = self.shape.streams.get(key)
        if stream and user in stream.producers:
            found |= allowed("produce", "stream")
        if stream and (user in stream.consumers or user in stream.groups.values()):
            found |= allowed("consume", "stream")
        return found

    def _streams_off(self, admin: Any, passwords: dict[str, str]) -> Iterator[str]:
        """Streams and groups are the mapping's; entries are still there; producers and consumers can work."""
        for name in map(self.key, STREAMS):
            stream, kind = self.shape.streams.get(name), str(admin.type(name))
            if stream is None:
                self.entries.pop(name, None)
                if kind != "none":
                    yield f"{name} is a {kind} and not in the mapping"
                continue
            groups = {group["name"] for group in admin.xinfo_groups(name)} if kind == "stream" else set()
            by_group = {**stream.groups, **{user: user for user in stream.consumers}}
            if groups != set(by_group):
                yield f"{name} has groups {sorted(groups)} instead of {sorted(by_group)}"
                continue
            count = int(admin.xlen(name))
            if count < self.entries.get(name, 0):
                yield f"{name} lost {self.entries[name] - count} entries"
            for producer in stream.producers:
                with self._client(producer, passwords[producer]) as client:
                    client.xadd(name, {"event": "test"})
            self.entries[name] = count + len(stream.producers)
            for group, consumer in by_group.items():
                with self._client(consumer, passwords[consumer]) as client:
                    delivered = client.xreadgroup(group, "c", {name: ">"})
                    newest = [entry for entry, _ in delivered[0][1]][-1]
                    if client.xack(name, group, newest) != 1:
                        yield f"{consumer} can't acknowledge in group {group} of {name}"

    def _logins_off(self, passwords: dict[str, str]) -> Iterator[str]:
        if set(passwords) != {*self.shape.users, self.keeper}:
            yield f"passwords of {sorted(passwords)}"
        for user, password in passwords.items():
            if not self._logs_in(user, password):
                yield f"{user} can't log in"
        for user, password in self.former - set(passwords.items()):
            if self._logs_in(user, password):
                yield f"{user} can log in with a password of an earlier run"

    def _logs_in(self, user: str, password: str) -> bool:
        with self._client(user, password) as client:
            try:
                return bool(client.ping())
            except valkey.AuthenticationError:
                return False

    # Edits.

    def edit(self, shape: Shape, chance: Random) -> str:
        kinds: list[Callable[[Shape, Random], str]] = [
            self._edit_access, self._edit_access, self._edit_keys, self._edit_streams, self._edit_streams, self._edit_users, self._edit_users,
        ]  # fmt: skip
        return chance.choice(kinds)(shape, chance)

    def _edit_access(self, shape: Shape, chance: Random) -> str:
        user = chance.choice(sorted(shape.users))
        verbs, verb = shape.users[user].verbs, chance.choice(["owns", "writes", "reads"])
        kind, held = chance.choice(["give", "take", "change", "move"]), verbs[verb]
        if not held or kind == "give":
            pattern = chance.choice(sorted(shape.keys))
            held.append(pattern)
            return f"{user} {verb} {pattern}"
        pattern = held.pop(chance.randrange(len(held)))
        if kind == "take":
            return f"{user} no longer {verb} {pattern}"
        if kind == "move":
            other = chance.choice([name for name in verbs if name != verb])
            verbs[other].append(pattern)
            return f"{user} {other} {pattern} instead of {verb}"
        wider = self.key(chance.choice(PATTERNS))
        shape.keys.setdefault(wider, shape.keys[pattern])
        held.append(wider)
        return f"{user} {verb} {wider} instead of {pattern}"

    def _edit_keys(self, shape: Shape, chance: Random) -> str:
        pattern, kind = self.key(chance.choice(PATTERNS)), chance.choice(["type", "type", "shared", "remove"])
        if pattern not in shape.keys or kind == "type":
            shape.keys[pattern] = chance.choice(TYPES)
            return f"{pattern} is a {shape.keys[pattern]}"
        if kind == "shared":
            shape.shared ^= {pattern}
            return f"{pattern} is shared: {pattern in shape.shared}"
        del shape.keys[pattern]
        return f"{pattern} removed"

    def _edit_streams(self, shape: Shape, chance: Random) -> str:
        name, user = self.key(chance.choice(STREAMS)), chance.choice(sorted(shape.users))
        stream = shape.streams.get(name)
        if stream is None:
            shape.streams[name] = Stream([user])
            return f"stream {name} added, from {user}"
        kind = chance.choice(["producers", "consumers", "consumers", "groups", "groups", "remove"])
        if kind == "remove":
            del shape.streams[name]
            return f"stream {name} removed"
        if kind == "groups":
            group = chance.choice(["workers", "spare"])
            if chance.choice((True, False)) and stream.groups.pop(group, ""):
                return f"group {group} of {name} removed"
            stream.groups[group] = user
            return f"group {group} of {name} is of {user}"
        users = stream.producers if kind == "producers" else stream.consumers
        if user in users:
            users.remove(user)
            return f"{user} no longer one of {kind} of {name}"
        users.append(user)
        return f"{user} one of {kind} of {name}"

    def _edit_users(self, shape: Shape, chance: Random) -> str:
        name = self.name(chance.choice(LETTERS))
        user = shape.users.get(name)
        if user is None:
            shape.users[name] = User(service=chance.choice((True, False)))
            shape.users[name].verbs["reads"] = [chance.choice(sorted(shape.keys))]
            return f"{name} added"
        kind = chance.choice(["rotate", "remove", "service"])
        if kind == "remove" and len(shape.users) > 1:
            del shape.users[name]
            return f"{name} removed"
        if kind == "service":
            user.service = not user.service
            return f"{name} is a service: {user.service}"
        user.rotate += 1
        return f"rotate of {name}: {user.rotate}"

    def tidy(self, shape: Shape) -> None:
        """Each pattern has one owner, as has each set of patterns that overlap. The first user owns what nobody owns."""
        if not shape.keys:
            shape.keys[self.key("one:{id}")] = "string"
        shape.shared &= set(shape.keys)
        for pattern in sorted(shape.shared):
            # What overlaps a shared pattern would have to be shared, too.
            if any(self._overlap(pattern, other) for other in shape.keys if other not in shape.shared):
                shape.shared.remove(pattern)
        first = next(iter(shape.users))
        owner: dict[str, str] = {}
        for pattern in shape.keys:
            owners = [name for name, user in shape.users.items() if pattern in user.verbs["owns"]]
            overlapping = [owner[other] for other in owner if self._overlap(pattern, other)]
            owner[pattern] = (overlapping or owners or [first])[0]
        # A pattern may join two that had owners of their own.
        for pattern in shape.keys:
            for other in shape.keys:
                if self._overlap(pattern, other):
                    owner = {key: owner[pattern] if name == owner[other] else name for key, name in owner.items()}
        for name, user in shape.users.items():
            known = [pattern for pattern in shape.keys if pattern not in shape.shared]
            for verb in ("writes", "reads"):
                user.verbs[verb] = [pattern for pattern in dict.fromkeys(user.verbs[verb]) if pattern in known]
            user.verbs["owns"] = [pattern for pattern in known if owner[pattern] == name]
        for stream in shape.streams.values():
            stream.producers = [user for user in stream.producers if user in shape.users] or [first]
            stream.consumers = [user for user in stream.consumers if user in shape.users]
            stream.groups = {group: user for group, user in stream.groups.items() if user in shape.users}

    @staticmethod
    def _overlap(pattern: str, other: str) -> bool:
        globs = [re.sub(r"\{[^}]*\}", "*", text) for text in (pattern, other)]
        return globs_overlap(*globs)

    def destroy(self) -> None:
        self.project.run("destroy", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, valkey_server: LocalValkey
) -> Iterator[ValkeyStack]:
    made = ValkeyStack(tmp_path_factory.mktemp("valkey-edits"), engine, valkey_server)
    yield made
    made.destroy()


@rows_of_edits
def test_every_command_of_every_user_is_right_after_every_edit(stack: ValkeyStack, number: int) -> None:
    """Each row of edits follows on the last one, on the same stack."""
    stack.edit_in_a_row(number)
