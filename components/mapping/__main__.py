"""``python -m components.mapping [FILE]``: check a mapping and print every problem with its place."""

import argparse
import sys
from pathlib import Path

from components.mapping import MappingError, load


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when all is well, 1 with the problems on standard error."""
    parser = argparse.ArgumentParser(prog="python -m components.mapping", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path("schema-mapping.yaml"))
    file: Path = parser.parse_args(arguments).file
    try:
        mapping = load(file)
    except MappingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: {len(mapping.modules)} modules, {len(mapping.postgres.schemas)} schemas, no problem found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
