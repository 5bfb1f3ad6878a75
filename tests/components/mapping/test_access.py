"""What modules may do is derived from the mapping once, and never from another mapping."""

from pathlib import Path
from typing import Any

import pytest

from components.mapping import Mapping, access, load
from components.mapping.values import AccessTarget, Duration, KeyPattern, MemorySize, ObjectPath, TtlWord, parse_ttl
from components.rustfs.policies import identity_policy
from components.valkey.render import acl_rules

MAPPING = Path(__file__).parents[3] / "schema-mapping.yaml"


@pytest.fixture
def mapping() -> Mapping:
    return load(MAPPING)


def test_each_module_is_derived_once_however_often_it_is_asked_for(
    mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(name: str) -> None:
        derive = getattr(access, name)

        def count(*arguments: Any) -> Any:
            calls.append(name)
            return derive(*arguments)

        monkeypatch.setattr(access, name, count)

    for name in ("login_access", "schema_access", "key_access", "object_access", "direct_grants"):
        counted(name)
    mapping = mapping.model_copy()
    for _ in range(3):
        for module in mapping.modules:
            assert mapping.access.logins[module].module == module
            acl_rules(mapping, module)
            identity_policy(mapping, module, "")
        for schema in mapping.postgres.schemas:
            assert mapping.access.schemas[schema].name == schema
    expected = {
        "login_access": len(mapping.modules),
        "direct_grants": len(mapping.modules),
        "object_access": len(mapping.modules),
        "key_access": len(mapping.users),
        "schema_access": len(mapping.postgres.schemas),
    }
    assert {name: calls.count(name) for name in expected} == expected


def test_a_changed_copy_has_the_access_of_its_own_contents(mapping: Mapping) -> None:
    assert mapping.access.keys["gateway"]
    modules = {name: module for name, module in mapping.modules.items() if name != "gateway"}
    changed = mapping.model_copy(update={"modules": modules})
    assert "gateway" not in changed.access.keys and "gateway" in mapping.access.keys


def test_what_a_schema_grants_to_a_login_is_what_the_login_has(mapping: Mapping) -> None:
    for module, login in mapping.access.logins.items():
        for (schema, table), held in login.tables.items():
            granted = mapping.access.schemas[schema].granted
            roles = [module, *(role.name for role in login.member_of)]
            privileges = {
                item for role in roles for item in granted.get(role, {}).get(table, held.__class__()).privileges
            }
            assert privileges == held.privileges, f"{module} on {schema}.{table}"


@pytest.mark.parametrize("text", ["500ms", "30s", "5m", "24h", "90d"])
def test_a_value_is_written_as_it_was_read(text: str) -> None:
    assert str(Duration.parse(text)) == text
    assert str(parse_ttl(text)) == text


def test_values_carry_what_was_parsed() -> None:
    assert (Duration.parse("36h").milliseconds, Duration.parse("36h").days) == (129_600_000, 1)
    assert MemorySize.parse("2gb").bytes == 2 << 30
    assert parse_ttl("infinite") is TtlWord.INFINITE
    assert KeyPattern.parse("scan:{digest}").glob == "scan:*"
    path = ObjectPath.parse("blobs/*/attestation.dsse")
    assert (path.bucket, path.prefix, path.is_folder) == ("blobs", "*/attestation.dsse", False)
    assert ObjectPath.parse("blobs").prefix is None, "a bucket alone is not the prefix of everything in it"
    target = AccessTarget.parse("authority.keys(key_id,  public_key)")
    assert (target.schema, target.table, target.columns) == ("authority", "keys", ("key_id", "public_key"))
    assert str(target) == "authority.keys(key_id,  public_key)"


def test_the_mapping_is_dumped_as_text_and_read_again_as_the_same(mapping: Mapping) -> None:
    dumped = mapping.model_dump(mode="json")
    assert dumped["valkey"]["memory"]["maxmemory"] == "2gb"
    assert Mapping.model_validate(mapping.model_dump()) == mapping
