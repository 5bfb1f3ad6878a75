"""``python -m tools.reference.schemas [--check]``: the JSON Schemas of the mapping and the contract, as committed files."""

import json
import sys
from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel

from components.contract.document import Contract
from components.mapping import Mapping
from tools.reference import committed

COMMAND = "python -m tools.reference.schemas"
FILES: dict[str, type[BaseModel]] = {
    "schemas/schema-mapping.schema.json": Mapping,
    "schemas/contract.schema.json": Contract,
}


def text(model: type[BaseModel]) -> str:
    """The model's JSON Schema as its file has it."""
    # The schema describes what is read: fields with a default may be left out.
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def run(*, check: bool) -> int:
    """Exit code 0, or 1 when ``check`` finds a file that is not current."""
    return committed.update({name: partial(text, model) for name, model in FILES.items()}, COMMAND, check=check)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(check=committed.checks(COMMAND, __doc__, arguments))


if __name__ == "__main__":
    sys.exit(main())
