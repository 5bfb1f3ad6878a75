"""Table privileges that are corrected after a schema's grants. ``postgres_access`` describes the grants themselves."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, plain
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import ACCESS_REVISIONS, GRANT, PRIVILEGES

TYPES = (PRIVILEGES, ACCESS_REVISIONS)
STORE = "PostgreSQL"
# The suffix of the provider's drift sentence about a privilege that is missing on the server.
MISSING = ": missing"


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _changes_of(context, step)]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    if step.type == ACCESS_REVISIONS:
        sentence = "the list of schemas whose grants change is updated"
        return [RatedChange(Risk.NONE, STORE, "grants", sentence, step.name, (), (step.urn,))]
    schema = str(step.state.live("schema", step.name))

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, schema, sentence, step.name, ("postgres", "schemas", schema), (step.urn,))

    drift = [] if step.op == "create" else [str(item) for item in step.old.live("drift") or ()]
    if drift:
        risk = Risk.ACCESS_WIDENED if any(item.endswith(MISSING) for item in drift) else Risk.ACCESS_REVOKED
        listed = plain("; ".join(drift))
        return [change(risk, f"manual changes to privileges on tables of {code(schema)} are corrected: {listed}")]
    # The sentence about a created or dropped schema covers its privileges.
    if schema in {"create": context.created_schemas, "delete": context.dropped_schemas}.get(step.op, ()):
        return []
    if step.op == "delete":
        return [change(Risk.ACCESS_REVOKED, f"only the owner keeps privileges on tables of {code(schema)}")]
    grants = [grant for grant in context.steps(GRANT) if schema in (grant.old.live("schema"), grant.new.live("schema"))]
    if all(grant.op == "same" for grant in grants):
        if step.op == "update" and step.old.declared("access") == step.new.declared("access"):
            # After a migration.
            return [change(Risk.NONE, f"privileges on tables of {code(schema)} are checked against the mapping")]
        sentence = f"privileges on tables of {code(schema)} that are not in the mapping are revoked"
        return [change(Risk.ACCESS_REVOKED, sentence)]
    return [
        change(Risk.NONE, f"privileges on tables of {code(schema)} are checked against the mapping after its grants")
    ]
