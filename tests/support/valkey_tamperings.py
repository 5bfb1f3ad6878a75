"""Manual changes of Valkey that ``drift`` must name, invented from the server's documentation.

Each can be made by the admin on a server that is as the mapping states, and undone exactly.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_SAVED = re.compile(r"\{(config|dump):([^}]+)\}")


@dataclass(frozen=True)
class ValkeyTampering:
    """Commands of the admin, their arguments separated by blanks; quotes as in a shell.

    ``undo`` may have ``{config:NAME}`` for the value of a setting, and ``{dump:KEY}`` for the content of a key, as they were
    before the first step. ``names`` are the words that a sentence of ``drift`` about it must have, in any case.
    """

    name: str
    steps: tuple[str, ...]
    undo: tuple[str, ...]
    names: tuple[str, ...]


@contextmanager
def tampered(admin: Any, tampering: ValkeyTampering) -> Iterator[None]:
    """Make the change; undo it with what was there before. ``admin`` is a client that decodes no replies."""
    saved: dict[str, bytes] = {}
    for kind, name in _SAVED.findall(" ".join(tampering.undo)):
        value = admin.dump(name) if kind == "dump" else admin.config_get(name)[name]
        assert value is not None, f"{name} is missing before the tampering"
        saved[f"{{{kind}:{name}}}"] = value if isinstance(value, bytes) else str(value).encode()
    try:
        make(admin, tampering, saved)
        yield
    finally:
        for step in tampering.undo:
            _run(admin, step, saved)


def make(admin: Any, tampering: ValkeyTampering, saved: dict[str, bytes] | None = None) -> None:
    """Make the change and leave it."""
    for step in tampering.steps:
        _run(admin, step, saved or {})


def _run(admin: Any, command: str, saved: dict[str, bytes]) -> None:
    """Run a command; arguments that are a key of ``saved`` stand for its value."""
    admin.execute_command(*(saved.get(word, word.encode()) for word in shlex.split(command)))


def _user(name: str, rules: str, *names: str, user: str) -> ValkeyTampering:
    """``ACL LOAD`` reads the users from the file, which the stack wrote."""
    return ValkeyTampering(name, (f"ACL SETUSER {user} {rules}",), ("ACL LOAD",), (user, *names))


def _setting(setting: str, value: str, name: str) -> ValkeyTampering:
    return ValkeyTampering(
        name,
        (f"CONFIG SET {setting} '{value}'",),
        (f"CONFIG SET {setting} '{{config:{setting}}}'",),
        (setting,),
    )


def _stream(name: str, stream: str, *steps: str, names: tuple[str, ...] = ()) -> ValkeyTampering:
    return ValkeyTampering(name, steps, (f"RESTORE {stream} 0 {{dump:{stream}}} REPLACE",), (stream, *names))


def _key(name: str, step: str, *names: str, key: str) -> ValkeyTampering:
    return ValkeyTampering(name, (step,), (f"DEL {key}",), names)


USERS = (
    _user("a password was replaced", "resetpass >chosen-by-hand", "password", user="policy"),
    _user("a second password was added", ">second-by-hand", "password", user="concelier"),
    _user("a user needs no password", "nopass", "password", user="telemetry"),
    _user("a user was switched off", "off", user="scheduler"),
    _user("a user may read every key", "~* +get", user="router"),
    _user("a user lost its selectors", "clearselectors", user="authority"),
    _user("a user may empty the database", "+flushall", user="gateway"),
    _user("a user may administer", "+@admin", user="audit"),
    _user("a user may use every channel", "allchannels", user="notifier"),
    _user("a user may use another's channels", "&findings:*", user="orchestrator"),
    _user("a selector opens another's keys", "'(+@read ~policy:*)'", user="findings"),
    _user("a selector reads another's keys only", "'(+get %R~scan:*)'", user="attestor"),
    _user("a user may use no database", "resetdbs", "resetdbs", user="scanner"),
    _user("a user was reset", "reset", user="unknowns"),
    _user("a stranger may do everything", "on >backdoor allkeys allcommands allchannels", user="backdoor"),
    _user("a disabled user was left behind", "off", user="leftover"),
    _user("everybody may log in as default", "on nopass allkeys +@all", user="default"),
    _user("the health probe may read settings", "+config|get", user="health-probe"),
    ValkeyTampering("a user was deleted", ("ACL DELUSER symbols",), ("ACL LOAD",), ("symbols",)),
)

SETTINGS = (
    _setting("maxmemory", "0", "memory has no limit"),
    _setting("maxmemory-policy", "allkeys-random", "keys without a TTL are evicted"),
    _setting("appendonly", "no", "no append-only file is written"),
    _setting("appendfsync", "no", "writes are flushed when the kernel likes"),
    _setting("save", "", "no snapshot is saved"),
    _setting("stream-node-max-bytes", "0", "nodes of streams have no size limit"),
    _setting("stream-node-max-entries", "0", "nodes of streams have no entry limit"),
    _setting("acl-pubsub-default", "allchannels", "new users get every channel"),
    _setting("protected-mode", "no", "strangers' addresses may connect without a password"),
    _setting("lazyfree-lazy-eviction", "no", "evictions block other clients"),
    _setting("lazyfree-lazy-user-del", "no", "deletions block other clients"),
    _setting("notify-keyspace-events", "KEA", "names of keys are published"),
    _setting("timeout", "1", "idle connections are closed after a second"),
    _setting("min-replicas-to-write", "3", "writes wait for replicas that do not exist"),
    _setting("acllog-max-len", "0", "refused commands leave no trace"),
)

STREAMS = (
    _stream("a stream was deleted", "scheduler:jobs", "DEL scheduler:jobs"),
    _stream("a list took a stream's place", "notify:delivery", "DEL notify:delivery", "RPUSH notify:delivery x"),
    _stream(
        "a group was destroyed", "scanner:events", "XGROUP DESTROY scanner:events policy", names=("policy",)
    ),
    _stream("a stranger's group holds a stream", "concelier:drift", "XGROUP CREATE concelier:drift spy 0", names=("spy",)),
    _stream(
        "a group waits for entries of the future", "policy:evaluated",
        "XGROUP SETID policy:evaluated findings 99999999999999-0", names=("findings",),
    ),
    _stream(
        "a stream takes no more entries", "scanner:jobs",
        "XSETID scanner:jobs 18446744073709551615-18446744073709551615",
    ),
    _stream(
        "entries were trimmed before a group read them", "notify:delivery",
        "XADD notify:delivery * by hand", "XADD notify:delivery * by hand", "XTRIM notify:delivery MAXLEN 0",
    ),
    _stream("a stream expires as a whole", "scanner:events", "EXPIRE scanner:events 86400", names=("TTL",)),
)  # fmt: skip

KEYS = (
    _key("a nonce never expires", "SET dpop:by-hand x", "dpop:", key="dpop:by-hand"),
    _key("the active policy expires", "SET policy:active x EX 86400", "policy:active", "TTL", key="policy:active"),
    _key("a set has the place of a scan", "SADD scan:by-hand x", "scan:", key="scan:by-hand"),
    _key("a key is outside every pattern", "SET stray:by-hand x", "stray:by-hand", key="stray:by-hand"),
)

RUNNING = (
    ValkeyTampering("the server follows a stranger", ("REPLICAOF 127.0.0.1 1",), ("REPLICAOF NO ONE",), ("replica",)),
    ValkeyTampering(
        "a library of functions was loaded",
        ("""FUNCTION LOAD "#!lua name=byhand\nserver.register_function('byhand', function() return 1 end)" """,),
        ("FUNCTION FLUSH",),
        ("byhand",),
    ),
    ValkeyTampering("writes are paused", ("CLIENT PAUSE 600000 WRITE",), ("CLIENT UNPAUSE",), ("pause",)),
    ValkeyTampering(
        "a password was set by the old setting",
        ("CONFIG SET requirepass by-hand",),
        ("CONFIG SET requirepass ''", "ACL LOAD"),
        ("default",),
    ),
)

VALKEY: tuple[ValkeyTampering, ...] = (*USERS, *SETTINGS, *STREAMS, *KEYS, *RUNNING)
