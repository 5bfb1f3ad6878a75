"""``check-mapping``: every problem of a mapping with its place."""

import sys
from pathlib import Path

from components.mapping import MappingError, load


def check(file: Path) -> int:
    """Exit code 0 without a problem, 1 with the problems on standard error."""
    try:
        mapping = load(file)
    except MappingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: {len(mapping.modules)} modules, {len(mapping.postgres.schemas)} schemas, no problem found")
    return 0
