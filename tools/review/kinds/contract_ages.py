"""Retention of keys and stream entries, from the contract and the upkeep jobs' plan before and after."""

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
        one, other = before[is_stream, name], after[is_stream, name]
        if one == other:
            continue
        what = f"{'entries' if is_stream else 'keys'} of {code(name)} are kept"
        sentence = f"{what} {other.words} instead of {one.words.removeprefix('for ')}"
        origin: MappingPath = ("valkey", "keys", name, "ttl")
        yield RatedChange(_risk(one.milliseconds, other.milliseconds), STORE, "retention", sentence, name, origin)


def _risk(before: int, after: int) -> Risk:
    return Risk.RETENTION_SHORTENED if after < before else Risk.ADDITIVE


def _plan(context: ReviewContext) -> Iterator[RatedChange]:
    """Describe queues. The contract has no retention for them; the jobs' plan has that of acknowledged entries."""
    for step in context.steps(CONFIG_MAP):
        before, after = (_trimming(state) for state in (step.old, step.new))
        found: dict[tuple[int, int], list[str]] = {}
        for name in before.keys() & after.keys():
            if before[name] != after[name]:
                found.setdefault((before[name], after[name]), []).append(name)
        for (one, other), names in sorted(found.items()):
            days = [f"{value / DAY_MS:g} day{'' if value == DAY_MS else 's'}" for value in (other, one)]
            what = f"acknowledged entries of {codes(sorted(names))} are kept for {days[0]} instead of {days[1]}"
            origin: MappingPath = ("valkey", "trim_acknowledged_after")
            yield RatedChange(_risk(one, other), STORE, "retention", what, "trimming", origin, (step.urn,))


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
