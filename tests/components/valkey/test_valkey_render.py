"""``valkey.conf`` and ``users.acl`` as text."""

import re
from pathlib import Path

import pytest

from components.mapping import Mapping, load
from components.valkey.acl import PROBE_USER, set_user
from components.valkey.commands import commands
from components.valkey.render import (
    acl_mark,
    acl_rules,
    escape_glob,
    maintenance_rules,
    quoted,
    render_acl,
    render_conf,
)

ROOT = Path(__file__).parents[3]
HASH = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    return load(ROOT / "schema-mapping.yaml")


def conf(mapping: Mapping, directory: str = "/data") -> dict[str, str]:
    text = render_conf(mapping, directory=directory, port=6379, bind="127.0.0.1", aclfile="/data/users.acl")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    directives = dict(line.split(" ", 1) for line in lines)
    assert len(directives) == len(lines), "of a directive that stands twice, the server takes the last without a word"
    return directives


def acl(mapping: Mapping, *users: str) -> str:
    return render_acl(mapping, dict.fromkeys(users or mapping.users, HASH), admin=("admin", HASH))


def test_memory_policy_and_stream_nodes_are_those_of_the_reference(mapping: Mapping) -> None:
    found = conf(mapping)
    assert found["maxmemory"] == "2gb"
    assert found["maxmemory-policy"] == "volatile-lru"
    assert (found["stream-node-max-bytes"], found["stream-node-max-entries"]) == ("4096", "100")


def test_both_kinds_of_persistence_follow_the_backup_strategy(mapping: Mapping) -> None:
    found = conf(mapping)
    assert found["appendonly"] == "yes" and found["save"] != '""'
    backups = mapping.backups.model_copy(
        update={"valkey": mapping.backups.valkey.model_copy(update={"strategy": ("aof",)})}
    )
    without = conf(mapping.model_copy(update={"backups": backups}))
    assert without["appendonly"] == "yes" and without["save"] == '""'


def test_a_directory_may_have_spaces_and_quotes_but_no_new_directive(mapping: Mapping) -> None:
    assert conf(mapping, '/home/a b/"x"')["dir"] == r'"/home/a b/\"x\""'
    with pytest.raises(ValueError, match="control character"):
        render_conf(mapping, directory="/data\nrequirepass x", port=1, bind="127.0.0.1", aclfile="/a")
    assert quoted("a\\b") == r'"a\\b"'


def test_every_module_and_service_has_one_line_and_default_none(mapping: Mapping) -> None:
    lines = acl(mapping).splitlines()
    assert all(line.startswith("user ") for line in lines), "the server refuses a file with any other line"
    mark = acl_mark("\n".join(lines))
    assert [line.split()[1] for line in lines] == ["default", "admin", PROBE_USER, *mapping.users, mark]
    assert lines[-1] == f"user {mark} reset off"
    assert lines[0] == "user default reset off"


def test_the_mark_follows_every_change_of_the_file_and_nothing_else(mapping: Mapping) -> None:
    text = acl(mapping)
    assert acl_mark(text) == acl_mark(text.replace(f"user {acl_mark(text)} reset off\n", ""))
    assert acl_mark(acl(mapping, "scanner")) != acl_mark(text)
    assert acl_mark(render_acl(mapping, {"scanner": "f" * 64}, admin=("admin", HASH))) != acl_mark(
        acl(mapping, "scanner")
    )


def test_the_maintenance_user_has_streams_and_nothing_of_other_keys_but_their_type(mapping: Mapping) -> None:
    server, key, stream = " ".join(maintenance_rules(mapping)).split("(")
    assert "~" not in server and key.startswith("%R~* +type +pttl)")
    streams = {name for name, row in mapping.valkey.keys.items() if row.type == "stream"}
    assert set(re.findall(r"~(\S+)", stream)) == streams
    assert not re.search(r"\+@|xadd|\+del|xdel|destroy|xreadgroup|\+acl\b(?!\|)", stream + server)


def test_appendfsync_is_everysec_unless_asked_otherwise(mapping: Mapping) -> None:
    assert conf(mapping)["appendfsync"] == "everysec"
    text = render_conf(mapping, directory="/d", port=1, bind="::", aclfile="/a", appendfsync="always")
    assert "appendfsync always\n" in text


