"""``SchemaTarget``: the schema that a migration run works on."""

from dataclasses import dataclass

from components.mapping import roles


@dataclass(frozen=True)
class SchemaTarget:
    """The schema to migrate and the role that owns everything in it."""

    schema: str
    owner: str

    @staticmethod
    def of_schema(schema: str) -> "SchemaTarget":
        """The schema with the owner role that the stack creates for it."""
        return SchemaTarget(schema, roles.owner(schema))

    @property
    def variables(self) -> dict[str, str]:
        """Variables of migration templates: the schema and its roles."""
        schema = self.schema
        return {"schema": schema, "owner": self.owner, "writer": roles.writer(schema), "reader": roles.reader(schema)}
