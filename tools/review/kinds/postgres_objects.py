"""The database, its schemas and their default privileges."""

from components.mapping.roles import groups_of
from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes, plain
from tools.review.kinds import generic
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import (
    CLOSED_DATABASES,
    DATABASE,
    DEFAULT_PRIVILEGES,
    GRANT,
    INVENTORY,
    MIGRATIONS,
    PRIVILEGES,
    ROLE,
    SCHEMA,
)

TYPES = (DATABASE, SCHEMA, DEFAULT_PRIVILEGES, INVENTORY, CLOSED_DATABASES)
STORE = "PostgreSQL"


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _describe(context, step)]


def _describe(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    if step.type == INVENTORY:
        return _inventory(context, step)
    if step.type == CLOSED_DATABASES:
        return _closed_databases(step)
    return _changes_of(context, step)


def _parts_of_schema(context: ReviewContext, schema: str, op: str) -> tuple[str, ...]:
    """URNs of a schema's group roles, privileges, grants and migrations, which the schema's sentence covers."""
    roles = {role.name for role in groups_of(schema)}
    found = []
    for step in context.steps(ROLE, DEFAULT_PRIVILEGES, GRANT, MIGRATIONS, PRIVILEGES):
        part = {
            ROLE: step.name in roles,
            DEFAULT_PRIVILEGES: _schema_of(step) == schema,
            GRANT: op == "delete" and step.state.live("schema") == schema,
            MIGRATIONS: op == "delete" and step.state.live("schema", step.name) == schema,
            PRIVILEGES: step.state.live("schema", step.name) == schema,
        }
        if step.op == op and part[step.type]:
            found.append(step.urn)
    return tuple(found)


def _schema_of(step: PreviewStep) -> str:
    return step.name.partition("-")[0]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    if step.type == DEFAULT_PRIVILEGES:
        group, op = _schema_of(step), step.op
        covered_by_schema = (op == "create" and group in context.created_schemas) or (
            op == "delete" and group in context.dropped_schemas
        )
        return [] if covered_by_schema else [_defaults(step)]
    removal_changes = _removal_changes(context)
    name = str(step.state.declared("name", step.name))
    noun = "schema" if step.type == SCHEMA else "database"
    origin = ("postgres", "schemas", name) if step.type == SCHEMA else ()

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, name, sentence, name, origin, urns)

    urns = (step.urn, *(_parts_of_schema(context, name, step.op) if step.type == SCHEMA else ()))
    if step.op in ("create", "delete"):
        urns += context.inventory
    if step.op == "create":
        parts = " with its roles" if step.type == SCHEMA and len(urns) > 1 + len(context.inventory) else ""
        return [change(Risk.ADDITIVE, f"{noun} {code(name)} is created{parts}")]
    if step.op in ("delete", "replace"):
        old = str(step.old.live("name", name))
        successor = "" if step.op == "delete" else f"; an empty {code(name)} is created in its place"
        if step.old.retained:
            contents = "with its tables, owned by the admin" if step.type == SCHEMA else "with its data"
            sentence = (
                f"{noun} {code(old)} leaves the stack and is kept {contents}; modules lose access to it{successor}"
            )
            return [RatedChange(Risk.ACCESS_REVOKED, STORE, old, sentence, old, origin, urns)]
        verb = "is dropped" if step.op == "delete" else "is dropped and recreated"
        sentence = f"{noun} {code(old)} {verb} with all its tables"
        if step.type == SCHEMA and not step.old.live("dropCascade"):
            sentence += " (refused while it has tables: dropSchemas does not list it)"
        return [RatedChange(Risk.DATA_LOSS, STORE, old, sentence, old, origin, urns)]
    keys = generic.changed_keys(step)
    result = []
    if name in removal_changes:
        keys.discard("dropCascade")
    if "dropCascade" in keys and step.new.declared("dropCascade"):
        keys.discard("dropCascade")
        result.append(change(Risk.ACCESS_WIDENED, f"{noun} {code(name)} can be dropped with its tables from now on"))
    elif "dropCascade" in keys:
        keys.discard("dropCascade")
        result.append(change(Risk.NONE, f"{noun} {code(name)} can no longer be dropped with its tables"))
    if "owner" in keys:
        keys.discard("owner")
        old_owner, new_owner = code(step.old.live("owner")), code(step.new.declared("owner"))
        sentence = f"the owner of {noun} {code(name)} changes from {old_owner} to {new_owner}"
        result.append(change(Risk.ACCESS_WIDENED, sentence))
    if keys:
        result.append(change(Risk.RESTART, f"{noun} {code(name)} changes: {codes(sorted(keys))}"))
    return result


