"""Analyser of migrations, on PostgreSQL's own parser (postgast: libpg_query of PostgreSQL 18).

``effects.classify`` gives each statement its effect. ``python -m tools check-migrations`` prints the findings,
a preview names the effects of pending files, and the review rates them. To accept a finding, write the comment
``-- lint: allow RULE: REASON`` directly before the statement; for an applied file, an entry of ``sql/lint.yaml``.
``RULES`` has what each rule finds.
"""

from dataclasses import dataclass
from enum import IntEnum


class Effect(IntEnum):
    """What a statement does to data and access, from the mildest to the worst. A statement has its worst effect."""

    ADDITIVE = 0
    BLOCKING = 1
    REVOKES = 2
    WIDENS_ACCESS = 3
    MAY_DO_ANYTHING = 4
    DESTROYS_DATA = 5


@dataclass(frozen=True)
class Rule:
    """What a rule finds, and the effect of a statement with a finding of the rule."""

    text: str
    effect: Effect


RULES = {
    "syntax": Rule("text that PostgreSQL's parser refuses", Effect.MAY_DO_ANYTHING),
    "destructive": Rule(
        "rows, values, objects or protections are lost: DROP, TRUNCATE, DELETE, UPDATE of all rows, RENAME, a new type",
        Effect.DESTROYS_DATA,
    ),
    "evidence": Rule("a statement that changes an append-only table or what protects it", Effect.DESTROYS_DATA),
    "opening": Rule(
        "access is widened: a view or function with its owner's privileges, a policy, the server's files",
        Effect.WIDENS_ACCESS,
    ),
    "grant": Rule("a privilege, a membership or an owner that the mapping does not give", Effect.WIDENS_ACCESS),
    "superuser": Rule("a statement that needs more privileges than the schema's owner has", Effect.MAY_DO_ANYTHING),
    "outside-schema": Rule("an object of another schema, or one without a schema", Effect.MAY_DO_ANYTHING),
    "dynamic-sql": Rule("SQL that is composed at run time and cannot be read", Effect.MAY_DO_ANYTHING),
    "unknown": Rule("a statement, function or setting whose effect the lint cannot determine", Effect.MAY_DO_ANYTHING),
    "index-blocks": Rule(
        "an index is created, dropped or rebuilt on an existing table while writers wait", Effect.BLOCKING
    ),
    "not-null": Rule(
        "an existing column or a new one without default becomes NOT NULL on an existing table", Effect.BLOCKING
    ),
    "rewrite": Rule("an existing table is rewritten while all other sessions wait", Effect.BLOCKING),
    "constraint-scan": Rule(
        "a constraint is checked on all rows of an existing table while writers wait", Effect.BLOCKING
    ),
    "lock": Rule("an explicit lock that is held until the end of the file", Effect.BLOCKING),
    "transaction": Rule("a statement that cannot run in a transaction, in a file that is one", Effect.BLOCKING),
    "waiver": Rule("a waiver without a reason, for an unknown rule, or that matches nothing", Effect.ADDITIVE),
}
# Findings of these rules cannot be waived. The migration runner refuses changes of evidence, whatever a comment says.
NOT_WAIVABLE = ("waiver", "syntax", "evidence")


@dataclass(frozen=True, order=True)
class LintFinding:
    """``line`` counts from 1 in the rendered file. ``rule`` is a key of ``RULES``.

    ``own_effect`` replaces the rule's effect where the statement does something else.
    """

    line: int
    rule: str
    message: str
    remedy: str
    own_effect: Effect | None = None

    @property
    def effect(self) -> Effect:
        return RULES[self.rule].effect if self.own_effect is None else self.own_effect
