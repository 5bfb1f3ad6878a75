"""Hostile names in mapping and stack config are refused with their place, or reach the stores as one plain word."""

import copy
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.config.keys import declared
from components.config.load import SettingsError
from components.config.model import Settings
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

# Texts for people may contain any printable character. They are written to JSON, Markdown and provider inputs, never to
# SQL, an ACL, a policy or a name.
FREE = re.compile(r".*\.(name|purpose|description|append_only|shared|bypass_tenant_isolation|events|example.*)")


def named(path: tuple[Any, ...]) -> str:
    """Return the path in the model: names that the mapping's author chose become ``*``."""
    model: Any = Mapping
    text = ""
    for part in path:
        text += f".{part}" if hasattr(model, "model_fields") else ".*"
        model = _inner(model, part)
    return text[1:]


def places() -> dict[str, tuple[Any, ...]]:
    """Return field of the model, or its keys -> one place in the small mapping with such a text."""
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
    """``test_mapping_mutations`` checks that the small mapping has every field of the model."""
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
                continue  # test_mapping_mutations checks that errors name their place
            derive(mapping)
            taken.append(value)
        assert not taken or FREE.fullmatch(field), f"{field} takes {taken}, and nobody said that it is for people"


# -- stack config -------------------------------------------------------------------------------------------------------

TEXTS = [item.name for item in declared(Settings) if item.pulumi_type == "string" and not item.key.secret]
# Paths on the machine that runs the program, and a name in its kubeconfig: no store receives them.
LOCAL = {"mapping", "kubernetesRenderDirectory", "kubernetesContext"}


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


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_each_text_of_the_stacks_config_refuses_what_is_hostile(key: str) -> None:
    values = ("x\x00y", "x\ny", "x\x1b[31m") if key in LOCAL else HOSTILE
    for value in values:
        with pytest.raises(SettingsError) as caught:
            settings({key: value})
        assert key in str(caught.value), f"{value!r}: {caught.value}"


def test_every_text_of_the_stacks_config_has_a_rule_or_choices() -> None:
    free = [item.name for item in declared(Settings) if item.name in TEXTS and not item.allowed]
    assert not free, f"{free} would take any text to the stores"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucketPrefix": "x*"}, r"bucketPrefix is 'x\*'"),
        ({"bucketPrefix": "p" * 41, "mapping": "tests/faults/small.yaml"}, None),
        ({"bucketPrefix": "-p"}, "bucketPrefix"),
        ({"postgresDatabase": "postgres"}, "the same as postgresMaintenanceDatabase"),
        ({"postgresDatabase": "d" * 56}, "at most 55"),
        ({"postgresDatabase": "pg_x"}, "postgresDatabase"),
        ({"postgresAdminUser": "scanner"}, "'scanner', a role that this stack creates"),
        ({"postgresAdminUser": "vex_owner"}, "'vex_owner', a role that this stack creates"),
        ({"valkeyAdminUser": "policy"}, "'policy', a user that this stack creates"),
        ({"valkeyAdminUser": "backup-agent"}, "'backup-agent', a user that this stack creates"),
        ({"kubernetesNamespace": "Stella"}, "kubernetesNamespace"),
        ({"contractNamespace": f"{'n' * 50}-{{module}}"}, "contractNamespace becomes"),
        ({"contractNamespace": "{module}-"}, "contractNamespace becomes"),
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
        pulumi.RunError, match="module 'stellaops_connect' has the same name as a role of database 'stellaops'"
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
    """Names contain no hyphens, so different names stay different when underscores become hyphens."""
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
