"""What an ACL user may do, from the words of a rule, in a form in which two can be compared and the difference told."""

import re
from dataclasses import dataclass

NO_KEY = "(no key)"
CHANNELS = "channels"
# What a rule says by saying nothing, and what has no weight where RESTORE is not allowed.
SILENT = frozenset({"-@all", "resetchannels", "resetkeys", "sanitize-payload", "skip-sanitize-payload", "reset"})
SELECTOR = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Rules:
    """``uses``: pairs of a key pattern with its permission (``%R~scan:*``) and a command."""

    enabled: bool
    needs_password: bool
    hashes: frozenset[str]
    uses: frozenset[tuple[str, str]]

    @property
    def admin_like(self) -> bool:
        """Whether it may do what could give it every right, or take everybody's data."""
        return any(command in ADMIN_LIKE or command.split("|")[0] in ADMIN_LIKE for _, command in self.uses)


ADMIN_LIKE = frozenset(
    {"@all", "@admin", "@dangerous", "acl", "config", "flushall", "flushdb", "debug", "module", "replicaof"}
)


def parse(words: str) -> Rules:
    """From ``on #hash resetchannels -@all +ping (~a:* -@all +get)``, as ``ACL LIST`` writes it after the user's name."""
    selectors = SELECTOR.findall(words)
    base = SELECTOR.sub("", words).split()
    uses = _uses(base)
    for selector in selectors:
        uses |= _uses(selector.split())
    return Rules(
        enabled="on" in base,
        needs_password="nopass" not in base,
        hashes=frozenset(word[1:] for word in base if word.startswith("#")),
        uses=frozenset(uses),
    )


# Of +@all -get the second word is left out: it takes nothing from what must be told.
def _uses(words: list[str]) -> set[tuple[str, str]]:
    keys, commands, channels = [], [], []
    for word in words:
        if word in SILENT or word.startswith(("#", "on", "off", "nopass")):
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
