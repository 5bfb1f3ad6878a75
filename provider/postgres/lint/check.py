"""One schema's migrations against every rule."""

from pathlib import Path

from provider.postgres.lint import LintFinding
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.effects import classify
from provider.postgres.lint.place import Place
from provider.postgres.lint.waivers import apply_waivers
from provider.postgres.migration_files import Script, discover, render
from provider.postgres.problems import MigrationError


def check_directory(directory: Path, place: Place, accepted: Accepted) -> tuple[int, list[str]]:
    """Return the number of migrations, and every finding as a line: ``file:line: rule: message; remedy``."""
    try:
        migrations = discover(directory)
    except MigrationError as error:
        return 0, str(error).splitlines()
    lines: list[str] = []
    for migration in migrations:
        try:
            script = render(migration, place.target.variables)
        except MigrationError as error:
            lines += str(error).splitlines()
            continue
        lines += [
            f"{migration.path}:{finding.line}: {finding.rule}: {finding.message}; {finding.remedy}"
            for finding in check_script(script, place)
            if not accepted.covers(migration.path, finding)
        ]
    return len(migrations), lines


def check_script(script: Script, place: Place) -> list[LintFinding]:
    """Every finding on one file that no waiver matches, by line."""
    findings = [finding for item in classify(script, place) for finding in item.findings]
    return apply_waivers(script.text, script.statements, findings)
