"""What is put right on a schema's tables after its grants. Who gains and loses what is told with the grants."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, plain
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import ACCESS_REVISIONS, GRANT, PRIVILEGES

TYPES = (PRIVILEGES, ACCESS_REVISIONS)
STORE = "PostgreSQL"
# The end of a sentence that a refresh found; the provider writes them.
MISSING = ": missing"


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _changes_of(context, step)]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    if step.type == ACCESS_REVISIONS:
        what = "the list of schemas whose grants change is brought up to date"
        return [RatedChange(Risk.NONE, STORE, "grants", what, step.name, (), (step.urn,))]
    schema = str(step.state.live("schema", step.name))

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, schema, sentence, step.name, ("postgres", "schemas", schema), (step.urn,))

    found = [] if step.op == "create" else [str(item) for item in step.old.live("drift") or ()]
    if found:
        risk = Risk.ACCESS_WIDENED if any(item.endswith(MISSING) for item in found) else Risk.ACCESS_REVOKED
        listed = plain("; ".join(found))
        return [
            change(risk, f"privileges on tables of {code(schema)} that were changed by hand are put right: {listed}")
        ]
    told = {"create": context.created_schemas, "delete": context.dropped_schemas}.get(step.op, frozenset())
    if schema in told:
        return []
    if step.op == "delete":
        return [change(Risk.ACCESS_REVOKED, f"nobody but the owner may do anything on the tables of {code(schema)}")]
    grants = [grant for grant in context.steps(GRANT) if schema in (grant.old.live("schema"), grant.new.live("schema"))]
    if all(grant.op == "same" for grant in grants):
        what = f"privileges on tables of {code(schema)} are from now on exactly the mapping's; others are revoked"
        return [change(Risk.ACCESS_REVOKED, what)]
    return [change(Risk.NONE, f"privileges on tables of {code(schema)} are compared with the mapping after its grants")]
