"""Hostile names in mapping and stack config: refused with their place, or they arrive as one plain word."""

import copy
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.config.rules import LISTS, RULES
from components.config.settings import Settings, SettingsError
from components.mapping import Mapping, MappingError, loads
from components.mapping.loader import _inner
from tests.faults import mutations
from tests.faults.derived import derive
from tests.faults.test_mapping_mutations import FILE, SMALL, fields
from tests.program.recorder import record
from tests.program.test_stacks import PROJECT, config_of, run

TREE = yaml.safe_load(SMALL)
HOSTILE = (
    "x'; DROP TABLE y; --", 'x"; DROP ROLE y; --', "x\\'", "$$x$$", "x\ny", "x y", "x\x00y", "x\x1b[31m", "\u202exy", "ünïcode",
    "~* +@all", "x >secret", "#x", "x)(~*", "x[a-z]", "$(touch x)", "`id`", "x;id", "x|id", "${aws:username}", "x?", "../x", "%00",
    "x" * 600, "{{ x }}", "<b>x</b>",
)  # fmt: skip

# Texts for people: anything that shows may stand in them. They go into JSON, into Markdown and to provider inputs, never
# into SQL, an ACL, a policy or a name.
FREE = re.compile(r".*\.(name|purpose|description|append_only|shared|bypass_tenant_isolation|events|example.*)")


def named(path: tuple[Any, ...]) -> str:
    """The path as the model has it: whatever the mapping's author named is ``*``."""
    model: Any = Mapping
    text = ""
    for part in path:
        text += f".{part}" if hasattr(model, "model_fields") else ".*"
        model = _inner(model, part)
    return text[1:]


