"""Labels of a pull request that approve one thing each: ``approve-data-loss: vex.vex_raw``.

``approve-<risk>: NAME`` approves what has that risk on the resource of that name, ``approve: NAME`` whatever happens
to it. There is no label that approves everything.
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
        """``texts`` are labels, or JSON arrays of labels as a workflow has them."""
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
        return bool(self.labels & {_normal(label(change)), _normal(_any(change.resource))})


def label(change: RatedChange) -> str:
    """The label that approves ``change``; without the risk where GitHub would not take so long a name."""
    text = f"approve-{change.risk.slug}: {change.resource}"
    return text if len(text) <= LONGEST_LABEL else _any(change.resource)


def _any(resource: str) -> str:
    return f"approve: {resource}"


def _normal(text: str) -> str:
    """Case and spaces do not matter."""
    return " ".join(text.replace(":", ": ", 1).lower().split())


def unapproved(changes: Iterable[RatedChange], threshold: Risk, approvals: Approvals) -> list[RatedChange]:
    """What is as bad as ``threshold`` or worse and that no label covers."""
    return [change for change in changes if change.risk >= threshold and not approvals.covers(change)]
