"""Migrations that will run, with their text, and the tables whose rows may never change."""

import re
from pathlib import Path

from components.postgres.migration_files import checksum, normalise
from components.postgres.statements import Statement, split
from review.change import Change
from review.context import Context
from review.escape import block, code, codes, folded, shortened
from review.preview import Step
from review.risk import Risk
from review.tokens import MIGRATIONS, SCHEMA

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


def changes(context: Context, steps: list[Step]) -> list[Change]:
    return [change for step in steps if step.op != "same" for change in _told(context, step)]


def _told(context: Context, step: Step) -> list[Change]:
    schema = str(step.state.live("schema", step.name))
    if step.op == "delete":
        if any(other.name == schema and other.op == "delete" for other in context.steps(SCHEMA)):
            return []
        what = f"migrations of {code(schema)} are no longer seen to; its tables stay"
        return [Change(Risk.NONE, STORE, schema, what, schema, (), (step.urn,))]
    applied = step.old.live("applied") or step.old.live("migrations") or []
    done = {_file(label) for label in applied} if step.op == "update" else set()
    pending = [label for label in step.new.asked("migrations") or () if _file(label) not in done]
    result = [_pending(context, step, schema, str(label)) for label in pending]
    result += _marks(step, schema)
    result += _tenants(step, schema)
    owner = step.old.asked("owner"), step.new.asked("owner")
    if step.op == "update" and owner[0] != owner[1]:
        what = f"the owner of {code(schema)} is {code(owner[1])} instead of {code(owner[0])}"
        result.append(
            Change(Risk.ACCESS_WIDENED, STORE, schema, what, schema, ("postgres", "schemas", schema), (step.urn,))
        )
    return result or _mended(step, schema)


def _file(label: object) -> str:
    return str(label).partition(" ")[0]


def _pending(context: Context, step: Step, schema: str, label: str) -> Change:
    """A file that will run. One whose text is not here, or is not what the preview saw, may do anything."""
    name = _file(label)
    file = f"{step.new.asked('directory', f'sql/{schema}')}/{name}"
    version = name[:4]
    resource = f"{schema}/{version}"
    text = _read(context.root / file)
    checked = label.partition(" sha256:")[2]
    if text is None or (checked and checksum(text) != checked):
        why = "its text is not here" if text is None else "its text here is another one"
        what = f"migration {code(f'{schema} {version}')} will run and **may destroy data**: {why} ({code(name)})"
        return Change(Risk.DATA_LOSS, STORE, schema, what, resource, file, (step.urn,))
    taken = _destroys(text)
    lines = len(text.splitlines())
    counted = f"{lines} line{'' if lines == 1 else 's'}, shown"
    what = f"migration {code(f'{schema} {version}')} will run ({counted})"
    if taken:
        what = f"migration {code(f'{schema} {version}')} **destroys data**: {'; '.join(code(item) for item in taken)} ({counted})"
    extra = folded(f"{code_html(name)}, {lines} lines", block(text, "sql"))
    return Change(Risk.DATA_LOSS if taken else Risk.ADDITIVE, STORE, schema, what, resource, file, (step.urn,), extra)


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


def _marks(step: Step, schema: str) -> list[Change]:
    before, after = (set(state.asked("append_only") or ()) for state in (step.old, step.new))
    result = []
    for table in sorted(before - after):
        name = f"{schema}.{table}"
        what = f"{code(name)} is **no longer append-only**: its rows can be changed and deleted from now on"
        result.append(Change(Risk.DATA_LOSS, STORE, schema, what, name, _table(schema, table), (step.urn,)))
    if step.op == "update":
        for table in sorted(after - before):
            name = f"{schema}.{table}"
            what = f"{code(name)} becomes append-only: rows can no longer be changed or deleted"
            result.append(Change(Risk.ACCESS_REVOKED, STORE, schema, what, name, _table(schema, table), (step.urn,)))
    elif after:
        what = f"append-only in {code(schema)}: {codes(sorted(after))}"
        result.append(Change(Risk.ADDITIVE, STORE, schema, what, schema, ("postgres", "schemas", schema), (step.urn,)))
    return result


def _table(schema: str, table: str) -> tuple[str, ...]:
    kind = "runtime_tables" if "{" in table else "tables"
    return ("postgres", "schemas", schema, kind, table)


def _tenants(step: Step, schema: str) -> list[Change]:
    """Tables on which tenants are kept apart, and roles that see the rows of all."""
    if step.op != "update":
        return []
    result = []
    before, after = (_dict(state.asked("tenant_tables")) for state in (step.old, step.new))
    for risk, what, names in (
        (Risk.ACCESS_WIDENED, "tenants are **no longer kept apart** on", before.keys() - after.keys()),
        (Risk.ACCESS_REVOKED, "tenants are kept apart on", after.keys() - before.keys()),
        (
            Risk.ACCESS_WIDENED,
            "what keeps tenants apart changes on",
            {k for k in before.keys() & after.keys() if before[k] != after[k]},
        ),
    ):
        for name in sorted(f"{schema}.{table}" for table in names):
            result.append(
                Change(risk, STORE, schema, f"{what} {code(name)}", name, ("postgres", "schemas", schema), (step.urn,))
            )
    had, has = (set(map(str, state.asked("tenant_bypass") or ())) for state in (step.old, step.new))
    for role in sorted(had ^ has):
        told = f"{code(role)} {'sees' if role in has else 'no longer sees'} the rows of every tenant in {code(schema)}"
        risk = Risk.ACCESS_WIDENED if role in has else Risk.ACCESS_REVOKED
        result.append(Change(risk, STORE, schema, told, role, ("postgres", "schemas", schema), (step.urn,)))
    return result


def _dict(value: object) -> dict[str, object]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _mended(step: Step, schema: str) -> list[Change]:
    drift = step.old.live("drift") or []
    if drift:
        what = f"what was changed by hand in {code(schema)} is put right: {codes(drift)}"
        return [Change(Risk.ACCESS_REVOKED, STORE, schema, what, schema, (), (step.urn,))]
    what = f"migrations of {code(schema)} are looked at again"
    return [Change(Risk.NONE, STORE, schema, what, schema, (), (step.urn,))]
