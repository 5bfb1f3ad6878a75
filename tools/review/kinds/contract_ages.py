"""How long keys and entries of streams are kept, as the contract says it before and after, and the jobs' plan."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.mapping.values import DAY_MS, Duration, TtlWord, parse_ttl
from tools.review.change import Change, Path_
from tools.review.context import Context
from tools.review.escape import code, codes
from tools.review.preview import State
from tools.review.risk import Risk
from tools.review.tokens import CONFIG_MAP

STORE = "Valkey"
FOREVER = 1 << 62
PLAN_FILE = "plan.json"
_WORDS = {
    TtlWord.INFINITE: "without end",
    TtlWord.NONE: "until they are worked off",
    TtlWord.UNTIL_UTC_MIDNIGHT: "until midnight",
}


@dataclass(frozen=True)
class Age:
    """A TTL of the contract: in words, and in milliseconds for comparison (0 for text that is not a TTL)."""

    words: str
    milliseconds: int

    @staticmethod
    def read(text: str) -> "Age":
        try:
            ttl = parse_ttl(text)
        except ValueError:
            return Age(code(text), 0)
        if isinstance(ttl, Duration):
            return Age(code(text), ttl.milliseconds)
        return Age(_WORDS[ttl], DAY_MS if ttl is TtlWord.UNTIL_UTC_MIDNIGHT else FOREVER)


def changes(context: Context) -> list[Change]:
    return [*_ttls(context), *_plan(context)]


def _ttls(context: Context) -> Iterator[Change]:
    old, new = context.contracts
    before, after = (_ages(contract or {}) for contract in (old, new))
    for kind, name in sorted(before.keys() & after.keys()):
        one, other = before[kind, name], after[kind, name]
        if one == other:
            continue
        what = f"entries of {code(name)} are kept" if kind == "streams" else f"{code(name)} is kept"
        sentence = f"{what} {other.words} instead of {one.words}"
        origin: Path_ = ("valkey", "keys", name, "ttl")
        yield Change(_risk(one.milliseconds, other.milliseconds), STORE, "retention", sentence, name, origin)


def _ages(contract: dict[str, Any]) -> dict[tuple[str, str], Age]:
    """(keys or streams, name) -> how long they are kept."""
    found: dict[tuple[str, str], Age] = {}
    modules = contract.get("modules")
    for module in modules.values() if isinstance(modules, dict) else ():
        valkey = module.get("valkey") if isinstance(module, dict) else None
        for kind, title in (("keys", "pattern"), ("streams", "name")):
            for item in (valkey.get(kind) or ()) if isinstance(valkey, dict) else ():
                if isinstance(item, dict) and "ttl" in item:
                    kept = "streams" if item.get("type") == "stream" else kind
                    found[kept, str(item.get(title))] = Age.read(str(item["ttl"]))
    return found


def _risk(before: int, after: int) -> Risk:
    return Risk.RETENTION_SHORTENED if after < before else Risk.ADDITIVE


def _plan(context: Context) -> Iterator[Change]:
    """Of queues the contract names no age: the jobs' plan says how long what is worked off stays."""
    for step in context.steps(CONFIG_MAP):
        before, after = (_trimming(state) for state in (step.old, step.new))
        found: dict[tuple[int, int], list[str]] = {}
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                found.setdefault((before[name], after[name]), []).append(name)
        for (one, other), names in sorted(found.items()):
            days = [f"{value / DAY_MS:g} day{'' if value == DAY_MS else 's'}" for value in (other, one)]
            what = f"entries of {codes(sorted(names))} that are worked off stay {days[0]} instead of {days[1]}"
            origin: Path_ = ("valkey", "trim_acknowledged_after")
            yield Change(_risk(one, other), STORE, "retention", what, "trimming", origin, (step.urn,))


def _trimming(state: State) -> dict[str, int]:
    data = state.asked("data")
    try:
        plan = json.loads(data[PLAN_FILE]) if isinstance(data, dict) and PLAN_FILE in data else {}
    except (TypeError, ValueError):
        return {}
    rules = plan.get("trimming") if isinstance(plan, dict) else None
    return {
        str(rule.get("pattern")): int(rule.get("after_ms") or 0)
        for rule in rules or ()
        if isinstance(rule, dict) and rule.get("keep_unprocessed")
    }
