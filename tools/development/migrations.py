"""``check-migrations``: every schema's migrations against the rules of ``provider.postgres.lint``, and against the tables
of the mapping."""

from contextlib import suppress
from pathlib import Path

from components.mapping import MappingError, load
from provider.postgres.comparison import compare_with_mapping
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.check import check_directory
from provider.postgres.lint.place import Place
from provider.postgres.problems import MigrationError
from provider.postgres.tables import MappedTables
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
        found += _differences(sql / schema, mapped) if count else []
        total += count
        lines += found
    lines += accepted.unused()
    print("\n".join(lines) if lines else f"{sql}: {total} migrations, no finding")
    return 1 if lines else 0


def _differences(directory: Path, mapped: MappedTables) -> list[str]:
    # ``check_directory`` reports files that cannot be read.
    with suppress(MigrationError):
        return [str(problem) for problem in compare_with_mapping(directory, mapped)]
    return []
