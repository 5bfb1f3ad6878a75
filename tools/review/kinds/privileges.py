"""Corrections of table privileges after a schema's grants. ``postgres_access`` describes the grants themselves."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, plain
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import ACCESS_REVISIONS, GRANT, PRIVILEGES

TYPES = (PRIVILEGES, ACCESS_REVISIONS)
STORE = "PostgreSQL"
# The suffix of the provider's drift sentences for a privilege that is absent from the server.
MISSING = ": missing"


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _changes_of(context, step)]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    if step.type == ACCESS_REVISIONS:
        what = "the list of schemas whose grants change is updated"
        return [RatedChange(Risk.NONE, STORE, "grants", what, step.name, (), (step.urn,))]
    schema = str(step.state.live("schema", step.name))

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, schema, sentence, step.name, ("postgres", "schemas", schema), (step.urn,))

    found = [] if step.op == "create" else [str(item) for item in step.old.live("drift") or ()]
    if found:
        risk = Risk.ACCESS_WIDENED if any(item.endswith(MISSING) for item in found) else Risk.ACCESS_REVOKED
        listed = plain("; ".join(found))
        return [change(risk, f"manual changes of privileges on tables of {code(schema)} are corrected: {listed}")]
    told = {"create": context.created_schemas, "delete": context.dropped_schemas}.get(step.op, frozenset())
    if schema in told:
        return []
    if step.op == "delete":
        return [change(Risk.ACCESS_REVOKED, f"only the owner keeps privileges on tables of {code(schema)}")]
    grants = [grant for grant in context.steps(GRANT) if schema in (grant.old.live("schema"), grant.new.live("schema"))]
    if all(grant.op == "same" for grant in grants):
        what = f"privileges on tables of {code(schema)} that are not in the mapping are revoked"
        return [change(Risk.ACCESS_REVOKED, what)]
    return [
        change(Risk.NONE, f"privileges on tables of {code(schema)} are checked against the mapping after its grants")
    ]