def test_every_user_is_reset_before_it_gets_anything(mapping: Mapping) -> None:
    for line in acl(mapping).splitlines():
        assert line.split()[2] == "reset", f"{line.split()[1]} would keep what it had before"


def test_no_module_has_all_keys_all_commands_a_category_or_a_channel(mapping: Mapping) -> None:
    for user in mapping.users:
        rules = " ".join(acl_rules(mapping, user))
        assert not re.search(r"allkeys|allcommands|allchannels|\+@|&|nopass|[~]\*", rules), f"{user}: {rules}"
        assert rules.startswith("resetchannels")


def test_a_user_has_a_key_only_inside_a_selector(mapping: Mapping) -> None:
    for user in mapping.users:
        assert not any("~" in rule for rule in acl_rules(mapping, user) if not rule.startswith("(")), (
            f"{user} could use any of its commands on that key, whatever its type"
        )


def test_who_only_reads_a_key_and_who_only_adds_to_a_stream_get_half_the_permission(mapping: Mapping) -> None:
    concelier = next(rule for rule in acl_rules(mapping, "concelier") if "concelier:drift" in rule)
    assert "%W~concelier:drift" in concelier
    reader = mapping.modules["gateway"].model_copy(
        update={"valkey": mapping.modules["gateway"].valkey.model_copy(update={"reads": ("scan:{digest}",)})}
    )
    changed = mapping.model_copy(update={"modules": {**mapping.modules, "gateway": reader}})
    assert any("%R~scan:*" in rule for rule in acl_rules(changed, "gateway"))


def test_producer_and_consumer_of_one_stream_are_two_selectors(mapping: Mapping) -> None:
    selectors = [rule for rule in acl_rules(mapping, "notifier") if "notify:delivery" in rule]
    assert len(selectors) == 2 and sum("+xadd" in rule for rule in selectors) == 1


def test_each_pattern_of_a_user_stands_in_its_rules_and_no_other_does(mapping: Mapping) -> None:
    for user in mapping.users:
        given = set(re.findall(r"~(\S+)", " ".join(acl_rules(mapping, user)).replace("(", " ").replace(")", " ")))
        assert given == {access.pattern.glob for access in mapping.access.keys[user]}, user


def test_characters_that_a_glob_gives_a_meaning_are_taken_literally() -> None:
    assert escape_glob(r"a?[b]\c:*") == r"a\?\[b\]\\c:*"


@pytest.mark.parametrize("wrong", ["", "abc", HASH.upper(), HASH + "0", "pass word", f"{HASH} allkeys", f"{HASH}\n"])
def test_only_a_hash_may_stand_for_a_password_and_it_is_not_shown(mapping: Mapping, wrong: str) -> None:
    with pytest.raises(ValueError, match="SHA-256") as caught:
        render_acl(mapping, {"scanner": wrong}, admin=("admin", HASH))
    assert not wrong or wrong not in str(caught.value)
    with pytest.raises(ValueError, match="SHA-256"):
        set_user(wrong, ())


@pytest.mark.parametrize(
    "name", ["default", PROBE_USER, "scanner", "telemetry", "two words", "a\nuser b on nopass", ""]
)
def test_an_admin_name_that_breaks_the_file_or_a_module_is_refused(mapping: Mapping, name: str) -> None:
    with pytest.raises(ValueError, match="admin user"):
        render_acl(mapping, {}, admin=(name, HASH))


def test_the_same_mapping_gives_the_same_text(mapping: Mapping) -> None:
    assert acl(mapping) == acl(mapping), "an unchanged deployment would roll its pods"


def test_nobody_reads_what_a_verb_does_not_need() -> None:
    assert "set" not in commands("read", "string") and "del" not in commands("read", "string")
    assert set(commands("produce", "stream")) == {"xadd", "xlen"}
    assert "xadd" not in commands("consume", "stream")
    for verb, key_type in (("write", "string"), ("write", "various"), ("write", "set"), ("read", "various")):
        assert not [name for name in commands(verb, key_type) if name.startswith("x")], (
            "a stream needs a stream's permission"
        )
