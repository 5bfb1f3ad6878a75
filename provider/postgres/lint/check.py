"""One schema's migrations against every rule."""

from collections.abc import Iterator
from pathlib import Path

from postgast import AstNode
from postgast import nodes as ast

from provider.postgres.lint import LintFinding
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.bodies import inner_statements
from provider.postgres.lint.changes import changes, made_by
from provider.postgres.lint.reach import Place, reach
from provider.postgres.syntax_tree import parse
from provider.postgres.lint.waivers import apply_waivers
from provider.postgres.migration_files import Script, discover, render
from provider.postgres.problems import MigrationError
from provider.postgres.statements import Statement
from provider.postgres.target import SchemaTarget


def check_directory(
    directory: Path, target: SchemaTarget, accepted: Accepted, *, runtime_tables: bool
) -> tuple[int, list[str]]:
    """(how many migrations were looked at, every finding as a line): ``file:line: rule: what; what to do``.

    ``runtime_tables``: the schema has tables that its functions make at run time.
    """
    try:
        migrations = discover(directory)
    except MigrationError as error:
        return 0, str(error).splitlines()
    lines: list[str] = []
    for migration in migrations:
        try:
            script = render(migration, target.variables)
        except MigrationError as error:
            lines += str(error).splitlines()
            continue
        lines += [
            f"{migration.path}:{finding.line}: {finding.rule}: {finding.what}; {finding.todo}"
            for finding in check_script(script, Place(target, runtime_tables))
            if not accepted.covers(migration.path, finding)
        ]
    return len(migrations), lines


def check_script(script: Script, place: Place) -> list[LintFinding]:
    """Every finding on one file that no waiver lets pass, by line."""
    fresh: set[str] = set()
    findings: list[LintFinding] = []
    for statement in script.statements:
        findings += _statement(statement, place, fresh, transactional=script.migration.transactional)
    return apply_waivers(script.text, script.statements, findings)


def _statement(statement: Statement, place: Place, fresh: set[str], *, transactional: bool) -> Iterator[LintFinding]:
    """Findings on one statement and what is in it; adds the tables that it makes to ``fresh``."""
    try:
        trees = parse(statement.text)
    except SyntaxError as error:
        yield LintFinding(statement.line_at((error.offset or 0) + 1), "syntax", str(error.msg), "mend it")
        return
    for tree in trees:
        yield from _tree(tree, statement.line, place, fresh, transactional=transactional)
        for inner in inner_statements(tree, statement.text, statement.line):
            if isinstance(inner, LintFinding):
                yield inner
                continue
            where = Place(place.target, place.runtime_tables, dynamic=inner.dynamic)
            if isinstance(tree, ast.DoStmt):
                yield from _tree(inner.tree, inner.line, where, fresh, transactional=transactional)
            else:
                # What a function does later is its business, as long as it keeps to its schema and its powers.
                yield from reach(inner.tree, inner.line, where)


def _tree(tree: AstNode, line: int, place: Place, fresh: set[str], *, transactional: bool) -> Iterator[LintFinding]:
    yield from changes(tree, line, fresh, transactional=transactional)
    yield from reach(tree, line, place)
    fresh |= made_by(tree)
