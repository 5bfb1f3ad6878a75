"""The keyspace audit on a real server, as the maintenance user: every kind of offender is found, and nothing else."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys, positions, streams
from pods.valkey_upkeep.resp import Connection
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
PLAN = maintenance_plan(MAPPING)
MANY = 20_000


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture
def admin(server: OwnValkey) -> Iterator[Any]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def connection(server: OwnValkey) -> Iterator[Connection]:
    with Connection(server.add_maintenance(MAPPING)) as connection:
        yield connection


def until_midnight() -> int:
    return 86_400 - int(time.time()) % 86_400


def a_clean_keyspace(admin: Any) -> None:
    """A key of each pattern as a well-behaved module writes it."""
    admin.set("dpop:1", "x", ex=300)
    admin.set("scan:sha256:1", "{}")
    admin.sadd("layers:sha256:1", "a")
    admin.expire("layers:sha256:1", 90 * 86_400)
    admin.set("locator:sha256:1", "x", ex=30 * 86_400)
    admin.set("policy:active", "x")
    admin.rpush("policy:history", "1")
    admin.set("feed:nvd:json", "x", ex=86_400)
    admin.set("feed:osv:json", "x", ex=86_400)
    admin.set("quota:token", 1, exat=int(time.time()) + until_midnight())
    admin.hset("router:conn:1", "a", "b")
    admin.expire("router:conn:1", 60)
    admin.xadd("events:a:b", {"a": 1})
    admin.xadd("queue:a", {"a": 1})
    admin.xadd("orchestrator:a", {"a": 1})
    admin.set("metrics:a", 1)
    admin.zadd("metrics:b", {"a": 1})
    admin.hset("metrics:c", "a", "1")
    admin.expire("metrics:c", 60)


def found(audit: keys.KeyAudit) -> dict[str, dict[str, list[str]]]:
    return {
        pattern: {reason: sorted(offenders.examples) for reason, offenders in reasons.items()}
        for pattern, reasons in audit.offenders.items()
    }


def test_a_keyspace_as_the_mapping_says_has_no_offender(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    a_clean_keyspace(admin)
    audit = keys.audit(connection, PLAN)
    assert found(audit) == {}
    assert audit.total == admin.dbsize()
    assert audit.keys["metrics:*"] == 3 and audit.keys["scanner:jobs"] == 1


def test_the_most_specific_pattern_counts(connection: Connection, admin: Any) -> None:
    a_clean_keyspace(admin)
    audit = keys.audit(connection, PLAN)
    assert (audit.keys["feed:nvd:json"], audit.keys["feed:*"]) == (1, 1)


@pytest.mark.parametrize(
    ("command", "pattern", "reason", "shown"),
    [
        (("SET", "stray", "1"), "no pattern", "matches no pattern", "stray"),
        (("SET", "policy:other", "1"), "no pattern", "matches no pattern", "policy:other"),
        (("SET", "scanner:events:2", "1"), "no pattern", "matches no pattern", "scanner:events:2"),
        (("SET", "dpop", "1"), "no pattern", "matches no pattern", "dpop"),
        (("LPUSH", "scan:x", "1"), "scan:{digest}", "is a list, not a string", "scan:x"),
        (("SET", "scheduler:jobs", "1"), "scheduler:jobs", "is a string, not a stream", "scheduler:jobs"),
        (("SET", "events:x", "1"), "events:*", "is a string, not a stream", "events:x"),
        (("XADD", "metrics:x", "*", "a", "1"), "metrics:*", "is a stream, not a hash or list or set or string or zset", "metrics:x"),
        (("SET", "dpop:abcdefgh", "1", "EX", "301"), "dpop:{jti}", "has a longer TTL than its pattern", "dpop:abcd..."),
        (("SET", "dpop:abcdefgh", "1"), "dpop:{jti}", "has no TTL", "dpop:abcd..."),
        (("SADD", "layers:x", "1"), "layers:{digest}", "has no TTL", "layers:x"),
        (("SET", "locator:x", "1", "EX", str(31 * 86_400)), "locator:{imageDigest}", "has a longer TTL than its pattern", "locator:x"),
        (("SET", "feed:nvd:json", "1", "EX", "90000"), "feed:nvd:json", "has a longer TTL than its pattern", "feed:nvd:json"),
        (("SET", "scan:x", "1", "EX", "99999999"), "scan:{digest}", "has a TTL and must not expire", "scan:x"),
        (("SET", "policy:active", "1", "EX", "9999"), "policy:active", "has a TTL and must not expire", "policy:active"),
        (("SET", "quota:secret-token", "1"), "quota:{token}", "has no TTL", "quota:secr..."),
        (("SET", "quota:secret-token", "1", "EX", "90000"), "quota:{token}", "has a longer TTL than its pattern", "quota:secr..."),
    ],
)  # fmt: skip
def test_an_offender_is_found_among_good_keys_with_what_is_wrong(
    connection: Connection, admin: Any, command: tuple[str, ...], pattern: str, reason: str, shown: str
) -> None:
    a_clean_keyspace(admin)
    admin.delete(command[1])
    admin.execute_command(*command)
    audit = keys.audit(connection, PLAN)
    assert found(audit) == {pattern: {reason: [shown]}}
    assert audit.wrong == 1
    assert any(reason in line and shown in line for line in keys.text(audit))


def test_a_stream_that_expires_is_an_offender(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    admin.expire("notify:delivery", 7 * 86_400)
    assert found(keys.audit(connection, PLAN)) == {
        "notify:delivery": {"has a TTL and must not expire": ["notify:delivery"]}
    }, "a TTL on the key would drop the whole stream"


@pytest.mark.parametrize(
    ("commands", "faults"),
    [
        (["XADD events:a 18446744073709551615-18446744073709551615 n 1"], [positions.FULL]),
        (["XADD events:a 99999999999999-0 n 1"], [positions.FUTURE]),
        (["XSETID scanner:events 99999999999999-0"], [positions.FUTURE]),
        (["XGROUP SETID scanner:events policy 99999999999999-0"], [positions.AHEAD]),
        (["XADD scanner:events * n 1", "XADD scanner:events MAXLEN 0 * n 2"], [positions.UNREAD_REMOVED]),
        (["XADD scanner:events * n 1", "XTRIM scanner:events MAXLEN 0"], [positions.UNREAD_REMOVED]),
        (["XADD scanner:events * n 1", "XADD scanner:events * n 2"], []),
    ],
)
def test_a_fault_of_a_stream_that_no_acl_prevents_is_found(
    connection: Connection, admin: Any, commands: list[str], faults: list[str]
) -> None:
    streams.make(connection, PLAN)
    for command in commands:
        admin.execute_command(*command.split())
    audit = keys.audit(connection, PLAN)
    assert [fault for reasons in found(audit).values() for fault in reasons] == faults
    assert audit.wrong == len(faults)


def test_a_clock_that_is_a_little_ahead_is_no_fault(connection: Connection, admin: Any) -> None:
    admin.xadd("events:a", {"n": 1}, id=f"{int(time.time() * 1000) + positions.FUTURE_MS // 2}-0")
    assert keys.audit(connection, PLAN).wrong == 0


def test_entries_that_every_group_had_read_may_be_removed(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    for number in range(5):
        admin.xadd("scheduler:jobs", {"n": number})
    for group in ("scanner", "policy"):
        admin.xreadgroup(group, "c", {"scheduler:jobs": ">"}, count=3)
    admin.xtrim("scheduler:jobs", maxlen=2, approximate=False)
    assert keys.audit(connection, PLAN).wrong == 0
    # A group that is created later does not miss what was trimmed before.
    admin.xgroup_destroy("scheduler:jobs", "policy")
    streams.make(connection, PLAN)
    assert keys.audit(connection, PLAN).wrong == 0


def test_a_loss_is_reported_until_the_group_reads_on(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    for number in range(5):
        admin.xadd("scanner:jobs", {"n": number})
    admin.xreadgroup("scanner-workers", "c", {"scanner:jobs": ">"}, count=1)
    admin.xtrim("scanner:jobs", maxlen=2, approximate=False)
    assert found(keys.audit(connection, PLAN)) == {"scanner:jobs": {positions.UNREAD_REMOVED: ["scanner:jobs"]}}
    admin.xreadgroup("scanner-workers", "c", {"scanner:jobs": ">"}, count=1)
    assert keys.audit(connection, PLAN).wrong == 0


def test_a_flooded_queue_is_found(connection: Connection, admin: Any) -> None:
    admin.xadd("queue:a", {"n": 1})
    plan = json.loads(json.dumps(PLAN))
    for row in plan["keys"]:
        if row["pattern"] == "queue:*":
            row["entries"] = 3
    for number in range(30):
        admin.xadd(f"queue:{number % 4}", {"n": 1})
    audit = keys.audit(connection, plan)
    assert found(audit) == {"queue:*": {keys.FLOODED: ["31 entries, estimated 3"]}}
    assert 'stellaops_valkey_stream_entries{pattern="queue:*"} 31' in keys.prometheus(audit, 0)
    assert next(row["entries"] for row in PLAN["keys"] if row["pattern"] == "queue:*") == 10 * 5000 * 7


def test_deleted_consumers_are_counted(connection: Connection, admin: Any) -> None:
    admin.config_resetstat()
    admin.xgroup_create("queue:a", "g", "0", mkstream=True)
    assert keys.audit(connection, PLAN).deleted_consumers == 0
    admin.xgroup_delconsumer("queue:a", "g", "c")
    audit = keys.audit(connection, PLAN)
    assert audit.deleted_consumers == 1 and audit.wrong == 0
    assert any("XGROUP DELCONSUMER was called 1 times" in line for line in keys.text(audit))
    assert "stellaops_valkey_deleted_consumers 1" in keys.prometheus(audit, 0)


def test_a_limited_audit_reports_that_it_is_not_complete(connection: Connection, admin: Any) -> None:
    with admin.pipeline(transaction=False) as together:
        for number in range(2000):
            together.set(f"locator:{number}", "x", ex=86_400)
        together.execute()
    audit = keys.audit(connection, PLAN, rate=10**9, limit=500)
    assert 500 <= audit.total < 1000 and not audit.complete
    assert keys.audit(connection, PLAN, rate=10**9).complete


def test_a_quota_that_outlives_utc_midnight_by_a_minute_is_an_offender(connection: Connection, admin: Any) -> None:
    admin.set("quota:a-token", 1, ex=until_midnight() + 60)
    assert list(found(keys.audit(connection, PLAN))) == ["quota:{token}"]


def test_a_quota_token_is_never_shown_in_full(connection: Connection, admin: Any) -> None:
    admin.set("quota:very-secret-token", 1)
    audit = keys.audit(connection, PLAN)
    everything = "\n".join([*keys.text(audit), *keys.prometheus(audit, 0), str(audit.document())])
    assert "very-secret" not in everything, "a report in a log would hand out tokens"


def test_key_names_cannot_break_the_report(connection: Connection, admin: Any) -> None:
    admin.set('evil"\nstellaops_valkey_keys 1', 1)
    admin.set(b"scan\xff", 1)
    audit = keys.audit(connection, PLAN)
    assert audit.wrong == 2
    assert all("\n" not in line and line.isprintable() for line in keys.text(audit))


def test_many_keys_are_counted_exactly_with_a_few_examples_an_offence(connection: Connection, admin: Any) -> None:
    with admin.pipeline(transaction=False) as together:
        for number in range(MANY):
            together.set(f"locator:{number}", "x", ex=86_400)
            if number % 100 == 0:
                together.set(f"dpop:{number}", "x")
            if number % 1000 == 999:
                together.execute()
        together.execute()
    seen: list[int] = []
    audit = keys.audit(connection, PLAN, rate=10**9, progress=seen.append)
    assert audit.keys["locator:{imageDigest}"] == MANY
    offenders = audit.offenders["dpop:{jti}"]["has no TTL"]
    assert (offenders.count, len(offenders.examples)) == (MANY // 100, keys.EXAMPLES)
    assert seen == sorted(seen) and seen[-1] == MANY + MANY // 100


def test_work_is_bounded_a_step(connection: Connection, admin: Any) -> None:
    """SCAN's COUNT bounds what the server does before it turns to other clients."""
    with admin.pipeline(transaction=False) as together:
        for number in range(MANY):
            together.set(f"locator:{number}", "x", ex=86_400)
        together.execute()
    admin.config_resetstat()
    keys.audit(connection, PLAN, rate=10**9)
    stats = admin.info("commandstats")
    # A step may give a few keys more than it was asked for.
    assert stats["cmdstat_scan"]["calls"] > 0.9 * MANY / keys.STEP_KEYS
    assert not stats.keys() & {"cmdstat_keys", "cmdstat_get", "cmdstat_smembers"}, "only metadata may be asked"


def test_the_rate_holds(connection: Connection, admin: Any) -> None:
    with admin.pipeline(transaction=False) as together:
        for number in range(2000):
            together.set(f"locator:{number}", "x", ex=86_400)
        together.execute()
    audit = keys.audit(connection, PLAN, rate=4000)
    assert audit.seconds >= (2000 - 2 * keys.STEP_KEYS) / 4000, "at most so many keys a second"


def test_metrics_are_in_prometheus_text_format(connection: Connection, admin: Any) -> None:
    a_clean_keyspace(admin)
    admin.set("stray", 1)
    lines = keys.prometheus(keys.audit(connection, PLAN), now=1.0)
    assert 'stellaops_valkey_keys{pattern="scan:{digest}"} 1' in lines
    assert 'stellaops_valkey_key_offenders{pattern="no pattern",reason="matches no pattern"} 1' in lines
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert names == {line.split()[2] for line in lines if line.startswith("# TYPE")}
