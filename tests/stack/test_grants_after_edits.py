"""After any edit of the mapping every privilege on every table and column is the mapping's, and every module can log in.

The Postgres component alone under the engine, on a real server, by an admin without SUPERUSER: ``up`` with a drawn
mapping, an edit (or two at once), ``up``, and every cell of the live matrix is compared.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from tests.support.edits import PROGRAM, EditedStack, rows_of_edits
from tests.support.stack import PROJECT
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine
from tools.local.servers.postgres import LocalPostgres

COLUMNS = ("id", "state", "note")
TABLES = ("first", "second", "third")
LETTERS = ("a", "b", "c")
POSTGRES_PROGRAM = (
    PROGRAM
    + f"""
from components.config.model import PostgresSettings
from components.mapping.model import Module, Postgres as Schemas, Schema, Table
from components.postgres.component import PostgresArgs, PostgresComponent

mapping = load(Path({str(PROJECT / "schema-mapping.yaml")!r}))
columns = {{"id": "integer", "state": "integer", "note": "text"}}
schemas = {{
    name: Schema(purpose=name, tables={{
        table: Table(purpose=table, columns=columns, append_only="evidence" if append_only else None) for table, append_only in tables.items()
    }})
    for name, tables in s["schemas"].items()
}}
modules = {{name: Module(name=name.title(), purpose=name, postgres=access) for name, access in s["modules"].items()}}
postgres = Schemas(defaults=mapping.postgres.defaults, schemas=schemas)
mapping = mapping.model_copy(update={{"modules": modules, "postgres": postgres}})
p = s["provider"]
settings = PostgresSettings(
    host=p["postgres_host"], port=p["postgres_port"], admin_user=p["postgres_admin_user"],
    admin_password=pulumi.Output.secret(p["postgres_admin_password"]), database=p["postgres_database"],
    maintenance_database="postgres", ssl_mode="disable", superuser=False, drop_schemas=frozenset(),
    adopt_database=s["adopt_database"],
)
credentials = {{name: Credential(name, user=name, rotate=1, opts=opts) for name in modules}}
PostgresComponent("postgres", PostgresArgs(mapping, settings, credentials, provider, protect=False, sql_directory=Path("sql")))
pulumi.export("passwords", pulumi.Output.secret({{name: item.postgres_password for name, item in credentials.items()}}))
"""
)

Shape = dict[str, Any]  # schemas: name -> table -> append-only; modules: name -> owns, writes, reads
Cell = tuple[str, str, str, str]  # role, schema.table, column or "", privilege


def expected(shape: Shape) -> set[Cell]:
    """Every privilege that the mapping gives, independently of the code under test."""
    cells: set[Cell] = set()

    def give(role: str, schema: str, table: str, columns: list[str], privileges: list[str]) -> None:
        for privilege in privileges:
            cells.update((role, f"{schema}.{table}", column, privilege) for column in columns or [""])

    for schema, tables in shape["schemas"].items():
        for table, append_only in tables.items():
            change = ["SELECT", "INSERT"] if append_only else ["SELECT", "INSERT", "UPDATE", "DELETE"]
            give(f"{schema}_writer", schema, table, [], change)
            give(f"{schema}_reader", schema, table, [], ["SELECT"])
        for group in ("writer", "reader"):
            give(f"{schema}_{group}", schema, "schema_migrations", [], ["SELECT"])
    for module, access in shape["modules"].items():
        for verb in ("writes", "reads"):
            for target in access[verb]:
                place, _, listed = target.partition("(")
                schema, _, table = place.partition(".")
                if not table:
                    continue  # a membership
                columns = [name.strip() for name in listed.rstrip(")").split(",") if name]
                append_only = shape["schemas"][schema][table]
                change = ["SELECT", "INSERT"] if append_only else ["SELECT", "INSERT", "UPDATE", "DELETE"]
                written = ["SELECT", "UPDATE"] if columns else change
                give(module, schema, table, columns, ["SELECT"] if verb == "reads" else written)
    return {cell for cell in cells if not cell[2] or (cell[0], cell[1], "", cell[3]) not in cells}


def expected_effective(shape: Shape) -> set[Cell]:
    """What each module can do with whole tables: its own privileges, and those of the groups that its verbs name."""
    granted = {cell for cell in expected(shape) if not cell[2]}
    found = {cell for cell in granted if cell[0] in shape["modules"]}
    for module, access in shape["modules"].items():
        schemas = [(schema, "writer") for schema in access["owns"]]
        for verb, group in (("writes", "writer"), ("reads", "reader")):
            schemas += [(target, group) for target in access[verb] if "." not in target]
        groups = {f"{schema}_{group}" for schema, group in schemas}
        found |= {(module, *cell[1:]) for cell in granted if cell[0] in groups}
    return found


def _differences(kind: str, live: set[Cell], wanted: set[Cell]) -> list[str]:
    return [
        *(f"{kind}: missing {cell}" for cell in sorted(wanted - live)),
        *(f"{kind}: surplus {cell}" for cell in sorted(live - wanted)),
    ]


class PostgresStack(EditedStack[Shape]):
    """Two schemas and two modules to begin with; every role's name is of this test alone."""

    def __init__(self, directory: Path, engine: Engine, server: LocalPostgres) -> None:
        self.suffix = secrets.token_hex(3)
        self.database, self.server, self.directory = f"d_{self.suffix}", server, directory
        self.shape: Shape = {"schemas": {}, "modules": {}}
        self.former: set[tuple[str, str]] = set()
        self.migrated: dict[str, set[str]] = {}  # schema -> the tables that its migrations leave
        user, password = f"admin_{self.suffix}", "secret"
        with server.connect() as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'".encode())
            connection.execute(f"ALTER ROLE {user} SET createrole_self_grant = 'set, inherit'".encode())
        provider = {
            "postgres_host": server.host, "postgres_port": server.port, "postgres_ssl_mode": "disable",
            "postgres_admin_user": user, "postgres_admin_password": password, "postgres_database": self.database,
            "postgres_maintenance_database": "postgres",
        }  # fmt: skip
        settings = {"provider": provider, "adopt_database": False, **self.shape}
        self.project = Project(directory, engine, settings, POSTGRES_PROGRAM)

    def name(self, letter: str) -> str:
        return f"{letter}_{self.suffix}"

    def begin(self) -> Shape:
        return begin(self)

    def edit(self, shape: Shape, chance: Random) -> str:
        return edit(self, shape, chance)

    def tidy(self, shape: Shape) -> None:
        tidy(shape)

    def write(self, shape: Shape) -> None:
        """Write the shape, with a migration for every table that comes or goes."""
        for schema, tables in shape["schemas"].items():
            files = self.directory / "sql" / schema
            files.mkdir(parents=True, exist_ok=True)
            migrated = self.migrated.setdefault(schema, set())
            for table in sorted(migrated ^ set(tables), key=TABLES.index):
                text = f"CREATE TABLE {{{{ schema }}}}.{table} (id int PRIMARY KEY, state int, note text);\n"
                if table in migrated:
                    text = f"DROP TABLE {{{{ schema }}}}.{table};\n"
                number = len(list(files.iterdir())) + 1
                files.joinpath(f"{number:04}_{table}.sql.j2").write_text(text)
            self.migrated[schema] = set(tables)
        self.project.write(schemas=shape["schemas"], modules=shape["modules"])

    def cells(self) -> set[Cell]:
        """What each role but the owner has itself, from the server; kept schemas are among them."""
        query = f"""
            SELECT coalesce(r.rolname, 'PUBLIC'), n.nspname || '.' || c.relname, a.attname, a.privilege_type
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
              SELECT '' AS attname, x.* FROM aclexplode(c.relacl) x UNION ALL
              SELECT t.attname, x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid
            ) a LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE n.nspname LIKE '%\\_{self.suffix}' AND c.relkind IN ('r', 'p') AND a.grantee <> c.relowner"""
        with self.server.connect(self.database) as connection:
            return {(row[0], row[1], row[2], row[3]) for row in connection.execute(query.encode()).fetchall()}

    def cells_off(self) -> list[str]:
        return [
            *_differences("granted", self.cells(), expected(self.shape)),
            *_differences("effective", self.effective(), expected_effective(self.shape)),
            *self._logins_off(),
        ]

    def effective(self) -> set[Cell]:
        """What each module can do with each table, by itself and through its groups; kept schemas are among them."""
        query = """
            SELECT r.rolname, n.nspname || '.' || c.relname, '', p
            FROM pg_roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
              unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
            WHERE r.rolname = ANY(%s) AND n.nspname LIKE %s AND c.relkind IN ('r', 'p')
              AND has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, p)"""
        with self.server.connect(self.database) as connection:
            modules = [self.name(letter) for letter in LETTERS]
            rows = connection.execute(query, (modules, f"%\\_{self.suffix}")).fetchall()
        return {(row[0], row[1], row[2], row[3]) for row in rows}

    def _logins_off(self) -> Iterator[str]:
        """Modules that can't log in, and removed ones that can."""
        passwords: dict[str, str] = json.loads(self.project.must("stack", "output", "passwords", "--show-secrets"))
        if set(passwords) != set(self.shape["modules"]):
            yield f"passwords of {sorted(passwords)}"
        for module, password in passwords.items():
            if error := self._login_error(module, password):
                yield f"{module} can't log in: {error}"
        for module, password in self.former - set(passwords.items()):
            if not self._login_error(module, password):
                yield f"{module} can log in with a password of an earlier run"
        self.former |= set(passwords.items())

    def _login_error(self, module: str, password: str) -> str:
        try:
            psycopg.connect(
                host=self.server.host, port=self.server.port, user=module, password=password, dbname=self.database
            ).close()
        except psycopg.OperationalError as error:
            return str(error)
        return ""

    def destroy(self) -> None:
        self.project.run("destroy", "--yes", "--skip-preview")
        with self.server.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)".encode())


