"""``check-migrations``: every schema's migrations against the rules of ``provider.postgres.lint``, and against the tables
of the mapping."""

from pathlib import Path

from components.mapping import MappingError, load
from provider.postgres.declared_tables import read_tables
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.check import check_directory
from provider.postgres.lint.place import Place
from provider.postgres.migration_files import discover, render_all
from provider.postgres.problems import MigrationError
from provider.postgres.tables import MappedTables, declared_problems
from provider.postgres.target import SchemaTarget
from tools.local.errors import UserError


def check(mapping_file: Path, sql: Path) -> int:
    """Print the findings, or one line that there are none; exit code 1 with findings. Raises ``UserError``."""
    try:
        mapping = load(mapping_file)
    except (MappingError, OSError) as error:
        raise UserError(str(error)) from None
    accepted = Accepted.read(sql)
    total, lines = 0, list(accepted.wrong)
    for schema, definition in mapping.postgres.schemas.items():
        append_only = frozenset(name for name, table in definition.all_tables.items() if table.append_only)
        place = Place(SchemaTarget.of_schema(schema), bool(definition.runtime_tables), append_only)
        count, found = check_directory(sql / schema, place, accepted)
        mapped = MappedTables(schema, definition.column_types, mapping.file)
        found += _differences(sql / schema, place.target, mapped) if count else []
        total += count
        lines += found
    lines += accepted.unused()
    print("\n".join(lines) if lines else f"{sql}: {total} migrations, no finding")
    return 1 if lines else 0


def _differences(directory: Path, target: SchemaTarget, mapped: MappedTables) -> list[str]:
    """Return a line for each table or column that the mapping and the migrations do not share."""
    try:
        scripts = render_all(discover(directory), target.variables)
    except MigrationError:
        return []  # ``check_directory`` reports it
    return [str(problem) for problem in declared_problems(mapped, read_tables(scripts, target.schema))]
