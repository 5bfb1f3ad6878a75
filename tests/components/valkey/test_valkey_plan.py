"""The plan of upkeep and the rule of sizing, from the mapping."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.mapping import Mapping, load
from components.mapping.values import KeyPattern, MemorySize
from components.valkey.keyspace_size import sizing
from components.valkey.plan import SCRIPTS, maintenance_files, maintenance_plan
from pods.valkey_upkeep.groups import GroupInfo, lag, order
from pods.valkey_upkeep.keyspace import Keyspace
from tools.operations import size
from tools.operations.streams import duration

ROOT = Path(__file__).parents[3]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    return load(ROOT / "schema-mapping.yaml")


def changed(mapping: Mapping, **valkey: Any) -> Mapping:
    return mapping.model_copy(update={"valkey": mapping.valkey.model_copy(update=valkey)})


def test_every_stream_with_a_ttl_is_trimmed_at_it_and_queues_only_of_what_was_acknowledged(mapping: Mapping) -> None:
    rules = {
        rule["pattern"]: (rule["after_ms"], rule["keep_unprocessed"]) for rule in maintenance_plan(mapping)["trimming"]
    }
    week = 7 * DAY_MS
    for name in ("scanner:events", "concelier:drift", "policy:evaluated", "notify:delivery", "events:*"):
        assert rules.pop(name) == (week, False)
    for name in ("queue:*", "scheduler:jobs", "scanner:jobs", "orchestrator:*"):
        assert rules.pop(name) == (week, True), "work must not be lost by its age"
    assert not rules


def test_without_an_age_for_acknowledged_entries_queues_are_never_trimmed_and_size_warns_of_it(
    mapping: Mapping,
) -> None:
    without = changed(mapping, trim_acknowledged_after=None)
    assert "queue:*" not in {rule["pattern"] for rule in maintenance_plan(without)["trimming"]}
    assert any("queue:* is never trimmed" in text for text in sizing(without).warnings)


def test_a_ttl_means_of_each_kind_of_key_what_the_mapping_says(mapping: Mapping) -> None:
    rules = {row["pattern"]: (row["ttl"], row["ttl_ms"]) for row in maintenance_plan(mapping)["keys"]}
    assert rules["dpop:{jti}"] == ("at-most", 300_000)
    assert rules["layers:{digest}"] == ("at-most", 90 * DAY_MS)
    assert rules["scan:{digest}"] == ("forbidden", 0)
    assert rules["scanner:events"] == ("forbidden", 0), "a stream's TTL is a trimming age"
    assert rules["quota:{token}"] == ("utc-midnight", 0)
    assert rules["metrics:*"] == ("free", 0)


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("feed:nvd:json", "feed:nvd:json"), ("feed:nvd:json2", "feed:*"), ("feed:osv", "feed:*"), ("policy:active", "policy:active"),
        ("policy:activ", None), ("policy:evaluated", "policy:evaluated"), ("scan:sha256:ab", "scan:{digest}"), ("scan:", "scan:{digest}"),
        ("scanner:events", "scanner:events"), ("scanner:events:x", None), ("xscan:a", None), ("dpop", None), ("", None),
        ("events:a\nb", "events:*"), ("queue:[a]*?", "queue:*"), ("router:conn:1", "router:conn:{connectionId}"), ("router:other", None),
    ],
)  # fmt: skip
def test_a_key_belongs_to_the_most_specific_pattern(mapping: Mapping, key: str, pattern: str | None) -> None:
    found = Keyspace(maintenance_plan(mapping)).of(key)
    assert (found.pattern if found else None) == pattern


def test_the_files_of_the_job_need_nothing_but_python(mapping: Mapping) -> None:
    files = maintenance_files(mapping)
    assert json.loads(files.pop("plan.json")) == maintenance_plan(mapping)
    assert {"__main__.py", "__init__.py"} <= files.keys() == {path.name for path in SCRIPTS.glob("*.py")}
    for name, text in files.items():
        foreign = re.findall(
            r"^\s*(?:from|import) (components|valkey|pulumi|yaml|jinja2|pydantic)\b", text, re.MULTILINE
        )
        assert not foreign, f"{name} could not run in a plain Python image"
    assert sum(map(len, files.values())) < 500_000, "a ConfigMap holds a megabyte"
    assert maintenance_files(mapping) == {**files, "plan.json": maintenance_files(mapping)["plan.json"]}


def test_entry_ids_sort_by_their_numbers() -> None:
    assert sorted(["10-2", "9-11", "10-10", "9"], key=order) == ["9", "9-11", "10-2", "10-10"]


@pytest.mark.parametrize(
    ("delivered", "given", "first", "expected"),
    [("0-0", 50, "5-0", 10), ("4-0", None, "5-0", 10), ("7-0", 3, "5-0", 3), ("7-0", None, "5-0", None), ("7-0", 0, None, 10)],
)  # fmt: skip
def test_lag_counts_no_entry_that_was_trimmed(
    delivered: str, given: int | None, first: str | None, expected: int
) -> None:
    group: GroupInfo = {
        "name": "g", "consumers": 0, "pending": 0, "last-delivered-id": delivered, "entries-read": None, "lag": given,
    }  # fmt: skip
    assert lag(group, first, 10) == expected


def test_every_pattern_has_an_estimate_and_the_default_mapping_fits(mapping: Mapping) -> None:
    result = sizing(mapping)
    assert result.unknown == () and result.unbounded == () and result.warnings == ()
    assert {row.pattern for row in result.patterns} == set(mapping.valkey.keys)
    assert 0 < result.kept < result.total < result.maxmemory


def test_size_warns_when_what_is_never_evicted_takes_over_60_percent(mapping: Mapping) -> None:
    half = changed(mapping, memory=mapping.valkey.memory.model_copy(update={"maxmemory": MemorySize.parse("1400mb")}))
    assert any("over 60%" in text and "OOM" in text for text in sizing(half).warnings)
    just = changed(mapping, memory=mapping.valkey.memory.model_copy(update={"maxmemory": MemorySize.parse("1500mb")}))
    assert sizing(just).warnings == ()
    assert any(line.startswith("warning: keys without expiry and streams") for line in size.table(sizing(half)))


def test_size_warns_of_a_pattern_without_an_estimate(mapping: Mapping) -> None:
    estimates = {name: estimate for name, estimate in mapping.valkey.estimates.items() if name != "scan:{digest}"}
    assert any(
        "scan:{digest} has no estimate" in text for text in sizing(changed(mapping, estimates=estimates)).warnings
    )


def test_a_streams_size_is_its_entries_a_day_times_its_retention(mapping: Mapping) -> None:
    rows = {row.pattern: row for row in sizing(mapping).patterns}
    estimate = mapping.valkey.estimates[KeyPattern("scanner:events")]
    assert rows["scanner:events"].elements == 7 * (estimate.entries_per_day or 0)
    assert not rows["scanner:events"].evictable and rows["locator:{imageDigest}"].evictable


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (900, "0s"), (45_000, "45s"), (190_000, "3m 10s"), (3_600_000, "1h"), (2 * DAY_MS + 5 * 3_600_000, "2d 5h")],
)  # fmt: skip
def test_durations_have_two_units_at_most(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
