"""Keys, constraints and indexes of tables, read from the migrations without a database.

Columns and types are the mapping's. Statements that say nothing about these are passed over; tables that functions
make at run time are not seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pglast
from pglast import ast, enums
from pglast.stream import RawStream

from provider.postgres.migration_files import discover, render_all
from provider.postgres.problems import MigrationError, Problem
from provider.postgres.target import Target


@dataclass(frozen=True)
class ForeignKey:
    """``columns`` of one table point to the columns ``target_columns`` of ``target``, ``schema.table``."""

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass
class TableFacts:
    """What migrations say of one table beyond its columns."""

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
    """(schema, table) -> facts. Raises ``MigrationError`` for files that are none, and for SQL with an error."""
    catalog: Catalog = {}
    for schema in schemas:
        for script in render_all(discover(directory / schema), Target.of_schema(schema).variables):
            for statement in script.statements:
                try:
                    parsed = pglast.parse_sql(statement.text)
                except pglast.parser.ParseError as error:
                    file = str(script.migration.path)
                    raise MigrationError(Problem(file, statement.line, str(error.args[0]), "correct it")) from None
                for raw in parsed:
                    _take(catalog, raw.stmt)
    _complete(catalog)
    return catalog


def _take(catalog: Catalog, node: Any) -> None:
    facts = catalog.get(_name(node.relation)) if getattr(node, "relation", None) else None
    kind = type(node)
    if kind is ast.CreateStmt:
        facts = catalog[_name(node.relation)] = TableFacts()
        for element in node.tableElts or ():
            _element(facts, element)
    elif kind is ast.AlterTableStmt and facts is not None:
        for command in node.cmds:
            _alter(facts, command)
    elif kind is ast.IndexStmt and facts is not None:
        on = RawStream()(node).partition(" ON ")[2].partition(" ")[2]
        facts.indexes[node.idxname] = f"unique {on}" if node.unique else on
    elif kind is ast.DropStmt and node.removeType == enums.ObjectType.OBJECT_TABLE:
        for schema, table in node.objects:
            catalog.pop((schema.sval, table.sval), None)
    elif kind is ast.CommentStmt and node.objtype == enums.ObjectType.OBJECT_COLUMN:
        schema, table, column = (part.sval for part in node.object)
        if (schema, table) in catalog:
            catalog[schema, table].comments[column] = node.comment


def _name(relation: Any) -> tuple[str, str]:
    return relation.schemaname or "", relation.relname


def _element(facts: TableFacts, element: Any) -> None:
    if type(element) is ast.ColumnDef:
        for constraint in element.constraints or ():
            _constraint(facts, constraint, (str(element.colname),))
    elif type(element) is ast.Constraint:
        _constraint(facts, element, ())


def _alter(facts: TableFacts, command: Any) -> None:
    kind = enums.AlterTableType
    match command.subtype:
        case kind.AT_AddColumn | kind.AT_AddConstraint:
            _element(facts, command.def_)
        case kind.AT_SetNotNull:
            facts.not_null.add(command.name)
        case kind.AT_DropNotNull:
            facts.not_null.discard(command.name)
        case kind.AT_ColumnDefault:
            facts.defaults.pop(command.name, None)
            if command.def_ is not None:
                facts.defaults[command.name] = RawStream()(command.def_)
        case _:
            pass


def _constraint(facts: TableFacts, node: Any, own: tuple[str, ...]) -> None:
    """``own`` is the column that the constraint stands at, empty for one of the table."""
    kind = enums.ConstrType
    match node.contype:
        case kind.CONSTR_PRIMARY:
            facts.primary_key = own or _words(node.keys)
            facts.not_null.update(facts.primary_key)
        case kind.CONSTR_NOTNULL:
            facts.not_null.update(own or _words(node.keys))
        case kind.CONSTR_DEFAULT:
            facts.defaults[own[0]] = RawStream()(node.raw_expr)
        case kind.CONSTR_UNIQUE:
            facts.uniques.append(own or _words(node.keys))
        case kind.CONSTR_CHECK:
            facts.checks.append(RawStream()(node.raw_expr))
        case kind.CONSTR_FOREIGN:
            target = ".".join(_name(node.pktable))
            facts.foreign_keys.append(ForeignKey(own or _words(node.fk_attrs), target, _words(node.pk_attrs)))
        case _:
            pass


def _words(nodes: Any) -> tuple[str, ...]:
    return tuple(node.sval for node in nodes or ())


def _complete(catalog: Catalog) -> None:
    """A foreign key without columns of its target means the target's primary key."""
    for facts in catalog.values():
        for index, key in enumerate(facts.foreign_keys):
            schema, _, table = key.target.partition(".")
            target = catalog.get((schema, table))
            if not key.target_columns and target is not None:
                facts.foreign_keys[index] = ForeignKey(key.columns, key.target, target.primary_key)
