"""Pending migrations with their SQL, and tables that become or cease to be append-only."""

from pathlib import Path

from components.mapping import roles
from provider.postgres.lint import Effect
from provider.postgres.lint.effects import StatementEffect, classify
from provider.postgres.lint.place import Created, Place
from provider.postgres.migration_files import Script, checksum, normalise, parse_file, render
from provider.postgres.problems import MigrationError
from provider.postgres.run_time_tables import is_pattern
from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import block, code, codes, folded, plain, shortened
from tools.review.kinds import tenants
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import MIGRATIONS, SCHEMA

TYPES = (MIGRATIONS,)
STORE = "PostgreSQL"
LONGEST_STATEMENT = 120

# Risk of a migration by the effect of its statements, and what the sentence states.
_RISKS = {
    Effect.DESTROYS_DATA: (Risk.DATA_LOSS, "**destroys data**: {}"),
    Effect.MAY_DO_ANYTHING: (
        Risk.DATA_LOSS,
        "**may do anything**, because the review cannot determine what a statement does: {}",
    ),
    Effect.WIDENS_ACCESS: (Risk.ACCESS_WIDENED, "**widens access**: {}"),
    Effect.REVOKES: (Risk.ACCESS_REVOKED, "**revokes access**: {}"),
    Effect.BLOCKING: (Risk.ADDITIVE, "will run and **blocks other sessions**: {}"),
}
# For these, the reason is not obvious from the statement.
_WITH_REASON = {Effect.MAY_DO_ANYTHING, Effect.WIDENS_ACCESS, Effect.BLOCKING}


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    described = [change for step in steps if step.op != "same" for change in _changes_of(context, step)]
    return described + tenants.changes(context)


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    schema = str(step.state.live("schema", step.name))
    if step.op == "delete":
        if any(other.name == schema and other.op == "delete" for other in context.steps(SCHEMA)):
            return []
        sentence = f"migrations of {code(schema)} are no longer managed; its tables are kept"
        return [RatedChange(Risk.NONE, STORE, schema, sentence, schema, (), (step.urn,))]
    applied = step.old.live("applied") or step.old.live("migrations") or []
    done = {_file(label) for label in applied} if step.op == "update" else set()
    pending = [label for label in step.new.declared("migrations") or () if _file(label) not in done]
    result = _pending_files(context, step, schema, [str(label) for label in pending])
    result += _append_only_changes(context, step, schema)
    owner = step.old.declared("owner"), step.new.declared("owner")
    if step.op == "update" and owner[0] != owner[1]:
        sentence = f"the owner of schema {code(schema)} changes from {code(owner[0])} to {code(owner[1])}"
        result.append(
            RatedChange(
                Risk.ACCESS_WIDENED, STORE, schema, sentence, schema, ("postgres", "schemas", schema), (step.urn,)
            )
        )
    isolation_changes = (step.old.declared(key) != step.new.declared(key) for key in ("tenantTables", "tenantBypass"))
    return result or ([] if step.op == "update" and any(isolation_changes) else _drift_corrected(step, schema))


def _file(label: object) -> str:
    return str(label).partition(" ")[0]


def _pending_files(context: ReviewContext, step: PreviewStep, schema: str, labels: list[str]) -> list[RatedChange]:
    """Describe the pending migrations. Tables that one of them creates are new to those that follow."""
    append_only = {*(step.old.declared("appendOnly") or ()), *(step.new.declared("appendOnly") or ())}
    owner = str(step.new.declared("owner") or roles.owner(schema))
    place = Place.of_resource(schema, owner, append_only, step.new.declared("tenantTables") or ())
    created = Created()
    return [change for label in labels for change in _pending(context, step, label, place, created)]


