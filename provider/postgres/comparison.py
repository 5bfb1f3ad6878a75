"""Compare the migrations of a directory with the tables of the mapping. Needs no server."""

from pathlib import Path

from provider.postgres.declared_tables import read_tables
from provider.postgres.migration_files import discover, render_all
from provider.postgres.problems import MigrationProblem
from provider.postgres.tables import MappedTables, declared_problems
from provider.postgres.target import SchemaTarget


def compare_with_mapping(directory: Path, mapped: MappedTables) -> list[MigrationProblem]:
    """Return a problem for each table or column that the mapping and the migrations do not share.

    Raises ``MigrationError`` if the migrations cannot be read.
    """
    scripts = render_all(discover(directory), SchemaTarget.of_schema(mapped.schema).variables)
    return declared_problems(mapped, read_tables(scripts, mapped.schema))
