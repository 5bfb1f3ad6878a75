"""``valkey.conf`` and ``users.acl`` as text, from the mapping and the templates in ``valkey-config/``.

The Kubernetes deployment, the local server and the resource that applies users directly all use this module, so tests
cover what is deployed. It does not use Pulumi and opens no connection.
"""

import hashlib
import itertools
import re
from pathlib import Path

import jinja2

from components.mapping import Mapping
from components.mapping.access import KeyAccess
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.valkey.acl import PROBE_USER, checked_sha256, set_user
from components.valkey.commands import CONNECTION, MAINTENANCE, commands

TEMPLATES = Path(__file__).parents[2] / "valkey-config"

# Reads snapshots like a replica: all data, without permission on any key.
BACKUP_RULES = ("resetchannels", "+ping", "+replconf", "+sync")

# For ``pods.valkey_upkeep``; no module or service may have this name.
MAINTENANCE_USER = "maintenance"

# Modules and services can't have a name with a hyphen.
MARK_PREFIX = "acl-mark-"

# Key permissions of each verb: read only, write only, or both.
_PERMISSION = {"read": "%R~", "write": "~", "produce": "%W~", "consume": "~"}
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


def template(name: str) -> jinja2.Template:
    """A template of ``valkey-config/``."""
    return _templates().get_template(name)


def quoted(text: str) -> str:
    """A value for ``valkey.conf`` in double quotes, since paths may have spaces and quotes.

    Raises ValueError if ``text`` has a control character.
    """
    if any(ord(character) < 32 for character in text):
        raise ValueError(f"{text!r} has a control character; valkey.conf has one directive per line")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration, not HTML
    )
    environment.filters["quoted"] = quoted
    return environment


def render_conf(
    mapping: Mapping, *, directory: str, port: int, bind: str, aclfile: str, appendfsync: str = "everysec"
) -> str:
    """``valkey.conf``. ``directory`` is the data directory, ``bind`` has one or more space-separated addresses, and
    ``appendfsync`` is ``everysec`` or ``always``."""
    memory = mapping.valkey.memory
    strategy = mapping.backups.valkey.strategy
    return (
        _templates()
        .get_template("valkey.conf.j2")
        .render(
            directory=directory,
            port=port,
            bind=bind,
            aclfile=aclfile,
            maxmemory=str(memory.maxmemory),
            policy=memory.maxmemory_policy,
            stream_node_max_bytes=memory.stream_node_max_bytes,
            stream_node_max_entries=memory.stream_node_max_entries,
            aof="aof" in strategy,
            appendfsync=appendfsync,
            rdb="rdb-snapshot" in strategy,
        )
    )


def escape_glob(glob: str) -> str:
    """``glob`` with special characters other than ``*`` escaped, because only ``*`` is special in the mapping."""
    return re.sub(r"([?\[\]\\])", r"\\\1", glob)


def acl_rules(mapping: Mapping, user: str) -> tuple[str, ...]:
    """The permissions of ``user``, as arguments of ``ACL SETUSER`` after ``reset``, ``on`` and its password.

    One selector per verb and key type: a stream's consumer cannot add to it, a string's writer cannot XADD.
    """
    if user == BACKUP_USER:
        return BACKUP_RULES
    rules = ["resetchannels", *(f"+{command}" for command in CONNECTION)]
    by_kind = sorted(mapping.access.keys[user], key=lambda access: (access.verb, access.type, access.pattern.glob))
    for (verb, key_type), group in itertools.groupby(by_kind, key=lambda access: (access.verb, access.type)):
        rules.append(_selector(verb, key_type, list(group)))
    return tuple(rules)


def _selector(verb: str, key_type: str, group: list[KeyAccess]) -> str:
    keys = [_PERMISSION[verb] + escape_glob(access.pattern.glob) for access in group]
    return f"({' '.join([*keys, *(f'+{command}' for command in commands(verb, key_type))])})"


def maintenance_rules(mapping: Mapping) -> tuple[str, ...]:
    """Like ``acl_rules``, for the user that creates groups, trims streams, audits keys and reloads users."""
    streams = [f"~{escape_glob(name.glob)}" for name, key in mapping.valkey.keys.items() if key.type == "stream"]
    server, key, stream = ([f"+{command}" for command in MAINTENANCE[part]] for part in ("server", "key", "stream"))
    return ("resetchannels", *server, f"(%R~* {' '.join(key)})", f"({' '.join([*streams, *stream])})")


def render_acl(mapping: Mapping, passwords: dict[str, str], *, admin: tuple[str, str]) -> str:
    """``users.acl``: every module and service in ``passwords`` (name -> SHA-256 in hex), the admin and the probe.

    ``admin`` is the admin's name and SHA-256. Raises ValueError if the name is invalid in the file or already taken.
    """
    name, sha256 = admin
    if not _USER.fullmatch(name) or name in {*mapping.users, PROBE_USER, BACKUP_USER, "default"}:
        raise ValueError(
            f"admin user {name!r} must have only letters, digits, _ . - and must not be a module, service or reserved name"
        )
    users = [{"name": user, "rules": set_user(sha, acl_rules(mapping, user))} for user, sha in passwords.items()]
    template = _templates().get_template("users.acl.j2")
    text = template.render(admin={"name": name, "sha256": checked_sha256(sha256)}, probe=PROBE_USER, users=users)
    return f"{text}user {acl_mark(text)} reset off\n"


def acl_mark(acl: str) -> str:
    """The name of a disabled user without permissions, which has a digest of the file's other lines.

    A server that has this user has loaded this file. ``acl`` is the file with or without the mark.
    """
    lines = [line for line in acl.splitlines() if not line.startswith(f"user {MARK_PREFIX}")]
    return MARK_PREFIX + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