@pytest.fixture
def stack(tmp_path: Path, engine: Engine, postgres_server: LocalPostgres) -> Iterator[PostgresStack]:
    made = PostgresStack(tmp_path, engine, postgres_server)
    yield made
    made.destroy()


def begin(stack: PostgresStack) -> Shape:
    a, b = stack.name("a"), stack.name("b")
    return {
        "schemas": {a: {"first": False, "second": True}, b: {"first": True}},
        "modules": {
            a: {"owns": [a], "writes": [], "reads": [f"{b}.first"]},
            b: {"owns": [b], "writes": [f"{a}.first(state)"], "reads": [f"{a}.first"]},
        },
    }


def test_a_table_that_is_no_longer_append_only_can_be_changed(stack: PostgresStack) -> None:
    shape = begin(stack)
    stack.up(shape)
    stack.check("the first up")
    shape["schemas"][stack.name("a")]["second"] = False
    stack.up(shape)
    stack.check("append-only off")
    assert stack.at_rest()


def test_a_read_that_is_narrowed_to_columns_still_reads_them(stack: PostgresStack) -> None:
    shape = begin(stack)
    stack.up(shape)
    shape["modules"][stack.name("a")]["reads"] = [f"{stack.name('b')}.first(id, note)"]
    stack.up(shape)
    stack.check("narrowed to columns")
    assert stack.at_rest()


