"""``SchemaTarget``: the schema that a migration run works on."""

from dataclasses import dataclass

from components.mapping import roles


@dataclass(frozen=True)
class SchemaTarget:
    """The schema to migrate and the role that owns everything in it."""

    schema: str
    owner: str

    @staticmethod
    def of_schema(schema: str, role_prefix: str = "") -> "SchemaTarget":
        """The schema with the owner role that the stack creates for it."""
        return SchemaTarget(schema, roles.owner(schema, role_prefix))

    @property
    def variables(self) -> dict[str, str]:
        """Variables of migration templates: the schema and its roles."""
        schema, prefix = self.schema, self.owner.removesuffix(roles.owner(self.schema))
        writer, reader = roles.writer(schema, prefix), roles.reader(schema, prefix)
        return {"schema": schema, "owner": self.owner, "writer": writer, "reader": reader}