def places() -> dict[str, tuple[Any, ...]]:
    """Field of the model, or the keys below it -> one place in the small mapping where such a text stands."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in mutations.paths(TREE):
        if isinstance(mutations.value_at(TREE, path), str):
            found.setdefault(named(path).removesuffix(".*"), path)
        elif named(path).endswith(".*") and isinstance(path[-1], str):
            found.setdefault(f"keys of {named(path[:-1])}", path)
    return found


PLACES = places()
PARTS = 4


def test_every_text_of_the_model_gets_hostile_values() -> None:
    """``test_mapping_mutations`` sees that the small mapping has every field of the model."""
    assert {"modules.*.postgres.reads", "keys of valkey.keys", "postgres.schemas.*.tables.*.columns"} <= PLACES.keys()
    assert not [field for field in fields(Mapping) if _is_text(field) and field not in PLACES]


def _is_text(field: str) -> bool:
    *above, name = field.split(".")
    model: Any = Mapping
    for part in above:
        model = _inner(model, part)
    return "StrictStr" in str(model.model_fields[name].annotation) or model.model_fields[name].annotation is str


def hostile(path: tuple[Any, ...], key: bool, value: str) -> bytes:
    tree = copy.deepcopy(TREE)
    parent = mutations.value_at(tree, path[:-1])
    if key:
        parent[value] = parent.pop(path[-1])
    else:
        parent[path[-1]] = value
    return mutations.as_yaml(tree)


@pytest.mark.parametrize("number", range(PARTS))
def test_each_text_of_the_mapping_refuses_what_is_hostile_or_is_for_people_only(number: int) -> None:
    for field, path in list(PLACES.items())[number::PARTS]:
        key = field.startswith("keys of ")
        taken = []
        for value in HOSTILE:
            try:
                mapping = loads(hostile(path, key, value), FILE)
            except MappingError:
                continue  # each with its place: test_mapping_mutations
            derive(mapping)
            taken.append(value)
        assert not taken or FREE.fullmatch(field), f"{field} takes {taken}, and nobody said that it is for people"


# -- stack config -------------------------------------------------------------------------------------------------------

TEXTS = [
    key.rpartition(":")[2]
    for key, item in PROJECT["config"].items()
    if item.get("type", "string") == "string" and not item.get("secret") and not isinstance(item.get("value"), list)
]
# Paths of the machine that runs the program, and a name in its kubeconfig: they go to no store.
LOCAL = {"mapping", "kubernetesRenderDirectory", "kubernetesContext"}
# Read by the review alone, which refuses what is no risk.
REVIEWED = {"reviewThreshold"}


def settings(changes: dict[str, str]) -> None:
    config = config_of("prod")
    config |= {
        name: changes[key]
        for key in changes
        for name in PROJECT["config"]
        if name.rpartition(":")[2] == key and ":" in name
    }
    config |= {f"stellaops-storage:{key}": value for key, value in changes.items()}

    def program() -> None:
        Settings.load()

    record(program, config)


def test_the_settings_of_prod_are_well() -> None:
    settings({})


@pytest.mark.parametrize("key", sorted(set(TEXTS) - REVIEWED))
def test_each_text_of_the_stacks_config_refuses_what_is_hostile(key: str) -> None:
    values = ("x\x00y", "x\ny", "x\x1b[31m") if key in LOCAL else HOSTILE
    for value in values:
        with pytest.raises(SettingsError) as caught:
            settings({key: value})
        assert key in str(caught.value), f"{value!r}: {caught.value}"


def test_every_rule_is_about_a_key_that_there_is() -> None:
    assert {*RULES, *LISTS} <= set(TEXTS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucketPrefix": "x*"}, r"bucketPrefix is 'x\*'"),
        ({"bucketPrefix": "p" * 41, "mapping": "tests/faults/small.yaml"}, None),
        ({"bucketPrefix": "-p"}, "bucketPrefix"),
        ({"postgresDatabase": "postgres"}, "as postgresMaintenanceDatabase is"),
        ({"postgresDatabase": "d" * 56}, "at most 55"),
        ({"postgresDatabase": "pg_x"}, "postgresDatabase"),
        ({"postgresAdminUser": "scanner"}, "'scanner', a role that this stack makes"),
        ({"postgresAdminUser": "vex_owner"}, "'vex_owner', a role that this stack makes"),
        ({"valkeyAdminUser": "policy"}, "'policy', a user that this stack makes"),
        ({"valkeyAdminUser": "backup-agent"}, "'backup-agent', a user that this stack makes"),
        ({"kubernetesNamespace": "Stella"}, "kubernetesNamespace"),
        ({"contractNamespace": f"{'n' * 50}-{{module}}"}, "contractNamespace makes"),
        ({"contractNamespace": "{module}-"}, "contractNamespace makes"),
        ({"dropSchemas": "vex,no schema"}, "dropSchemas has 'no schema'"),
    ],
)
def test_names_that_clash_are_told_before_anything_is_registered(
    changes: dict[str, str], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words is None:
        run("prod", monkeypatch, **changes)
        return
    with pytest.raises(pulumi.RunError, match=words):
        run("prod", monkeypatch, **changes)


def test_a_module_of_the_databases_own_role_and_one_with_too_short_an_access_key_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = mutations.rename_everywhere(TREE, "excititor", "stellaops_connect")
    file = tmp_path / FILE
    file.write_bytes(mutations.as_yaml(tree))
    with pytest.raises(
        pulumi.RunError, match="module 'stellaops_connect' has the name of a role of database 'stellaops'"
    ):
        run("prod", monkeypatch, mapping=str(file))
    file.write_bytes(mutations.as_yaml(mutations.rename_everywhere(TREE, "excititor", "ex")))
    with pytest.raises(pulumi.RunError, match="access key 'ex' has 2 characters, and must have 3 to 64"):
        run("prod", monkeypatch, mapping=str(file))
    run("prod", monkeypatch, mapping=str(file), bucketPrefix="p-")


@pytest.mark.parametrize("name", ["ends_", "__", "a_"])
def test_a_module_whose_name_kubernetes_cannot_have_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(MappingError, match=r"ends in _, which Kubernetes does not allow|must be lower-case letters"):
        loads(mutations.as_yaml(mutations.rename_everywhere(TREE, "excititor", name)), FILE)


def test_no_two_modules_have_one_name_on_kubernetes() -> None:
    """Since no name holds a hyphen, two that differ still do with hyphens for underscores."""
    with pytest.raises(MappingError, match="must be lower-case letters"):
        loads(mutations.as_yaml(mutations.rename_everywhere(TREE, "excititor", "a-b")), FILE)


@pytest.mark.parametrize(("names", "said"), [("vexx", 'did you mean "vex"'), ("nothing_like_it", ""), ("vex,*", None)])
def test_a_schema_in_drop_schemas_that_the_mapping_does_not_have_is_told(
    names: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: warnings.append(message))
    run("dev", monkeypatch, dropSchemas=names)
    assert len(warnings) == (said is not None), warnings
    if said is not None:
        assert (
            f"dropSchemas names {names!r}, which is not a schema in the mapping" in warnings[0] and said in warnings[0]
        )
