"""Migrations that will run, with their text, and the tables whose rows may never change."""

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

# Statements that take rows away, by words that follow each other.
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
    told = [change for step in steps if step.op != "same" for change in _changes_of(context, step)]
    return told + tenants.changes(context)


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    schema = str(step.state.live("schema", step.name))
    if step.op == "delete":
        if any(other.name == schema and other.op == "delete" for other in context.steps(SCHEMA)):
            return []
        what = f"migrations of {code(schema)} are no longer managed; its tables stay"
        return [RatedChange(Risk.NONE, STORE, schema, what, schema, (), (step.urn,))]
    applied = step.old.live("applied") or step.old.live("migrations") or []
    done = {_file(label) for label in applied} if step.op == "update" else set()
    pending = [label for label in step.new.declared("migrations") or () if _file(label) not in done]
    result = [_pending(context, step, schema, str(label)) for label in pending]
    result += _append_only_changes(context, step, schema)
    owner = step.old.declared("owner"), step.new.declared("owner")
    if step.op == "update" and owner[0] != owner[1]:
        what = f"the owner of {code(schema)} is {code(owner[1])} instead of {code(owner[0])}"
        result.append(
            RatedChange(Risk.ACCESS_WIDENED, STORE, schema, what, schema, ("postgres", "schemas", schema), (step.urn,))
        )
    told = (step.old.declared(key) != step.new.declared(key) for key in ("tenantTables", "tenantBypass"))
    return result or ([] if step.op == "update" and any(told) else _drift_corrected(step, schema))


def _file(label: object) -> str:
    return str(label).partition(" ")[0]


def _pending(context: ReviewContext, step: PreviewStep, schema: str, label: str) -> RatedChange:
    """A file that will run. One whose text is not here, or is not what the preview saw, may do anything."""
    name = _file(label)
    file = f"{step.new.declared('directory', f'sql/{schema}')}/{name}"
    version = name[:4]
    resource = f"{schema}/{version}"
    text = _read(context.root / file)
    checked = label.partition(" sha256:")[2]
    if text is None or (checked and checksum(text) != checked):
        why = "its text is not here" if text is None else "its text here is another one"
        what = f"migration {code(f'{schema} {version}')} will run and **may destroy data**: {why} ({code(name)})"
        return RatedChange(Risk.DATA_LOSS, STORE, schema, what, resource, file, (step.urn,))
    taken = _destroys(text)
    lines = len(text.splitlines())
    counted = f"{lines} line{'' if lines == 1 else 's'}, shown"
    what = f"migration {code(f'{schema} {version}')} will run ({counted})"
    if taken:
        what = f"migration {code(f'{schema} {version}')} **destroys data**: {'; '.join(code(item) for item in taken)} ({counted})"
    extra = folded(f"{code_html(name)}, {lines} lines", block(text, "sql"))
    return RatedChange(
        Risk.DATA_LOSS if taken else Risk.ADDITIVE, STORE, schema, what, resource, file, (step.urn,), extra
    )


def code_html(text: str) -> str:
    """For a summary, where there is HTML and no Markdown."""
    import html

    return f"<code>{html.escape(text)}</code>"


def _read(path: Path) -> str | None:
    try:
        return normalise(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        return None


def _destroys(text: str) -> list[str]:
    """The statements that take rows or columns away, each in one line."""
    found = []
    for statement in split(text):
        if _is_destructive(statement):
            found.append(shortened(" ".join(_COMMENTS.sub(" ", statement.text).split()), LONGEST_STATEMENT))
    return found


def _is_destructive(statement: Statement) -> bool:
    # Comments and line ends mean nothing between the words.
    body = " ".join(_COMMENTS.sub(" ", statement.text).split())
    words = tuple(body.upper().split()[:2])
    if any(words[: len(start)] == start for start in _DESTRUCTIVE):
        return True
    upper = body.upper()
    if words == ("ALTER", "TABLE"):
        return bool(_DROPS_COLUMN.search(body) or _CHANGES_TYPE.search(body))
    # In a function's or a DO block's body, or behind WITH.
    return words[:1] in (("DO",), ("WITH",)) and bool(re.search(r"\b(DELETE\s+FROM|DROP\s+TABLE|TRUNCATE)\b", upper))


def _append_only_changes(context: ReviewContext, step: PreviewStep, schema: str) -> list[RatedChange]:
    before, after = (set(state.declared("appendOnly") or ()) for state in (step.old, step.new))
    result = []
    for table in sorted(before - after):
        name = f"{schema}.{table}"
        what = f"{code(name)} is **no longer append-only**: its rows can be changed and deleted from now on"
        result.append(RatedChange(Risk.DATA_LOSS, STORE, schema, what, name, _table(schema, table), (step.urn,)))
    if step.op == "update":
        for table in sorted(after - before):
            name = f"{schema}.{table}"
            risk, what = Risk.ADDITIVE, f"{code(name)}, which is new, is append-only"
            if (schema, table) in context.granted or "{" in table:
                risk = Risk.ACCESS_REVOKED
                what = f"{code(name)} becomes append-only: rows can no longer be changed or deleted"
            result.append(RatedChange(risk, STORE, schema, what, name, _table(schema, table), (step.urn,)))
    elif after:
        what = f"append-only in {code(schema)}: {codes(sorted(after))}"
        result.append(
            RatedChange(Risk.ADDITIVE, STORE, schema, what, schema, ("postgres", "schemas", schema), (step.urn,))
        )
    return result


def _table(schema: str, table: str) -> tuple[str, ...]:
    kind = "runtime_tables" if "{" in table else "tables"
    return ("postgres", "schemas", schema, kind, table)


def _drift_corrected(step: PreviewStep, schema: str) -> list[RatedChange]:
    drift = step.old.live("drift") or []
    if drift:
        what = f"what was changed by hand in {code(schema)} is put right: {codes(drift)}"
        return [RatedChange(Risk.ACCESS_REVOKED, STORE, schema, what, schema, (), (step.urn,))]
    what = f"migrations of {code(schema)} are checked again"
    return [RatedChange(Risk.NONE, STORE, schema, what, schema, (), (step.urn,))]
