"""Changed directives of ``valkey.conf``, and the risks of changing them."""

import math

from components.mapping.values import MemorySize
from components.valkey.keyspace_size import KEPT_SHARE, sizing
from tools.review.change import MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code
from tools.review.preview import PreviewStep
from tools.review.risk import Risk

CONF = "valkey.conf"

ORIGINS: dict[str, MappingPath] = {
    "maxmemory": ("valkey", "memory", "maxmemory"),
    "maxmemory-policy": ("valkey", "memory", "maxmemory_policy"),
    "stream-node-max-bytes": ("valkey", "memory", "stream_node_max_bytes"),
    "stream-node-max-entries": ("valkey", "memory", "stream_node_max_entries"),
    "appendonly": ("backups", "valkey", "strategy"),
    "save": ("backups", "valkey", "strategy"),
}
Directives = dict[str, str]


def differences(old: str, new: str) -> list[tuple[str, str, str]]:
    """(name, old arguments, new arguments) of each directive that differs; the arguments are empty if it is not set."""
    before, after = directives(old), directives(new)
    return [
        (name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def directive_risks(step: PreviewStep, name: str, old: str, new: str) -> list[RatedChange]:
    """Describe a directive that makes Valkey keep less data than before."""
    effect: tuple[Risk, str] | None = None
    if name == "maxmemory" and _bytes(new) < _bytes(old):
        limit = old if _bytes(old) < math.inf else "unlimited"
        sentence = f"{code(name)} decreases from {code(limit)} to {code(new)}: keys with a TTL are evicted earlier"
        effect = (Risk.RETENTION_SHORTENED, sentence)
    elif name == "maxmemory-policy" and new.startswith("allkeys"):
        effect = (Risk.DATA_LOSS, f"with {code(new)}, keys **without a TTL are evicted as well** when memory is full")
    elif name == "appendonly" and new != "yes":
        effect = (Risk.DATA_LOSS, "without the append-only file a crash **loses every write** since the last snapshot")
    elif name == "appendonly" and old == "no":
        reason = (
            "Valkey starts with the append-only file that its volume has: **writes since it was switched off are lost**"
        )
        effect = (Risk.DATA_LOSS, f"{reason}, unless {code('CONFIG SET appendonly yes')} is run before")
    elif name == "save" and new in ('""', "", "unset"):
        effect = (Risk.RETENTION_SHORTENED, "Valkey no longer takes snapshots")
    if effect is None:
        return []
    risk, sentence = effect
    return [RatedChange(risk, "Valkey", "deployment", sentence, f"valkey {name}", ORIGINS.get(name, ()), (step.urn,))]


def no_longer_fits(context: ReviewContext, step: PreviewStep, name: str, old: str, new: str) -> list[RatedChange]:
    """Describe a ``maxmemory`` below the memory that the mapping's estimates add up to, if the old one was not."""
    if name != "maxmemory" or context.origins.mapping is None:
        return []
    size = sizing(context.origins.mapping)
    shares = (
        ("keys that are never evicted", size.kept, KEPT_SHARE, "; when they fill it, writers get OOM errors"),
        ("all keys", size.total, 1.0, "; caches are evicted before their TTL"),
    )
    return [
        RatedChange(
            Risk.RETENTION_SHORTENED, "Valkey", "deployment",
            f"the estimates no longer fit in memory: {what} take {expected / _bytes(new):.0%} of {code(new)}"
            f"{'' if share == 1 else f', over {share:.0%}'}{effect}",
            "valkey estimates", ("valkey", "estimates"), (step.urn,),
        )
        for what, expected, share, effect in shares
        if share * _bytes(new) < expected <= share * _bytes(old)
    ]  # fmt: skip


def directives(text: str) -> Directives:
    """Parse ``valkey.conf`` into directive -> arguments; the arguments of a repeated directive are joined."""
    found: Directives = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found[name] = f"{found[name]}; {rest.strip()}" if name in found else rest.strip()
    return found


def _bytes(text: str) -> float:
    """The bytes of a ``maxmemory``; Valkey's default and 0 mean that memory is unlimited."""
    try:
        return MemorySize.parse(text).bytes
    except ValueError:
        return (int(text) if text.isdigit() else 0) or math.inf
