"""The context of a statement: its schema, the evidence in it, and what the file created before the statement."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from postgast import nodes as ast

from provider.postgres.lint import Effect
from provider.postgres.run_time_tables import is_pattern, matches
from provider.postgres.syntax_tree import is_placeholder
from provider.postgres.target import SchemaTarget


@dataclass
class Created:
    """What the files of one run have created so far: nobody else can use it before the run commits.

    ``tables`` are ``schema.table``; ``functions`` map names to the effect of a call.
    """

    tables: set[str] = field(default_factory=set)
    functions: dict[tuple[str, ...], Effect] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """``append_only`` names the mapping's append-only tables, and patterns of run-time tables.

    ``runtime_tables``: functions of the schema create tables at run time. ``dynamic``: a function composes the
    statement.
    """

    target: SchemaTarget
    runtime_tables: bool = False
    append_only: frozenset[str] = frozenset()
    dynamic: bool = False

    @staticmethod
    def of_resource(schema: str, owner: str, append_only: Iterable[str], tenant_tables: Iterable[str]) -> "Place":
        """The place of a schema's pending files, from the inputs of its ``SchemaMigrations``."""
        entries = frozenset(append_only)
        runtime_tables = any(is_pattern(name) for name in {*entries, *tenant_tables})
        return Place(SchemaTarget(schema, owner), runtime_tables, entries)

    def composed(self, *, dynamic: bool) -> "Place":
        """The place of a statement inside a function."""
        return replace(self, dynamic=dynamic)

    def is_evidence(self, relation: ast.RangeVar | None) -> bool:
        """Whether rows of ``relation`` are evidence. A name that is composed at run time may be any table's."""
        return relation is not None and self.is_evidence_name(relation.schemaname, relation.relname)

    def is_evidence_name(self, schema: str, table: str) -> bool:
        """As ``is_evidence``, for a name in words; ``schema`` is empty where none is given."""
        if schema not in ("", self.target.schema) and not is_placeholder(schema):
            return False
        if is_placeholder(table):
            return bool(self.append_only)
        return any(table == entry or (is_pattern(entry) and matches(entry, table)) for entry in self.append_only)
