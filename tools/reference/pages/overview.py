"""The index page of the reference, and the matrix of modules and stores."""

from tools.reference.facts import ReferenceFacts, module_page, schema_page
from tools.reference.markdown import NOTHING, Page, bullets, code, codes, link, page, prose, table

INDEX = "reference/README.md"
MATRIX = "reference/matrix.md"
GROUPS = ("Overview", "Modules", "Schemas", "Valkey", "Object storage", "Operation")


def index(pages: list[Page]) -> Page:
    """Links to all pages, by group."""
    blocks = []
    for group in GROUPS:
        links = bullets(link(item.title, INDEX, item.path) for item in pages if item.group == group)
        blocks.append(f"## {group}\n\n{links}" if links else None)
    intro = "The content of the storage layer and who may use it, generated from `schema-mapping.yaml` and `sql/`."
    return page(INDEX, "Reference", "Overview", intro, *blocks)


def pages(facts: ReferenceFacts) -> list[Page]:
    """The module-by-store matrix."""
    mapping = facts.mapping
    rows = []
    for user, definition in mapping.users.items():
        patterns = dict.fromkeys(
            access.pattern for access in facts.keys[user] if mapping.valkey.keys[access.pattern].shared is None
        )
        no_access = "" if user in mapping.modules else NOTHING
        rows.append(
            [
                link(prose(definition.name), MATRIX, module_page(user)),
                no_access or _postgres(facts, user),
                codes(patterns),
                no_access or "<br>".join(f"{verb} {code(path)}" for path, verb in facts.objects(user)) or NOTHING,
            ]
        )
    shared = codes(pattern for pattern, key in mapping.valkey.keys.items() if key.shared)
    return [
        page(
            MATRIX,
            "Modules and stores",
            "Overview",
            f"Every module and service can also read and write the shared patterns {shared}, which this table omits. "
            "The column of Valkey keys includes streams; each module's page lists the streams that it produces or consumes.",
            table(["Module", "PostgreSQL", "Valkey keys", "Object storage"], rows),
        )
    ]


def _postgres(facts: ReferenceFacts, module: str) -> str:
    access = facts.mapping.modules[module].postgres
    parts = [f"owns {link(code(schema), MATRIX, schema_page(schema))}" for schema in access.owns]
    for verb, targets in (("writes", access.writes), ("reads", access.reads)):
        parts += [f"{verb} {code(str(target))}" for target in targets]
    return "<br>".join(parts) or NOTHING
