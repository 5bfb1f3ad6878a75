"""``python -m provider.postgres.lint``: the migrations of every schema. Exit code 1 when something was found."""

import argparse
import sys
from pathlib import Path

from components.mapping import MappingError, load
from components.postgres.schema_files import SQL_DIRECTORY
from provider.postgres.lint import RULES
from provider.postgres.lint.accepted import Accepted
from provider.postgres.target import Target


def main() -> int:
    """Print findings, or one line that there are none."""
    rules = "\n".join(f"  {name:<16} {text}" for name, text in RULES.items())
    parser = argparse.ArgumentParser(
        prog="python -m provider.postgres.lint",
        description="Look for what would hurt in migrations.",
        epilog=f"rules:\n{rules}\n\nwaiver: -- lint: allow RULE: REASON, just before the statement; for applied files an entry of lint.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mapping", type=Path, default=Path("schema-mapping.yaml"), help="default: %(default)s")
    parser.add_argument("--sql", type=Path, default=SQL_DIRECTORY, help="default: %(default)s")
    options = parser.parse_args()
    try:
        from provider.postgres.lint.check import check_directory
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed; run: pip install -r requirements.lock", file=sys.stderr)
        return 1
    try:
        mapping = load(options.mapping)
    except (MappingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    accepted = Accepted.read(options.sql)
    total, lines = 0, list(accepted.wrong)
    for schema, definition in mapping.postgres.schemas.items():
        target = Target.of_schema(schema)
        count, found = check_directory(
            options.sql / schema, target, accepted, runtime_tables=bool(definition.runtime_tables)
        )
        total += count
        lines += found
    lines += accepted.unused()
    print("\n".join(lines) if lines else f"{options.sql}: {total} migrations, no finding")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