def _removal_changes(context: ReviewContext) -> dict[str, tuple[str, ...]]:
    """Schema -> URNs of the steps that change whether it is kept or dropped if it leaves the mapping."""
    found = {}
    for step in context.steps(INVENTORY):
        before, after = (dict(state.declared("schemas") or {}) for state in (step.old, step.new))
        for schema in before.keys() & after.keys():
            if before[schema] != after[schema] and step.op == "update":
                own = (item.urn for item in context.steps(SCHEMA) if item.name == schema and item.op == "update")
                found[str(schema)] = (step.urn, *own)
    return found


def _inventory(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    """Describe schemas whose treatment on removal changes. Created and deleted schemas have sentences of their own."""
    removal_changes = _removal_changes(context)
    dropped = [
        name for name in sorted(removal_changes) if "dropped" in str((step.new.declared("schemas") or {}).get(name))
    ]
    result = []
    for names, treatment, risk in (
        (dropped, "dropped", Risk.ACCESS_WIDENED),
        ([name for name in sorted(removal_changes) if name not in dropped], "kept", Risk.NONE),
    ):
        if names:
            many = len(names) > 1
            sentence = (
                f"schema{'s' if many else ''} {codes(names)} will be {treatment} with "
                f"{'their' if many else 'its'} tables when {'they leave' if many else 'it leaves'} the mapping (dropSchemas)"
            )
            group = resource = "dropSchemas" if many else names[0]
            urns = tuple(dict.fromkeys(urn for name in names for urn in removal_changes[name]))
            result.append(RatedChange(risk, STORE, group, sentence, resource, (), urns))
    same = all(set(step.old.declared(key) or ()) == set(step.new.declared(key) or ()) for key in ("logins", "schemas"))
    if not result and (step.op == "delete" or same):
        sentence = "the list of logins and schemas is updated"
        result.append(RatedChange(Risk.NONE, STORE, "inventory", sentence, step.name, (), (step.urn,)))
    return result


def _closed_databases(step: PreviewStep) -> list[RatedChange]:
    before, after = (set(state.declared("databases") or ()) for state in (step.old, step.new))
    closed = sorted({*(after - before), *(step.old.live("reopened") or ())})
    result = []
    if closed and step.op != "delete":
        sentence = f"everyone (PUBLIC) may no longer connect to {codes(closed)}, unless the role has CONNECT itself"
        result.append((Risk.ACCESS_REVOKED, sentence))
    if released := sorted(before - after):
        result.append((Risk.NONE, f"{codes(released)}: the stack no longer decides who may connect"))
    return [RatedChange(risk, STORE, "databases", sentence, step.name, (), (step.urn,)) for risk, sentence in result]


def _defaults(step: PreviewStep) -> RatedChange:
    """Describe default privileges. Those of this program revoke EXECUTE on new functions from PUBLIC; without them,
    PUBLIC has it."""
    role, kind = str(step.state.live("role", "")), plain(str(step.state.live("objectType", "object")))
    group = _schema_of(step)
    before, after = (set(state.live("privileges") or ()) for state in (step.old, step.new))
    subject = "everyone (PUBLIC)" if role == "public" else code(role)
    if step.op == "delete":
        restored = role == "public" and not before
        risk = Risk.ACCESS_WIDENED if restored else Risk.ACCESS_REVOKED
        verb = "gains PostgreSQL's" if restored else "loses its"
        sentence = f"{subject} {verb} default privileges on new {kind}s in {code(group)}"
    elif after - before:
        risk = Risk.ACCESS_WIDENED
        sentence = f"{subject} gains {plain(', '.join(sorted(after - before)))} on every new {kind} in {code(group)}"
    elif before - after:
        risk = Risk.ACCESS_REVOKED
        sentence = f"{subject} loses {plain(', '.join(sorted(before - after)))} on every new {kind} in {code(group)}"
    else:
        risk = Risk.ADDITIVE if step.op == "create" else Risk.NONE
        sentence = f"{subject} has no default privileges on new {kind}s in {code(group)}"
    return RatedChange(risk, STORE, group, sentence, group, (), (step.urn,))
