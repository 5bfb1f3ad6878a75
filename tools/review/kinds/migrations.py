"""Pending migrations with their SQL, and tables that become or cease to be append-only."""

import re
from pathlib import Path

from provider.postgres.migration_files import checksum, normalise
from provider.postgres.statements import Statement, split
from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import block, code, codes, folded, shortened
from tools.review.kinds import tenants
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import MIGRATIONS, SCHEMA

TYPES = (MIGRATIONS,)
STORE = "PostgreSQL"
LONGEST_STATEMENT = 120

# First words of statements that delete rows.
_DESTRUCTIVE = (
    ("DROP", "TABLE"), ("DROP", "SCHEMA"), ("DROP", "DATABASE"), ("DROP", "OWNED"), ("DROP", "MATERIALIZED"), ("TRUNCATE",),
    ("DELETE", "FROM"),
)  # fmt: skip
_DROPS_COLUMN = re.compile(
    r"\bDROP\s+(?:COLUMN\b|(?!CONSTRAINT|DEFAULT|NOT|EXPRESSION|IDENTITY|TRIGGER|INDEX)\w+)", re.IGNORECASE
)
_CHANGES_TYPE = re.compile(r"\bALTER\s+(?:COLUMN\s+)?[\w\".]+\s+(?:SET\s+DATA\s+)?TYPE\b", re.IGNORECASE)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


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
    result = [_pending(context, step, schema, str(label)) for label in pending]
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


def _pending(context: ReviewContext, step: PreviewStep, schema: str, label: str) -> RatedChange:
    """Describe a pending migration. It counts as data loss if its text is not available: the file is missing or edited."""
    name = _file(label)
    file = f"{step.new.declared('directory', f'sql/{schema}')}/{name}"
    version = name[:4]
    resource = f"{schema}/{version}"
    text = _read(context.root / file)
    checked = label.partition(" sha256:")[2]
    if text is None or (checked and checksum(text) != checked):
        reason = "its file is missing from this checkout"
        if text is not None:
            reason = "its file in this checkout differs from the previewed one"
        sentence = f"migration {code(f'{schema} {version}')} will run and **may destroy data**: {reason} ({code(name)})"
        return RatedChange(Risk.DATA_LOSS, STORE, schema, sentence, resource, file, (step.urn,))
    destructive = _destructive_statements(text)
    lines = len(text.splitlines())
    counted = f"{lines} line{'' if lines == 1 else 's'}, shown below"
    sentence = f"migration {code(f'{schema} {version}')} will run ({counted})"
    if destructive:
        statements = "; ".join(code(item) for item in destructive)
        sentence = f"migration {code(f'{schema} {version}')} **destroys data**: {statements} ({counted})"
    extra = folded(f"{code_html(name)}, {lines} lines", block(text, "sql"))
    risk = Risk.DATA_LOSS if destructive else Risk.ADDITIVE
    return RatedChange(risk, STORE, schema, sentence, resource, file, (step.urn,), extra)


def code_html(text: str) -> str:
    """Format ``text`` as inline code in HTML, for a ``<summary>``."""
    import html

    return f"<code>{html.escape(text)}</code>"


def _read(path: Path) -> str | None:
    try:
        return normalise(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        return None


def _destructive_statements(text: str) -> list[str]:
    """The statements that delete rows or columns, or change a column's type, each on one line."""
    found = []
    for statement in split(text):
        if _is_destructive(statement):
            found.append(shortened(" ".join(_COMMENTS.sub(" ", statement.text).split()), LONGEST_STATEMENT))
    return found


def _is_destructive(statement: Statement) -> bool:
    # Comments and line breaks may separate the words.
    body = " ".join(_COMMENTS.sub(" ", statement.text).split())
    words = tuple(body.upper().split()[:2])
    if any(words[: len(start)] == start for start in _DESTRUCTIVE):
        return True
    upper = body.upper()
    if words == ("ALTER", "TABLE"):
        return bool(_DROPS_COLUMN.search(body) or _CHANGES_TYPE.search(body))
    # Inside a DO block, or after WITH.
    return words[:1] in (("DO",), ("WITH",)) and bool(re.search(r"\b(DELETE\s+FROM|DROP\s+TABLE|TRUNCATE)\b", upper))


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
            if (schema, table) in context.granted or "{" in table:
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
    kind = "runtime_tables" if "{" in table else "tables"
    return ("postgres", "schemas", schema, kind, table)


def _drift_corrected(step: PreviewStep, schema: str) -> list[RatedChange]:
    drift = step.old.live("drift") or []
    if drift:
        sentence = f"manual changes in schema {code(schema)} are corrected: {codes(drift)}"
        return [RatedChange(Risk.ACCESS_REVOKED, STORE, schema, sentence, schema, (), (step.urn,))]
    sentence = f"migrations of {code(schema)} are checked again"
    return [RatedChange(Risk.NONE, STORE, schema, sentence, schema, (), (step.urn,))]
