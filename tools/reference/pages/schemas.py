"""A page for every schema: its ER diagram, and every table with columns, constraints and privileges."""

from components.mapping import roles
from tools.reference import diagrams
from tools.reference.catalog import TableFacts
from tools.reference.facts import ReferenceFacts, module_page, schema_page
from tools.reference.markdown import Page, bullets, code, codes, fence, link, page, prose, table


def pages(facts: ReferenceFacts) -> list[Page]:
    return [_page(facts, name) for name in facts.mapping.postgres.schemas]


def _page(facts: ReferenceFacts, name: str) -> Page:
    schema = facts.mapping.postgres.schemas[name]
    owner = facts.owners[name]
    return page(
        schema_page(name),
        f"Schema {name}",
        "Schemas",
        f"{prose(schema.purpose)}. Owned by {link(prose(facts.name(owner)), schema_page(name), module_page(owner))}; "
        f"its tables belong to the role {code(roles.owner(name))}, and the roles {code(roles.writer(name))} and "
        f"{code(roles.reader(name))} have access to them.",
        fence("mermaid", diagrams.entity_relations(name, schema, facts.catalog)),
        *[block for definition in facts.tables(name) for block in _table(facts, name, definition)],
        *_functions(facts, name),
    )


def _table(facts: ReferenceFacts, schema: str, name: str) -> list[str | None]:
    definition = facts.tables(schema)[name]
    table_facts = facts.catalog.get((schema, name), TableFacts())
    runtime = name in facts.mapping.postgres.schemas[schema].runtime_tables
    rows = [
        [
            code(column),
            code(kind),
            "not null" if column in table_facts.not_null else "",
            code(table_facts.defaults[column]) if column in table_facts.defaults else "",
            " ".join(
                [
                    *(["primary key"] if column in table_facts.primary_key else []),
                    *(f"→ {code(key.target)}" for key in table_facts.foreign_keys if column in key.columns),
                ]
            ),
            prose(table_facts.comments.get(column, "")),
        ]
        for column, kind in definition.columns.items()
    ]
    rules = [
        *(f"Unique: {codes(columns)}" for columns in table_facts.uniques),
        *(f"Check: {code(check)}" for check in table_facts.checks),
        *(f"Index {code(index)} on {code(on)}" for index, on in table_facts.indexes.items()),
    ]
    users = [
        [link(prose(facts.name(module)), schema_page(schema), module_page(module)), "; ".join(p for p in found if p)]
        for module, access in facts.access.items()
        if (found := access.get((schema, name))) is not None
    ]
    return [
        f"## {name if '{' not in name else code(name)}",
        f"{prose(definition.purpose)}." + (" Created at run time, one per policy." if runtime else ""),
        f"**Append-only**: {prose(definition.append_only)}." if definition.append_only else None,
        facts.tenants(schema, name),
        table(["Column", "Type", "", "Default", "Key", "Meaning"], rows),
        bullets(rules),
        table(["Module", "May"], users),
    ]


def _functions(facts: ReferenceFacts, schema: str) -> list[str | None]:
    functions = facts.mapping.postgres.schemas[schema].functions
    rows = [
        [code(f"{name}({', '.join(function.arguments)})"), codes(function.execute), prose(function.purpose)]
        for name, function in functions.items()
    ]
    return ["## Functions", table(["Function", "Who may call it", "What it does"], rows)] if rows else []
