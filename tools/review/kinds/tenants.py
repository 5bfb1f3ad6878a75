"""Tenant isolation by row-level security: the tables that it covers, and the roles that are exempt."""

from collections import defaultdict

from provider.postgres.run_time_tables import is_pattern
from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk
from tools.review.tokens import MIGRATIONS

STORE = "PostgreSQL"
GROUP = "tenants"
SETTING = "postgres:tenantIsolation"


def changes(context: ReviewContext) -> list[RatedChange]:
    """One sentence if isolation is switched on or off as a whole, else one for each schema and each role."""
    updates = [step for step in context.steps(MIGRATIONS) if step.op == "update"]
    changed = [
        step for step in updates if _tables(step.old) != _tables(step.new) or _bypass(step.old) != _bypass(step.new)
    ]
    if not changed:
        return []
    everything = [step for step in context.steps(MIGRATIONS) if step.op in ("same", "update")]
    was_on, will_be_on = (
        any(_tables(state) for state in side) for side in zip(*((s.old, s.new) for s in everything), strict=True)
    )
    if was_on != will_be_on:
        return [_isolation_switched(changed, on=will_be_on)]
    return [*(change for step in changed for change in _schema(context, step)), *_roles(changed)]


def _isolation_switched(steps: list[PreviewStep], *, on: bool) -> RatedChange:
    sides = [step.new if on else step.old for step in steps]
    tables, schemas = sum(len(_tables(side)) for side in sides), sum(bool(_tables(side)) for side in sides)
    exempt = sorted({role for side in sides for role in _bypass(side)})
    where = f"for {tables} tables in {schemas} schemas ({code(SETTING)})"
    if on:
        risk = Risk.ACCESS_REVOKED
        sentence = f"tenant isolation is switched on {where}: sessions that do not set {code('app.tenant_id')} see no rows there"
        sentence += f"; {codes(exempt)} {'are' if len(exempt) > 1 else 'is'} exempt" if exempt else ""
    else:
        risk = Risk.ACCESS_WIDENED
        sentence = (
            f"tenant isolation is **switched off** {where}: a role that can read a table sees the rows of every tenant"
        )
    return RatedChange(risk, STORE, GROUP, sentence, GROUP, (), tuple(step.urn for step in steps))


def _schema(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    schema = str(step.state.live("schema", step.name))
    before, after = _tables(step.old), _tables(step.new)
    gained = after.keys() - before.keys()
    new_tables = {table for table in gained if (schema, table) not in context.granted and not is_pattern(table)}
    other = {table for table in before.keys() & after.keys() if before[table] != after[table]}
    result = []
    for risk, predicate, tables in (
        (Risk.ACCESS_WIDENED, "tenant isolation **no longer covers**", before.keys() - after.keys()),
        (Risk.ACCESS_WIDENED, "the rules of tenant isolation change for", other),
        (Risk.ACCESS_REVOKED, "tenant isolation covers", gained - new_tables),
        (Risk.ADDITIVE, "tenant isolation covers the new", new_tables),
    ):
        if tables:
            names = codes(f"{schema}.{table}" for table in sorted(tables))
            origin = ("postgres", "schemas", schema, "tables", *sorted(tables)[:1])
            result.append(RatedChange(risk, STORE, schema, f"{predicate} {names}", schema, origin, (step.urn,)))
    return result


def _roles(steps: list[PreviewStep]) -> list[RatedChange]:
    schemas: dict[tuple[str, bool], list[PreviewStep]] = defaultdict(list)
    for step in steps:
        had, has = _bypass(step.old), _bypass(step.new)
        for role in had ^ has:
            schemas[role, role in has].append(step)
    result = []
    for (role, exempt), found in sorted(schemas.items(), key=lambda item: item[0]):
        where = codes(sorted(str(step.state.live("schema", step.name)) for step in found))
        sentence = f"{code(role)} {'is' if exempt else 'is no longer'} exempt from tenant isolation in {where}"
        risk = Risk.ACCESS_WIDENED if exempt else Risk.ACCESS_REVOKED
        origin = ("modules", role, "postgres", "bypass_tenant_isolation")
        result.append(RatedChange(risk, STORE, role, sentence, role, origin, tuple(step.urn for step in found)))
    return result


def _tables(state: ResourceState) -> dict[str, object]:
    value = state.declared("tenantTables")
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _bypass(state: ResourceState) -> set[str]:
    return set(map(str, state.declared("tenantBypass") or ()))
