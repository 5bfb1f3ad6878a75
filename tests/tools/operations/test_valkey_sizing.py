"""The rule of ``make size`` against what a real server needs for such keys."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.keyspace_size import key_bytes
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
# A rule of thumb for planning: nobody buys memory by the tenth.
TOLERANCE = 0.2


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


def digest(number: int) -> str:
    return "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()


def text(number: int, size: int) -> str:
    return (hashlib.sha256(str(number).encode()).hexdigest() * (size // 64 + 1))[:size]


def string(size: int, expires: bool) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        client.set(f"locator:{digest(number)}", text(number, size), ex=86_400 if expires else None)
        return f"locator:{digest(number)}"

    return add


def a_set(members: int) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        name = f"layers:{digest(number)}"
        client.sadd(name, *(digest(number * 1000 + member) for member in range(members)))
        client.expire(name, 86_400)
        return name

    return add


def a_hash(members: int) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        name = f"router:conn:{uuid.UUID(int=number)}"
        client.hset(name, mapping={text(member, 10): text(member, 30) for member in range(members)})
        client.expire(name, 86_400)
        return name

    return add


def a_list(members: int) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        client.rpush(f"policy:{number}", *(str(uuid.UUID(int=(number << 64) + member)) for member in range(members)))
        return f"policy:{number}"

    return add


def a_zset(members: int) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        client.zadd(f"metrics:{number}", {text(member, 40): member for member in range(members)})
        return f"metrics:{number}"

    return add


def a_stream(entries: int, size: int) -> Callable[[Any, int], str]:
    def add(client: Any, number: int) -> str:
        for entry in range(entries):
            client.xadd(f"events:{number}", {"type": "scan.completed", "data": text(entry, size - 22)})
        return f"events:{number}"

    return add


@pytest.mark.parametrize(
    ("kind", "add", "count", "value", "elements", "expires"),
    [
        ("string", string(40, expires=False), 4000, 40, None, False),
        ("string", string(71, expires=True), 4000, 71, None, True),
        ("string", string(1000, expires=True), 2000, 1000, None, True),
        ("string", string(16_384, expires=False), 300, 16_384, None, False),
        ("set", a_set(20), 800, 71, 20, True),
        ("set", a_set(300), 60, 71, 300, True),
        ("hash", a_hash(8), 2000, 40, 8, True),
        ("list", a_list(5000), 4, 36, 5000, False),
        ("zset", a_zset(1000), 20, 40, 1000, False),
        ("stream", a_stream(5000, 300), 1, 300, 5000, False),
        ("stream", a_stream(3000, 1000), 1, 1000, 3000, False),
    ],
)  # fmt: skip
def test_the_rule_is_within_a_fifth_of_what_the_server_uses(
    server: OwnValkey,
    kind: str,
    add: Callable[[Any, int], str],
    count: int,
    value: int,
    elements: int | None,
    expires: bool,
) -> None:
    with server.client() as admin:
        admin.execute_command("FLUSHALL SYNC")
        base = admin.info("memory")["used_memory_dataset"] + admin.info("memory")["used_memory_overhead"]
        with admin.pipeline(transaction=False) as together:
            names = [add(together, number) for number in range(count)]
            together.execute()
        memory = admin.info("memory")
        used = memory["used_memory_dataset"] + memory["used_memory_overhead"] - base - memory["mem_aof_buffer"]
        by_key = sum(admin.memory_usage(name, samples=0) for name in names)
    rule = count * key_bytes(len(names[0]), value, kind, elements, expires=expires)
    assert by_key == pytest.approx(rule, rel=TOLERANCE), f"MEMORY USAGE {by_key / count:.0f}, rule {rule / count:.0f}"
    assert used == pytest.approx(rule, rel=TOLERANCE), f"used_memory {used / count:.0f}, rule {rule / count:.0f}"
