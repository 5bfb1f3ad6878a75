"""Read which tables a schema's migrations declare, without a server: tables, columns, types and where each is made.

A statement whose effect on tables cannot be read (DO, a call of a function, CREATE TABLE AS) ends what is known from
the files alone. The catalog decides then, inside the transaction that applies the files.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from components.mapping.column_types import SERIALS, ColumnType
from provider.postgres.migration_files import Script
from provider.postgres.statements import Statement
from provider.postgres.syntax_tree import nodes, of_kind, strings

_FULL_RANGE = 0x7FFF  # INTERVAL_FULL_RANGE: an interval with a precision and no fields


@dataclass(frozen=True)
class Place:
    """A line of a migration; ``line`` counts from 1 in the rendered file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class DeclaredColumn:
    """``type`` is what ``format_type`` prints for it."""

    type: str
    place: Place


@dataclass
class DeclaredTable:
    place: Place
    columns: dict[str, DeclaredColumn] = field(default_factory=dict)


@dataclass
class DeclaredSchema:
    """``unreadable`` is the first statement after which the tables cannot be known from the files; None without one."""

    tables: dict[str, DeclaredTable] = field(default_factory=dict)
    unreadable: Place | None = None

    @property
    def columns(self) -> dict[str, dict[str, str]]:
        """Table -> column -> type."""
        return {
            table: {name: column.type for name, column in definition.columns.items()}
            for table, definition in self.tables.items()
        }


def read_tables(scripts: Iterable[Script], schema: str) -> DeclaredSchema:
    """Return the tables of ``schema`` after all ``scripts``, in order."""
    declared = DeclaredSchema()
    for script in scripts:
        for statement in script.statements:
            place = Place(str(script.migration.path), statement.line)
            if not _apply(declared, statement, schema, place) and declared.unreadable is None:
                declared.unreadable = place
    return declared


def _apply(declared: DeclaredSchema, statement: Statement, schema: str, place: Place) -> bool:
    """Apply one statement to ``declared``. Return False if its effect on tables cannot be read."""
    tree = statement.tree
    match tree:
        case ast.CreateStmt():
            return _create(declared, tree, statement, schema, place)
        case ast.CreateTableAsStmt():
            return bool(tree.objtype != enums.OBJECT_TABLE)
        case ast.AlterTableStmt() if tree.objtype == enums.OBJECT_TABLE:
            return _alter(declared, tree, statement, schema, place)
        case ast.RenameStmt() if tree.rename_type in (enums.OBJECT_COLUMN, enums.OBJECT_TABLE):
            return _rename(declared, tree, schema)
        case ast.AlterObjectSchemaStmt() if tree.object_type == enums.OBJECT_TABLE:
            return False
        case ast.DropStmt() if tree.remove_type == enums.OBJECT_TABLE:
            for item in tree.objects:
                declared.tables.pop((strings(item) or [""])[-1], None)
        case ast.DoStmt() | ast.CallStmt():
            return False
        case ast.SelectStmt():
            return not any(_may_change_tables(node) for node in nodes(tree))
    return True


def _may_change_tables(node: AstNode) -> bool:
    """Whether it is a call of a function that is not PostgreSQL's own."""
    names = strings(node.funcname) if isinstance(node, ast.FuncCall) else None
    return bool(names) and len(names or ()) > 1 and (names or [""])[0] != "pg_catalog"


def _is_ours(relation: ast.RangeVar | None, schema: str) -> bool:
    return relation is not None and relation.schemaname == schema and relation.relpersistence != "t"


def _create(declared: DeclaredSchema, tree: ast.CreateStmt, statement: Statement, schema: str, place: Place) -> bool:
    relation = tree.relation
    if not _is_ours(relation, schema) or relation is None:
        return True
    if tree.inh_relations:
        return True  # a partition or another child belongs to its parent
    if tree.of_typename is not None or any(isinstance(item, ast.TableLikeClause) for item in tree.table_elts):
        return False
    if relation.relname in declared.tables:
        return bool(tree.if_not_exists)
    table = DeclaredTable(place)
    for column in of_kind(ast.ColumnDef, tree.table_elts):
        table.columns[column.colname] = _column(column, statement, place)
    declared.tables[relation.relname] = table
    return True


def _alter(declared: DeclaredSchema, tree: ast.AlterTableStmt, statement: Statement, schema: str, place: Place) -> bool:
    relation = tree.relation
    if not _is_ours(relation, schema) or relation is None or relation.relname not in declared.tables:
        return True
    table = declared.tables[relation.relname]
    for command in of_kind(ast.AlterTableCmd, tree.cmds):
        name = command.name
        if command.subtype == enums.AT_AddColumn and isinstance(command.def_, ast.ColumnDef):
            column = command.def_
            if column.colname not in table.columns:
                table.columns[column.colname] = _column(column, statement, place)
        elif command.subtype == enums.AT_DropColumn:
            table.columns.pop(name, None)
        elif command.subtype == enums.AT_AlterColumnType and isinstance(command.def_, ast.ColumnDef):
            table.columns[name] = _column(command.def_, statement, place)
    return True


def _rename(declared: DeclaredSchema, tree: ast.RenameStmt, schema: str) -> bool:
    relation = tree.relation
    if not _is_ours(relation, schema) or relation is None or relation.relname not in declared.tables:
        return True
    if tree.rename_type == enums.OBJECT_TABLE:
        declared.tables[tree.newname] = declared.tables.pop(relation.relname)
        return True
    columns = declared.tables[relation.relname].columns
    if tree.subname in columns:
        columns[tree.newname] = columns.pop(tree.subname)
    return True


def _column(column: ast.ColumnDef, statement: Statement, place: Place) -> DeclaredColumn:
    """``place`` names the file; the column's own line is taken where the parser gives its position."""
    line = statement.line_at(len(statement.text.encode()[: column.location].decode(errors="ignore")) + 1)
    return DeclaredColumn(_type(column.type_name), Place(place.file, line if column.location > 0 else statement.line))


def _type(type_name: ast.TypeName | None) -> str:
    """The type as ``format_type`` prints it; for one that the mapping cannot have, the words of the statement."""
    if type_name is None:
        return ""
    names = [name for name in strings(type_name.names) or [] if name != "pg_catalog"]
    text = ".".join(names)
    modifiers = [item.val.ival for item in of_kind(ast.A_Const, type_name.typmods) if isinstance(item.val, ast.Integer)]
    if text == "interval" and modifiers:
        if modifiers[0] != _FULL_RANGE:
            return "interval with fields"
        modifiers = modifiers[1:]
    text = SERIALS.get(text, text)
    if modifiers:
        text += f"({','.join(map(str, modifiers))})"
    if type_name.array_bounds:
        text += "[]"
    try:
        found = ColumnType.parse(text)
    except ValueError:
        return text
    # With the empty search_path of a migration, only PostgreSQL's own types are found without a schema.
    return found.canonical if found.schema or found.is_builtin else text
