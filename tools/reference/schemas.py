"""``schemas``: write the JSON Schemas of the mapping and the contract, which are committed."""

import json
from functools import partial

from pydantic import BaseModel

from components.contract.document import Contract
from components.mapping import Mapping
from tools.reference import committed

COMMAND = "python3 -m tools schemas"
FILES: dict[str, type[BaseModel]] = {
    "schemas/schema-mapping.schema.json": Mapping,
    "schemas/contract.schema.json": Contract,
}


def text(model: type[BaseModel]) -> str:
    """Return the text of the model's JSON Schema file."""
    # The schema describes the input, in which fields with a default are optional.
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def run(*, check: bool) -> int:
    """Return exit code 1 if ``check`` finds a file that is not current, else 0."""
    return committed.update({name: partial(text, model) for name, model in FILES.items()}, COMMAND, check=check)
