"""``-- lint: allow RULE: REASON`` directly before a statement."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from provider.postgres.lint import NOT_WAIVABLE, RULES, LintFinding
from provider.postgres.statements import Statement

_COMMENT = re.compile(r"\s*--\s*lint\s*:\s*(?P<rest>.*?)\s*")
_WAIVER = re.compile(r"allow\s+(?P<rule>[a-z-]+)\s*:\s*(?P<reason>.*)")
FORM = "write `-- lint: allow RULE: REASON` directly before the statement"


@dataclass(frozen=True)
class Waiver:
    """``first`` to ``last`` are the lines of the statement that it is for."""

    line: int
    rule: str
    first: int
    last: int

    def covers(self, finding: LintFinding) -> bool:
        return finding.rule == self.rule and self.first <= finding.line <= self.last


def apply_waivers(text: str, statements: Iterable[Statement], findings: Iterable[LintFinding]) -> list[LintFinding]:
    """The findings that no waiver matches, and those on the waivers themselves, by line."""
    waivers, left = _read(text, list(statements))
    used: set[Waiver] = set()
    for finding in findings:
        covering = [waiver for waiver in waivers if waiver.covers(finding)]
        used.update(covering)
        if not covering:
            left.append(finding)
    for waiver in waivers:
        if waiver not in used:
            left.append(LintFinding(waiver.line, "waiver", f"nothing here breaks {waiver.rule}", "remove the waiver"))
    return sorted(set(left))


def _read(text: str, statements: list[Statement]) -> tuple[list[Waiver], list[LintFinding]]:
    waivers: list[Waiver] = []
    wrong: list[LintFinding] = []
    lines = text.split("\n")
    for number, content in enumerate(lines, start=1):
        comment = _COMMENT.fullmatch(content)
        if comment is None:
            continue
        match = _WAIVER.fullmatch(comment["rest"])
        if match is None:
            wrong.append(LintFinding(number, "waiver", f"`{content.strip()}` is not a waiver", FORM))
        elif match["rule"] not in RULES or match["rule"] in NOT_WAIVABLE:
            rules = ", ".join(rule for rule in RULES if rule not in NOT_WAIVABLE)
            wrong.append(
                LintFinding(number, "waiver", f"{match['rule']} is not a rule that can be waived", f"rules: {rules}")
            )
        elif not match["reason"].strip():
            wrong.append(LintFinding(number, "waiver", f"no reason is given for {match['rule']}", FORM))
        elif (statement := _next(number, statements, lines)) is None:
            wrong.append(LintFinding(number, "waiver", "no statement follows it", FORM))
        else:
            last = statement.line + statement.text.count("\n")
            waivers.append(Waiver(number, match["rule"], statement.line, last))
    return waivers, wrong


def _next(number: int, statements: list[Statement], lines: list[str]) -> Statement | None:
    """The statement that begins after the comment, with nothing but comments between them."""
    for statement in statements:
        if statement.line > number:
            between = lines[number : statement.line - 1]
            return statement if all(line.lstrip().startswith("--") for line in between) else None
    return None
