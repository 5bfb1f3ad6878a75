"""What the state of a stack records of a schema's migrations: which ran, and the objects that they made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.resources.postgres import MIGRATIONS
from provider.postgres.object_definitions import RecordedDefinitions


@dataclass(frozen=True)
class RecordedSchema:
    """``applied``: labels of the migrations; ``definitions``: None in the state of an older release; ``directory``: of the
    files."""

    applied: tuple[str, ...]
    definitions: RecordedDefinitions | None
    directory: str

    def has(self, table: str) -> bool:
        """Whether the migrations made the table."""
        return bool(self.objects_of(table))

    def objects_of(self, table: str) -> Mapping[str, str]:
        """Object of the table -> the statement that makes it; empty if the migrations did not make the table."""
        return self.definitions.objects.get(table, {}) if self.definitions else {}


def recorded_schemas(state: Mapping[str, Any]) -> dict[str, RecordedSchema]:
    """Return schema -> record of every ``SchemaMigrations`` in an exported state."""
    resources = state.get("deployment", {}).get("resources") or []
    found = [item["outputs"] for item in resources if item["type"] == MIGRATIONS and not item.get("delete")]
    return {
        outputs["schema"]: RecordedSchema(
            tuple(outputs.get("applied") or ()), RecordedDefinitions.of(outputs), str(outputs.get("directory", ""))
        )
        for outputs in found
    }
