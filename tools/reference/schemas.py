"""``python -m tools.reference.schemas [--check]``: the JSON Schemas of the mapping and the contract, as committed files."""

import argparse
import json
import sys
from pathlib import Path

from pydantic import BaseModel

from components.contract.document import Contract
from components.mapping import Mapping

FILES: dict[str, type[BaseModel]] = {
    "schemas/schema-mapping.schema.json": Mapping,
    "schemas/contract.schema.json": Contract,
}


def text(model: type[BaseModel]) -> str:
    """The model's JSON Schema as its file has it."""
    # What is written is checked as it is read: fields with a default may be left out.
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 when ``--check`` finds a file that is not current."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference.schemas", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    options = parser.parse_args(arguments)
    stale = [name for name, model in FILES.items() if not Path(name).exists() or Path(name).read_text() != text(model)]
    for name in stale:
        if options.check:
            print(f"{name} is not current; run: python -m tools.reference.schemas", file=sys.stderr)
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text(FILES[name]))
            print(f"wrote {name}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
