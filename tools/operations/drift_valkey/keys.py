"""Keys with a wrong pattern, type or TTL. Streams have a comparison of their own."""

from collections import Counter
from collections.abc import Iterator

from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys
from pods.valkey_upkeep.keyspace import Keyspace
from pods.valkey_upkeep.resp import Connection
from provider.difference import Difference
from tools.operations.stack import Stack
from tools.quoting import command

# About 4 seconds at the audit's rate. `keys` checks all of them.
MOST_KEYS = 200_000


def differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    """Check up to ``MOST_KEYS`` keys; name a few with each fault of a pattern."""
    plan = maintenance_plan(stack.mapping)
    keyspace = Keyspace(plan)
    streams = {stream["name"] for stream in plan["streams"]}
    found: Counter[tuple[str, str]] = Counter()
    named: list[keys.KeyFault] = []

    def record(item: keys.KeyFault) -> None:
        if item.kind == "stream" or item.key in streams:
            return
        row = (item.pattern.pattern if item.pattern else "", item.fault)
        found[row] += 1
        if found[row] <= keys.EXAMPLES:
            named.append(item)

    keys.audit(connection, plan, limit=MOST_KEYS, on_fault=record)
    for item in named:
        yield Difference(f"key {keyspace.shown(item.key, item.pattern)} {item.fault}", _remedy(stack, item))
    for (pattern, fault), count in found.items():
        if count > keys.EXAMPLES:
            place = f"keys of {pattern} have the fault" if pattern else "keys have the fault"
            yield Difference(f"{count - keys.EXAMPLES} more {place}: {fault}", _remedy_of_many(stack, fault))


def _remedy(stack: Stack, item: keys.KeyFault) -> str:
    if item.pattern is not None and item.pattern.secret:
        # A command with the key's name would show the secret.
        return stack.command("keys", "--repair")
    if item.fault == keys.MUST_NOT_EXPIRE:
        return command("PERSIST", item.key)
    if item.fault in (keys.NO_TTL, keys.LONGER_TTL):
        return command("PEXPIRE", item.key, item.longest_ttl_ms)
    return command("DEL", item.key)


def _remedy_of_many(stack: Stack, fault: str) -> str:
    if fault in keys.TTL_FAULTS:
        return stack.command("keys", "--repair")
    # The next run names the next of them.
    return stack.command("drift", "--store", "valkey")
