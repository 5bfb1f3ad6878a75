"""The access matrix for auditors: by schema, then by table and column."""

from tools.reference.facts import ReferenceFacts, module_page, schema_page
from tools.reference.markdown import NOTHING, Page, code, codes, link, page, prose, table

PATH = "reference/access.md"

LEGEND = """**O**: owns the schema, that is, reads and writes every table. **W**: writes every table. **R**: reads every table.
A lower-case letter: only some tables or columns. A dash: no access to the schema. No module can change or delete rows of
an append-only table. No module has a privilege that is not listed here."""


def pages(facts: ReferenceFacts) -> list[Page]:
    schemas = list(facts.mapping.postgres.schemas)
    matrix = [
        [
            link(prose(facts.name(module)), PATH, module_page(module)),
            *(_letter(facts, module, name) for name in schemas),
        ]
        for module in facts.mapping.modules
    ]
    head = ["Module", *(link(code(name), PATH, schema_page(name)) for name in schemas)]
    tables = [
        [prose(facts.name(module)), code(f"{schema}.{name}"), "; ".join(part for part in found if part)]
        for module, access in facts.access.items()
        for (schema, name), found in access.items()
    ]
    append_only = [
        [code(f"{schema}.{name}"), prose(facts.tables(schema)[name].append_only or "")]
        for schema in schemas
        for name in facts.mapping.access.schemas[schema].append_only
    ]
    objects = [
        [prose(facts.name(module)), code(path), verb]
        for module in facts.mapping.modules
        for path, verb in facts.objects(module)
    ]
    functions = [
        [code(f"{schema}.{name}({', '.join(function.arguments)})"), codes(function.execute), prose(function.purpose)]
        for schema, definition in facts.mapping.postgres.schemas.items()
        for name, function in definition.functions.items()
    ]
    return [
        page(
            PATH,
            "Access matrix",
            "Overview",
            LEGEND,
            table(head, matrix),
            "## Append-only tables",
            "Rows can be added, but not changed or deleted. No login has UPDATE, DELETE or TRUNCATE, and triggers refuse "
            "all three for everybody, including the owner role and superusers.",
            table(["Table", "Reason"], append_only),
            "## Object storage",
            table(["Module", "Path", "May"], objects),
            "## Functions" if functions else None,
            table(["Function", "Who may call it", "What it does"], functions),
            "## Table by table",
            table(["Module", "Table", "Privileges"], tables),
        )
    ]


def _letter(facts: ReferenceFacts, module: str, schema: str) -> str:
    access = facts.mapping.modules[module].postgres
    if schema in access.owns:
        return "**O**"
    written, read = (
        [target for target in targets if target.schema == schema] for targets in (access.writes, access.reads)
    )
    if any(target.table is None for target in written):
        return "**W**"
    letter = "w" if written else ""
    if any(target.table is None for target in read):
        return f"**R**{letter}"
    return letter or ("r" if read else NOTHING)
