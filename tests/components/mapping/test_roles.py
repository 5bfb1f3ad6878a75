"""What a PostgreSQL role is: its name alone does not tell, because modules may be called like group roles."""

from pathlib import Path

import pytest

from components.mapping import Mapping, MappingError, load, loads
from components.mapping.roles import BackupRole, ConnectRole, GroupKind, GroupRole, Login, Role, RoleNames, groups_of

MAPPING = Path(__file__).parents[3] / "schema-mapping.yaml"
# Legal as long as there is no schema log, audit or x.
LOOKALIKES = ("log_reader", "audit_writer", "x_owner", "stellaops_connect")


def with_modules(*names: str) -> Mapping:
    """The mapping with modules of these names, which read schema ``vex``."""
    head, start, rest = MAPPING.read_text(encoding="utf-8").partition("\nmodules:\n")
    more = "".join(
        f"  {name}:\n    name: {name}\n    purpose: Looks like a group role\n    postgres: {{reads: [vex]}}\n"
        for name in names
    )
    return loads(f"{head}{start}{more}{rest}".encode(), MAPPING.name)


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_module_named_like_a_group_role_is_a_login(name: str) -> None:
    access = with_modules(name).access
    assert access.roles("other").get(name) == Login(name)
    assert name not in access.roles("other").groups, f"drift would say that {name} must not log in"
    assert access.logins[name].member_of == (GroupRole("vex", GroupKind.READER),)


def test_a_module_with_the_name_of_a_group_role_is_refused() -> None:
    with pytest.raises(MappingError, match="module 'vex_reader' has the name of a schema's group role"):
        with_modules("vex_reader")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("vex_owner", GroupRole("vex", GroupKind.OWNER)),
        ("vex_writer", GroupRole("vex", GroupKind.WRITER)),
        ("vex_reader", GroupRole("vex", GroupKind.READER)),
        ("scanner", Login("scanner")),
        ("stellaops_connect", ConnectRole("stellaops")),
        ("stellaops_backup", BackupRole("stellaops")),
        ("nobody_reader", None),
    ],
)
def test_each_role_of_the_stack_is_found_by_its_name(name: str, role: Role | None) -> None:
    names = load(MAPPING).access.roles("stellaops")
    assert names.get(name) == role and (name in names) is (role is not None)


def test_a_schema_has_an_owner_a_writer_and_a_reader() -> None:
    assert [role.name for role in groups_of("vex")] == ["vex_owner", "vex_writer", "vex_reader"]
    assert RoleNames(["vex"], ["scanner"], ["db"]).groups == {"vex_owner", "vex_writer", "vex_reader", "db_connect"}
