"""Labels of a pull request that approve changes: ``approve-data-loss: vex.vex_raw``.

``approve-<risk>: NAME`` approves the changes of one resource that have that risk; ``approve: NAME`` approves all its
changes. A label never covers more than one resource.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tools.review.change import RatedChange
from tools.review.risk import Risk

LONGEST_LABEL = 50  # GitHub's limit


@dataclass(frozen=True)
class Approvals:
    labels: frozenset[str] = frozenset()

    @staticmethod
    def read(texts: Iterable[str]) -> "Approvals":
        """Parse labels. Each of ``texts`` is a label or a JSON array of labels, as ``toJSON`` in a workflow returns."""
        labels: set[str] = set()
        for text in texts:
            try:
                value = json.loads(text)
            except ValueError:
                value = text
            labels |= {
                _normal(item) for item in (value if isinstance(value, list) else [text]) if isinstance(item, str)
            }
        return Approvals(frozenset(labels))

    def covers(self, change: RatedChange) -> bool:
        """Whether a label names the change's resource."""
        return bool(self.labels & {_normal(label(change)), _normal(_label_for_any_risk(change.resource))})


def label(change: RatedChange) -> str:
    """The label that approves ``change``; without the risk if it would exceed GitHub's limit."""
    text = f"approve-{change.risk.slug}: {change.resource}"
    return text if len(text) <= LONGEST_LABEL else _label_for_any_risk(change.resource)


def _label_for_any_risk(resource: str) -> str:
    return f"approve: {resource}"


def _normal(text: str) -> str:
    """``text`` in lower case with single spaces."""
    return " ".join(text.replace(":", ": ", 1).lower().split())


def unapproved(changes: Iterable[RatedChange], threshold: Risk, approvals: Approvals) -> list[RatedChange]:
    """The changes with a risk of ``threshold`` or higher that no label approves."""
    return [change for change in changes if change.risk >= threshold and not approvals.covers(change)]
