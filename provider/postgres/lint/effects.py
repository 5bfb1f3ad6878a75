"""The effect of each statement of a migration. ``make lint``, previews and the review use this and nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postgast import AstNode
from postgast import nodes as ast

from provider.postgres.lint import Effect, LintFinding
from provider.postgres.lint.bodies import inner_statements
from provider.postgres.lint.calls import dangerous_calls, path_changes, runs_now, unknown_calls
from provider.postgres.lint.changes import changes, created_by
from provider.postgres.lint.evidence import evidence
from provider.postgres.lint.kinds import uncovered
from provider.postgres.lint.openings import openings
from provider.postgres.lint.place import Created, Place
from provider.postgres.lint.reach import reach
from provider.postgres.migration_files import Script
from provider.postgres.statements import Statement
from provider.postgres.syntax_tree import strings

WORDS = {
    Effect.ADDITIVE: "adds",
    Effect.BLOCKING: "blocks other sessions",
    Effect.REVOKES: "revokes access",
    Effect.WIDENS_ACCESS: "widens access",
    Effect.MAY_DO_ANYTHING: "may do anything",
    Effect.DESTROYS_DATA: "destroys data",
}


@dataclass(frozen=True)
class StatementEffect:
    """A statement with its effect and the findings that give it."""

    statement: Statement
    effect: Effect
    findings: tuple[LintFinding, ...]

    @property
    def reason(self) -> str:
        """What the findings with the worst effect found, in one line; empty for an additive statement."""
        worst = [finding.message for finding in self.findings if finding.effect == self.effect != Effect.ADDITIVE]
        return "; ".join(dict.fromkeys(worst))


def classify(script: Script, place: Place, created: Created | None = None) -> list[StatementEffect]:
    """Classify the statements of one file. Waivers play no part: they accept an effect and do not change it.

    ``created`` is updated; pass the same one for the files of one run.
    """
    created = Created() if created is None else created
    transactional = script.migration.transactional
    result = []
    for statement in script.statements:
        found = _findings(statement, place, created, transactional=transactional)
        findings = tuple(sorted(set(found), key=_order))
        effect = max((finding.effect for finding in findings), default=Effect.ADDITIVE)
        result.append(StatementEffect(statement, effect, findings))
    return result


def describe_effects(scripts: Iterable[Script], place: Place) -> list[str]:
    """A line for each statement of pending files that is more than additive: place, effect, reason."""
    created = Created()
    return [
        f"{script.migration.path}:{item.statement.line}: {WORDS[item.effect]}: {item.reason}"
        for script in scripts
        for item in classify(script, place, created)
        if item.effect != Effect.ADDITIVE
    ]


def _order(finding: LintFinding) -> tuple[int, str, str]:
    return finding.line, finding.rule, finding.message


def _findings(statement: Statement, place: Place, created: Created, *, transactional: bool) -> Iterator[LintFinding]:
    """Findings on one statement and on what is in it; adds to ``created`` what it creates."""
    tree = statement.tree
    if isinstance(tree, ast.ExplainStmt | ast.PrepareStmt) and tree.query is not None:
        yield from _now(tree.query, statement.line, place, created, transactional=transactional)
    else:
        yield from _now(tree, statement.line, place, created, transactional=transactional)
    called: list[LintFinding] = []
    for inner in inner_statements(tree, statement.text, statement.line):
        if isinstance(inner, LintFinding):
            called.append(inner)
            yield inner
            continue
        where = place.composed(dynamic=inner.dynamic)
        if isinstance(tree, ast.DoStmt):
            yield from _now(inner.tree, inner.line, where, created, transactional=transactional)
        else:
            # A function's changes of rows happen later, and with the privileges of its caller.
            yield from reach(inner.tree, inner.line, where)
            yield from dangerous_calls(inner.tree, inner.line)
            called += _now(
                inner.tree, inner.line, where, Created(set(), created.functions), transactional=transactional
            )
    if isinstance(tree, ast.CreateFunctionStmt):
        name = tuple(strings(tree.funcname) or ["?"])
        worst = max((finding.effect for finding in called), default=Effect.ADDITIVE)
        created.functions[name] = max(worst, created.functions.get(name, worst))


def _now(tree: AstNode, line: int, place: Place, created: Created, *, transactional: bool) -> Iterator[LintFinding]:
    """Findings on a statement that runs with the file."""
    schema = place.target.schema
    yield from uncovered(tree, line)
    yield from changes(tree, line, created.tables, transactional=transactional)
    yield from evidence(tree, line, created.tables, place)
    yield from openings(tree, line, schema)
    yield from reach(tree, line, place)
    yield from path_changes(tree, line) if not isinstance(tree, ast.CreateFunctionStmt) else ()
    yield from dangerous_calls(tree, line) if not isinstance(tree, ast.CreateFunctionStmt) else ()
    if isinstance(tree, ast.CreateFunctionStmt):
        # Its own settings: search_path is what a function should set.
        for clause in tree.options:
            yield from (item for item in dangerous_calls(clause, line) if item.effect > Effect.BLOCKING)
    if runs_now(tree):
        yield from unknown_calls(tree, line, created.functions, schema)
    created.tables |= created_by(tree)
