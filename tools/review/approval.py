"""Labels of a pull request that approve changes: ``approve-data-loss: postgres/vex.vex_raw``.

``approve-<risk>: STORE/NAME`` approves the changes of one resource that have that risk. A label never covers more than
one resource.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from tools.review.change import STORES, RatedChange
from tools.review.risk import Risk

LONGEST_LABEL = 50  # GitHub's limit
_DIGEST_LENGTH = 6
# Store of a change -> its name in labels. A schema and a bucket may have the same name.
_STORES = dict(zip(STORES, ("postgres", "valkey", "objects", "kubernetes", "stack"), strict=True))


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
        """Whether a label names the change's risk and resource."""
        return _normal(label(change)) in self.labels


def label(change: RatedChange) -> str:
    """The label that approves ``change``. Where it would exceed GitHub's limit, a digest replaces the end of the name."""
    text = f"approve-{change.risk.slug}: {_STORES[change.store]}/{change.resource}"
    if len(text) <= LONGEST_LABEL:
        return text
    digest = hashlib.sha256(change.resource.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{text[: LONGEST_LABEL - _DIGEST_LENGTH - 1]}~{digest}"


def _normal(text: str) -> str:
    """``text`` in lower case with single spaces."""
    return " ".join(text.replace(":", ": ", 1).lower().split())


def unapproved(changes: Iterable[RatedChange], threshold: Risk, approvals: Approvals) -> list[RatedChange]:
    """The changes with a risk of ``threshold`` or higher that no label approves."""
    return [change for change in changes if change.risk >= threshold and not approvals.covers(change)]
