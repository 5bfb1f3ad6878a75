"""``postgres:rolePrefix``: the roles that it makes, and names that would be too long with it."""

import pytest

from components.config.checks import conflicts
from components.config.model import Settings
from components.mapping import Mapping, load
from tests.components.config.test_config_values import REQUIRED, refused

LONGEST = 63


def checked(prefix: str, schema: str = "scanner", database: str = "stellaops") -> tuple[Mapping, list[str]]:
    """The mapping with ``prefix`` and with another name for the schema ``scanner``, and the conflicts with the config."""
    settings = Settings.of({
        **REQUIRED, "postgres:rolePrefix": prefix, "stellaops-storage:postgresDatabase": database,
    })  # fmt: skip
    mapping = load(settings.mapping)
    schemas = {schema if name == "scanner" else name: item for name, item in mapping.postgres.schemas.items()}
    postgres = mapping.postgres.model_copy(update={"schemas": schemas})
    mapping = mapping.model_copy(update={"postgres": postgres, "modules": {}, "services": {}}).with_role_prefix(prefix)
    return mapping, conflicts(settings, mapping)  # type: ignore[arg-type]  # no secret is read


def test_every_role_begins_with_the_prefix() -> None:
    mapping, problems = checked("blue_")
    assert problems == []
    names = mapping.access.roles("stellaops").names
    assert {"blue_scanner_owner", "blue_stellaops_connect", "blue_stellaops_backup"} <= names
    assert all(name.startswith("blue_") for name in names)


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({"schema": "s" * 51}, f"blue_{'s' * 51}_{{}}"),
        ({"database": "d" * 50}, f"blue_{'d' * 50}_connect"),
    ],
    ids=["schema", "database"],
)
def test_a_role_name_of_63_characters_is_accepted_and_one_of_64_is_refused(changes: dict[str, str], role: str) -> None:
    assert len(role.format("writer")) == LONGEST
    assert checked("blue_", **changes)[1] == []
    problems = checked("blues_", **changes)[1]
    assert problems, "PostgreSQL would cut the name, and two roles could become one"
    assert all(f"{LONGEST + 1} characters long" in line for line in problems), problems
    assert all("pulumi config set postgres:rolePrefix" in line for line in problems)


@pytest.mark.parametrize("prefix", ["pg_", "Blue_", "1_", "blue-", "b" * 32, "é_"])
def test_a_prefix_that_roles_cannot_begin_with_is_refused(prefix: str) -> None:
    assert [line for line in refused(postgres__rolePrefix=prefix) if "postgres:rolePrefix" in line]
