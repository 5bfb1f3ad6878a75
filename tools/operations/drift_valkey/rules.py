"""Parse ACL rules into sets of permissions that can be compared."""

import re
from dataclasses import dataclass

NO_KEY = "(no key)"
CHANNELS = "channels"
# Words that equal the default, or are no permissions.
NO_EFFECT = frozenset({"-@all", "resetchannels", "resetkeys", "sanitize-payload", "skip-sanitize-payload", "reset"})
SELECTOR = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Rules:
    """Permissions of a user. ``uses``: pairs of a key pattern with its permission (``%R~scan:*``) and a command.
    ``checks_payloads``: whether the server checks what the user passes to RESTORE."""

    enabled: bool
    needs_password: bool
    hashes: frozenset[str]
    checks_payloads: bool
    uses: frozenset[tuple[str, str]]

    @property
    def admin_like(self) -> bool:
        """Whether a command lets the user gain every permission or delete all data."""
        return any(command in ADMIN_LIKE or command.split("|")[0] in ADMIN_LIKE for _, command in self.uses)


ADMIN_LIKE = frozenset(
    {"@all", "@admin", "@dangerous", "acl", "config", "flushall", "flushdb", "debug", "module", "replicaof"}
)


def parse(words: str) -> Rules:
    """Parse ``on #hash resetchannels -@all +ping (~a:* -@all +get)``, as ``ACL LIST`` writes it after the user's name."""
    selectors = SELECTOR.findall(words)
    base = SELECTOR.sub("", words).split()
    uses = _uses(base)
    for selector in selectors:
        uses |= _uses(selector.split())
    return Rules(
        enabled="on" in base,
        needs_password="nopass" not in base,
        hashes=frozenset(word[1:] for word in base if word.startswith("#")),
        checks_payloads="skip-sanitize-payload" not in base,
        uses=frozenset(uses),
    )


# Removed commands (+@all -get) are ignored: all that a user may do at most is reported.
def _uses(words: list[str]) -> set[tuple[str, str]]:
    keys, commands, channels = [], [], []
    for word in words:
        if word in NO_EFFECT or word.startswith(("#", "on", "off", "nopass")):
            continue
        if word.startswith("&") or word == "allchannels":
            channels.append(word)
        elif word.startswith(("+", "allcommands")):
            commands.append("@all" if word == "allcommands" else word[1:])
        elif not word.startswith("-"):
            keys.append("~*" if word == "allkeys" else word)
    return {(key, command) for key in keys or [NO_KEY] for command in commands} | {
        (CHANNELS, channel) for channel in channels
    }
