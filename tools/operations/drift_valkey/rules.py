"""Parse ACL rules into sets of permissions that can be compared."""

import re
from dataclasses import dataclass

NO_KEY = "(no key)"
CHANNELS = "channels"
# Words that equal the default, or are no permissions.
NO_EFFECT = frozenset({"-@all", "resetchannels", "resetkeys", "sanitize-payload", "alldbs", "reset"})
SELECTOR = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Rules:
    """Permissions of a user. ``uses``: pairs of a key pattern with its permission (``%R~scan:*``) and a command.
    ``other``: rules about neither keys, commands nor channels, such as ``resetdbs``."""

    enabled: bool
    needs_password: bool
    hashes: frozenset[str]
    uses: frozenset[tuple[str, str]]
    other: frozenset[str]

    @property
    def admin_like(self) -> bool:
        """Whether a command lets the user gain every permission or delete all data."""
        return any(command in ADMIN_LIKE or command.split("|")[0] in ADMIN_LIKE for _, command in self.uses)


ADMIN_LIKE = frozenset(
    {"@all", "@admin", "@dangerous", "acl", "config", "flushall", "flushdb", "debug", "module", "replicaof"}
)


def parse(words: str) -> Rules:
    """Parse ``on #hash resetchannels -@all +ping (~a:* -@all +get)``, as ``ACL LIST`` writes it after the user's name."""
    base = SELECTOR.sub("", words).split()
    parts = [base, *(selector.split() for selector in SELECTOR.findall(words))]
    return Rules(
        enabled="on" in base,
        needs_password="nopass" not in base,
        hashes=frozenset(word[1:] for word in base if word.startswith("#")),
        uses=frozenset(use for part in parts for use in _uses(part)),
        other=frozenset(word for part in parts for word in part if _is_other(word)),
    )


def _is_other(word: str) -> bool:
    known = NO_EFFECT | {"on", "off", "nopass", "allkeys", "allchannels", "allcommands"}
    return word not in known and not word.startswith(("#", "~", "%", "&", "+", "-"))


# Removed commands (+@all -get) are ignored: all that a user may do at most is reported.
def _uses(words: list[str]) -> set[tuple[str, str]]:
    keys, commands, channels = [], [], []
    for word in words:
        if word.startswith("&") or word == "allchannels":
            channels.append(word)
        elif word.startswith(("+", "allcommands")):
            commands.append("@all" if word == "allcommands" else word[1:])
        elif word.startswith(("~", "%")) or word == "allkeys":
            keys.append("~*" if word == "allkeys" else word)
    return {(key, command) for key in keys or [NO_KEY] for command in commands} | {
        (CHANNELS, channel) for channel in channels
    }
