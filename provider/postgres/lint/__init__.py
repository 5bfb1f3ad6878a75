"""Lint of migrations, on PostgreSQL's own parser (postgast: libpg_query of PostgreSQL 18).

``python -m tools check-migrations`` renders the templates of ``sql/`` and looks at each statement. A finding is let
pass by a comment just before the statement, ``-- lint: allow RULE: REASON``; in a file that is applied already, by an
entry of ``sql/lint.yaml``. What each rule looks for is in ``RULES``.
"""

from dataclasses import dataclass

RULES = {
    "syntax": "text that PostgreSQL's parser does not take",
    "destructive": "rows or objects are lost: DROP, TRUNCATE, DELETE, UPDATE of every row, a trigger switched off",
    "index-blocks": "an index is made, dropped or rebuilt on an existing table while writers wait",
    "not-null": "an existing column or a new one without default becomes NOT NULL on an existing table",
    "rewrite": "an existing table is written anew while everybody waits",
    "constraint-scan": "a constraint is checked on all rows of an existing table while writers wait",
    "lock": "a lock that lasts until the file's end is taken by name",
    "transaction": "a statement that refuses transactions stands in a file that is one",
    "outside-schema": "an object of another schema, or one whose schema is not said",
    "superuser": "a statement that needs more than the schema's owner may do",
    "grant": "a privilege, a membership or an owner that the mapping does not give",
    "dynamic-sql": "SQL put together at run time, of which nothing can be said",
    "waiver": "a waiver without a reason, for no known rule, or that lets nothing pass",
}


@dataclass(frozen=True, order=True)
class LintFinding:
    """``line`` counts from 1 in the rendered file. ``rule`` is a key of ``RULES``."""

    line: int
    rule: str
    what: str
    todo: str
