"""The verdict on one stack: its changes, violated rules, and whether the check fails."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from components.config.model import Settings
from components.config.namespace import NAMESPACE
from tools.review import contract_diff, kinds, policy
from tools.review.approval import Approvals, label, unapproved
from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.kinds import generic
from tools.review.preview import Preview, Violation
from tools.review.risk import Risk
from tools.review.tokens import MIGRATIONS

THRESHOLD_KEY = "reviewThreshold"


@dataclass
class Verdict:
    """One stack's part of the comment and the report. ``threshold`` is the lowest risk that fails the check; data loss
    always does."""

    context: ReviewContext
    threshold: Risk = Risk.DATA_LOSS
    approvals: Approvals = field(default_factory=Approvals)
    drift: tuple[str, ...] = ()

    @property
    def preview(self) -> Preview:
        return self.context.preview

    @cached_property
    def changes(self) -> list[RatedChange]:
        return kinds.changes(self.context)

    @cached_property
    def violations(self) -> list[Violation]:
        found = policy.violations(self.context)
        problem = self.contract.problem
        return [*found, *([Violation("contract-version", problem)] if problem else [])]

    @cached_property
    def contract(self) -> contract_diff.ContractDifference:
        old, new = self.context.contracts
        return contract_diff.compare(old, new) if old and new is not None else contract_diff.ContractDifference()

    @cached_property
    def drifted(self) -> list[str]:
        """Manual changes, found by ``drift --json``, by a refresh, and by the last read of the migrations."""
        found = list(self.drift)
        for step in self.preview.drifted:
            found.append(f"{step.type.rpartition(':')[2]} {step.name} differs from its last recorded state")
        for step in self.context.steps(MIGRATIONS):
            found += [str(line) for line in step.old.live("drift") or ()]
        return list(dict.fromkeys(found))

    @property
    def failed(self) -> bool:
        """Whether the preview failed."""
        return bool(self.preview.errors)

    @property
    def unchanged(self) -> bool:
        return not (
            self.failed or self.preview.changes or self.changes or self.contract or self.violations or self.drifted
        )

    @property
    def risk(self) -> Risk:
        return max((change.risk for change in self.changes), default=Risk.NONE)

    @cached_property
    def unapproved(self) -> list[RatedChange]:
        return unapproved(self.changes, min(self.threshold, Risk.DATA_LOSS), self.approvals)

    @property
    def blocked(self) -> bool:
        """Whether the check fails: a change lacks approval, or a mandatory rule is violated."""
        return bool(self.unapproved) or any(violation.mandatory for violation in self.violations)

    def report(self) -> dict[str, Any]:
        """The full report as JSON data."""
        return {
            "project": self.preview.project,
            "stack": self.preview.stack,
            "risk": self.risk.slug,
            "threshold": self.threshold.slug,
            "failed": self.failed,
            "blocked": self.blocked,
            "counts": {**self.preview.counts, "same": self.preview.same_count},
            "changes": [
                {
                    "risk": change.risk.slug,
                    "store": change.store,
                    "group": change.group,
                    "sentence": change.sentence,
                    "resource": change.resource,
                    "origin": self.context.origins.link(change.origin),
                    "urns": list(change.urns),
                    "label": label(change) if change.risk >= self.threshold else None,
                    "approved": self.approvals.covers(change),
                }
                for change in self.changes
            ],
            "properties": {step.urn: generic.properties(step) for step in self.preview.changes},
            "violations": [vars(violation) for violation in self.violations],
            "contract": {
                "added": self.contract.added,
                "removed": self.contract.removed,
                "retyped": self.contract.retyped,
                "changed": self.contract.changed,
                "version": self.contract.version,
            },
            "drift": self.drifted,
            "errors": self.preview.errors,
            "warnings": self.preview.warnings,
        }


def threshold(preview: Preview, chosen: Risk | None) -> Risk:
    """``chosen``, else the stack's configured threshold, else the default. Raises ``ValueError`` for an unknown class."""
    if chosen is not None:
        return chosen
    text = preview.config.get(f"{preview.project or NAMESPACE}:{THRESHOLD_KEY}", "")
    return Risk.parse(text or Settings.model_fields["review_threshold"].default)
