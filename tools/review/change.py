"""A change that the comment describes: one sentence, with its risk and its origin."""

from dataclasses import dataclass

from tools.review.risk import Risk

# The order of the comment's sections.
STORES = ("PostgreSQL", "Valkey", "Object store", "Kubernetes", "Stack")

# The place of the names in ``RatedChange.alike``.
SUBJECTS = "\0"

MappingPath = tuple[str | int, ...]


@dataclass(frozen=True)
class RatedChange:
    """One change with its risk.

    ``sentence`` is Markdown with escaped values. ``resource`` is the name in the label that approves the change.
    ``group`` is the module, schema or bucket under which the comment lists it. ``origin`` is the mapping path or the
    file that causes it. ``urns`` are the resources whose property changes are folded below it, followed by ``extra``,
    also Markdown. ``alike`` is the sentence for several resources, with ``SUBJECTS`` in place of their names: changes
    with the same one are listed as one change.
    """

    risk: Risk
    store: str
    group: str
    sentence: str
    resource: str
    origin: MappingPath | str = ()
    urns: tuple[str, ...] = ()
    extra: str = ""
    alike: str = ""
