"""Changed retention of keys and stream entries, from the contract and from the upkeep jobs' plan."""

import json
from collections.abc import Iterator

from components.mapping.values import DAY_MS
from tools.review.change import MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.contract import ages
from tools.review.escape import code, codes
from tools.review.preview import ResourceState
from tools.review.risk import Risk
from tools.review.tokens import CONFIG_MAP

STORE = "Valkey"
PLAN_FILE = "plan.json"


def changes(context: ReviewContext) -> list[RatedChange]:
    return [*_ttls(context), *_plan(context)]


def _ttls(context: ReviewContext) -> Iterator[RatedChange]:
    before, after = (ages(modules) for modules in context.modules)
    for is_stream, name in sorted(before.keys() & after.keys()):
        old, new = before[is_stream, name], after[is_stream, name]
        if old == new:
            continue
        subject = f"{'entries' if is_stream else 'keys'} of {code(name)}"
        sentence = f"{subject} are kept {new.words} instead of {old.words.removeprefix('for ')}"
        origin: MappingPath = ("valkey", "keys", name, "ttl")
        yield RatedChange(_risk(old.milliseconds, new.milliseconds), STORE, "retention", sentence, name, origin)


def _risk(before: int, after: int) -> Risk:
    return Risk.RETENTION_SHORTENED if after < before else Risk.ADDITIVE


def _plan(context: ReviewContext) -> Iterator[RatedChange]:
    """Describe queues, whose retention is only in the jobs' plan: the age at which acknowledged entries are trimmed."""
    for step in context.steps(CONFIG_MAP):
        before, after = (_trimming(state) for state in (step.old, step.new))
        found: dict[tuple[int, int], list[str]] = {}
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                found.setdefault((before[name], after[name]), []).append(name)
        for (old, new), names in sorted(found.items()):
            old_days, new_days = (f"{age / DAY_MS:g} day{'' if age == DAY_MS else 's'}" for age in (old, new))
            sentence = f"acknowledged entries of {codes(sorted(names))} are kept for {new_days} instead of {old_days}"
            origin: MappingPath = ("valkey", "trim_acknowledged_after")
            yield RatedChange(_risk(old, new), STORE, "retention", sentence, "trimming", origin, (step.urn,))


def _trimming(state: ResourceState) -> dict[str, int]:
    data = state.declared("data")
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