def test_what_was_granted_by_hand_is_found_by_refresh_and_gone_after_up(stack: PostgresStack) -> None:
    shape = begin(stack)
    stack.up(shape)
    a, b, other = stack.name("a"), stack.name("b"), f"other_{stack.suffix}"
    with stack.server.connect(stack.database) as connection:
        for statement in (
            f"CREATE ROLE {other}",
            f"GRANT SELECT ON {a}.second TO PUBLIC",
            f"GRANT UPDATE (note) ON {a}.first TO {other}",
            f"GRANT DELETE ON {b}.first TO {a} WITH GRANT OPTION",
            f"REVOKE UPDATE (state) ON {a}.first FROM {b}",
        ):
            connection.execute(statement.encode())
    assert not stack.at_rest()
    stack.project.must("refresh", "--yes", "--skip-preview")
    shown = stack.project.must("stack", "export")
    for sentence in (
        "SELECT on second for PUBLIC: not in the mapping",
        f"UPDATE (note) on first for {other}: not in the mapping",
        f"DELETE on first for {a} WITH GRANT OPTION: not in the mapping",
        f"UPDATE (state) on first for {b}: missing",
    ):
        assert sentence in shown
    stack.project.up()
    stack.check("grants by hand")
    assert stack.at_rest()


def test_a_run_that_ended_after_its_grants_is_put_right_when_the_mapping_is_put_back(stack: PostgresStack) -> None:
    before, after = begin(stack), begin(stack)
    a, b = stack.name("a"), stack.name("b")
    stack.up(before)
    after["modules"][a]["reads"] = [f"{b}.first(id, note)"]
    after["modules"][b]["writes"] = [f"{a}.first"]
    stack.write(after)
    # As far as a run gets that is killed before the privileges: all that comes before them.
    targets = ("**AccessRevisions::*", "**Grant::*")
    stack.project.must("up", "--yes", "--skip-preview", *(f"--target={target}" for target in targets))
    assert stack.cells() != expected(before), "nothing was left to put right"
    stack.up(before)
    stack.check("the mapping was put back")
    assert stack.at_rest()