def _pending(
    context: ReviewContext, step: PreviewStep, label: str, place: Place, created: Created
) -> list[RatedChange]:
    """A change for each effect of a pending migration. It counts as data loss if its text is not available: the file is
    missing, edited, or not a migration."""
    schema, name = place.target.schema, _file(label)
    file = f"{step.new.declared('directory', f'sql/{schema}')}/{name}"
    resource = f"{schema}/{name[:4]}"
    migration = f"migration {code(f'{schema} {name[:4]}')}"
    try:
        script = _script(context.root / file, label, place)
    except _UnavailableError as error:
        sentence = f"{migration} will run and **may destroy data**: {error} ({code(name)})"
        return [RatedChange(Risk.DATA_LOSS, STORE, schema, sentence, resource, file, (step.urn,))]
    lines = len(script.migration.source.splitlines())
    counted = f"({lines} line{'' if lines == 1 else 's'}, shown below)"
    extra = folded(f"{code_html(name)}, {lines} lines", block(script.migration.source, "sql"))
    by_effect: dict[Effect, list[str]] = {}
    for item in classify(script, place, created):
        by_effect.setdefault(item.effect, []).append(_shown(item))
    result: list[RatedChange] = []
    for effect in sorted(by_effect.keys() & _RISKS.keys(), reverse=True):
        risk, words = _RISKS[effect]
        sentence = f"{migration} {words.format('; '.join(by_effect[effect]))} {counted}"
        result.append(RatedChange(risk, STORE, schema, sentence, resource, file, (step.urn,), "" if result else extra))
    if not result:
        sentence = f"{migration} will run {counted}"
        result.append(RatedChange(Risk.ADDITIVE, STORE, schema, sentence, resource, file, (step.urn,), extra))
    return result


class _UnavailableError(Exception):
    """The text of a pending migration cannot be read. ``str()`` is the reason, in Markdown."""


def _script(path: Path, label: str, place: Place) -> Script:
    """Render a pending file as the runner does. Raises ``_UnavailableError``."""
    source = _read(path)
    checked = label.partition(" sha256:")[2]
    if source is None:
        raise _UnavailableError("its file is missing from this checkout")
    if checked and checksum(source) != checked:
        raise _UnavailableError("its file in this checkout differs from the previewed one")
    try:
        return render(parse_file(path, source), place.target.variables)
    except MigrationError as error:
        reasons = "; ".join(problem.message for problem in error.problems)
        raise _UnavailableError(f"its file is not a migration: {code(shortened(reasons, LONGEST_STATEMENT))}") from None


def _shown(item: StatementEffect) -> str:
    statement = code(shortened(item.statement.one_line, LONGEST_STATEMENT))
    if item.effect not in _WITH_REASON:
        return statement
    return f"{statement} ({plain(shortened(item.reason, LONGEST_STATEMENT))})"


def code_html(text: str) -> str:
    """Format ``text`` as inline code in HTML, for a ``<summary>``."""
    import html

    return f"<code>{html.escape(text)}</code>"


def _read(path: Path) -> str | None:
    try:
        return normalise(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        return None


def _append_only_changes(context: ReviewContext, step: PreviewStep, schema: str) -> list[RatedChange]:
    before, after = (set(state.declared("appendOnly") or ()) for state in (step.old, step.new))
    result = []
    for table in sorted(before - after):
        name = f"{schema}.{table}"
        sentence = f"{code(name)} is **no longer append-only**: its rows can be updated and deleted from now on"
        result.append(RatedChange(Risk.DATA_LOSS, STORE, schema, sentence, name, _table(schema, table), (step.urn,)))
    if step.op == "update":
        for table in sorted(after - before):
            name = f"{schema}.{table}"
            risk, sentence = Risk.ADDITIVE, f"new table {code(name)} is append-only"
            if (schema, table) in context.granted or is_pattern(table):
                risk = Risk.ACCESS_REVOKED
                sentence = f"{code(name)} becomes append-only: rows can no longer be updated or deleted"
            result.append(RatedChange(risk, STORE, schema, sentence, name, _table(schema, table), (step.urn,)))
    elif after:
        sentence = f"append-only tables in {code(schema)}: {codes(sorted(after))}"
        result.append(
            RatedChange(Risk.ADDITIVE, STORE, schema, sentence, schema, ("postgres", "schemas", schema), (step.urn,))
        )
    return result


def _table(schema: str, table: str) -> tuple[str, ...]:
    kind = "runtime_tables" if is_pattern(table) else "tables"
    return ("postgres", "schemas", schema, kind, table)


def _drift_corrected(step: PreviewStep, schema: str) -> list[RatedChange]:
    drift = step.old.live("drift") or []
    if drift:
        sentence = f"manual changes in schema {code(schema)} are corrected: {codes(drift)}"
        return [RatedChange(Risk.ACCESS_REVOKED, STORE, schema, sentence, schema, (), (step.urn,))]
    sentence = f"migrations of {code(schema)} are checked again"
    return [RatedChange(Risk.NONE, STORE, schema, sentence, schema, (), (step.urn,))]
