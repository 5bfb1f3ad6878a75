"""``python -m components.mapping check | schema [--check]``: check the mapping, or write its JSON Schema."""

import argparse
import json
import sys
from pathlib import Path

from components.mapping import Mapping, MappingError, load

MAPPING_FILE = Path("schema-mapping.yaml")
SCHEMA_FILE = Path("schema-mapping.schema.json")


def json_schema() -> str:
    """The JSON Schema of the mapping, as the committed file has it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Mapping.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when all is well, 1 with the problems on standard error."""
    parser = argparse.ArgumentParser(prog="python -m components.mapping", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a mapping and print every problem with its place")
    check.add_argument("file", nargs="?", type=Path, default=MAPPING_FILE)
    schema = commands.add_parser("schema", help=f"write {SCHEMA_FILE} from the model")
    schema.add_argument("--check", action="store_true", help="write nothing; fail when the file is not current")
    options = parser.parse_args(arguments)
    if options.command == "check":
        return _check(options.file)
    return _schema(options.check)


def _check(file: Path) -> int:
    try:
        mapping = load(file)
    except MappingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: {len(mapping.modules)} modules, {len(mapping.postgres.schemas)} schemas, no problem found")
    return 0


def _schema(check_only: bool) -> int:
    current = SCHEMA_FILE.read_text() if SCHEMA_FILE.exists() else ""
    if current == json_schema():
        return 0
    if check_only:
        print(f"{SCHEMA_FILE} is not current; run: python -m components.mapping schema", file=sys.stderr)
        return 1
    SCHEMA_FILE.write_text(json_schema())
    return 0


if __name__ == "__main__":
    sys.exit(main())
