"""Read keys, constraints and indexes of tables from the migrations, without a database.

Columns and types come from the mapping. Other statements are ignored, and so are run-time tables, which functions create.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.migration_files import discover, render_all
from provider.postgres.syntax_tree import expression_sql, of_kind, statement_sql, strings
from provider.postgres.target import SchemaTarget


@dataclass(frozen=True)
class ForeignKey:
    """A reference from ``columns`` to ``target_columns`` of the table ``target``, given as ``schema.table``."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass
class TableFacts:
    """Constraints, indexes and comments of one table, from its migrations."""

    primary_key: tuple[str, ...] = ()
    not_null: set[str] = field(default_factory=set)
    defaults: dict[str, str] = field(default_factory=dict)
    uniques: list[tuple[str, ...]] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)


Catalog = dict[tuple[str, str], TableFacts]


def read(schemas: Iterable[str], directory: Path) -> Catalog:
    """Read (schema, table) -> facts. Raises ``MigrationError`` for invalid file names and invalid SQL."""
    catalog: Catalog = {}
    for schema in schemas:
        for script in render_all(discover(directory / schema), SchemaTarget.of_schema(schema).variables):
            for statement in script.statements:
                _apply(catalog, statement.tree)
    _complete(catalog)
    return catalog


def _apply(catalog: Catalog, node: AstNode) -> None:
    match node:
        case ast.CreateStmt():
            catalog[_name(node.relation)] = created = TableFacts()
            for element in node.table_elts:
                _element(created, element)
        case ast.AlterTableStmt() if (facts := catalog.get(_name(node.relation))) is not None:
            for command in of_kind(ast.AlterTableCmd, node.cmds):
                _alter(facts, command)
        case ast.IndexStmt() if (facts := catalog.get(_name(node.relation))) is not None:
            facts.indexes[node.idxname] = _index(node)
        case ast.DropStmt(remove_type=enums.OBJECT_TABLE):
            for item in node.objects:
                catalog.pop(_table(strings(item)), None)
        case ast.CommentStmt(objtype=enums.OBJECT_COLUMN):
            *table, column = strings(node.object) or [""]
            if facts := catalog.get(_table(table)):
                facts.comments[column] = node.comment


def _name(relation: ast.RangeVar | None) -> tuple[str, str]:
    return (relation.schemaname, relation.relname) if relation else ("", "")


def _table(names: list[str] | None) -> tuple[str, str]:
    """(schema, table) of a dotted name."""
    schema, table = ["", "", *(names or [])][-2:]
    return schema, table


def _index(node: ast.IndexStmt) -> str:
    """The part of the statement after the table's name, without the default method."""
    definition = statement_sql(node).partition(" ON ")[2].partition(" ")[2].removeprefix("USING btree ")
    return f"unique {definition}" if node.unique else definition


def _element(facts: TableFacts, element: AstNode | None) -> None:
    match element:
        case ast.ColumnDef():
            for constraint in of_kind(ast.Constraint, element.constraints):
                _constraint(facts, constraint, (element.colname,))
        case ast.Constraint():
            _constraint(facts, element, ())


def _alter(facts: TableFacts, command: ast.AlterTableCmd) -> None:
    match command.subtype:
        case enums.AT_AddColumn | enums.AT_AddConstraint:
            _element(facts, command.def_)
        case enums.AT_SetNotNull:
            facts.not_null.add(command.name)
        case enums.AT_DropNotNull:
            facts.not_null.discard(command.name)
        case enums.AT_ColumnDefault:
            facts.defaults.pop(command.name, None)
            if command.def_ is not None:
                facts.defaults[command.name] = expression_sql(command.def_)
        case _:
            pass


def _constraint(facts: TableFacts, node: ast.Constraint, column: tuple[str, ...]) -> None:
    """Record a constraint. ``column`` is the column of a column constraint, empty for a table constraint."""
    match node.contype:
        case enums.CONSTR_PRIMARY:
            facts.primary_key = column or _words(node.keys)
            facts.not_null.update(facts.primary_key)
        case enums.CONSTR_NOTNULL:
            facts.not_null.update(column or _words(node.keys))
        case enums.CONSTR_DEFAULT if node.raw_expr is not None:
            facts.defaults[column[0]] = expression_sql(node.raw_expr)
        case enums.CONSTR_UNIQUE:
            facts.uniques.append(column or _words(node.keys))
        case enums.CONSTR_CHECK if node.raw_expr is not None:
            facts.checks.append(expression_sql(node.raw_expr))
        case enums.CONSTR_FOREIGN:
            target = ".".join(_name(node.pktable))
            facts.foreign_keys.append(ForeignKey(column or _words(node.fk_attrs), target, _words(node.pk_attrs)))
        case _:
            pass


def _words(nodes: list[AstNode]) -> tuple[str, ...]:
    return tuple(strings(nodes) or ())


def _complete(catalog: Catalog) -> None:
    """Add the target's primary key to foreign keys that do not name target columns."""
    for facts in catalog.values():
        for index, key in enumerate(facts.foreign_keys):
            schema, _, table = key.target.partition(".")
            target = catalog.get((schema, table))
            if not key.target_columns and target is not None:
                facts.foreign_keys[index] = ForeignKey(key.columns, key.target, target.primary_key)
