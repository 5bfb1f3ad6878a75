"""A change that the comment describes: one sentence, with its risk and its origin."""

from dataclasses import dataclass

from tools.review.risk import Risk

# The order of the comment's sections.
STORES = ("PostgreSQL", "Valkey", "Object store", "Kubernetes", "Stack")

MappingPath = tuple[str | int, ...]


@dataclass(frozen=True)
class RatedChange:
    """One change with its risk.

    ``sentence`` is Markdown with escaped values. ``resource`` is the name in an approving label, ``group`` the module,
    schema or bucket under which the comment shows the change. ``origin`` is the path in the mapping, or the file, that
    causes it. ``urns`` are the resources whose properties are its details, and ``extra`` is more folded Markdown.
    """

    risk: Risk
    store: str
    group: str
    sentence: str
    resource: str
    origin: MappingPath | str = ()
    urns: tuple[str, ...] = ()
    extra: str = ""
