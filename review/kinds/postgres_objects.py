"""The database, its schemas and their default privileges."""

from review.change import Change
from review.context import Context
from review.escape import code, codes, plain
from review.kinds import generic
from review.preview import Step
from review.risk import Risk
from review.tokens import DATABASE, DEFAULT_PRIVILEGES, GRANT, INVENTORY, MIGRATIONS, ROLE, SCHEMA

TYPES = (DATABASE, SCHEMA, DEFAULT_PRIVILEGES, INVENTORY)
STORE = "PostgreSQL"


def changes(context: Context, steps: list[Step]) -> list[Change]:
    return [change for step in steps if step.op != "same" for change in _told(context, step)]


def _parts(context: Context, schema: str, op: str) -> tuple[str, ...]:
    """What comes and goes with a schema and needs no sentence: its group roles, defaults, grants and migrations."""
    roles = {f"{schema}_{group}" for group in ("owner", "writer", "reader")}
    found = []
    for step in context.steps(ROLE, DEFAULT_PRIVILEGES, GRANT, MIGRATIONS):
        part = {
            ROLE: step.name in roles,
            DEFAULT_PRIVILEGES: _of(step) == schema,
            GRANT: op == "delete" and step.state.live("schema") == schema,
            MIGRATIONS: op == "delete" and step.state.live("schema", step.name) == schema,
        }
        if step.op == op and part[step.type]:
            found.append(step.urn)
    return tuple(found)


def _of(step: Step) -> str:
    return step.name.partition("-")[0]


def _told(context: Context, step: Step) -> list[Change]:
    if step.type == DEFAULT_PRIVILEGES:
        group, op = _of(step), step.op
        told = (op == "create" and group in context.made_schemas) or (
            op == "delete" and group in context.dropped_schemas
        )
        return [] if told else [_defaults(step)]
    if step.type == INVENTORY:
        return _inventory(step)
    name = str(step.state.asked("name", step.name))
    noun = "schema" if step.type == SCHEMA else "database"
    origin = ("postgres", "schemas", name) if step.type == SCHEMA else ()

    def change(risk: Risk, sentence: str) -> Change:
        return Change(risk, STORE, name, sentence, name, origin, urns)

    urns = (step.urn, *(_parts(context, name, step.op) if step.type == SCHEMA else ()))
    if step.op == "create":
        parts = " with its roles" if len(urns) > 1 else ""
        return [change(Risk.ADDITIVE, f"{noun} {code(name)} is made{parts}")]
    if step.op in ("delete", "replace"):
        old = str(step.old.live("name", name))
        verb = "is dropped" if step.op == "delete" else "is dropped and made anew"
        how = "with all its tables"
        if step.type == SCHEMA and not step.old.live("dropCascade"):
            how += " (refused while it has any: allowDataLoss is off)"
        return [Change(Risk.DATA_LOSS, STORE, old, f"{noun} {code(old)} {verb} {how}", old, origin, urns)]
    keys = generic.changed_keys(step)
    result = []
    if "dropCascade" in keys and step.new.asked("dropCascade"):
        keys.discard("dropCascade")
        result.append(change(Risk.ACCESS_WIDENED, f"{noun} {code(name)} may from now on be dropped with its tables"))
    elif "dropCascade" in keys:
        keys.discard("dropCascade")
        result.append(change(Risk.NONE, f"{noun} {code(name)} can no longer be dropped with its tables"))
    if "owner" in keys:
        keys.discard("owner")
        owner, new = step.old.live("owner"), step.new.asked("owner")
        result.append(
            change(Risk.ACCESS_WIDENED, f"{noun} {code(name)} belongs to {code(new)} instead of {code(owner)}")
        )
    if keys:
        result.append(change(Risk.RESTART, f"{noun} {code(name)} changes: {codes(sorted(keys))}"))
    return result


def _inventory(step: Step) -> list[Change]:
    """The list of what the stack answers for. It holds nothing; naming a schema there takes a guard away."""
    named = sorted(map(str, set(step.new.asked("drop_schemas") or ()) - set(step.old.asked("drop_schemas") or ())))
    told = [
        Change(
            Risk.ACCESS_WIDENED,
            STORE,
            name,
            f"schema {code(name)} goes with its tables when it leaves the mapping (dropSchemas)",
            name,
            (),
            (step.urn,),
        )
        for name in named
    ]
    what = "the list of logins and schemas is brought up to date"
    return told or [Change(Risk.NONE, STORE, "inventory", what, step.name, (), (step.urn,))]


def _defaults(step: Step) -> Change:
    """Ours take PUBLIC's EXECUTE on new functions away; deleting one gives it back."""
    role, kind = str(step.state.live("role", "")), plain(str(step.state.live("objectType", "object")))
    group = _of(step)
    before, after = (set(state.live("privileges") or ()) for state in (step.old, step.new))
    who = "everyone (PUBLIC)" if role == "public" else code(role)
    if step.op == "delete":
        opened = role == "public" and not before
        risk = Risk.ACCESS_WIDENED if opened else Risk.ACCESS_REVOKED
        sentence = f"{who} {'gets' if opened else 'loses'} the default privileges on new {kind}s of {code(group)}"
    elif after - before:
        risk = Risk.ACCESS_WIDENED
        sentence = f"{who} gains {plain(', '.join(sorted(after - before)))} on every new {kind} of {code(group)}"
    elif before - after:
        risk = Risk.ACCESS_REVOKED
        sentence = f"{who} loses {plain(', '.join(sorted(before - after)))} on every new {kind} of {code(group)}"
    else:
        risk = Risk.ADDITIVE if step.op == "create" else Risk.NONE
        sentence = f"{who} has nothing on new {kind}s of {code(group)} by default"
    return Change(risk, STORE, group, sentence, group, (), (step.urn,))
