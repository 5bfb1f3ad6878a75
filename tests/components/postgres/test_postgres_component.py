"""What the Postgres component asks for, resource by resource."""

from pathlib import Path
from typing import Any, Literal

import pulumi
import pytest

from components.config.model import PostgresSettings
from components.mapping import load
from components.postgres.component import PostgresArgs, PostgresComponent
from components.resources.credentials import Credential
from tests.program.recorder import Recorder, record, stellaops_provider

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")


Kept = dict[str, tuple[bool, bool]]


def program(
    drop_schemas: tuple[str, ...] = (),
    kept: Kept | None = None,
    tenant_isolation: Literal["off", "row-level-security"] = "off",
    **changes: Any,
) -> Recorder:
    """``kept`` gets for each resource (type::name) whether it is retained on deletion, and whether it is protected."""

    def remember(args: pulumi.ResourceTransformationArgs) -> None:
        if kept is not None:
            kept[f"{args.type_}::{args.name}"] = bool(args.opts.retain_on_delete), bool(args.opts.protect)

    def run() -> None:
        pulumi.runtime.register_stack_transformation(remember)
        settings = PostgresSettings(
            host="db", port=5432, admin_user="admin", admin_password=pulumi.Output.secret("pw"), database="stellaops",
            maintenance_database="postgres", ssl_mode="disable", superuser=False, drop_schemas=frozenset(drop_schemas),
            adopt_database=False, tenant_isolation=tenant_isolation,
        )  # fmt: skip
        credentials = {name: Credential(name, user=name, rotate=1) for name in MAPPING.modules}
        arguments = {"provider": stellaops_provider(), "protect": False, "sql_directory": ROOT / "sql", **changes}
        PostgresComponent(
            "postgres", PostgresArgs(mapping=MAPPING, settings=settings, credentials=credentials, **arguments)
        )

    return record(run)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return program()


def test_each_schema_has_owner_writer_and_reader_and_each_module_a_login(recorder: Recorder) -> None:
    roles = recorder.of("role:Role")
    assert sum(not role["login"] for role in roles.values()) == 3 * 11 + 1
    assert sum(role["login"] for role in roles.values()) == 24
    assert all(role["name"] == name for name, role in roles.items()), "autonames have hyphens and may pass 63 bytes"


def test_no_login_is_a_member_of_an_owner_role(recorder: Recorder) -> None:
    for name, role in recorder.of("role:Role").items():
        assert not [group for group in role.get("roles", []) if group.endswith("_owner")], (
            f"{name} could drop its triggers"
        )


def test_postgresql_never_sees_a_clear_password(recorder: Recorder) -> None:
    for name, role in recorder.of("role:Role").items():
        if role["login"]:
            assert role["password"]["value"].endswith("postgres_verifier"), (
                f"the server's log would show the password of {name}"
            )


def test_every_grant_on_tables_names_them(recorder: Recorder) -> None:
    for name, grant in recorder.of("grant:Grant").items():
        if grant["objectType"] in ("table", "column", "function"):
            assert grant["objects"], f"{name} would first revoke everything on all tables of the schema"
        if grant["objectType"] == "column":
            assert len(grant["objects"]) == 1 and len(grant["privileges"]) == 1, f"the plugin refuses {name}"


def test_nobody_may_change_an_append_only_table(recorder: Recorder) -> None:
    append_only = {
        (s, t)
        for s, schema in MAPPING.postgres.schemas.items()
        for t, table in schema.tables.items()
        if table.append_only
    }
    assert append_only, "the reference has append-only tables"
    for name, grant in recorder.of("grant:Grant").items():
        touched = {(grant.get("schema"), table) for table in grant.get("objects") or []} & append_only
        if touched:
            assert set(grant["privileges"]) <= {"SELECT", "INSERT"}, f"{name} opens {touched}"


def test_a_grant_on_tables_that_goes_takes_nothing_away_behind_its_successor() -> None:
    kept: Kept = {}
    grants = program(kept=kept).of("grant:Grant")
    for name, grant in grants.items():
        retained, _ = kept[f"postgresql:index/grant:Grant::{name}"]
        assert retained == (grant["objectType"] in ("table", "column")), name