def test_a_table_that_a_migration_makes_anew_has_its_privileges_again(stack: PostgresStack) -> None:
    shape, a = begin(stack), stack.name("a")
    stack.up(shape)
    anew = (
        "DROP TABLE {{ schema }}.first;\nCREATE TABLE {{ schema }}.first (id int PRIMARY KEY, state int, note text);\n"
    )
    (stack.directory / "sql" / a / "0003_anew.sql.j2").write_text(anew)
    stack.up(shape)
    stack.check("a table made anew")
    assert stack.at_rest()


def test_a_destroyed_stack_leaves_the_tables_to_nobody(stack: PostgresStack) -> None:
    stack.up(begin(stack))
    stack.project.must("destroy", "--yes", "--skip-preview")
    assert stack.cells() == set()


# Edits.


def targets(shape: Shape, *, column_writes: bool) -> list[str]:
    """What a module may be given: schemas, tables, and columns of tables."""
    found = []
    for schema, tables in shape["schemas"].items():
        found.append(schema)
        for table, append_only in tables.items():
            found.append(f"{schema}.{table}")
            if not (column_writes and append_only):
                found += [f"{schema}.{table}({columns})" for columns in ("id", "state", "id, note", "state, note")]
    return found


def place(target: str) -> str:
    return target.partition("(")[0]


def tidy(shape: Shape) -> None:
    """Take out what names something that is not there any more; nobody writes columns of evidence."""
    for access in shape["modules"].values():
        access["owns"] = [name for name in access["owns"] if name in shape["schemas"]]
        for verb in ("writes", "reads"):
            known = targets(shape, column_writes=verb == "writes")
            access[verb] = [target for target in access[verb] if target in known]


def edit(stack: PostgresStack, shape: Shape, chance: Random) -> str:
    """Change the shape in one respect; returns what was done."""
    chosen: Callable[[PostgresStack, Shape, Random], str] = chance.choice(
        [edit_tables, edit_access, edit_access, edit_names]
    )
    return chosen(stack, shape, chance)


def edit_tables(_: PostgresStack, shape: Shape, chance: Random) -> str:
    schema = chance.choice(sorted(shape["schemas"]))
    tables = shape["schemas"][schema]
    table = chance.choice(sorted(tables))
    kind = chance.choice(["flip", "flip", "add", "remove"])
    if kind == "add":
        table = chance.choice(TABLES)
        tables.setdefault(table, chance.choice((True, False)))
        return f"table {schema}.{table} added"
    if kind == "remove" and len(tables) > 1:
        del tables[table]
        return f"table {schema}.{table} removed"
    tables[table] = not tables[table]
    return f"append_only of {schema}.{table}: {tables[table]}"


def edit_access(_: PostgresStack, shape: Shape, chance: Random) -> str:
    module = chance.choice(sorted(shape["modules"]))
    verb, kind = chance.choice(["writes", "reads"]), chance.choice(["give", "take", "change", "change"])
    held, possible = shape["modules"][module][verb], targets(shape, column_writes=verb == "writes")
    if not held or kind == "give":
        target = chance.choice(possible)
        if target not in held:
            held.append(target)
        return f"{module} {verb} {target}"
    index = chance.randrange(len(held))
    target = held.pop(index)
    # Of the same table: narrowed, widened, or other columns of it.
    others = [item for item in possible if place(item) == place(target) and item not in (target, *held)]
    if kind == "take" or not others:
        return f"{module} no longer {verb} {target}"
    held.insert(index, chance.choice(others))
    return f"{module} {verb} {held[index]} instead of {target}"


def edit_names(stack: PostgresStack, shape: Shape, chance: Random) -> str:
    """A module or a schema comes or goes."""
    kind = chance.choice(["schemas", "modules"])
    there, name = shape[kind], stack.name(chance.choice(LETTERS))
    if name in there and len(there) > 1:
        del there[name]
        return f"{kind}: {name} removed"
    if name in there:
        return edit_access(stack, shape, chance)
    if kind == "schemas":
        there[name] = {"first": chance.choice((True, False))}
    else:
        schema = chance.choice(sorted(shape["schemas"]))
        table = chance.choice(sorted(shape["schemas"][schema]))
        there[name] = {"owns": [], "writes": [], "reads": [schema, f"{schema}.{table}(id)"]}
    return f"{kind}: {name} added"


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, postgres_server: LocalPostgres
) -> Iterator[PostgresStack]:
    made = PostgresStack(tmp_path_factory.mktemp("grants"), engine, postgres_server)
    yield made
    made.destroy()


@rows_of_edits
def test_every_cell_is_right_after_every_edit(shared: PostgresStack, number: int) -> None:
    """Each row of edits follows on the last one, on the same stack."""
    shared.edit_in_a_row(number)