def test_the_privileges_of_a_schema_are_what_its_grants_give(recorder: Recorder) -> None:
    given: dict[tuple[str, str, str], set[str]] = {}
    for grant in recorder.of("grant:Grant").values():
        for table in grant.get("objects") or []:
            columns = f" ({', '.join(sorted(grant['columns']))})" if grant.get("columns") else ""
            words = {f"{privilege}{columns}" for privilege in grant["privileges"]}
            if grant["objectType"] in ("table", "column"):
                given.setdefault((grant["schema"], grant["role"], table), set()).update(words)
    access = {
        (item["schema"], role, table): set(words)
        for item in recorder.of("postgres:Privileges").values()
        for role, tables in item["access"].items()
        for table, words in tables.items()
        if "{" not in table
    }
    assert given and access == given


def test_public_gets_nothing(recorder: Recorder) -> None:
    grants = [grant for grant in recorder.of("grant:Grant").values() if grant["role"] == "public"]
    assert {(grant["objectType"], tuple(grant["privileges"])) for grant in grants} == {("database", ()), ("schema", ())}
    defaults = recorder.of("defaultPrivileges:DefaultPrivileges")
    assert {default["owner"] for default in defaults.values()} == {
        f"{schema}_owner" for schema in MAPPING.postgres.schemas
    }
    assert all("schema" not in default and default["privileges"] == [] for default in defaults.values())


def test_every_resource_of_the_store_names_its_provider(recorder: Recorder) -> None:
    loose = [r.name for r in recorder.resources if r.type.startswith("postgresql:") and "::postgres-" not in r.provider]
    ours = [
        r
        for r in recorder.resources
        if r.type.startswith("stellaops:postgres:") and r.type != "stellaops:postgres:Postgres"
    ]
    loose += [r.name for r in ours if "::stellaops::" not in r.provider]
    assert ours and not loose, f"these would have no provider: {loose}"


def fates(drop_schemas: tuple[str, ...], *, protect: bool = False) -> tuple[set[str], set[str], set[str]]:
    """(schemas dropped with their tables, what is retained, what is protected)."""
    kept: Kept = {}
    recorder = program(drop_schemas, kept, protect=protect)
    dropped = {name for name, schema in recorder.of("schema:Schema").items() if schema["dropCascade"]}
    # Grants are retained in any case: Privileges revokes.
    kept = {name: both for name, both in kept.items() if "grant:Grant" not in name}
    retained, protected = ({name for name, both in kept.items() if both[index]} for index in (0, 1))
    return dropped, retained, protected


SCHEMAS = {f"postgresql:index/schema:Schema::{name}" for name in MAPPING.postgres.schemas}
OWNERS = {f"postgresql:index/role:Role::{name}_owner" for name in MAPPING.postgres.schemas}
DATABASE = {"postgresql:index/database:Database::stellaops"}


def test_without_being_named_every_schema_is_kept_and_the_database_with_them() -> None:
    assert fates(()) == (set(), SCHEMAS | DATABASE, set())


def test_only_a_named_schema_goes_with_its_tables() -> None:
    dropped, retained, protected = fates(("symbols",), protect=True)
    gone = {"postgresql:index/schema:Schema::symbols", "postgresql:index/role:Role::symbols_owner"}
    assert dropped == {"symbols"}
    assert retained == (SCHEMAS | DATABASE) - gone, "the database holds what is kept"
    assert protected == (SCHEMAS | OWNERS | DATABASE) - gone, "whoever names a schema means it"


def test_a_star_names_them_all_and_the_database() -> None:
    assert fates(("*",)) == (set(MAPPING.postgres.schemas), set(), set())


def test_a_preview_says_which_logins_there_are_and_what_becomes_of_each_schema() -> None:
    (inventory,) = program(("symbols",)).of("postgres:Inventory").values()
    assert inventory["logins"] == {name: module.name for name, module in MAPPING.modules.items()}
    assert inventory["schemas"]["symbols"].startswith("dropped with its tables")
    assert inventory["schemas"]["vex"].startswith("kept with its tables")


def test_tenants_are_kept_apart_only_where_the_stack_says_so(recorder: Recorder) -> None:
    for name, migrations in recorder.of("postgres:SchemaMigrations").items():
        assert not migrations["tenantTables"] and not migrations["tenantBypass"], name
    isolated = program(tenant_isolation="row-level-security").of("postgres:SchemaMigrations")
    assert isolated["notify"]["tenantTables"] == {
        "rules": {"column": "tenant_id"},
        "channels": {"column": "tenant_id"},
        "delivery_log": {"column": "rule_id", "parent": "rules"},
    }
    assert not isolated["vex"]["tenantTables"], "statements are shared by all tenants"
    bypasses = {name: migrations["tenantBypass"] for name, migrations in isolated.items() if migrations["tenantBypass"]}
    assert bypasses == {"scanner": ["timeline_indexer"], "notify": ["timeline_indexer"]}
